//! Routes of a real kernel, there and back.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use common::{Net, isolated, plain};
use mpath_model::kernel::{Hop, KernelEvent, KernelOp, Placing};
use mpath_model::{IfIndex, PROTO_MPATHD, Route};

fn hop(index: IfIndex, gateway: &str) -> Hop {
    Hop { index, gateway: Some(gateway.parse().unwrap()), onlink: false, weight: 1 }
}

fn via(dst: &str, metric: u32, hops: Vec<Hop>) -> Route {
    Route { scope: 0, hops, ..onlink(dst, 0, metric) }
}

fn onlink(dst: &str, index: IfIndex, metric: u32) -> Route {
    Route::onlink(dst.parse().unwrap(), index, metric, PROTO_MPATHD)
}

fn prepare(net: &mut Net) {
    for (index, four, six) in
        [(net.e0, "192.0.2.10/24", "2001:db8::10/64"), (net.e1, "198.51.100.10/24", "2001:db8:1::10/64")]
    {
        net.apply(KernelOp::AddAddress(plain(index, four)));
        net.apply(KernelOp::AddAddress(plain(index, six)));
    }
}

#[test]
fn routes_come_back_exactly() {
    isolated("routes_come_back_exactly", || {
        let mut net = Net::new();
        prepare(&mut net);
        let (e0, e1) = (net.e0, net.e1);
        let onlink_hop = Hop { onlink: true, ..hop(e0, "203.0.113.9") };
        let heavy = Hop { weight: 7, ..hop(e1, "198.51.100.1") };
        let variants = [
            onlink("203.0.113.0/24", e0, 0),
            via("0.0.0.0/0", 0, vec![hop(e0, "192.0.2.1")]),
            Route {
                prefsrc: Some("192.0.2.10".parse().unwrap()),
                metrics: vec![(2, 1400), (3, 20000), (8, 1200), (11, 20)],
                protocol: 16,
                ..via("10.1.0.0/16", 77, vec![hop(e0, "192.0.2.1")])
            },
            Route {
                metrics: vec![(1, 4), (2, 1300)],
                tos: 8,
                table: 7700,
                ..via("10.2.0.0/16", 0, vec![onlink_hop])
            },
            via("10.3.0.0/16", 5, vec![hop(e0, "192.0.2.1"), heavy]),
            via("10.4.0.0/16", 5, vec![hop(e0, "2001:db8::1")]),
            onlink("2001:db8:2::/64", e0, 1024),
            via("::/0", 1024, vec![hop(e0, "2001:db8::1")]),
            via("2001:db8:5::/64", 300, vec![hop(e0, "fe80::1")]),
            Route {
                prefsrc: Some("2001:db8::10".parse().unwrap()),
                metrics: vec![(2, 1400), (8, 1200)],
                table: 7701,
                pref: Some(1),
                ..via("2001:db8:3::/48", 512, vec![hop(e0, "2001:db8::1")])
            },
            via("2001:db8:4::/48", 512, vec![hop(e0, "2001:db8::1"), hop(e1, "2001:db8:1::1")]),
        ];
        for wanted in variants {
            let text = wanted.dst.to_string();
            let placing = [Placing::Before, Placing::Replace][usize::from(wanted.dst.address.is_ipv6())];
            net.apply(KernelOp::AddRoute(wanted.clone(), placing));
            let [found] = net.routes(&text).try_into().expect("one route");
            let pref = if wanted.dst.address.is_ipv6() { wanted.pref.or(Some(0)) } else { None };
            assert_eq!(found, Route { pref, ..wanted.clone() });
            net.apply(KernelOp::DelRoute(found.clone()));
            assert_eq!(net.routes(&text), []);
            net.apply(KernelOp::AddRoute(found.clone(), placing));
            assert_eq!(net.routes(&text), std::slice::from_ref(&found));
            net.apply(KernelOp::DelRoute(found));
            assert_eq!(net.routes(&text), []);
        }
    });
}

#[test]
fn a_deletion_hits_one_route_only() {
    isolated("a_deletion_hits_one_route_only", || {
        let mut net = Net::new();
        prepare(&mut net);
        let (e0, e1) = (net.e0, net.e1);
        let source = |route: Route, address: &str| Route { prefsrc: Some(address.parse().unwrap()), ..route };
        let alike = [
            onlink("203.0.113.0/24", e0, 0),
            onlink("203.0.113.0/24", e1, 0),
            onlink("203.0.113.0/24", e1, 9),
            source(onlink("203.0.113.0/24", e0, 9), "192.0.2.10"),
            via("203.0.113.0/24", 0, vec![hop(e0, "192.0.2.1")]),
            via("203.0.113.0/24", 0, vec![hop(e0, "192.0.2.2")]),
            Route { protocol: 4, ..via("203.0.113.0/24", 0, vec![hop(e0, "192.0.2.3")]) },
        ];
        for route in &alike {
            net.apply(KernelOp::AddRoute(route.clone(), Placing::After));
        }
        for route in &alike {
            net.apply(KernelOp::DelRoute(route.clone()));
            let left = net.routes("203.0.113.0/24");
            assert_eq!(left.len(), alike.len() - 1);
            assert!(!left.contains(route), "{route:?}");
            // Metric 0 names any metric, once the route itself is gone.
            if route.metric != 0 || route.hops[0].gateway.is_some() {
                let again = net.kernel.apply(&[KernelOp::DelRoute(route.clone())]);
                assert_eq!(again, [libc::ESRCH], "{route:?}");
                assert_eq!(net.routes("203.0.113.0/24"), left);
            }
            net.apply(KernelOp::AddRoute(route.clone(), Placing::After));
        }
        assert_eq!(net.routes("203.0.113.0/24").len(), alike.len());
    });
}

#[test]
fn before_wins_over_an_equal_ipv4_route() {
    isolated("before_wins_over_an_equal_ipv4_route", || {
        let mut net = Net::new();
        let old = onlink("203.0.113.0/24", net.e0, 0);
        let new = onlink("203.0.113.0/24", net.e1, 0);
        let last = onlink("203.0.113.0/24", net.e1, 0);
        net.apply(KernelOp::AddRoute(old.clone(), Placing::Before));
        net.apply(KernelOp::AddRoute(new.clone(), Placing::Before));
        // The kernel dumps equals in the order in which it uses them.
        assert_eq!(net.routes("203.0.113.0/24"), [new.clone(), old.clone()]);
        net.apply(KernelOp::DelRoute(new));
        net.apply(KernelOp::AddRoute(last.clone(), Placing::After));
        assert_eq!(net.routes("203.0.113.0/24"), [old, last]);
    });
}

#[test]
fn replace_takes_the_place_of_an_ipv6_route_and_says_so() {
    isolated("replace_takes_the_place_of_an_ipv6_route_and_says_so", || {
        let mut net = Net::new();
        prepare(&mut net);
        for (old, new) in [
            (
                via("::/0", 1024, vec![hop(net.e0, "fe80::1")]),
                via("::/0", 1024, vec![hop(net.e1, "fe80::1")]),
            ),
            (onlink("2001:db8:9::/64", net.e0, 256), onlink("2001:db8:9::/64", net.e1, 256)),
        ] {
            let text = old.dst.to_string();
            net.apply(KernelOp::AddRoute(old, Placing::Replace));
            net.forget_events();
            net.apply(KernelOp::AddRoute(new.clone(), Placing::Replace));
            let found = net.routes(&text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].hops, new.hops);
            net.expect_event(
                "replacement",
                |e| matches!(e, KernelEvent::RouteReplaced(r) if r.hops == new.hops && r.dst == new.dst),
            );
        }
    });
}

#[test]
fn an_ipv6_route_that_grows_is_told_of_as_a_whole() {
    isolated("an_ipv6_route_that_grows_is_told_of_as_a_whole", || {
        let mut net = Net::new();
        prepare(&mut net);
        let one = hop(net.e0, "2001:db8::1");
        let other = hop(net.e1, "2001:db8:1::1");
        let route = |hops: &[&Hop]| via("::/0", 300, hops.iter().copied().cloned().collect());
        net.apply(KernelOp::AddRoute(route(&[&one]), Placing::Before));
        net.forget_events();
        net.apply(KernelOp::AddRoute(route(&[&other]), Placing::After));
        let event = net.expect_event("grown route", |e| matches!(e, KernelEvent::RouteReplaced(_)));
        let [shown] = net.routes("::/0").try_into().unwrap();
        assert_eq!(shown.hops.len(), 2);
        assert_eq!(event, KernelEvent::RouteReplaced(shown));
        net.apply(KernelOp::DelRoute(route(&[&one])));
        let gone = net.expect_event("hop gone", |e| matches!(e, KernelEvent::RouteGone(_)));
        assert!(matches!(gone, KernelEvent::RouteGone(r) if r.hops == [one]));
        assert_eq!(net.routes("::/0")[0].hops, [other]);
    });
}

#[test]
fn expiry_is_read_and_put_back() {
    isolated("expiry_is_read_and_put_back", || {
        let mut net = Net::new();
        prepare(&mut net);
        let wanted =
            Route { expires: Some(5000), ..via("2001:db8:7::/64", 512, vec![hop(net.e0, "2001:db8::1")]) };
        net.apply(KernelOp::AddRoute(wanted, Placing::Replace));
        let [found] = net.routes("2001:db8:7::/64").try_into().unwrap();
        assert!((4940..=5000).contains(&found.expires.unwrap()), "{found:?}");
        net.apply(KernelOp::DelRoute(found.clone()));
        assert_eq!(net.routes("2001:db8:7::/64"), []);
        net.apply(KernelOp::AddRoute(found, Placing::Replace));
        assert!(net.routes("2001:db8:7::/64")[0].expires.is_some());
    });
}

#[test]
fn only_unicast_routes_outside_table_local_are_shown() {
    isolated("only_unicast_routes_outside_table_local_are_shown", || {
        let mut net = Net::new();
        prepare(&mut net);
        let routes = net.dump().routes;
        assert!(!routes.is_empty());
        for route in routes {
            assert_eq!((route.kind, route.table), (1, 254), "{route:?}");
        }
        assert_eq!(net.kernel.requests().undecodable(), 0);
    });
}
