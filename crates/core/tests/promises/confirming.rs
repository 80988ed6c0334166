//! Confirmation: losses alone fail nothing while somebody answers in some way.

use crate::common::*;
use mpath_model::kernel::{Packet, Transmit};
use mpath_model::settings::{Confirm, ProbeMode};
use mpath_model::{Family, IfIndex, Mac, Time};
use mpath_wire::probe::Kind;
use std::net::Ipv4Addr;
use std::time::Duration;

const FAILED0: &str = "NIC failure detected on eth0 of group g";
const QUIET: [&str; 0] = [];

/// Confirmations a NIC has sent since the last mark: when, and whether by echo.
fn confirmations(lab: &Lab, nic: IfIndex) -> Vec<(Time, bool)> {
    let of = |(t, w): &(Time, Transmit)| match w {
        Transmit::Echo { index, payload, .. } if *index == nic => {
            (mpath_wire::probe::parse(payload).unwrap().kind == Kind::Confirm).then_some((*t, true))
        }
        Transmit::Frame { index, bytes } if *index == nic && bytes[12..14] != [0x88, 0xb5] => {
            Some((*t, false))
        }
        _ => None,
    };
    lab.sent.iter().filter_map(of).collect()
}

/// Losses in each direction, as permille of the exchange.
fn lossy(spec: &Spec, each_way: u64) -> Lab {
    let mut lab = spec.lab();
    lab.record = false;
    lab.net.loss = 1000 - (1000 - each_way) * (1000 - each_way) / 1000;
    lab
}

#[test]
fn nothing_is_asked_while_probes_are_answered() {
    let mut lab = Spec { six: true, ..Spec::default() }.lab();
    lab.run(secs(60));
    assert_eq!(confirmations(&lab, ETH0), []);
}

#[test]
fn one_lost_probe_is_questioned_at_once_and_the_first_answer_ends_it() {
    let mut lab = Spec::default().lab();
    lab.net.drop_next.insert(ETH0, 1);
    lab.run(secs(1));
    let asked = confirmations(&lab, ETH0);
    assert_eq!(asked.len(), 1, "{asked:?}");
    let lost = lab.probes(ETH0).iter().map(|p| p.0).filter(|t| *t < asked[0].0).max().unwrap();
    assert!(asked[0].0 - lost <= ms(2), "{:?}", asked[0].0 - lost);
}

#[test]
fn at_least_twenty_questions_by_every_method_stand_behind_a_verdict() {
    for six in [false, true] {
        let spec = Spec { four: !six, six, data: vec![("2001:db8::10/64", 0)], ..Spec::default() };
        let mut lab = spec.lab();
        lab.silence(ETH0);
        lab.until_said(secs(1), FAILED0);
        let asked = confirmations(&lab, ETH0);
        let echoes = asked.iter().filter(|(_, echo)| *echo).count();
        assert!(asked.len() >= 20 && echoes >= 8 && asked.len() - echoes >= 8, "{} {echoes}", asked.len());
        assert!(asked.windows(2).all(|w| w[1].0 - w[0].0 >= ms(2)), "500 a second");
    }
}

#[test]
fn icmp_and_off_as_they_say() {
    for (confirm, echo, others) in [(Confirm::Icmp, true, false), (Confirm::Off, false, false)] {
        let mut lab = Spec { confirm, ..Spec::default() }.lab();
        lab.silence(ETH0);
        lab.until_said(secs(1), FAILED0);
        let asked = confirmations(&lab, ETH0);
        assert_eq!(asked.iter().any(|(_, echo)| *echo), echo, "{confirm:?}");
        assert_eq!(asked.iter().any(|(_, echo)| !*echo), others, "{confirm:?}");
    }
}

#[test]
fn twenty_percent_each_way_never_fails_and_a_dead_path_always_does() {
    for fdt in [ms(100), ms(50)] {
        let mut lab = lossy(&Spec { fdt, ..Spec::default() }, 200);
        lab.run(secs(600));
        assert_eq!(lab.said(), QUIET, "{fdt:?}");
        for _ in 0..100 {
            let some = lab.net.random(1_000_000);
            lab.run(fdt * 5 + Duration::from_nanos(some * 50));
            lab.silence(ETH0);
            let after = lab.until_said(fdt * 2, FAILED0);
            assert!(after <= fdt, "{fdt:?}: {after:?}");
            lab.heal(ETH0);
            lab.until_said(secs(60), "NIC repair detected on eth0 of group g");
        }
    }
}

/// A family whose probes are lost five times in a row takes those neighbours for its targets that answer, which begins its
/// run of losses anew. A path that dies at that moment is not found later for it.
#[test]
fn targets_that_were_replaced_a_moment_ago_put_no_verdict_off() {
    let mut lab = lossy(&Spec { fdt: ms(100), six: true, hosts: 1, ..Spec::default() }, 200);
    for _ in 0..300 {
        let some = lab.net.random(1_000_000);
        lab.run(ms(500) + Duration::from_nanos(some * 50));
        lab.silence(ETH0);
        let after = lab.until_said(ms(200), FAILED0);
        assert!(after <= ms(100), "{after:?}");
        lab.heal(ETH0);
        lab.until_said(secs(60), "NIC repair detected on eth0 of group g");
    }
}

#[test]
fn the_same_without_test_addresses() {
    let spec = Spec {
        fdt: ms(100),
        four: false,
        routers: 4,
        data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)],
        ..Spec::default()
    };
    let mut lab = lossy(&spec, 200);
    lab.run(secs(600));
    assert_eq!(lab.said(), QUIET);
}

#[test]
fn the_classic_rule_is_nervous_under_the_same_loss() {
    let mut lab = lossy(&Spec { fdt: ms(100), confirm: Confirm::Off, ..Spec::default() }, 200);
    lab.run(secs(600));
    assert!(lab.count(FAILED0) > 10, "else the tests above prove nothing");
}

#[test]
fn arp_vetoes_for_ten_minutes_after_the_last_echo() {
    let mut lab = Spec::default().lab();
    lab.net.filtered.insert(ip("192.0.2.1"));
    lab.record = false;
    lab.run(secs(595));
    assert_eq!(lab.said(), QUIET, "the gateway filters ICMP and answers ARP");
    let after = lab.until(secs(30), "end of patience", |l| !l.said().is_empty());
    assert!(after < secs(10), "{after:?}");
}

#[test]
fn whoever_has_never_answered_an_echo_may_veto_by_arp() {
    let mut lab = Spec { hosts: 1, multicast: false, ..Spec::default() }.lab();
    lab.net.filtered.insert(ip("192.0.2.101"));
    let address = ip("192.0.2.101");
    lab.kernel.learn(ETH0, address);
    lab.deliver();
    lab.run(secs(1));
    lab.net.host("192.0.2.1").alive = false;
    lab.record = false;
    lab.run(secs(30));
    assert!(!lab.said().iter().any(|t| t.contains("fail")), "{:?}", lab.said());
}

/// ARP requests sent by a NIC since the last mark: when, sender, target, to whom.
fn arps(lab: &Lab, nic: IfIndex) -> Vec<(Time, Ipv4Addr, Ipv4Addr, mpath_model::Mac)> {
    let of = |(t, w): &(Time, Transmit)| match w {
        Transmit::Frame { index, bytes } if *index == nic => {
            let (header, packet) = mpath_wire::ethernet::parse(bytes).ok()?;
            let a = mpath_wire::arp::parse(packet).ok()?;
            Some((*t, a.sender_ip, a.target_ip, header.destination))
        }
        _ => None,
    };
    lab.sent.iter().filter_map(of).collect()
}

#[test]
fn from_a_nic_without_address_only_to_known_macs_and_five_in_a_row() {
    let spec = Spec { four: false, standby: vec![1], ..Spec::default() };
    let mut lab = spec.lab();
    lab.run(secs(10));
    let asked = arps(&lab, ETH1);
    assert!(asked.len() > 30, "probed all the time: {}", asked.len());
    assert!(asked.iter().all(|a| a.1.is_unspecified() && a.3 == net::HOST_MAC), "{:?}", asked[0]);
    assert!(arps(&lab, ETH0).iter().all(|a| a.1 == Ipv4Addr::new(192, 0, 2, 10)));
    lab.mark();
    lab.net.host("192.0.2.1").alive = false;
    lab.until_said(secs(1), "All Interfaces in group g have failed");
    lab.run(secs(29));
    assert_eq!(arps(&lab, ETH1).len(), 5, "then not a word for half a minute");
    lab.run(secs(4));
    assert!((6..=10).contains(&arps(&lab, ETH1).len()));
}

/// Whoever speaks to a sibling is there and is not checking his address: he may be asked.
#[test]
fn a_nic_without_address_is_repaired_in_time_while_its_target_speaks_elsewhere() {
    let mut lab = Spec { four: false, ..Spec::default() }.lab();
    for (nic, name) in [(ETH1, "eth1"), (ETH0, "eth0")] {
        lab.silence(nic);
        lab.until_said(secs(1), &format!("NIC failure detected on {name} of group g"));
        lab.run(secs(30));
        lab.heal(nic);
        let after = lab.until_said(secs(3), &format!("NIC repair detected on {name} of group g"));
        assert!(after < secs(2), "{name}: {after:?}");
        lab.mark();
    }
}

#[test]
fn whoever_checks_his_address_is_not_asked_without_one() {
    let mut lab = Spec { four: false, standby: vec![1], ..Spec::default() }.lab();
    lab.net.host("192.0.2.1").alive = false;
    let mac = net::HOST_MAC;
    let zero = Ipv4Addr::UNSPECIFIED;
    let check = |sender| Packet::Arp {
        reply: false,
        sender_mac: mac,
        sender,
        target_mac: Mac([0; 6]),
        target: Ipv4Addr::new(192, 0, 2, 1),
    };
    lab.hear(ETH0, check(zero));
    lab.mark();
    lab.run(secs(29));
    assert_eq!(arps(&lab, ETH1), [], "heard on any NIC, he is left alone by all {}", lab.story());
    lab.hear(ETH0, check(Ipv4Addr::new(192, 0, 2, 1)));
    lab.run(ms(300));
    assert!(!arps(&lab, ETH1).is_empty(), "his announcement ends the check");
}

/// What strangers claim takes no room from those who are asked.
#[test]
fn a_crowd_of_forged_hosts_keeps_no_target_from_being_asked() {
    let spec = Spec { four: false, standby: vec![1], ..Spec::default() };
    let mut net = spec.net();
    net.host("192.0.2.1").alive = false;
    let mut lab = Lab::start(1, spec.settings(), spec.kernel(), net, None);
    let says = |sender: Ipv4Addr, sender_mac: Mac| Packet::Arp {
        reply: false,
        sender_mac,
        sender,
        target_mac: Mac([0; 6]),
        target: sender,
    };
    for n in 2..200 {
        lab.hear(ETH0, says(Ipv4Addr::new(192, 0, 2, n), Mac([2, 0, 0, 0, 9, n])));
    }
    lab.mark();
    lab.hear(ETH0, says(Ipv4Addr::new(192, 0, 2, 1), net::HOST_MAC));
    lab.run(secs(1));
    let router = Ipv4Addr::new(192, 0, 2, 1);
    assert!(arps(&lab, ETH1).iter().any(|(_, _, asked, _)| *asked == router), "{}", lab.story());
}

#[test]
fn status_names_the_methods() {
    let methods = |spec: Spec| {
        let lab = spec.lab();
        let of = |i: &mpath_model::status::Instance| (i.family, format!("{:?}", i.methods));
        lab.nic("eth0").instances.iter().map(of).collect::<Vec<_>>()
    };
    let both = Spec { six: true, ..Spec::default() };
    let (four, six) = ("[Icmp, Arp]".to_string(), "[Icmp, Nd]".to_string());
    assert_eq!(methods(both.clone()), [(Family::Inet, four), (Family::Inet6, six)]);
    let one = "[Icmp]".to_string();
    assert_eq!(
        methods(Spec { confirm: Confirm::Icmp, ..both }),
        [(Family::Inet, one.clone()), (Family::Inet6, one)]
    );
    let without = Spec { four: false, probe: ProbeMode::Auto, ..Spec::default() };
    assert_eq!(methods(without)[0], (Family::Inet, "[Arp]".to_string()));
}
