//! The typical sequences at the end of mpathd-behaviour.md 8, in their order.

use crate::common::*;
use mpath_model::settings::ProbeMode;

const DOWN0: &str = "The link has gone down on eth0";
const DOWN1: &str = "The link has gone down on eth1";
const UP0: &str = "The link has come up on eth0";
const FAILED0: &str = "NIC failure detected on eth0 of group g";
const FAILED1: &str = "NIC failure detected on eth1 of group g";
const OVER01: &str = "Successfully failed over from NIC eth0 to NIC eth1";
const REPAIRED0: &str = "NIC repair detected on eth0 of group g";
const REPAIRED1: &str = "NIC repair detected on eth1 of group g";
const BACK0: &str = "Successfully failed back to NIC eth0";
const GROUP: &str = "All Interfaces in group g have failed";
const FIRST0: &str = "At least 1 interface (eth0) of group g has repaired";

#[test]
fn cable_pulled_with_standby_and_plugged_back() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(lab.said(), [DOWN0, FAILED0, OVER01]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.mark();
    lab.carrier(&[ETH0], true);
    let repair = lab.until_said(secs(2), REPAIRED0);
    assert!(repair > ms(1000), "ten answers take about ten intervals: {repair:?}");
    lab.run(secs(3));
    assert_eq!(lab.said(), [UP0, REPAIRED0, BACK0]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn all_links_down_in_one_batch() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.carrier(&[ETH0, ETH1, ETH2], false);
    lab.run(secs(3));
    let said = lab.said();
    assert_eq!(said, [DOWN0, GROUP, DOWN1, "The link has gone down on eth2"]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "nothing moves");
}

#[test]
fn link_messages_trickling_in() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(ms(20));
    lab.carrier(&[ETH1], false);
    lab.run(secs(3));
    assert_eq!(lab.said(), [DOWN0, FAILED0, OVER01, DOWN1, GROUP]);
}

#[test]
fn link_messages_trickling_in_without_probes() {
    // Before Clearview 16, 12, 13 ... 16, 12; here the last one is a group failure, because link-only partners count
    // as witnesses (3.5 B).
    let mut lab = Spec { probe: ProbeMode::Link, four: false, ..Spec::default() }.lab();
    lab.carrier(&[ETH0], false);
    lab.run(ms(20));
    lab.carrier(&[ETH1], false);
    lab.run(secs(3));
    assert_eq!(lab.said()[..4], [DOWN0, FAILED0, OVER01, DOWN1]);
    assert_eq!(lab.said().len(), 5);
    assert!([GROUP, FAILED1].contains(&lab.said()[4]));
}

/// The sequence of all targets dying and coming back, for one choice of chance.
fn targets_die_and_return(seed: u64) -> Vec<String> {
    let mut lab = Spec { seed, ..Spec::default() }.lab();
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(5));
    assert_eq!(lab.said(), [GROUP]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "nothing moves");
    lab.mark();
    lab.net.host("192.0.2.1").alive = true;
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!((lab.count(REPAIRED0), lab.count(REPAIRED1)), (1, 1));
    lab.said().into_iter().map(str::to_string).collect()
}

#[test]
fn all_targets_dead_and_back() {
    for seed in 1..20 {
        let said = targets_die_and_return(seed);
        let group = said.iter().position(|t| t.starts_with("At least 1 interface")).unwrap();
        let repair = said.iter().position(|t| t.starts_with("NIC repair")).unwrap();
        assert!(repair < group, "14 before 20: {said:?}");
    }
}

#[test]
fn nothing_moves_while_a_failed_group_comes_back_evenly() {
    for seed in 1..20 {
        let said = targets_die_and_return(seed);
        assert_eq!(said.len(), 3, "14, 20, 14 and no move: {said:?}");
    }
}

#[test]
fn repair_is_told_before_failback_and_the_group_after_both() {
    // eth0 fails and is emptied, then eth1 as well: the group has failed with the address on eth1.
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.until_said(secs(2), OVER01);
    lab.silence(ETH1);
    lab.until_said(secs(2), GROUP);
    lab.mark();
    lab.heal(ETH0);
    lab.until_said(secs(3), FIRST0);
    assert_eq!(lab.said(), [REPAIRED0, BACK0, FIRST0], "14, 15, 20");
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}
