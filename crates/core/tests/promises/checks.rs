//! Checks of what the host looks like (mpathd-behaviour.md 5): cases 48 to 50.

use crate::common::*;
use mpath_model::kernel::{KernelOp, Packet, Sysctl, Transmit, ifa};
use mpath_model::settings::{self, ProbeMode, TestAddress};
use mpath_model::status::{InterfaceState, ProbeState};
use mpath_model::{Mac, Time};
use std::net::IpAddr;

const DUPLICATE: &str =
    "IFF_NOFAILOVER address 192.0.2.11 is not unique and failure detection is not possible";
const FAILED0: &str = "NIC failure detected on eth0 of group g";

fn with_other(address: &str, index: u32, name: &str) -> Lab {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    if !kernel.links.contains_key(&index) {
        kernel.add_link(index, name);
    }
    kernel.put(index, address);
    Lab::start(1, spec.settings(), kernel, spec.net(), None)
}

// case 48
#[test]
fn a_test_address_that_an_untracked_nic_has_too_is_not_used() {
    let mut lab = with_other("192.0.2.11/24", 9, "eth7");
    lab.run(secs(60));
    assert_eq!(lab.count(DUPLICATE), 1);
    assert_eq!(lab.nic("eth0").probe, ProbeState::Disabled);
    assert_eq!(lab.where_is("192.0.2.11"), [9], "never installed twice");
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
}

// case 48
#[test]
fn a_duplicate_that_appears_later_disables_probing_and_is_told_once() {
    let mut lab = Spec::default().lab();
    lab.kernel.add_link(9, "eth7");
    lab.kernel.put(9, "192.0.2.11/24");
    lab.deliver();
    lab.run(secs(100));
    assert_eq!(lab.count(DUPLICATE), 1);
    assert_eq!(lab.nic("eth0").probe, ProbeState::Disabled);
    lab.kernel.drop_address(9, &"192.0.2.11/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(lab.nic("eth0").probe, ProbeState::Ok);
    assert_eq!(lab.count("Test address 192.0.2.11 is unique; enabling probe-based failure detection"), 1);
    assert_eq!(lab.count(DUPLICATE), 1);
}

// case 48
#[test]
fn a_duplicate_on_a_nic_that_is_down_counts_too() {
    let mut lab = with_other("192.0.2.11/24", 9, "eth7");
    lab.kernel.admin(9, false);
    lab.deliver();
    lab.run(secs(60));
    assert_eq!(lab.count(DUPLICATE), 1);
}

// case 48
#[test]
fn a_duplicate_is_told_without_waiting_for_the_grace_of_a_missing_address() {
    let mut lab = with_other("192.0.2.11/24", 9, "eth7");
    lab.run(secs(1));
    assert_eq!(lab.count(DUPLICATE), 1);
}

// case 48, and the DIAGNOSTICS of the manual page: each NIC needs its own MAC, since link-local addresses derive from it
#[test]
fn equal_link_local_test_addresses_of_two_nics_are_duplicates() {
    let spec = Spec { four: false, ..Spec::default() };
    let mut settings = spec.settings();
    let mut kernel = spec.kernel();
    for (n, i) in settings.groups[0].interfaces.iter_mut().enumerate() {
        i.test_addresses = vec![TestAddress::LinkLocal];
        kernel.put(ETH0 + n as u32, "fe80::42/64");
    }
    let mut lab = Lab::start(1, settings, kernel, Spec { six: true, ..spec }.net(), None);
    lab.run(secs(60));
    let text = "IFF_NOFAILOVER address fe80::42 is not unique and failure detection is not possible";
    assert!(lab.count(text) >= 1, "{}", lab.story());
}

// case 49
#[test]
fn equal_macs_are_told_and_a_changed_mac_cures() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH1, |l| l.mac = Some(mac(ETH0)));
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(lab.said(), ["NIC eth1 has the same hardware address as eth0 of group g"]);
    lab.mark();
    lab.kernel.change_link(ETH1, |l| l.mac = Some(mac(77)));
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(lab.state("eth1"), InterfaceState::Ok);
    assert_eq!(lab.count("NIC eth1 now has a unique hardware address of group g"), 1);
}

// case 49
#[test]
fn a_member_without_ipv6_is_told_once_and_cured_and_offline_ones_are_exempt() {
    let spec =
        Spec { data: vec![("192.0.2.10/24", 0), ("2001:db8::10/64", 0)], six: false, ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "fe80::11/64");
    kernel.sysctls.insert(("eth1".into(), Sysctl::DisableIpv6), 1);
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(100));
    let text = "NIC eth1 of group g is not plumbed for IPv6 and may affect failover capability";
    assert_eq!(lab.count(text), 1);
    lab.ask(mpath_core::input::Command::Offline("eth1".into()));
    lab.run(secs(30));
    let cured = "NIC eth1 is now consistent with group g and failover capability is restored";
    assert_eq!(lab.count(cured), 1, "not OFFLINE NICs");
}

// case 49
#[test]
fn a_member_without_ipv4_is_told() {
    let spec = Spec { six: true, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces[1].test_addresses.remove(0);
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(60));
    assert_eq!(
        lab.said(),
        ["NIC eth1 of group g is not plumbed for IPv4 and may affect failover capability"]
    );
}

// case 50
#[test]
fn a_missing_test_address_has_a_grace_of_20_s_and_is_told_once() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel
        .refuse
        .push((|op| matches!(op, KernelOp::AddAddress(a) if a.addr.address == ip("192.0.2.12")), 13));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    let missing = "Failures cannot be detected on eth1 as no IFF_NOFAILOVER address is available";
    lab.run(secs(19));
    assert_eq!(lab.count(missing), 0);
    lab.run(secs(22));
    assert_eq!(lab.count(missing), 1);
    lab.run(secs(200));
    assert_eq!(lab.count(missing), 1);
    assert_eq!(lab.nic("eth1").probe, ProbeState::Disabled);
    lab.kernel.refuse.clear();
    lab.run(secs(60));
    assert_eq!(lab.nic("eth1").probe, ProbeState::Ok);
    let back = "Test address now configured on interface eth1; enabling probe-based failure detection on it";
    assert_eq!(lab.count(back), 1);
}

// case 50
#[test]
fn a_nic_without_test_address_where_they_are_demanded_is_told() {
    let spec = Spec { probe: ProbeMode::TestAddress, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces[1].test_addresses.clear();
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(60));
    assert_eq!(lab.count("Failures cannot be detected on eth1 as no IFF_NOFAILOVER address is available"), 1);
}

// case 50
#[test]
fn a_test_address_removed_from_a_failed_nic_leaves_the_decision_to_the_link() {
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    lab.kernel
        .refuse
        .push((|op| matches!(op, KernelOp::AddAddress(a) if a.addr.address == ip("192.0.2.11")), 13));
    let test = lab.kernel.on(ETH0).find(|a| a.addr.address == ip("192.0.2.11")).unwrap().addr;
    lab.kernel.drop_address(ETH0, &test);
    lab.deliver();
    lab.until_said(secs(60), "NIC repair detected on eth0 of group g");
}

#[test]
fn members_that_are_not_on_one_link_are_no_destination_while_another_exists() {
    // eth1 is on another switch, where a router of the same address lives.
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut net = spec.net();
    net.apart.insert(ETH1);
    let mut lab = Lab::start(1, spec.settings(), spec.kernel(), net, None);
    lab.run(secs(30));
    let told =
        ["eth1 and eth0 of group g are not on one link", "eth2 and eth1 of group g are not on one link"];
    assert_eq!(lab.said(), told);
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    lab.carrier(&[ETH2], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "better than nothing");
}

#[test]
fn put_on_one_link_again_they_are_taken_again() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.net.apart.insert(ETH1);
    lab.run(secs(90));
    assert_eq!(lab.said().len(), 2, "{:?}", lab.said());
    lab.net.apart.clear();
    lab.run(secs(45));
    assert_eq!(lab.count("eth1 and eth0 of group g are on one link"), 1);
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

#[test]
fn a_silent_member_is_a_failed_one_and_not_on_another_link() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.silence(ETH1);
    lab.run(secs(300));
    assert!(!lab.said().iter().any(|t| t.contains("link")), "{:?}", lab.said());
}

#[test]
fn nobody_can_make_up_a_beacon() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.net.apart.insert(ETH1);
    for _ in 0..90 {
        lab.hear(ETH0, mpath_model::kernel::Packet::Beacon { round: 7, sender: ETH1 });
        lab.run(secs(1));
    }
    assert_eq!(lab.said().len(), 2, "{:?}", lab.said());
}

/// Somebody speaks in the name of an address.
fn speaks(lab: &mut Lab, address: &str, who: u8) {
    let IpAddr::V4(address) = ip(address) else { panic!("{address}") };
    let mac = Mac([2, 0, 0, 0, 9, who]);
    let packet = Packet::Arp {
        reply: true,
        sender_mac: mac,
        sender: address,
        target_mac: crate::common::mac(ETH0),
        target: [0, 0, 0, 0].into(),
    };
    lab.hear(ETH0, packet);
}

/// RFC 5227: an address that is new to this host is asked for before it is used, and never fought over.
#[test]
fn a_data_address_that_another_host_has_is_left_to_it_until_it_is_free() {
    let mut lab = Spec::default().fresh();
    lab.run(ms(50));
    let asks = |lab: &Lab| {
        let frame = |(_, what): &&(Time, Transmit)| matches!(what, Transmit::Frame { index: ETH0, bytes } if bytes[28..32] == [0; 4] && bytes[38..42] == [192, 0, 2, 10]);
        lab.sent.iter().filter(frame).count()
    };
    assert_eq!((asks(&lab), lab.where_is("192.0.2.10")), (1, vec![]));
    let of_it = |r: &&mpath_model::Route| r.prefsrc == Some(ip("192.0.2.10"));
    assert_eq!(lab.kernel.routes.iter().filter(of_it).count(), 0, "its routes wait, too");
    speaks(&mut lab, "192.0.2.10", 1);
    lab.run(secs(20));
    assert!(lab.where_is("192.0.2.10").is_empty());
    let told =
        "address 192.0.2.10 is in use by another host (02:00:00:00:09:01); it is not taken over by NIC eth0";
    assert_eq!(lab.count(told), 1, "{}", lab.story());
    lab.carrier(&[ETH0], false);
    lab.run(ms(300));
    lab.hear(
        ETH1,
        Packet::Arp {
            reply: true,
            sender_mac: Mac([2, 0, 0, 0, 9, 1]),
            sender: [192, 0, 2, 10].into(),
            target_mac: crate::common::mac(ETH1),
            target: [0, 0, 0, 0].into(),
        },
    );
    lab.run(secs(20));
    assert!(lab.where_is("192.0.2.10").is_empty(), "nor by another NIC");
    lab.until(secs(40), "the address", |l| !l.where_is("192.0.2.10").is_empty());
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert!(lab.said().contains(&"address 192.0.2.10 is in use by another host no longer"));
    // It is this host's from now on.
    speaks(&mut lab, "192.0.2.10", 1);
    lab.carrier(&[ETH0], true);
    lab.run(secs(20));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn whose_an_address_is_outlives_the_process() {
    let mut lab = Spec::default().fresh();
    lab.run(ms(50));
    speaks(&mut lab, "192.0.2.10", 1);
    lab.run(secs(1));
    let mut again = lab.restart(secs(1));
    again.run(ms(50));
    assert!(again.where_is("192.0.2.10").is_empty());
    speaks(&mut again, "192.0.2.10", 1);
    again.run(secs(5));
    assert!(again.where_is("192.0.2.10").is_empty());
    again.run(secs(60));
    assert_eq!(again.where_is("192.0.2.10"), [ETH0]);
    let mut third = again.restart(secs(1));
    third.kernel.apply(&KernelOp::DelAddress { index: ETH0, addr: "192.0.2.10/24".parse().unwrap() });
    third.deliver();
    third.run(ms(5));
    assert_eq!(third.where_is("192.0.2.10"), [ETH0], "known: put back at once");
}

/// A reload is no reason to take an address that is somebody else's, nor to ask again for one that was ours a moment ago.
#[test]
fn a_reload_changes_nothing_about_whose_an_address_is() {
    let mut lab = Spec::default().fresh();
    lab.run(ms(50));
    speaks(&mut lab, "192.0.2.10", 1);
    lab.reload(|s| s.groups[0].failback = false);
    lab.run(secs(20));
    assert!(lab.where_is("192.0.2.10").is_empty());
    lab.until(secs(40), "the address", |l| l.where_is("192.0.2.10") == [ETH0]);
    let given = lab.settings.groups[0].addresses.clone();
    lab.reload(|s| s.groups[0].addresses.clear());
    lab.run(secs(60));
    assert!(lab.where_is("192.0.2.10").is_empty());
    lab.reload(|s| s.groups[0].addresses = given.clone());
    lab.run(ms(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "it was ours a minute ago");
    lab.reload(|s| s.groups[0].addresses.clear());
    lab.run(secs(180));
    lab.reload(|s| s.groups[0].addresses = given.clone());
    lab.run(ms(300));
    assert!(lab.where_is("192.0.2.10").is_empty(), "it is asked for");
    lab.run(ms(200));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

/// RFC 4862, section 5.4: the kernel asks for an IPv6 address, and one that is somebody else's is left to him.
#[test]
fn an_ipv6_address_that_another_host_has_is_left_to_it_and_asked_for_again() {
    let spec = Spec { data: vec![("2001:db8::10/64", 0)], six: true, ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.taken = Some(ip("2001:db8::10"));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    let told = "address 2001:db8::10 is in use by another host; it is not taken over by NIC eth0";
    let shown = |lab: &Lab, index| {
        let there = lab.kernel.on(index).find(|a| a.addr.address == ip("2001:db8::10"));
        there.map(|a| (a.has(ifa::DADFAILED), a.has(ifa::NODAD)))
    };
    lab.run(secs(100));
    assert_eq!((shown(&lab, ETH0), lab.count(told)), (Some((true, false)), 1), "{}", lab.story());
    lab.kernel.taken = None;
    lab.until(secs(31), "the address", |l| shown(l, ETH0) == Some((false, false)));
    lab.run(secs(1));
    assert_eq!(lab.count("address 2001:db8::10 is in use by another host no longer"), 1, "{}", lab.story());
    // It moves at once, being ours; and on the way home it is somebody else's: it is not fought for.
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(shown(&lab, ETH1), Some((false, true)));
    lab.kernel.taken = Some(ip("2001:db8::10"));
    lab.kernel.drop_address(ETH1, &"2001:db8::10/64".parse().unwrap());
    let lost = mpath_model::Address {
        flags: ifa::TENTATIVE | ifa::DADFAILED,
        ..mpath_model::Address::plain(ETH1, "2001:db8::10/64".parse().unwrap())
    };
    lab.kernel.add_address(&lost);
    lab.deliver();
    lab.run(secs(25));
    assert_eq!(shown(&lab, ETH1), Some((true, false)), "{}", lab.story());
    let again = told.replace("eth0", "eth1");
    assert_eq!(lab.count(&again), 1, "{}", lab.story());
    lab.kernel.taken = None;
    lab.until(secs(31), "the address", |l| shown(l, ETH1) == Some((false, false)));
}

/// Without an address to send it from the kernel would take the virtual one, and a second master would not listen.
#[test]
fn an_advert_without_an_address_is_made_whole_and_comes_from_nobody() {
    let spec = Spec { four: false, data: Vec::new(), ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups.clear();
    settings.carps.push(settings::Carp {
        vmac: false,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..settings::Carp::new(mpath_model::carp::Over::Interface("eth0".into()), 7)
    });
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(6));
    let adverts: Vec<_> = lab
        .sent
        .iter()
        .filter_map(|(_, t)| match t {
            Transmit::Advert(a) => Some((a.source, a.mac)),
            _ => None,
        })
        .collect();
    let whole = (ip("0.0.0.0"), Some(crate::common::mac(ETH0)));
    assert!(!adverts.is_empty() && adverts.iter().all(|a| *a == whole), "{adverts:?}");
}
