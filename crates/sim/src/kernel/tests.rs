//! The semantics of the virtual kernel, each rule once.

use super::address::link_local_of;
use super::*;
use mpath_model::kernel::{Hop, Placing, ifa};
use mpath_model::{Family, IfAddr};

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn ip(text: &str) -> IfAddr {
    text.parse().unwrap()
}

fn host() -> (Kernel, IfIndex, IfIndex) {
    let mut k = Kernel::new();
    let a = k.create_link("eth0", mac(1));
    let b = k.create_link("eth1", mac(2));
    for i in [a, b] {
        k.set_admin(i, true);
        for (i, address) in k.take_dad() {
            k.finish_dad(i, address, |_| true);
        }
    }
    k.take_events();
    (k, a, b)
}

fn add(k: &mut Kernel, index: IfIndex, text: &str) -> i32 {
    k.apply(&KernelOp::AddAddress(Address::plain(index, ip(text))))
}

fn del(k: &mut Kernel, index: IfIndex, text: &str) -> i32 {
    k.apply(&KernelOp::DelAddress { index, addr: ip(text) })
}

fn via(dst: &str, index: IfIndex, gateway: &str, metric: u32) -> Route {
    let mut r = Route::onlink(ip(dst), index, metric, 4);
    r.scope = 0;
    r.hops[0].gateway = Some(gateway.parse().unwrap());
    r
}

#[test]
fn prefix_routes_come_and_go_with_addresses() {
    let (mut k, a, _) = host();
    assert_eq!(add(&mut k, a, "192.0.2.10/24"), 0);
    assert!(k.routes().iter().any(|r| r.dst == ip("192.0.2.0/24") && r.metric == 0 && r.protocol == 2));
    assert_eq!(add(&mut k, a, "2001:db8::10/64"), 0);
    assert!(k.routes().iter().any(|r| r.dst == ip("2001:db8::/64") && r.metric == 256));
    assert_eq!(del(&mut k, a, "2001:db8::10/64"), 0);
    assert!(!k.routes().iter().any(|r| r.dst == ip("2001:db8::/64")));
    let mut bare = Address::plain(a, ip("198.51.100.1/24"));
    bare.flags |= ifa::NOPREFIXROUTE;
    assert_eq!(k.apply(&KernelOp::AddAddress(bare)), 0);
    assert!(!k.routes().iter().any(|r| r.dst == ip("198.51.100.0/24")));
}

#[test]
fn secondaries_go_with_their_primary_or_are_promoted() {
    let (mut k, a, b) = host();
    for (index, promote) in [(a, 0), (b, 1)] {
        let name = k.name_of(index);
        k.set_sysctl(&name, Sysctl::PromoteSecondaries, promote);
        add(&mut k, index, "192.0.2.10/24");
        add(&mut k, index, "192.0.2.11/24");
        assert!(k.on(index).any(|x| x.addr == ip("192.0.2.11/24") && x.has(ifa::SECONDARY)));
        assert_eq!(del(&mut k, index, "192.0.2.10/24"), 0);
        let left = k.on(index).find(|x| x.addr == ip("192.0.2.11/24"));
        assert_eq!(left.map(|x| x.has(ifa::SECONDARY)), (promote == 1).then_some(false));
    }
    assert!(k.routes().iter().any(|r| r.uses(b) && r.prefsrc == Some("192.0.2.11".parse().unwrap())));
}

#[test]
fn last_address_takes_the_routes_without_a_word() {
    let (mut k, a, _) = host();
    add(&mut k, a, "192.0.2.10/24");
    assert_eq!(k.apply(&KernelOp::AddRoute(via("0.0.0.0/0", a, "192.0.2.1", 0), Placing::Before)), 0);
    k.take_events();
    del(&mut k, a, "192.0.2.10/24");
    assert!(!k.routes().iter().any(|r| r.family() == Family::Inet));
    let told: Vec<_> = k.take_events();
    assert!(!told.iter().any(|e| matches!(e, KernelEvent::RouteGone(r) if r.is_default())));
    assert_eq!(del(&mut k, a, "192.0.2.10/24"), errno::EADDRNOTAVAIL);
}

#[test]
fn admin_down_loses_ipv6_addresses_unless_kept() {
    for keep in [0, 1] {
        let (mut k, a, _) = host();
        k.set_sysctl("eth0", Sysctl::KeepAddrOnDown, keep);
        add(&mut k, a, "2001:db8::10/64");
        add(&mut k, a, "192.0.2.10/24");
        k.set_admin(a, false);
        assert_eq!(k.holds(&"2001:db8::10".parse().unwrap()), keep == 1);
        assert!(k.holds(&"192.0.2.10".parse().unwrap()));
        assert!(!k.holds(&link_local_of(mac(1))));
        assert!(!k.routes().iter().any(|r| r.uses(a)));
        assert_eq!(
            k.apply(&KernelOp::AddRoute(via("0.0.0.0/0", a, "192.0.2.1", 0), Placing::Before)),
            errno::ENETDOWN
        );
        k.set_admin(a, true);
        let ll = k.on(a).find(|x| x.addr.address == link_local_of(mac(1))).unwrap();
        assert!(ll.has(ifa::TENTATIVE));
        assert!(k.routes().iter().any(|r| r.dst == ip("192.0.2.0/24")));
    }
}

#[test]
fn routes_are_refused_placed_and_deleted() {
    let (mut k, a, b) = host();
    let dflt = |index, metric| via("0.0.0.0/0", index, "192.0.2.1", metric);
    let put = |k: &mut Kernel, r: &Route, p| k.apply(&KernelOp::AddRoute(r.clone(), p));
    assert_eq!(put(&mut k, &dflt(a, 0), Placing::Before), errno::ENETUNREACH);
    let mut onlink = dflt(a, 9);
    onlink.hops[0].onlink = true;
    assert_eq!(put(&mut k, &onlink, Placing::Before), 0);
    add(&mut k, a, "192.0.2.10/24");
    add(&mut k, b, "192.0.2.11/24");
    assert_eq!(put(&mut k, &dflt(a, 0), Placing::Before), 0);
    assert_eq!(put(&mut k, &dflt(a, 0), Placing::Before), errno::EEXIST);
    let far = "203.0.113.1".parse().unwrap();
    assert_eq!(k.lookup(&far), Some(a));
    assert_eq!(put(&mut k, &dflt(b, 0), Placing::After), 0);
    assert_eq!(k.lookup(&far), Some(a));
    assert_eq!(k.apply(&KernelOp::DelRoute(dflt(b, 0))), 0);
    assert_eq!(put(&mut k, &dflt(b, 0), Placing::Before), 0);
    assert_eq!(k.lookup(&far), Some(b));
    assert_eq!(k.apply(&KernelOp::DelRoute(dflt(b, 7))), errno::ESRCH);
    let mut bad_source = dflt(a, 3);
    bad_source.prefsrc = Some("192.0.2.99".parse().unwrap());
    assert_eq!(put(&mut k, &bad_source, Placing::Before), errno::EINVAL);
    let mut nowhere = dflt(a, 3);
    nowhere.hops = vec![Hop { index: 99, gateway: None, onlink: false, weight: 1 }];
    assert_eq!(put(&mut k, &nowhere, Placing::Before), errno::ENODEV);
}

#[test]
fn ipv6_replace_swaps_the_first_of_its_metric() {
    let (mut k, a, b) = host();
    let dflt = |index| via("::/0", index, "fe80::1", 1024);
    assert_eq!(k.apply(&KernelOp::AddRoute(dflt(a), Placing::Before)), 0);
    assert_eq!(k.apply(&KernelOp::AddRoute(dflt(b), Placing::Replace)), 0);
    let defaults: Vec<_> = k.routes().iter().filter(|r| r.is_default()).collect();
    assert_eq!(defaults, [&dflt(b)]);
}

#[test]
fn duplicate_address_detection_sees_the_other_nic() {
    let (mut k, a, b) = host();
    add(&mut k, a, "2001:db8::10/64");
    for (i, address) in k.take_dad() {
        k.finish_dad(i, address, |_| true);
    }
    add(&mut k, b, "2001:db8::10/64");
    for (i, address) in k.take_dad() {
        k.finish_dad(i, address, |_| true);
    }
    assert!(k.on(b).any(|x| x.addr == ip("2001:db8::10/64") && x.has(ifa::DADFAILED)));
    let mut quick = Address::plain(b, ip("2001:db8::11/64"));
    quick.flags |= ifa::NODAD;
    k.apply(&KernelOp::AddAddress(quick));
    assert!(k.on(b).any(|x| x.addr == ip("2001:db8::11/64") && !x.has(ifa::TENTATIVE)));
}

#[test]
fn missing_interfaces() {
    let (mut k, a, _) = host();
    assert_eq!(add(&mut k, 99, "192.0.2.10/24"), errno::ENODEV);
    assert_eq!(del(&mut k, 99, "192.0.2.10/24"), errno::ENODEV);
    assert_eq!(del(&mut k, a, "192.0.2.10/24"), errno::EADDRNOTAVAIL);
    let set = |interface: &str| KernelOp::SetSysctl {
        interface: interface.to_string(),
        key: Sysctl::ArpIgnore,
        value: 1,
    };
    assert_eq!(k.apply(&set("eth9")), errno::ENOENT);
    assert_eq!(k.apply(&set("eth0")), 0);
    assert_eq!(k.sysctl("eth0", Sysctl::ArpIgnore), 1);
    k.remove_link(a);
    assert_eq!(k.apply(&set("eth0")), errno::ENOENT);
    assert!(k.take_events().contains(&KernelEvent::LinkGone(a)));
    let again = k.create_link("eth0", mac(1));
    assert!(again > a);
}
