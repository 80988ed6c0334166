//! Addresses that are special: somebody else's, alone in their network, or leased.

use super::*;
use mpath_model::kernel::{Address, ifa};

/// What another host has already is left to it.
#[test]
fn an_address_of_another_host_is_left_to_it() {
    with_daemon("addresses::an_address_of_another_host_is_left_to_it", || {
        let lan = Lan::new(LanOptions { dad: true, ..LanOptions::default() }).unwrap();
        let contested = [("192.0.2.10", "/24"), ("2001:db8:1::10", "/64")];
        for (address, length) in contested {
            lan.near.add_address("eth0", &format!("{address}{length}")).unwrap();
        }
        let _echo = Echo::start(&lan.near, PORT).unwrap();
        let streams = contested.map(|(a, _)| UdpStream::start(&lan.far, target(a), 50).unwrap());
        let answered = |when: &str| {
            let now = Instant::now();
            let all = || streams.iter().all(|s| s.alive_since(now)).then_some(());
            assert!(poll_until(SOON, all).is_some(), "{when}");
        };
        answered("before");
        let config =
            data(&[("192.0.2.10/24", "eth0"), ("192.0.2.20/24", "eth1"), ("2001:db8:1::10/64", "eth0")]);
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        for (address, _) in contested {
            let text = format!("address {address} is in use by another host");
            assert!(daemon.wait_log(SOON, &text).is_ok(), "{}", daemon.log_text());
        }
        // One that nobody has is not held up by those.
        let free = || (lan.server.holders("192.0.2.20") == ["eth1"]).then_some(());
        assert!(poll_until(SOON, free).is_some(), "{}", daemon.log_text());
        // Nor does it go to another NIC, and its owner is heard as ever.
        lan.cut(0).unwrap();
        let moved = daemon.wait_log(SOON, "The link has gone down on eth0");
        assert!(moved.is_ok(), "{}", daemon.log_text());
        answered("with the daemon");
        let i = lan.server.inventory().unwrap();
        let here =
            i.addresses.iter().filter(|a| contested.iter().any(|(c, _)| a.addr.address.to_string() == *c));
        let in_force: Vec<_> = here.filter(|a| a.flags & (ifa::TENTATIVE | ifa::DADFAILED) == 0).collect();
        assert!(in_force.is_empty(), "{in_force:?}\n{}", daemon.log_text());
        assert!(!daemon.log_text().contains("RTM_NEW"), "{}", daemon.log_text());
    });
}

/// Addresses as hosters give them: alone in their network, the gateways outside of it.
#[test]
fn addresses_without_a_subnet_follow_with_their_gateways() {
    with_daemon("addresses::addresses_without_a_subnet_follow_with_their_gateways", || {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        let eth0 = lan.server.index_of("eth0").unwrap();
        let router = lan.router.index_of("eth0").unwrap();
        lan.router.add_address("eth0", "172.31.1.1/32").unwrap();
        let back = ["203.0.113.77/32", "2001:db8:77::5/128"]
            .map(|a| Route::onlink(a.parse().unwrap(), router, 0, 4));
        apply(&lan.router, &back.map(|r| KernelOp::AddRoute(r, Placing::After)));
        for address in ["203.0.113.77/32", "2001:db8:77::5/128"] {
            lan.server.add_address("eth0", address).unwrap();
        }
        let mut defaults = [via("0.0.0.0/0", &[(eth0, "172.31.1.1")]), via("::/0", &[(eth0, ROUTER6)])];
        defaults[0].hops[0].onlink = true;
        let before = defaults.clone();
        apply(&lan.server, &defaults.map(|r| KernelOp::AddRoute(r, Placing::After)));
        let config = CONFIG.replace("\"192.0.2.11/24\", ", "").replace("\"192.0.2.12/24\", ", "");
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let streams =
            ["203.0.113.77", "2001:db8:77::5"].map(|a| UdpStream::start(&lan.far, target(a), 50).unwrap());
        let serves = |nic: &str| {
            let on = ["203.0.113.77", "2001:db8:77::5"];
            let on = || on.iter().all(|a| lan.server.holders(a) == [nic]).then_some(());
            assert!(poll_until(SOON, on).is_some(), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
            let now = Instant::now();
            let answers = || streams.iter().all(|s| s.alive_since(now)).then_some(());
            let i = || format!("{:#?}", lan.server.inventory().unwrap().routes);
            assert!(
                poll_until(SOON, answers).is_some(),
                "no answer on {nic}\n{}\n{}",
                i(),
                daemon.log_text()
            );
        };
        serves("eth0");
        lan.cut(0).unwrap();
        serves("eth1");
        lan.plug(0).unwrap();
        serves("eth0");
        soon("the default routes as they were", &daemon, &lan.server, |i| {
            let is = |r: &Route, b: &Route| {
                (r.dst, &r.hops, r.protocol, r.metric) == (b.dst, &b.hops, b.protocol, b.metric)
            };
            before.iter().all(|b| {
                i.routes.iter().filter(|r| r.is_default() && r.family() == b.family()).all(|r| is(r, b))
            })
        });
    });
}

/// A lease that was adopted moves with what is left of its lifetimes, and comes home with them.
#[test]
fn the_lifetimes_of_a_lease_are_kept() {
    with_daemon("addresses::the_lifetimes_of_a_lease_are_kept", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let index = |nic: &str| lan.server.index_of(nic).unwrap();
        let lease = Address {
            flags: 0,
            valid_lft: 3600,
            preferred_lft: 1800,
            ..Address::plain(index("eth0"), "192.0.2.10/24".parse().unwrap())
        };
        apply(&lan.server, &[KernelOp::AddAddress(lease.clone())]);
        let config = CONFIG.replace("= \"1s\"", "= \"1s\"\nadopt = \"all\"");
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let left = |i: &Inventory, nic: &str| {
            let there = i.addresses.iter().filter(|a| a.addr == lease.addr).collect::<Vec<_>>();
            let one = there.first().filter(|a| there.len() == 1 && a.index == index(nic));
            // Minutes are enough for a test, and more than rounding.
            one.is_some_and(|a| {
                (3000..=3600).contains(&a.valid_lft) && (1200..=1800).contains(&a.preferred_lft)
            })
        };
        for _ in 0..2 {
            lan.cut(0).unwrap();
            soon("on eth1 with its lifetimes", &daemon, &lan.server, |i| left(i, "eth1"));
            lan.plug(0).unwrap();
            soon("at home with its lifetimes", &daemon, &lan.server, |i| left(i, "eth0"));
        }
    });
}
