//! Link state (mpathd-behaviour.md 4): cases 43 to 47.

use crate::common::*;
use mpath_core::Input;
use mpath_core::input::Command;
use mpath_model::kernel::{KernelOp, Sysctl};
use mpath_model::settings::{Carp, ProbeMode};
use mpath_model::status::{GroupState, InterfaceState, LinkState};

const DOWN0: &str = "The link has gone down on eth0";
const UP0: &str = "The link has come up on eth0";
const FAILED0: &str = "NIC failure detected on eth0 of group g";
const REPAIRED0: &str = "NIC repair detected on eth0 of group g";
const BACK0: &str = "Successfully failed back to NIC eth0";
const FLAP: &str = "The link has come up on eth0 more than 2 times in the last minute; disabling failback until it stabilizes";
const QUIET: [&str; 0] = [];

fn unprobed() -> Lab {
    Spec { probe: ProbeMode::Link, four: false, ..Spec::default() }.lab()
}

// case 43
#[test]
fn link_down_of_an_idle_standby_moves_nothing() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    lab.carrier(&[ETH1], false);
    lab.run(secs(3));
    assert_eq!(lab.said(), ["The link has gone down on eth1", "NIC failure detected on eth1 of group g"]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 43
#[test]
fn link_down_of_a_nic_without_targets_acts_at_once() {
    let mut lab = Spec { routers: 0, ..Spec::default() }.lab();
    lab.carrier(&[ETH0], false);
    lab.until_said(ms(1), FAILED0);
    lab.run(ms(100));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 43 and 53
#[test]
fn link_changes_of_an_offline_nic_are_told_and_change_nothing() {
    let mut lab = Spec::default().lab();
    lab.ask(Command::Offline("eth0".into()));
    lab.run(secs(1));
    lab.mark();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    assert_eq!(lab.state("eth0"), InterfaceState::Offline);
    assert_eq!(lab.nic("eth0").link, LinkState::Down);
    lab.carrier(&[ETH0], true);
    lab.run(secs(1));
    assert_eq!(lab.said(), [DOWN0, UP0]);
    assert_eq!(lab.state("eth0"), InterfaceState::Offline);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 43
#[test]
fn a_link_that_is_down_at_start_is_a_failure_with_its_messages() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.change_link(ETH0, |l| l.running = false);
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    assert_eq!(lab.said()[..2], [DOWN0, FAILED0]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.carrier(&[ETH0], true);
    lab.run(secs(20));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 43
#[test]
fn all_links_down_at_start_are_a_group_failure() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    [ETH0, ETH1].into_iter().for_each(|i| kernel.change_link(i, |l| l.running = false));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    assert_eq!(lab.count("All Interfaces in group g have failed"), 1);
    assert_eq!(lab.group().state, GroupState::Failed);
    lab.carrier(&[ETH0, ETH1], true);
    lab.run(secs(20));
    assert_eq!(lab.group().state, GroupState::Ok);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 43
#[test]
fn down_and_up_faster_than_processing_is_no_failure() {
    let mut lab = Spec::default().lab();
    for _ in 0..5 {
        lab.kernel.change_link(ETH0, |l| l.running = false);
        lab.kernel.change_link(ETH0, |l| l.running = true);
        lab.deliver();
        lab.run(secs(2));
    }
    assert_eq!(lab.count(FAILED0), 0);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
}

// case 43
#[test]
fn polled_carrier_acts_before_the_event() {
    let mut lab = Spec::default().lab();
    lab.feed(Input::Running { index: ETH0, running: false });
    assert_eq!(lab.said()[..2], [DOWN0, FAILED0]);
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    assert_eq!(lab.said().len(), 3, "the late event says nothing new");
}

// case 44
#[test]
fn link_up_with_a_test_address_needs_ten_answers() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.mark();
    lab.carrier(&[ETH0], true);
    lab.until_said(secs(2), REPAIRED0);
    assert!(lab.probes(ETH0).len() >= 10, "{}", lab.probes(ETH0).len());
}

// case 44
#[test]
fn link_up_on_a_path_that_stays_dead_brings_nothing_back() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.silence(ETH0);
    lab.mark();
    lab.carrier(&[ETH0], true);
    lab.run(secs(120));
    assert_eq!(lab.said(), [UP0]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 44
#[test]
fn link_up_without_probes_repairs_at_once() {
    let mut lab = unprobed();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.carrier(&[ETH0], true);
    lab.run(ms(100));
    assert_eq!(lab.said()[3..], [UP0, REPAIRED0, BACK0]);
}

// case 44
#[test]
fn the_third_link_up_in_a_minute_is_damped_and_released() {
    let mut lab = unprobed();
    let flap = |lab: &mut Lab| {
        lab.carrier(&[ETH0], false);
        lab.run(secs(1));
        lab.carrier(&[ETH0], true);
        lab.run(secs(1));
    };
    for episode in 1..=2 {
        lab.mark();
        flap(&mut lab);
        let second = lab.now;
        flap(&mut lab);
        assert_eq!((lab.count(REPAIRED0), lab.count(FLAP)), (2, 0), "episode {episode}");
        flap(&mut lab);
        assert_eq!((lab.count(REPAIRED0), lab.count(FLAP)), (2, 1));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
        lab.until_said(secs(70), REPAIRED0);
        assert!(lab.now - second > secs(59), "the window: {:?}", lab.now - second);
        assert_eq!(lab.count(FLAP), 1);
        lab.run(secs(120));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    }
}

// case 44
#[test]
fn damping_does_not_apply_where_probes_decide() {
    let mut lab = Spec::default().lab();
    for _ in 0..5 {
        lab.carrier(&[ETH0], false);
        lab.run(secs(1));
        lab.carrier(&[ETH0], true);
        lab.until_said(secs(2), REPAIRED0);
    }
    assert_eq!(lab.count(FLAP), 0);
}

// case 45: sequences::all_links_down_in_one_batch

// case 45
#[test]
fn links_down_in_one_batch_and_up_again_one_by_one() {
    let mut lab = Spec { nics: 3, probe: ProbeMode::Link, four: false, ..Spec::default() }.lab();
    lab.carrier(&[ETH0, ETH1, ETH2], false);
    lab.run(secs(1));
    assert_eq!(lab.count("All Interfaces in group g have failed"), 1);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.mark();
    lab.carrier(&[ETH2], true);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    lab.carrier(&[ETH0], true);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 46
#[test]
fn a_silent_path_with_its_link_up_is_found_by_probes_and_not_without() {
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    assert_eq!(lab.nic("eth0").link, LinkState::Up);
    let mut lab = unprobed();
    lab.silence(ETH0);
    lab.run(secs(600));
    assert_eq!(lab.said(), QUIET);
}

// case 47
#[test]
fn a_driver_that_reports_no_link_is_judged_by_probes_alone() {
    // Its flag never changes, whatever the cable does.
    let mut lab = Spec::default().lab();
    for _ in 0..3 {
        lab.mark();
        lab.silence(ETH0);
        lab.run(secs(3));
        lab.heal(ETH0);
        lab.run(secs(5));
        assert_eq!(
            lab.said(),
            [FAILED0, "Successfully failed over from NIC eth0 to NIC eth1", REPAIRED0, BACK0]
        );
    }
}

#[test]
fn no_probes_leave_while_the_link_is_down_and_answers_are_dropped() {
    let mut lab = Spec::default().lab();
    lab.net.hold = true;
    lab.until(secs(1), "probe", |l| !l.probes(ETH0).is_empty());
    let answer = net::reply(&lab.last_probe(ETH0), ip("192.0.2.1"));
    lab.net.hold = false;
    lab.carrier(&[ETH0], false);
    lab.run(ms(1));
    let acked = lab.statistic("Number of probe acks received");
    lab.hear(ETH0, answer);
    assert_eq!(lab.statistic("Number of probe acks received")[0], acked[0]);
    lab.mark();
    lab.run(secs(10));
    assert_eq!(lab.probes(ETH0).len(), 0);
}

#[test]
fn successes_from_before_a_link_down_do_not_help_the_repair() {
    let mut lab = Spec::default().lab();
    lab.run(secs(30)); // dozens of answers
    lab.carrier(&[ETH0], false);
    lab.run(ms(10));
    lab.mark();
    lab.carrier(&[ETH0], true);
    assert!(lab.until_said(secs(2), REPAIRED0) > ms(1200));
}

/// An advertisement that says otherwise takes a router away from all its clients (RFC 4861 7.2.5). The device of a vhid is
/// too new for its own sysctls to be known.
#[test]
fn the_virtual_address_of_a_router_is_announced_as_one() {
    for forwards in [0, 1] {
        let spec = Spec::default();
        let mut settings = spec.settings();
        settings.carps.push(Carp {
            addresses: vec!["2001:db8::100/64".parse().unwrap()],
            ..Carp::new(mpath_model::carp::Over::Group("g".into()), 7)
        });
        let mut kernel = spec.kernel();
        kernel.sysctls.insert(("eth0".to_string(), Sysctl::Forwarding6), forwards);
        let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
        lab.run(secs(30));
        let announced = |op: &KernelOp| match op {
            KernelOp::Announce { address, router, .. } if *address == ip("2001:db8::100") => Some(*router),
            _ => None,
        };
        let said: Vec<bool> = lab.ops.iter().filter_map(|(_, op)| announced(op)).collect();
        assert!(!said.is_empty() && said.iter().all(|r| *r == (forwards == 1)), "{said:?} {}", lab.story());
    }
}
