//! Where addresses go, and home again (mpathd-behaviour.md 3.4, 3.9 to 3.15): cases 34 to 38.

use crate::common::*;
use mpath_model::kernel::{KernelOp, Sysctl};
use mpath_model::status::{GroupState, InterfaceState};

const QUIET: [&str; 0] = [];

/// Pulls or plugs cables and lets things settle.
fn cable(lab: &mut Lab, nic: u32, up: bool) {
    lab.carrier(&[nic], up);
    lab.run(secs(3));
}

fn three(data: &[(&'static str, usize)]) -> Spec {
    Spec { nics: 3, data: data.to_vec(), ..Spec::default() }
}

// case 34
#[test]
fn an_idle_standby_is_chosen_before_an_empty_member() {
    let mut lab = Spec { standby: vec![2], ..three(&[("192.0.2.10/24", 0)]) }.lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    assert_eq!(lab.said()[2], "Successfully failed over from NIC eth0 to NIC eth2");
}

// case 34
#[test]
fn the_least_loaded_is_chosen_ties_in_configuration_order() {
    let mut lab = three(&[("192.0.2.10/24", 0)]).lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    let data = [("192.0.2.10/24", 0), ("192.0.2.20/24", 1), ("192.0.2.21/24", 1), ("192.0.2.30/24", 2)];
    let mut lab = three(&data).lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
}

// case 34
#[test]
fn offline_and_failed_nics_are_passed_over() {
    let mut lab = Spec { nics: 4, ..Spec::default() }.lab();
    lab.ask(mpath_core::input::Command::Offline("eth1".into()));
    lab.run(secs(1));
    cable(&mut lab, ETH2, false);
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [5]);
}

// case 34
#[test]
fn a_nic_without_targets_is_taken_last() {
    let mut lab = Spec { six: true, ..three(&[("192.0.2.10/24", 0)]) }.lab();
    // eth1 gets a test address on whose subnet nobody is.
    lab.reload(|s| {
        let alone = mpath_model::settings::TestAddress::Address("198.51.100.12/24".parse().unwrap());
        s.groups[0].interfaces[1].test_addresses = vec![alone];
    });
    lab.run(secs(20));
    assert_eq!(lab.state("eth1"), InterfaceState::Ok);
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
}

// case 34
#[test]
fn a_nic_without_the_family_is_passed_over() {
    let spec = three(&[("2001:db8::10/64", 0)]);
    let mut kernel = spec.kernel();
    kernel.sysctls.insert(("eth1".into(), Sysctl::DisableIpv6), 1);
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("2001:db8::10"), [ETH2]);
}

// case 34
#[test]
fn two_standbys_are_used_one_after_the_other() {
    let data = [("192.0.2.10/24", 0), ("192.0.2.20/24", 1)];
    let mut lab = Spec { nics: 4, standby: vec![2, 3], data: data.to_vec(), ..Spec::default() }.lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    cable(&mut lab, ETH1, false);
    assert_eq!(lab.where_is("192.0.2.20"), [5], "the one that is still idle");
}

// case 34
#[test]
fn all_addresses_go_to_one_nic() {
    let data = [("192.0.2.10/24", 0), ("192.0.2.20/24", 0), ("2001:db8::10/64", 0), ("203.0.113.5/32", 0)];
    let mut lab = Spec { six: true, ..three(&data) }.lab();
    cable(&mut lab, ETH0, false);
    for a in ["192.0.2.10", "192.0.2.20", "2001:db8::10", "203.0.113.5"] {
        assert_eq!(lab.where_is(a), [ETH1], "{a}");
    }
    cable(&mut lab, ETH0, true);
    for a in ["192.0.2.10", "192.0.2.20", "2001:db8::10", "203.0.113.5"] {
        assert_eq!(lab.where_is(a), [ETH0], "{a}");
    }
}

// case 35
#[test]
fn the_destination_fails_right_after_the_failover() {
    let mut lab = three(&[("192.0.2.10/24", 0), ("192.0.2.20/24", 1)]).lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    cable(&mut lab, ETH2, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "foreign addresses move on");
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "from wherever they are");
    assert_eq!(lab.where_is("192.0.2.20"), [ETH1]);
}

// case 35
#[test]
fn the_destination_fails_while_the_move_is_under_way() {
    let mut lab = three(&[("192.0.2.10/24", 0)]).lab();
    lab.carrier(&[ETH0], false);
    lab.run(std::time::Duration::from_micros(30));
    lab.carrier(&[ETH1], false);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
}

// case 36
#[test]
fn owners_are_respected_whatever_the_order_of_repair() {
    let mut lab =
        three(&[("192.0.2.10/24", 0), ("192.0.2.20/24", 1), ("192.0.2.30/24", 2), ("192.0.2.31/24", 2)])
            .lab();
    cable(&mut lab, ETH1, false);
    assert_eq!(lab.where_is("192.0.2.20"), [ETH0]);
    cable(&mut lab, ETH0, false);
    assert_eq!((lab.where_is("192.0.2.10"), lab.where_is("192.0.2.20")), (vec![ETH2], vec![ETH2]));
    cable(&mut lab, ETH1, true);
    assert_eq!((lab.where_is("192.0.2.10"), lab.where_is("192.0.2.20")), (vec![ETH2], vec![ETH1]));
    cable(&mut lab, ETH0, true);
    assert_eq!((lab.where_is("192.0.2.10"), lab.where_is("192.0.2.20")), (vec![ETH0], vec![ETH1]));
    assert_eq!(lab.where_is("192.0.2.30"), [ETH2]);
}

// case 36
#[test]
fn an_address_added_to_a_failed_nic_moves_on_at_once_and_ends_at_home() {
    let mut lab = Spec::default().lab();
    cable(&mut lab, ETH0, false);
    lab.kernel.put(ETH0, "192.0.2.40/24");
    lab.deliver();
    lab.run(ms(100));
    assert_eq!(lab.where_is("192.0.2.40"), [ETH1]);
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.40"), [ETH0]);
}

// case 37
#[test]
fn without_failback_addresses_stay_and_the_repaired_nic_is_next() {
    let mut lab = Spec { failback: false, ..three(&[("192.0.2.10/24", 0), ("192.0.2.30/24", 2)]) }.lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.mark();
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.said(), ["The link has come up on eth0", "NIC repair detected on eth0 of group g"]);
    cable(&mut lab, ETH2, false);
    assert_eq!(lab.where_is("192.0.2.30"), [ETH0], "the repaired NIC is the next destination");
    cable(&mut lab, ETH1, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 37
#[test]
fn without_failback_online_brings_home_all_the_same() {
    use mpath_core::input::Command;
    let mut lab = Spec { failback: false, ..Spec::default() }.lab();
    lab.ask(Command::Offline("eth0".into()));
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.ask(Command::Online("eth0".into()));
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 37
#[test]
fn failback_switched_on_by_reload_brings_home_what_waits() {
    let mut lab = Spec { failback: false, ..Spec::default() }.lab();
    cable(&mut lab, ETH0, false);
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.reload(|s| s.groups[0].failback = true);
    lab.run(ms(100));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 38
#[test]
fn a_standby_keeps_no_data_of_its_own() {
    let mut lab = Spec { standby: vec![1], data: vec![("192.0.2.10/24", 1)], ..Spec::default() }.lab();
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 38
#[test]
fn standby_set_and_cleared_at_run_time() {
    let mut lab = Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }.lab();
    lab.reload(|s| s.groups[0].interfaces[1].standby = true);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH0]);
    assert!(!lab.nic("eth1").active);
    lab.reload(|s| s.groups[0].interfaces[1].standby = false);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH1]);
    assert!(lab.nic("eth1").active);
}

// case 38
#[test]
fn a_standby_that_fails_idle_is_no_destination_later() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    lab.silence(ETH1);
    lab.run(secs(3));
    assert_eq!(lab.said(), ["NIC failure detected on eth1 of group g"], "and nothing moved");
    lab.mark();
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.group().state, GroupState::Failed);
}

// case 38
#[test]
fn a_standby_that_fails_in_use_passes_on_and_is_idle_again_after_failback() {
    let mut lab = Spec { standby: vec![1], ..three(&[("192.0.2.10/24", 0)]) }.lab();
    cable(&mut lab, ETH0, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert!(lab.nic("eth1").active);
    cable(&mut lab, ETH1, false);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    cable(&mut lab, ETH1, true);
    cable(&mut lab, ETH0, true);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert!(!lab.nic("eth1").active);
}

// case 38
#[test]
fn a_standby_repaired_first_after_a_group_failure_takes_over() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.silence(ETH1);
    lab.until_said(secs(3), "All Interfaces in group g have failed");
    lab.mark();
    lab.heal(ETH1);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.count("At least 1 interface (eth1) of group g has repaired"), 1);
    lab.heal(ETH0);
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.group().state, GroupState::Ok);
}

#[test]
fn standbys_are_probed_and_an_idle_one_is_not_active() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    lab.run(secs(5));
    assert!(lab.probes(ETH1).len() > 30);
    assert!(!lab.nic("eth1").active && lab.nic("eth0").active);
    assert_eq!(lab.said(), QUIET);
}

/// The old copy could not be taken off before the NIC came back: then nothing has to be put there, and yet the neighbours
/// have to hear of it.
#[test]
fn an_address_that_never_left_home_is_announced_there_again() {
    let mut lab = Spec::default().lab();
    lab.kernel.refuse.push((|op| matches!(op, KernelOp::DelAddress { .. }), 16));
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0, ETH1]);
    lab.kernel.refuse.clear();
    lab.kernel.refuse.push((|op| matches!(op, KernelOp::DelAddress { index: ETH0, .. }), 16));
    lab.heal(ETH0);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    let told = lab.ops.iter().rev().find_map(|(_, op)| match op {
        KernelOp::Announce { index, address, .. } if *address == ip("192.0.2.10") => Some(*index),
        _ => None,
    });
    assert_eq!(told, Some(ETH0));
}
