//! Addresses, links and sysctls of a real kernel, there and back.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain};
use mpath_linux::netlink::create::{self, End};
use mpath_linux::sysctl::Watched;
use mpath_model::kernel::{Address, KernelOp, Placing, Sysctl, ifa};
use mpath_model::{PROTO_MPATHD, Route, kernel};

#[test]
fn dump_shows_links() {
    isolated("dump_shows_links", || {
        let mut net = Net::new();
        let end = End { name: "br0".into(), ..End::default() };
        create::bridge(&mut net.socket, &end).unwrap();
        let bridge = net.dump().links.into_iter().find(|l| l.name == "br0").unwrap();
        create::set_master(&mut net.socket, net.e1, bridge.index).unwrap();
        let dump = net.dump();
        let lo = dump.links.iter().find(|l| l.name == "lo").unwrap();
        assert!(lo.loopback && !lo.up && !lo.running && lo.mac.is_none());
        let e0 = dump.links.iter().find(|l| l.index == net.e0).unwrap();
        assert!(e0.up && e0.running && e0.multicast && !e0.loopback && !e0.noarp && !e0.point_to_point);
        assert_eq!((e0.name.as_str(), e0.mtu, e0.master), ("e0", 1500, None));
        assert_eq!(e0.kind.as_deref(), Some("veth"));
        assert!(e0.mac.is_some());
        let e1 = dump.links.iter().find(|l| l.index == net.e1).unwrap();
        assert_eq!(e1.master, Some(bridge.index));
        assert_eq!(net.kernel.link(net.e0).unwrap().as_ref(), Some(e0));
        assert_eq!(net.kernel.link(9999).unwrap(), None);
        assert_eq!(net.kernel.requests().undecodable(), 0);
    });
}

#[test]
fn addresses_come_back_exactly() {
    isolated("addresses_come_back_exactly", || {
        let mut net = Net::new();
        let e0 = net.e0;
        let variants = [
            plain(e0, "192.0.2.10/24"),
            Address {
                broadcast: Some("192.0.2.255".parse().unwrap()),
                label: Some("e0:data".into()),
                flags: ifa::PERMANENT | ifa::NOPREFIXROUTE,
                protocol: PROTO_MPATHD,
                metric: Some(4242),
                ..plain(e0, "192.0.2.11/24")
            },
            Address { scope: 253, ..plain(e0, "198.51.100.1/32") },
            Address { peer: Some("198.51.100.8".parse().unwrap()), ..plain(e0, "198.51.100.7/30") },
            plain(e0, "2001:db8::10/64"),
            Address {
                flags: ifa::PERMANENT | ifa::NODAD | ifa::NOPREFIXROUTE,
                protocol: PROTO_MPATHD,
                metric: Some(4242),
                ..plain(e0, "2001:db8::11/64")
            },
            Address { peer: Some("2001:db8:1::8".parse().unwrap()), ..plain(e0, "2001:db8:1::7/128") },
            Address { scope: 253, ..plain(e0, "fe80::77/64") },
        ];
        for wanted in variants {
            let text = wanted.addr.to_string();
            net.apply(KernelOp::AddAddress(wanted.clone()));
            let mut found = net.address_in_force(e0, &text);
            if found.metric != wanted.metric {
                // IPv6 shows the metric of every address.
                assert_eq!((wanted.metric, wanted.addr.address.is_ipv6()), (None, true));
                assert!(found.metric.is_none_or(|m| m == 0 || m == 256), "{found:?}");
            }
            let metric = std::mem::replace(&mut found.metric, wanted.metric);
            assert_eq!(found, wanted);
            found.metric = metric;
            let addr = wanted.addr;
            net.apply(KernelOp::DelAddress { index: e0, addr });
            assert_eq!(net.address(e0, &text), None);
            net.apply(KernelOp::AddAddress(found.clone()));
            assert_eq!(net.address_in_force(e0, &text), found);
            net.apply(KernelOp::DelAddress { index: e0, addr });
            assert_eq!(net.address(e0, &text), None);
        }
    });
}

#[test]
fn lifetimes_are_kept_and_can_be_refreshed() {
    isolated("lifetimes_are_kept_and_can_be_refreshed", || {
        let mut net = Net::new();
        for text in ["192.0.2.10/24", "2001:db8::10/64"] {
            let mut wanted = plain(net.e0, text);
            wanted.flags &= !ifa::PERMANENT;
            for (valid, preferred) in [(5000, 4000), (900, 0), (7000, 6000)] {
                wanted.valid_lft = valid;
                wanted.preferred_lft = preferred;
                net.apply(KernelOp::AddAddress(wanted.clone()));
                let found = net.address(net.e0, text).unwrap();
                assert!((valid - 60..=valid).contains(&found.valid_lft), "{found:?}");
                assert!(found.preferred_lft <= preferred && found.preferred_lft + 60 >= preferred);
                assert!(!found.has(ifa::PERMANENT));
                assert_eq!(found.has(ifa::DEPRECATED), preferred == 0, "{found:?}");
            }
            wanted.valid_lft = kernel::FOREVER;
            wanted.preferred_lft = kernel::FOREVER;
            net.apply(KernelOp::AddAddress(wanted));
            assert!(net.address(net.e0, text).unwrap().has(ifa::PERMANENT));
        }
    });
}

#[test]
fn sysctls_are_read_and_written() {
    isolated("sysctls_are_read_and_written", || {
        let mut net = Net::new();
        let set =
            |interface: &str, key, value| KernelOp::SetSysctl { interface: interface.into(), key, value };
        for key in Sysctl::ALL.into_iter().filter(|k| !k.is_fixed()) {
            net.apply(set("e0", key, 1));
            assert!(net.dump().sysctls.contains(&("e0".into(), key, 1)), "{key:?}");
            // A metric of 0 is refused.
            let other = if key == Sysctl::RaDefrtrMetric { 1024 } else { 0 };
            net.apply(set("e0", key, other));
            assert!(net.dump().sysctls.contains(&("e0".into(), key, other)), "{key:?}");
        }
        let dump = net.dump();
        assert!(dump.sysctls.contains(&("e1".into(), Sysctl::DisableIpv6, 0)));
        assert!(dump.sysctls.iter().all(|(name, ..)| name != "lo"));
        let refused = net.kernel.apply(&[
            set("absent", Sysctl::ArpIgnore, 1),
            set("all", Sysctl::ArpIgnore, 1),
            set("../all", Sysctl::ArpIgnore, 1),
            set("e0", Sysctl::Forwarding6, 1),
        ]);
        assert_eq!(refused, [libc::ENOENT, libc::EINVAL, libc::EINVAL, libc::EPERM]);
    });
}

#[test]
fn a_batch_has_an_errno_for_each_request() {
    isolated("a_batch_has_an_errno_for_each_request", || {
        let mut net = Net::new();
        let (e0, e1) = (net.e0, net.e1);
        let del = |index, addr: &str| KernelOp::DelAddress { index, addr: addr.parse().unwrap() };
        let errors = net.kernel.apply(&[
            KernelOp::AddAddress(plain(e0, "192.0.2.10/24")),
            del(e1, "192.0.2.10/24"),
            KernelOp::AddAddress(plain(e0, "2001:db8::10/64")),
            del(e0, "2001:db8::99/64"),
            KernelOp::AddAddress(plain(9999, "192.0.2.12/24")),
            KernelOp::FlushNeighbours(e0),
            del(e0, "192.0.2.10/24"),
            del(e0, "2001:db8::10/64"),
        ]);
        let absent = libc::EADDRNOTAVAIL;
        assert_eq!(errors, [0, absent, 0, absent, libc::ENODEV, 0, 0, 0]);
        let route = Route::onlink("203.0.113.0/24".parse().unwrap(), e0, 0, PROTO_MPATHD);
        let add = KernelOp::AddRoute(route.clone(), Placing::Before);
        let del = KernelOp::DelRoute(route);
        let errors = net.kernel.apply(&[add.clone(), add, del.clone(), del]);
        assert_eq!(errors, [0, libc::EEXIST, 0, libc::ESRCH]);
        // Many more than fit one piece, a refusal in each hundred.
        let mut ops = Vec::new();
        for n in 0..1000u32 {
            let index = if n % 100 == 50 { 9999 } else { e0 };
            ops.push(KernelOp::AddAddress(plain(index, &format!("10.{}.{}.1/32", n / 250, n % 250))));
        }
        let errors = net.kernel.apply(&ops);
        for (n, errno) in errors.iter().enumerate() {
            let wanted = if n % 100 == 50 { libc::ENODEV } else { 0 };
            assert_eq!(*errno, wanted, "request {n}");
        }
        assert_eq!(errors.len(), 1000);
        let found = net.dump().addresses;
        assert_eq!(found.iter().filter(|a| a.index == e0 && a.addr.is_host()).count(), 990);
    });
}

#[test]
fn refusals_carry_the_kernels_words() {
    isolated("refusals_carry_the_kernels_words", || {
        let mut net = Net::new();
        let gateway = "203.0.113.1".parse().unwrap();
        let dst = "198.51.100.0/24".parse().unwrap();
        let error = create::add_route(&mut net.socket, net.e0, dst, gateway).unwrap_err();
        assert_eq!(error.errno(), libc::ENETUNREACH);
        let text = error.to_string();
        assert!(text.contains("RTM_NEWROUTE") && text.contains("gateway"), "{text}");
    });
}

#[test]
fn watched_sysctls_follow_the_name() {
    isolated("watched_sysctls_follow_the_name", || {
        let mut net = Net::new();
        let mut watched = Watched::default();
        let set = |net: &mut Net, interface: &str, value| {
            let op = KernelOp::SetSysctl { interface: interface.into(), key: Sysctl::ArpIgnore, value };
            net.apply(op);
        };
        let seen = |watched: &mut Watched, name: &str| {
            watched.all(name).into_iter().find(|(k, _)| *k == Sysctl::ArpIgnore)
        };
        for value in [1, 0, 2] {
            set(&mut net, "e0", value);
            assert_eq!(seen(&mut watched, "e0"), Some((Sysctl::ArpIgnore, value)));
        }
        assert_eq!(watched.all("e0").len(), Sysctl::ALL.len());
        // Another interface takes the name.
        create::delete(&mut net.socket, net.e0).unwrap();
        assert_eq!(watched.all("e0"), []);
        create::set_admin_state(&mut net.socket, net.e1, false).unwrap();
        set(&mut net, "e1", 1);
        assert_eq!(seen(&mut watched, "e1"), Some((Sysctl::ArpIgnore, 1)));
        create::rename(&mut net.socket, net.e1, "e0").unwrap();
        assert_eq!(seen(&mut watched, "e0"), Some((Sysctl::ArpIgnore, 1)));
        assert_eq!(watched.all("e1"), []);
    });
}
