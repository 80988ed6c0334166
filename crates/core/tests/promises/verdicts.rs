//! NIC failure or group failure, and the way back (mpathd-behaviour.md 3.5 to 3.9): cases 5, 28 to 33.

use crate::common::*;
use mpath_core::Input;
use mpath_model::kernel::KernelOp;
use mpath_model::settings::{Interface, ProbeMode, TestAddress};
use mpath_model::status::{GroupState, InterfaceState, ProbeState};

const FAILED0: &str = "NIC failure detected on eth0 of group g";
const FAILED1: &str = "NIC failure detected on eth1 of group g";
const REPAIRED0: &str = "NIC repair detected on eth0 of group g";
const REPAIRED1: &str = "NIC repair detected on eth1 of group g";
const GROUP: &str = "All Interfaces in group g have failed";
const QUIET: [&str; 0] = [];

fn ungrouped(kernel: Kernel, spec: &Spec) -> Lab {
    let mut settings = spec.settings();
    settings.groups.clear();
    settings.detection.track_interfaces_only_with_groups = false;
    settings.detection.failure_detection_time = spec.fdt;
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(60));
    lab.mark();
    lab
}

// case 5
#[test]
fn ungrouped_nics_fail_and_repair_without_failover_and_independently() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut kernel = spec.kernel();
    for n in 0..3 {
        kernel.put(ETH0 + n, &format!("192.0.2.{}/24", 11 + n));
    }
    let mut lab = ungrouped(kernel, &spec);
    let names: Vec<_> = lab.status().ungrouped.into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["eth0", "eth1", "eth2"], "and not lo");
    lab.silence(ETH0);
    lab.until_said(secs(1), "NIC failure detected on eth0");
    lab.silence(ETH1);
    lab.until_said(secs(1), "NIC failure detected on eth1");
    lab.heal(ETH0);
    lab.until_said(secs(2), "NIC repair detected on eth0");
    lab.run(secs(30));
    assert_eq!(lab.said().len(), 3, "{:?}", lab.said());
    let moves = |op: &KernelOp| {
        matches!(op, KernelOp::AddAddress(_) | KernelOp::DelAddress { .. } | KernelOp::SetSysctl { .. })
    };
    assert!(!lab.ops.iter().any(|(_, op)| moves(op)), "{:?}", lab.ops);
}

fn dual() -> Lab {
    Spec { six: true, ..Spec::default() }.lab()
}

// case 28
#[test]
fn one_family_alone_does_not_fail_a_nic() {
    for dead in ["192.0.2.1", "fe80::1"] {
        let mut lab = dual();
        lab.net.cut.insert((ETH0, ip(dead)));
        lab.run(secs(60));
        assert_eq!(lab.said(), QUIET);
    }
}

// case 28
#[test]
fn both_families_fail_a_nic_and_one_repairs_it() {
    for back in ["192.0.2.1", "fe80::1"] {
        let mut lab = dual();
        lab.net.cut.extend([(ETH0, ip("192.0.2.1")), (ETH0, ip("fe80::1"))]);
        lab.until_said(ms(1000), FAILED0);
        lab.net.cut.remove(&(ETH0, ip(back)));
        lab.until_said(ms(2000), REPAIRED0);
    }
}

// case 28
#[test]
fn the_earlier_of_both_families_losses_counts() {
    // IPv4 dies 20 s before IPv6. eth1's last answers are newer than the first loss in any case: a NIC failure.
    let mut lab = dual();
    lab.net.cut.insert((ETH0, ip("192.0.2.1")));
    lab.run(secs(20));
    lab.net.cut.insert((ETH0, ip("fe80::1")));
    lab.until_said(ms(1000), FAILED0);
    assert_eq!(lab.count(GROUP), 0);
}

// case 29
#[test]
fn both_nics_losing_at_once_are_a_group_failure_and_one_alone_is_not() {
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.silence(ETH1);
    lab.run(secs(3));
    assert_eq!(lab.said(), [GROUP]);
    assert!(!lab.ops.iter().any(|(_, op)| matches!(op, KernelOp::AddAddress(_))), "nothing moved");
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.said()[0], FAILED0);
}

/// Members that are still failed when the group comes back keep what they hold for a moment: not longer because of a reload.
#[test]
fn who_does_not_come_back_with_the_group_is_emptied_after_a_reload_too() {
    for reload in [false, true] {
        let mut lab = Spec::default().lab();
        lab.silence(ETH0);
        lab.silence(ETH1);
        lab.run(secs(3));
        assert_eq!(lab.said(), [GROUP]);
        lab.heal(ETH1);
        lab.until_said(secs(5), REPAIRED1);
        if reload {
            lab.reload(|_| ());
        }
        assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "it may be a moment behind");
        lab.run(secs(5));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "reload {reload}: {}", lab.story());
    }
}

// case 29
#[test]
fn an_answer_of_the_sibling_after_the_first_loss_makes_it_a_nic_failure() {
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.until(secs(1), "third lost probe", |l| l.probes(ETH0).len() >= 3);
    lab.silence(ETH1);
    lab.run(secs(3));
    assert_eq!(lab.said()[0], FAILED0);
    assert_eq!(lab.said().last(), Some(&GROUP));
}

fn staggered() -> Lab {
    let mut lab = Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    lab.silence(ETH1);
    lab.run(secs(3));
    assert_eq!(lab.said(), [FAILED0, "Successfully failed over from NIC eth0 to NIC eth1", GROUP]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.group().state, GroupState::Failed);
    lab.mark();
    lab
}

// case 30
#[test]
fn staggered_failures_first_back_first() {
    let mut lab = staggered();
    lab.heal(ETH0);
    lab.run(secs(5));
    assert_eq!(lab.said()[0], REPAIRED0);
    let back = lab.said().iter().position(|t| t.starts_with("At least 1 interface (eth0)")).expect("20");
    let emptied = lab.said().iter().position(|t| t.starts_with("Successfully failed over from NIC eth1"));
    assert!(emptied.is_none_or(|at| at > back), "a partner that may be a moment behind is waited for");
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.run(secs(25));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH0], "what is still dead is emptied");
    lab.heal(ETH1);
    lab.run(secs(5));
    assert_eq!((lab.where_is("192.0.2.10"), lab.where_is("192.0.2.20")), (vec![ETH0], vec![ETH1]));
    assert_eq!(lab.group().state, GroupState::Ok);
}

// case 30
#[test]
fn staggered_failures_last_back_first() {
    let mut lab = staggered();
    lab.heal(ETH1);
    lab.run(secs(5));
    assert_eq!(lab.said(), [REPAIRED1, "At least 1 interface (eth1) of group g has repaired"]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.heal(ETH0);
    lab.run(secs(5));
    assert_eq!((lab.where_is("192.0.2.10"), lab.where_is("192.0.2.20")), (vec![ETH0], vec![ETH1]));
}

// case 31
#[test]
fn group_failure_with_hosts_flushes_and_rediscovers_them() {
    let mut lab = Spec { routers: 0, hosts: 2, ..Spec::default() }.lab();
    (1..=2).for_each(|n| lab.net.host(&format!("192.0.2.10{n}")).alive = false);
    lab.until_said(secs(2), GROUP);
    assert_eq!(lab.nic("eth0").probe, ProbeState::Unknown);
    assert_eq!(lab.nic("eth0").targets, [] as [std::net::IpAddr; 0]);
    assert_eq!(lab.state("eth0"), InterfaceState::Failed);
    lab.run(secs(2));
    lab.net.host("192.0.2.103").multicast = true;
    lab.until(secs(40), "rediscovery", |l| !l.nic("eth0").targets.is_empty());
    assert_eq!(lab.nic("eth0").probe, ProbeState::Failed);
    let begin = lab.now;
    lab.until(secs(3), "both repaired", |l| l.group().state == GroupState::Ok);
    assert!(lab.now - begin > ms(1200), "ten answers: {:?}", lab.now - begin);
    let back = lab.said().iter().filter(|t| t.starts_with("At least 1 interface")).count();
    assert_eq!(back, 1);
}

// case 31
#[test]
fn a_group_that_came_back_empties_the_nics_that_did_not() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    [ETH0, ETH1, ETH2].into_iter().for_each(|n| lab.silence(n));
    lab.until_said(secs(3), GROUP);
    lab.heal(ETH2);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    assert_eq!((lab.state("eth0"), lab.state("eth1")), (InterfaceState::Failed, InterfaceState::Failed));
}

// case 32
#[test]
fn the_only_probing_nic_of_a_group_fails_alone() {
    let spec = Spec { probe: ProbeMode::TestAddress, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces[1].test_addresses.clear();
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(60));
    assert_eq!(lab.nic("eth1").probe, ProbeState::Disabled);
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    lab.run(ms(100));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 33
#[test]
fn a_nic_that_joins_a_failed_group_is_failed_at_once() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut settings = spec.settings();
    let third = settings.groups[0].interfaces.pop().unwrap();
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(20));
    lab.net.host("192.0.2.1").alive = false;
    lab.until_said(secs(3), GROUP);
    lab.reload(|s| s.groups[0].interfaces.push(third));
    lab.run(ms(1));
    assert_eq!(lab.state("eth2"), InterfaceState::Failed);
    assert_eq!(lab.group().state, GroupState::Failed);
    lab.net.host("192.0.2.1").alive = true;
    lab.run(secs(5));
    assert_eq!(lab.group().state, GroupState::Ok);
}

// case 33
#[test]
fn the_group_goes_with_its_last_member() {
    let mut lab = Spec::default().lab();
    let settings = lab.settings.clone();
    lab.feed(Input::Configure(Default::default()));
    lab.run(secs(2));
    assert_eq!(lab.status().groups, []);
    assert_eq!(lab.listen.carrier, [] as [u32; 0]);
    assert_eq!(lab.where_is("192.0.2.10"), [] as [u32; 0], "installed by mpathd, no longer declared");
    lab.mark();
    lab.run(secs(30));
    assert_eq!((lab.said(), lab.sent.len()), (vec![], 0));
    lab.feed(Input::Configure(settings));
    lab.run(secs(10));
    assert_eq!(lab.group().state, GroupState::Ok);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn repair_needs_ten_answers_in_a_row() {
    let mut lab = Spec::default().lab();
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    for _ in 0..5 {
        lab.heal(ETH0);
        let sent = lab.probes(ETH0).len();
        lab.until(secs(3), "nine probes", |l| l.probes(ETH0).len() >= sent + 9);
        lab.run(ms(10));
        lab.net.drop_next.insert(ETH0, 1);
        lab.until(secs(1), "a loss", |l| l.net.drop_next[&ETH0] == 0);
    }
    assert_eq!(lab.count(REPAIRED0), 0);
    lab.until_said(ms(2000), REPAIRED0);
}

#[test]
fn a_nic_is_repaired_although_some_of_its_targets_stay_dead() {
    let mut lab = Spec { routers: 3, ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    lab.net.cut.extend([(ETH0, ip("192.0.2.2")), (ETH0, ip("192.0.2.3"))]);
    lab.heal(ETH0);
    lab.until_said(secs(7), REPAIRED0);
}

#[test]
fn one_test_address_of_ipv6_link_local_without_name_is_found() {
    let spec = Spec::default();
    let mut settings = spec.settings();
    for i in &mut settings.groups[0].interfaces {
        *i = Interface { test_addresses: vec![TestAddress::LinkLocal], ..i.clone() };
    }
    let six = Spec { six: true, ..Spec::default() };
    let mut lab = Lab::start(1, settings, six.kernel(), six.net(), None);
    lab.run(secs(20));
    lab.silence(ETH0);
    lab.until_said(secs(1), FAILED0);
    assert_eq!(lab.count(FAILED1), 0);
}
