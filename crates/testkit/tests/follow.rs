//! Everything follows: routes of every kind, and who reaches a data address when several NICs carry data. The real
//! daemon on the standard network; no milliseconds are asserted here.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "follow/addresses.rs"]
mod addresses;
#[path = "follow/kinds.rs"]
mod kinds;
#[path = "follow/proof.rs"]
mod proof;

use mpath_linux::Kernel;
use mpath_linux::netlink::create::End;
use mpath_model::kernel::{Address, Hop, Inventory, KernelOp, Placing, ifa};
use mpath_model::{IfIndex, Route};
use mpath_testkit::lan::{ROUTER4, ROUTER6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{
    Daemon, Echo, Host, Lan, LanOptions, Tunnel, UdpStream, poll_until, wait_until, with_daemon,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(15);

/// Two NICs with homes on both, IPv4 in two subnets and IPv6.
const CONFIG: &str = r#"
[[group]]
name = "production"
failure_detection_time = "1s"

[[group.interface]]
name = "eth0"
test_addresses = ["192.0.2.11/24", "link-local"]

[[group.interface]]
name = "eth1"
test_addresses = ["192.0.2.12/24", "link-local"]
"#;

fn data(list: &[(&str, &str)]) -> String {
    let entry = |(address, home): &(&str, &str)| {
        format!("\n[[group.address]]\naddress = \"{address}\"\nhome = \"{home}\"\n")
    };
    CONFIG.to_owned() + &list.iter().map(entry).collect::<String>()
}

fn apply(host: &Host, ops: &[KernelOp]) {
    let errors = host.run(|| Kernel::open().unwrap().apply(ops));
    assert!(errors.iter().all(|e| *e == 0), "{errors:?} for {ops:?}");
}

fn via(dst: &str, hops: &[(IfIndex, &str)]) -> Route {
    let mut route = Route::onlink(dst.parse().unwrap(), 0, 0, 4);
    route.scope = 0;
    route.metric = if dst.contains(':') { 1024 } else { 0 };
    let hop = |(index, gateway): &(IfIndex, &str)| Hop {
        index: *index,
        gateway: Some(gateway.parse().unwrap()),
        onlink: false,
        weight: 1,
    };
    route.hops = hops.iter().map(hop).collect();
    route
}

#[track_caller]
fn soon(what: &str, daemon: &Daemon, host: &Host, is: impl Fn(&Inventory) -> bool) {
    let found = poll_until(SOON, || is(&host.inventory().unwrap()).then_some(()));
    let i = || {
        let i = host.inventory().unwrap();
        format!("{:#?}\n{:#?}\n{:#?}", i.addresses, i.routes, i.rules)
    };
    assert!(found.is_some(), "not {what}:\n{}\n{}", i(), daemon.log_text());
}

/// A host of its own behind an interface of the server that is in no group: `inside` and `outside` are its address and the
/// server's.
fn behind(lan: &Lan, name: &str, outside: &str, inside: &str) -> Arc<Host> {
    let host = Arc::new(Host::new(name).unwrap());
    let near = End { name: format!("{name}0"), ..End::default() };
    lan.server.veth(near, &host, End { name: "eth0".into(), ..End::default() }).unwrap();
    for (on, nic, address) in [(&lan.server, format!("{name}0"), outside), (&host, "eth0".into(), inside)] {
        on.set_up(&nic).unwrap();
        on.add_address(&nic, address).unwrap();
    }
    host.add_route("eth0", "0.0.0.0/0", outside.split('/').next().unwrap()).unwrap();
    host
}

/// A host at the other end of a tunnel.
fn tunnelled(lan: &Lan) -> (Arc<Host>, Tunnel) {
    let host = Arc::new(Host::new("remote").unwrap());
    let tunnel = Tunnel::new("tun0", &lan.server, &host).unwrap();
    lan.server.add_address("tun0", "10.77.0.1/24").unwrap();
    host.add_address("tun0", "10.77.0.2/24").unwrap();
    host.add_route("tun0", "0.0.0.0/0", "10.77.0.1").unwrap();
    (host, tunnel)
}

fn target(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), PORT)
}

#[test]
fn every_data_address_is_reached_from_everywhere() {
    with_daemon("every_data_address_is_reached_from_everywhere", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        // The second subnet lives on the same link.
        lan.router.add_address("eth0", "203.0.113.1/24").unwrap();
        lan.near.add_address("eth0", "203.0.113.200/24").unwrap();
        let container = behind(&lan, "pod", "10.88.0.1/24", "10.88.0.2/24");
        let ungrouped = behind(&lan, "mgmt", "10.99.0.1/24", "10.99.0.2/24");
        // Its subnet is cut out of that of the data addresses.
        let inner = behind(&lan, "inner", "192.0.2.97/28", "192.0.2.98/28");
        let (remote, _tunnel) = tunnelled(&lan);
        lan.server.sysctl("net/ipv4/ip_forward", "1").unwrap();
        let config = data(&[
            ("192.0.2.10/24", "eth0"),
            ("192.0.2.20/24", "eth1"),
            ("203.0.113.10/24", "eth1"),
            ("2001:db8:1::10/64", "eth0"),
            ("2001:db8:1::20/64", "eth1"),
            ("198.18.0.5/32", "eth1"),
        ]);
        lan.router.add_route("eth0", "198.18.0.5/32", "192.0.2.20").unwrap();
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let places = |list: &[(&str, &str)]| list.iter().all(|(a, nic)| lan.server.holders(a) == [*nic]);
        let home = [
            ("192.0.2.10", "eth0"),
            ("192.0.2.20", "eth1"),
            ("203.0.113.10", "eth1"),
            ("2001:db8:1::10", "eth0"),
            ("2001:db8:1::20", "eth1"),
            ("198.18.0.5", "eth1"),
        ];
        let placed = poll_until(SOON, || places(&home).then_some(()));
        assert!(placed.is_some(), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let mut streams = Vec::new();
        for (address, _) in home {
            let clients = [&lan.near, &lan.far, &container, &ungrouped, &inner, &remote];
            let six = address.contains(':');
            for client in clients.into_iter().take(if six { 2 } else { 6 }) {
                let stream = UdpStream::start(client, target(address), 50).unwrap();
                streams.push((format!("{} to {address}", client.name()), stream));
            }
        }
        let reached = |when: &str| {
            let now = Instant::now();
            let dark = || -> Vec<&String> {
                streams.iter().filter(|(_, s)| !s.alive_since(now)).map(|(name, _)| name).collect()
            };
            let all = poll_until(SOON, || dark().is_empty().then_some(()));
            let i = lan.server.inventory().unwrap();
            let shown = format!("{:#?}\n{:#?}", i.routes, i.rules);
            assert!(all.is_some(), "{when}, no answer: {:?}\n{shown}\n{}", dark(), daemon.log_text());
        };
        reached("before");
        let leaves_by = |from: &str, nic: &str| {
            let index = lan.server.index_of(nic).unwrap();
            soon(&format!("from {from} by {nic}"), &daemon, &lan.server, |i| {
                let rule = i
                    .rules
                    .iter()
                    .find(|r| r.to.is_none() && r.from.is_some_and(|f| f.address.to_string() == from));
                rule.is_some_and(|rule| {
                    i.routes.iter().any(|r| r.table == rule.table && r.is_default() && r.uses(index))
                })
            });
        };
        leaves_by("192.0.2.10", "eth0");
        leaves_by("192.0.2.20", "eth1");
        leaves_by("2001:db8:1::20", "eth1");
        for broken in [0, 1, 0] {
            lan.cut(broken).unwrap();
            let other = if broken == 0 { "eth1" } else { "eth0" };
            let there = || home.iter().all(|(a, _)| lan.server.holders(a) == [other]).then_some(());
            assert!(poll_until(SOON, there).is_some(), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
            reached(&format!("eth{broken} is cut"));
            soon("no rule with one active NIC", &daemon, &lan.server, |i| {
                i.rules.is_empty() && !i.routes.iter().any(|r| (7700..=7799).contains(&r.table))
            });
            lan.plug(broken).unwrap();
            let back = poll_until(SOON, || places(&home).then_some(()));
            assert!(back.is_some(), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
            reached("afterwards");
        }
        leaves_by("192.0.2.20", "eth1");
    });
}

#[test]
fn routes_of_every_kind_follow_and_come_back_exactly() {
    with_daemon("routes_of_every_kind_follow_and_come_back_exactly", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let index = |nic: &str| lan.server.index_of(nic).unwrap();
        let (eth0, eth1) = (index("eth0"), index("eth1"));
        lan.server.add_address("eth0", "192.0.2.10/24").unwrap();
        lan.server.add_address("eth0", "2001:db8:1::10/64").unwrap();
        let mut tuned = via("10.1.0.0/16", &[(eth0, ROUTER4)]);
        tuned.metrics = vec![(2, 1400)]; // RTAX_MTU
        tuned.metric = 50;
        tuned.protocol = 16;
        tuned.prefsrc = Some("192.0.2.10".parse().unwrap());
        let mut elsewhere = via("10.2.0.0/16", &[(eth0, ROUTER4)]);
        elsewhere.table = 100;
        let several4 = via("10.3.0.0/16", &[(eth0, ROUTER4), (eth1, "192.0.2.200")]);
        let several6 = via("2001:db8:3::/48", &[(eth0, ROUTER6), (eth1, "fe80::2")]);
        let mut bird = via("10.4.0.0/16", &[(eth0, ROUTER4)]);
        bird.protocol = 12;
        let found = [tuned.clone(), elsewhere.clone(), several4.clone(), several6.clone()];
        let ops: Vec<KernelOp> =
            found.iter().chain([&bird]).map(|r| KernelOp::AddRoute(r.clone(), Placing::After)).collect();
        apply(&lan.server, &ops);
        let before = lan.server.inventory().unwrap().routes;
        let pick = |routes: &[Route], dst: &Route| -> Vec<Route> {
            routes.iter().filter(|r| r.dst == dst.dst && r.table == dst.table).cloned().collect()
        };
        let daemon = Daemon::start(&lan.server, CONFIG).unwrap();
        for round in 0..2 {
            if round == 0 {
                lan.cut(0).unwrap()
            } else {
                lan.blackhole(0).unwrap()
            };
            for r in &found {
                soon(&format!("{} away", r.dst), &daemon, &lan.server, |i| {
                    let now = pick(&i.routes, r);
                    let copy = now.first().filter(|_| now.len() == 1);
                    copy.is_some_and(|c| {
                        let moved = c.hops.iter().all(|h| h.index == eth1) && c.hops.len() == r.hops.len();
                        moved && c.metric == r.metric && c.metrics == r.metrics && c.protocol == 77
                    })
                });
            }
            soon("the routing daemon's route stays", &daemon, &lan.server, |i| {
                pick(&i.routes, &bird).iter().all(|r| r.uses(eth0) && r.protocol == 12)
            });
            if round == 0 {
                lan.plug(0).unwrap()
            } else {
                lan.heal(0).unwrap()
            };
            for r in &found {
                let exactly = pick(&before, r);
                soon(&format!("{} exactly as it was", r.dst), &daemon, &lan.server, |i| {
                    pick(&i.routes, r) == exactly
                });
            }
        }
    });
}

/// NetworkManager tells the kernel to make no prefix routes, and makes them itself in the kernel's name.
#[test]
fn prefix_routes_in_the_kernels_name_come_back() {
    with_daemon("prefix_routes_in_the_kernels_name_come_back", || {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        let eth0 = lan.server.index_of("eth0").unwrap();
        let mut ops = Vec::new();
        for (address, gateway) in [("192.0.2.10/24", ROUTER4), ("2001:db8:1::10/64", ROUTER6)] {
            let addr: mpath_model::IfAddr = address.parse().unwrap();
            let flags = ifa::NOPREFIXROUTE | ifa::PERMANENT | ifa::NODAD;
            ops.push(KernelOp::AddAddress(Address { flags, ..Address::plain(eth0, addr) }));
            let mut prefix = Route::onlink(addr.network(), eth0, 100, 2);
            prefix.prefsrc = Some(addr.address).filter(|a| a.is_ipv4());
            let mut default =
                via(if addr.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" }, &[(eth0, gateway)]);
            default.metric = 100;
            ops.extend([prefix, default].map(|r| KernelOp::AddRoute(r, Placing::After)));
        }
        apply(&lan.server, &ops);
        let routes = |i: &Inventory| -> Vec<Route> {
            i.routes.iter().filter(|r| r.table == 254 && r.metric == 100).cloned().collect()
        };
        let before = routes(&lan.server.inventory().unwrap());
        assert_eq!(before.len(), 4, "{before:?}");
        let config =
            CONFIG.lines().filter(|l| !l.starts_with("test_addresses")).collect::<Vec<_>>().join("\n");
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let on = |nic: &str| ["192.0.2.10", "2001:db8:1::10"].iter().all(|a| lan.server.holders(a) == [nic]);
        wait_until(SOON, "it is probed", || daemon.all_answered().unwrap());
        for _ in 0..2 {
            lan.cut(0).unwrap();
            wait_until(SOON, "all is on eth1", || on("eth1"));
            lan.plug(0).unwrap();
            wait_until(SOON, "all is on eth0", || on("eth0"));
            soon("its routes are as they were", &daemon, &lan.server, |i| routes(i) == before);
        }
        assert!(!daemon.log_text().contains("RTM_NEWROUTE"), "{}", daemon.log_text());
    });
}

/// What a router advertised is demoted, never copied; after the repair the advertisement is asked for.
#[test]
fn an_advertised_default_route_is_demoted_until_the_repair() {
    with_daemon("an_advertised_default_route_is_demoted_until_the_repair", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let eth0 = lan.server.index_of("eth0").unwrap();
        let eth1 = lan.server.index_of("eth1").unwrap();
        let mut advertised = via("::/0", &[(eth0, ROUTER6)]);
        advertised.protocol = 9;
        advertised.metric = 512;
        advertised.expires = Some(900);
        apply(&lan.server, &[KernelOp::AddRoute(advertised.clone(), Placing::After)]);
        let config = data(&[("192.0.2.10/24", "eth0"), ("2001:db8:1::10/64", "eth0")]);
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        soon("placed", &daemon, &lan.server, |i| i.addresses.iter().any(|a| a.protocol == 77));
        let defaults = |i: &Inventory, index: IfIndex| -> Vec<(u32, u8)> {
            let ours = i.routes.iter().filter(|r| r.is_default() && r.dst.address.is_ipv6() && r.uses(index));
            ours.filter(|r| r.expires.is_some()).map(|r| (r.metric, r.protocol)).collect()
        };
        daemon.offline("eth0").unwrap();
        soon("demoted", &daemon, &lan.server, |i| defaults(i, eth0) == [(10_512, 77)]);
        soon("never copied", &daemon, &lan.server, |i| defaults(i, eth1).is_empty());
        let conf = "net/ipv6/conf/eth0/ra_defrtr_metric";
        assert_eq!(lan.server.read_sysctl(conf).unwrap(), "11024");
        daemon.online("eth0").unwrap();
        let back = || (lan.server.read_sysctl(conf).unwrap() == "1024").then_some(());
        assert!(poll_until(SOON, back).is_some(), "{}", daemon.log_text());
        // The router answers the solicitation; here the test does.
        apply(&lan.server, &[KernelOp::AddRoute(advertised, Placing::After)]);
        soon("as it was", &daemon, &lan.server, |i| defaults(i, eth0) == [(512, 9)]);
    });
}

/// A program that joined a group by its data address hears it again after the cut, and the daemon leaves it at home.
#[test]
fn multicast_groups_follow() {
    with_daemon("multicast_groups_follow", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let config = data(&[("192.0.2.10/24", "eth0"), ("2001:db8:1::10/64", "eth0")]);
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let placed = || (lan.server.holders("192.0.2.10") == ["eth0"]).then_some(());
        assert!(poll_until(SOON, placed).is_some(), "{}", daemon.log_text());
        let group = std::net::Ipv4Addr::new(239, 1, 2, 3);
        let program = lan.server.run(|| {
            let socket = std::net::UdpSocket::bind(("0.0.0.0", 9999)).unwrap();
            socket.join_multicast_v4(&group, &"192.0.2.10".parse().unwrap()).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            socket
        });
        lan.near.add_route("eth0", "239.0.0.0/8", "192.0.2.1").unwrap();
        let sender = lan.near.run(|| std::net::UdpSocket::bind(("192.0.2.200", 0)).unwrap());
        let hears = |what: &str| {
            let round = || {
                sender.send_to(b"news", (group, 9999)).unwrap();
                program.recv(&mut [0; 16]).is_ok().then_some(())
            };
            assert!(poll_until(SOON, round).is_some(), "{what}\n{}", daemon.log_text());
        };
        hears("at home");
        lan.cut(0).unwrap();
        let moved = || (lan.server.holders("192.0.2.10") == ["eth1"]).then_some(());
        poll_until(SOON, moved).unwrap();
        let joined = |nic: &str| {
            let table = lan.server.run(|| std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap());
            let mut here = false;
            table.lines().any(|line| {
                if line.starts_with(|c: char| c.is_ascii_digit()) {
                    here = line.contains(nic);
                }
                here && line.contains("030201EF")
            })
        };
        assert!(poll_until(SOON, || joined("eth1").then_some(())).is_some(), "{}", daemon.log_text());
        while program.recv(&mut [0; 16]).is_ok() {}
        hears("after the cut");
        lan.plug(0).unwrap();
        assert!(poll_until(SOON, || (!joined("eth1")).then_some(())).is_some(), "left again");
        hears("at home again");
    });
}
