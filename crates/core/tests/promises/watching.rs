//! Where no target answers on any member, frames from member to member tell a dead port from a dead target.

use crate::common::*;
use mpath_model::explain::Rule;
use mpath_model::settings::{Confirm, ProbeMode};
use mpath_model::status::{GroupState, InterfaceState, Method};

const QUIET: [&str; 0] = [];

/// Three members, and nobody on the link but them: neither router nor host.
fn alone(confirm: Confirm) -> Lab {
    let spec = Spec { nics: 3, routers: 0, hosts: 0, confirm, ..Spec::default() };
    let mut lab = spec.lab();
    lab.record = false;
    lab
}

fn rule(lab: &Lab, nic: &str) -> Rule {
    lab.engine.explain(lab.now, Some(nic))[0].rule
}

#[test]
fn with_nobody_to_ask_a_dead_port_is_found_and_repaired_and_the_living_ones_are_left() {
    let mut lab = alone(Confirm::All);
    for _ in 0..20 {
        let some = lab.net.random(150);
        lab.run(ms(some));
        lab.mark();
        lab.silence(ETH0);
        let after = lab.until_said(secs(2), "NIC failure detected on eth0 of group g");
        assert!(after <= secs(1), "{after:?}");
        lab.run(secs(1));
        assert_eq!(lab.where_is("192.0.2.10").len(), 1);
        assert_ne!(lab.where_is("192.0.2.10"), [ETH0]);
        assert_eq!(rule(&lab, "eth0"), Rule::PortDead);
        assert_eq!(lab.state("eth1"), InterfaceState::Ok);
        assert_eq!(rule(&lab, "eth1"), Rule::PortWorks);
        lab.heal(ETH0);
        let after = lab.until_said(secs(3), "NIC repair detected on eth0 of group g");
        assert!(after <= secs(2), "{after:?}");
        lab.run(secs(1));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
        assert!(!lab.said().iter().any(|t| t.contains("eth1 of group g:")), "{:?}", lab.said());
    }
}

/// A sibling that nobody asks vouches for the link; the port that reaches it works. The two must not take turns.
#[test]
fn dead_targets_and_a_sibling_without_probes_do_not_make_a_nic_flap() {
    let spec = Spec { probe: ProbeMode::TestAddress, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces[1].test_addresses.clear();
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(30));
    lab.mark();
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(60));
    let failures = lab.said().iter().filter(|t| t.contains("NIC failure detected on eth0")).count();
    assert!(failures <= 1, "{failures} failures: {}", lab.story());
}

#[test]
fn targets_that_never_answer_fail_no_port_that_works() {
    for four in [true, false] {
        let spec = Spec { four, ..Spec::default() };
        let mut net = spec.net();
        net.host("192.0.2.1").alive = false;
        let mut lab = Lab::start(1, spec.settings(), spec.kernel(), net, None);
        lab.record = false;
        lab.run(secs(120));
        assert!(!lab.said().iter().any(|t| t.contains("fail")), "test addresses {four}: {:?}", lab.said());
        assert_eq!(lab.group().state, GroupState::Ok);
        for nic in ["eth0", "eth1"] {
            assert_eq!(rule(&lab, nic), Rule::PortWorks);
            assert!(lab.nic(nic).instances[0].methods.contains(&Method::Beacon));
        }
        lab.mark();
        lab.net.host("192.0.2.1").alive = true;
        lab.run(secs(40));
        if four {
            assert_eq!(lab.said(), QUIET);
            assert_eq!(rule(&lab, "eth0"), Rule::Answered);
            assert!(!lab.nic("eth0").instances[0].methods.contains(&Method::Beacon));
        }
    }
}

/// As the manual page has it; and still a port that dies is found, and those that work are used.
#[test]
fn targets_that_fall_silent_are_a_group_failure_until_the_ports_tell_more() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.record = false;
    lab.net.host("192.0.2.1").alive = false;
    lab.until_said(secs(1), "All Interfaces in group g have failed");
    lab.run(secs(30));
    assert_eq!(lab.said(), ["All Interfaces in group g have failed"], "nothing moves");
    assert!(lab.engine.explain(lab.now, Some("eth0"))[0].reason.contains("the targets are at fault"));
    lab.silence(ETH0);
    lab.until(secs(4), "move to a port that works", |l| l.where_is("192.0.2.10") == [ETH1]);
    lab.run(secs(30));
    assert_eq!(lab.state("eth0"), InterfaceState::Failed);
    assert_eq!(lab.state("eth1"), InterfaceState::Ok);
    assert_eq!(lab.count("All Interfaces in group g have failed"), 1, "{:?}", lab.said());
    lab.heal(ETH0);
    lab.run(secs(30));
    assert_eq!(lab.count("All Interfaces in group g have failed"), 2, "all ports work: as before");
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.net.host("192.0.2.1").alive = true;
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.group().state, GroupState::Ok);
}

/// Two members that do not reach each other: nobody can tell whose fault that is, until somebody else is heard on one.
#[test]
fn of_two_the_one_on_which_nobody_is_heard_is_dead() {
    let mut lab = Spec { routers: 0, hosts: 0, ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.run(secs(10));
    assert_eq!(lab.said(), QUIET);
    let zero = std::net::Ipv4Addr::UNSPECIFIED;
    let from = std::net::Ipv4Addr::new(203, 0, 113, 7);
    let heard = mpath_model::kernel::Packet::Arp {
        reply: false,
        sender_mac: mpath_model::Mac([2, 9, 9, 9, 9, 9]),
        sender: from,
        target_mac: mpath_model::Mac::default(),
        target: zero,
    };
    lab.hear(ETH1, heard);
    lab.until_said(secs(1), "NIC failure detected on eth0 of group g");
    assert_eq!(lab.state("eth1"), InterfaceState::Ok);
}

#[test]
fn all_ports_dead_at_once_is_a_group_failure() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    [ETH0, ETH1, ETH2].into_iter().for_each(|nic| lab.silence(nic));
    let after = lab.until_said(secs(1), "All Interfaces in group g have failed");
    assert!(after <= secs(1), "{after:?}");
    [ETH0, ETH1, ETH2].into_iter().for_each(|nic| lab.heal(nic));
    lab.until_said(secs(30), "NIC repair detected on eth0 of group g");
}

#[test]
fn nothing_is_sent_while_somebody_answers_nor_by_the_letter() {
    let beacons = |lab: &Lab| {
        let frame = |w: &mpath_model::kernel::Transmit| match w {
            mpath_model::kernel::Transmit::Frame { bytes, .. } => {
                bytes[12..14] == [0x88, 0xb5] && bytes[0] != 0xff
            }
            _ => false,
        };
        lab.sent.iter().filter(|(_, w)| frame(w)).count()
    };
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.run(secs(60));
    assert_eq!(beacons(&lab), 0);
    let mut lab = Spec { nics: 3, confirm: Confirm::Off, routers: 0, ..Spec::default() }.lab();
    lab.run(secs(60));
    assert_eq!(beacons(&lab), 0);
}
