//! Probed families are exactly those of the test addresses (in.mpathd(1M), DESCRIPTION).

use crate::common::*;
use mpath_core::Input;
use mpath_model::Family;
use mpath_model::kernel::{KernelEvent, KernelOp, Sysctl, Transmit};
use mpath_model::settings::ProbeMode;

/// ICMP and ICMPv6 echoes and ARP frames sent.
fn families(lab: &Lab) -> (usize, usize, usize) {
    let of = |f: Family| {
        lab.sent
            .iter()
            .filter(|(_, w)| matches!(w, Transmit::Echo { target, .. } if Family::of(target) == f))
            .count()
    };
    // Asking whether the data address is free is no probe of a target.
    let claims = |bytes: &[u8]| bytes[38..42] == [192, 0, 2, 10];
    let arp = |w: &Transmit| matches!(w, Transmit::Frame { bytes, .. } if bytes[12..14] == [8, 6] && !claims(bytes));
    (of(Family::Inet), of(Family::Inet6), lab.sent.iter().filter(|(_, w)| arp(w)).count())
}

/// A life with failures, no targets, and repair.
fn life(spec: &Spec, both: &Spec) -> Lab {
    let mut lab = Lab::start(1, spec.settings(), both.kernel(), both.net(), None);
    lab.run(secs(60));
    lab.silence(ETH0);
    lab.run(secs(30));
    lab.heal(ETH0);
    lab.run(secs(30));
    lab.net.hosts.values_mut().for_each(|h| h.alive = false);
    lab.run(secs(60));
    lab.kernel.del_routes(|r| r.hops[0].gateway.is_some());
    lab.deliver();
    lab.run(secs(60));
    lab.net.hosts.values_mut().for_each(|h| h.alive = true);
    lab.run(secs(60));
    lab
}

fn both() -> Spec {
    Spec { six: true, hosts: 3, data: vec![("192.0.2.10/24", 0), ("2001:db8::10/64", 0)], ..Spec::default() }
}

#[test]
fn only_an_ipv4_test_address_not_one_icmpv6_probe() {
    let lab = life(&Spec { six: false, ..both() }, &both());
    let (four, six, _) = families(&lab);
    assert!(four > 1000);
    assert_eq!(six, 0);
    assert!(lab.listen.echo.iter().all(|(_, f)| *f == Family::Inet));
}

#[test]
fn only_a_link_local_test_address_not_one_icmpv4_probe() {
    let lab = life(&Spec { four: false, ..both() }, &both());
    let (four, six, frames) = families(&lab);
    assert!(six > 1000);
    assert_eq!((four, frames), (0, 0), "nor an ARP probe");
    assert!(lab.listen.echo.iter().all(|(_, f)| *f == Family::Inet6));
}

#[test]
fn both_test_addresses_both_families() {
    let mut lab = both().lab();
    lab.run(secs(10));
    let (four, six, _) = families(&lab);
    assert!(four > 100 && six > 100);
    assert_eq!(lab.nic("eth0").instances.len(), 2);
}

#[test]
fn without_test_addresses_auto_probes_in_every_family_the_nic_has() {
    let spec = Spec { four: false, six: false, ..both() };
    let mut lab = Lab::start(1, spec.settings(), both().kernel(), both().net(), None);
    lab.run(secs(30));
    let (four, six, frames) = families(&lab);
    assert!(six > 100 && frames > 100, "{six} {frames}");
    assert_eq!(four, 0);
    lab.silence(ETH0);
    lab.until_said(secs(1), "NIC failure detected on eth0 of group g");
    lab.heal(ETH0);
    lab.until_said(secs(2), "NIC repair detected on eth0 of group g");
}

#[test]
fn link_mode_probes_nothing() {
    let lab = life(&Spec { probe: ProbeMode::Link, ..both() }, &both());
    assert_eq!(families(&lab), (0, 0, 0));
}

#[test]
fn a_host_without_ipv4() {
    let spec = Spec { four: false, six: true, data: vec![("2001:db8::10/64", 0)], ..Spec::default() };
    let mut lab = spec.lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.where_is("2001:db8::10"), [ETH1]);
    lab.heal(ETH0);
    lab.run(secs(5));
    assert_eq!(lab.where_is("2001:db8::10"), [ETH0]);
    assert!(!lab.kernel.addresses.iter().any(|a| a.addr.family() == Family::Inet && a.index != 1));
}

#[test]
fn a_host_with_ipv6_disabled() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    for nic in ["eth0", "eth1"] {
        kernel.sysctls.insert((nic.into(), Sysctl::DisableIpv6), 1);
    }
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(60));
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.heal(ETH0);
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    let six = |op: &KernelOp| matches!(op, KernelOp::AddAddress(a) if a.addr.family() == Family::Inet6);
    assert!(!lab.ops.iter().any(|(_, op)| six(op)));
}

/// Another member holds its addresses of that family meanwhile.
#[test]
fn a_home_where_ipv6_is_switched_off_is_stood_in_for() {
    let data = vec![("192.0.2.10/24", 0), ("2001:db8::10/64", 0)];
    let mut lab = Spec { six: true, data, ..Spec::default() }.lab();
    lab.run(secs(5));
    let switch = |lab: &mut Lab, off: i32| {
        let key = ("eth0".to_string(), Sysctl::DisableIpv6);
        lab.kernel.sysctls.insert(key.clone(), off);
        let six: Vec<_> = lab.kernel.on(ETH0).map(|a| a.addr).filter(|a| a.address.is_ipv6()).collect();
        six.iter().filter(|_| off == 1).for_each(|a| lab.kernel.drop_address(ETH0, a));
        lab.feed(Input::Kernel(vec![KernelEvent::Sysctl(key.0, key.1, off)]));
        lab.deliver();
        lab.run(secs(3));
    };
    switch(&mut lab, 1);
    assert_eq!(lab.where_is("2001:db8::10"), [ETH1], "{}", lab.story());
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    switch(&mut lab, 0);
    assert_eq!(lab.where_is("2001:db8::10"), [ETH0], "{}", lab.story());
}
