//! Taking NICs out of service and putting them back (mpathd-behaviour.md 7.3, 7.4): cases 51 to 54.

use crate::common::*;
use mpath_core::input::Command;
use mpath_model::settings::Group;
use mpath_model::status::{GroupState, InterfaceState};

fn offline(lab: &mut Lab, nic: &str) -> Result<(), String> {
    ask(lab, Command::Offline(nic.into()))
}

fn online(lab: &mut Lab, nic: &str) -> Result<(), String> {
    ask(lab, Command::Online(nic.into()))
}

fn ask(lab: &mut Lab, command: Command) -> Result<(), String> {
    let n = lab.replies.len();
    lab.ask(command);
    lab.until(secs(10), "reply", |l| l.replies.len() > n);
    lab.replies[n].clone().map_err(|r| r.reason)
}

fn refused(reason: &str) -> Result<(), String> {
    Err(reason.to_string())
}

// case 51
#[test]
fn offline_moves_everything_and_stops_probing() {
    let mut lab = Spec::default().lab();
    assert_eq!(offline(&mut lab, "eth0"), Ok(()));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "answered when it is done");
    assert_eq!(lab.where_is("192.0.2.11"), [] as [u32; 0], "test addresses are taken off");
    assert!(lab.kernel.links[&ETH0].up, "the NIC stays admin up");
    assert_eq!(lab.state("eth0"), InterfaceState::Offline);
    lab.mark();
    lab.run(secs(60));
    assert_eq!(lab.probes(ETH0).len(), 0);
    assert_eq!(online(&mut lab, "eth0"), Ok(()));
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.where_is("192.0.2.11"), [ETH0]);
    assert!(lab.probes(ETH0).len() > 5);
}

// case 51
#[test]
fn the_last_usable_nic_is_refused() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH1], false);
    lab.run(secs(1));
    assert_eq!(offline(&mut lab, "eth0"), refused("no_other_interface"));
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    assert_eq!(offline(&mut lab, "eth1"), Ok(()), "the failed one may go");
    let mut lab = Spec { nics: 1, ..Spec::default() }.lab();
    assert_eq!(offline(&mut lab, "eth0"), refused("no_other_interface"));
}

// case 51
#[test]
fn in_a_failed_group_any_partner_in_service_counts() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.1").alive = false;
    lab.until_said(secs(3), "All Interfaces in group g have failed");
    assert_eq!(offline(&mut lab, "eth0"), Ok(()));
    assert_eq!(offline(&mut lab, "eth1"), refused("no_other_interface"));
}

// case 51
#[test]
fn an_idle_standby_a_nic_without_targets_and_what_is_unknown() {
    let mut lab = Spec { standby: vec![1], ..Spec::default() }.lab();
    assert_eq!(offline(&mut lab, "eth1"), Ok(()));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(offline(&mut lab, "eth1"), refused("already_offline"));
    assert_eq!(offline(&mut lab, "eth7"), refused("unknown_interface"));
    assert_eq!(online(&mut lab, "eth0"), refused("not_offline"));
    assert_eq!(online(&mut lab, "eth7"), refused("unknown_interface"));
    // Partners without targets count: a NIC next to them could not be taken offline once (bug 6462335).
    let mut lab = Spec { routers: 0, ..Spec::default() }.lab();
    assert_eq!(offline(&mut lab, "eth0"), Ok(()));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 51
#[test]
fn an_ungrouped_nic_cannot_be_taken_offline() {
    let mut lab = Spec::default().fresh();
    lab.reload(|s| {
        s.groups.clear();
        s.detection.track_interfaces_only_with_groups = false;
    });
    lab.run(secs(5));
    assert_eq!(offline(&mut lab, "eth0"), refused("unknown_interface"));
}

// case 51
#[test]
fn an_error_while_moving_is_told_to_the_operator_and_the_move_goes_on() {
    // The original rolled the OFFLINE flag back; here the request stays in force and is finished (3.4).
    let mut lab = Spec::default().lab();
    lab.kernel.refuse.push((|op| matches!(op, mpath_model::KernelOp::AddAddress(a) if a.index == ETH1), 12));
    assert!(offline(&mut lab, "eth0").is_err());
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "still reachable");
    lab.kernel.refuse.clear();
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 52
#[test]
fn online_with_the_link_down_is_a_failure_and_then_a_repair() {
    let mut lab = Spec::default().lab();
    offline(&mut lab, "eth0").unwrap();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    online(&mut lab, "eth0").unwrap();
    lab.run(secs(1));
    assert_eq!(lab.state("eth0"), InterfaceState::Failed);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.carrier(&[ETH0], true);
    lab.run(secs(3));
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 52
#[test]
fn online_on_a_dead_path_fails_again() {
    let mut lab = Spec::default().lab();
    offline(&mut lab, "eth0").unwrap();
    lab.silence(ETH0);
    lab.mark();
    online(&mut lab, "eth0").unwrap();
    lab.until_said(secs(45), "NIC failure detected on eth0 of group g");
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 53
#[test]
fn an_offline_nic_that_is_unplugged_and_comes_back_is_still_offline() {
    let mut lab = Spec::default().lab();
    offline(&mut lab, "eth0").unwrap();
    lab.kernel.remove_link(ETH0);
    lab.deliver();
    lab.run(secs(5));
    lab.kernel.add_link(12, "eth0");
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(lab.state("eth0"), InterfaceState::Offline);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    online(&mut lab, "eth0").unwrap();
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [12]);
}

// case 53
#[test]
fn an_offline_nic_leaves_its_group_and_comes_back() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    offline(&mut lab, "eth2").unwrap();
    let third = lab.settings.groups[0].interfaces[2].clone();
    lab.reload(|s| drop(s.groups[0].interfaces.pop()));
    lab.run(secs(2));
    assert_eq!(lab.group().state, GroupState::Ok);
    lab.reload(|s| s.groups[0].interfaces.push(third));
    lab.run(secs(60));
    assert_eq!(lab.state("eth2"), InterfaceState::Ok, "what left by configuration starts afresh");
}

// case 53
#[test]
fn offline_survives_a_restart() {
    let mut lab = Spec::default().lab();
    offline(&mut lab, "eth0").unwrap();
    lab.run(secs(1));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(60));
    assert_eq!(lab.state("eth0"), InterfaceState::Offline);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    online(&mut lab, "eth0").unwrap();
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 54
#[test]
fn a_renamed_member_is_gone_and_its_new_name_a_stranger() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH0, |l| l.name = "wan0".into());
    lab.deliver();
    lab.run(secs(5));
    assert_eq!(lab.state("eth0"), InterfaceState::Unknown);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.where_is("192.0.2.11"), [] as [u32; 0], "nothing of ours stays on it");
    lab.kernel.change_link(ETH0, |l| l.name = "eth0".into());
    lab.deliver();
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 54
#[test]
fn a_member_with_a_new_index_has_to_prove_itself() {
    let mut lab = Spec::default().lab();
    lab.kernel.remove_link(ETH0);
    lab.kernel.add_link(23, "eth0");
    lab.deliver();
    lab.run(ms(500));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [23]);
    assert!(lab.listen.carrier.contains(&23) && !lab.listen.carrier.contains(&ETH0));
}

// case 54
#[test]
fn a_failed_nic_that_changes_groups_stays_failed_and_takes_its_own_along() {
    let mut lab =
        Spec { nics: 4, data: vec![("192.0.2.10/24", 0), ("192.0.2.40/24", 3)], ..Spec::default() }.lab();
    lab.kernel.put(ETH0, "192.0.2.50/24"); // adopted, belongs to eth0
    lab.deliver();
    lab.run(secs(1));
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_ne!(lab.where_is("192.0.2.50"), [ETH0]);
    lab.reload(|s| {
        let old = &mut s.groups[0];
        let mut new = Group { name: "h".into(), interfaces: vec![], addresses: vec![], ..old.clone() };
        new.interfaces = old.interfaces.drain(2..).collect();
        new.interfaces.push(old.interfaces.remove(0));
        new.addresses =
            vec![mpath_model::settings::DataAddress { home: "eth3".into(), ..old.addresses[1].clone() }];
        old.addresses.clear();
        s.groups.push(new);
    });
    lab.run(secs(3));
    assert_eq!(lab.state("eth0"), InterfaceState::Failed, "failed until proven good");
    lab.heal(ETH0);
    lab.run(secs(60));
    if lab.state("eth0") != InterfaceState::Ok {
        println!(
            "{}\n{:?}\n{:?}\n{:?}",
            lab.story(),
            lab.nic("eth0"),
            lab.kernel.routes,
            &lab.ops[lab.ops.len() - 5..]
        );
    }
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    assert_eq!(lab.where_is("192.0.2.50"), [ETH0]);
    assert_eq!(lab.where_is("192.0.2.40"), [5]);
    assert_eq!(lab.where_is("192.0.2.10"), [] as [u32; 0], "no longer declared");
}

/// eth0 fails, its address and the default route go to eth1; then eth0 changes to another group with the address.
fn failed_and_moved_to_another_group() -> Lab {
    let mut lab = Spec { nics: 4, ..Spec::default() }.lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert!(lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH1)));
    lab.reload(|s| {
        let old = &mut s.groups[0];
        let mut new = Group { name: "h".into(), interfaces: vec![], addresses: vec![], ..old.clone() };
        new.interfaces = old.interfaces.drain(2..).collect();
        new.interfaces.push(old.interfaces.remove(0));
        new.addresses = std::mem::take(&mut old.addresses);
        s.groups.push(new);
    });
    lab.run(secs(30));
    lab
}

// case 54
#[test]
fn an_address_that_changes_groups_leaves_no_copy() {
    let lab = failed_and_moved_to_another_group();
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
}

// case 54
#[test]
fn a_failed_nic_that_changes_groups_keeps_its_default_route() {
    let mut lab = failed_and_moved_to_another_group();
    assert!(lab.kernel.routes.iter().any(|r| r.is_default()), "on whatever NIC");
    lab.carrier(&[ETH0], true);
    lab.run(secs(60));
    assert!(lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH0)));
}

// case 54
#[test]
fn a_member_that_leaves_holding_foreign_addresses_gives_them_back() {
    let mut lab =
        Spec { nics: 3, data: vec![("192.0.2.10/24", 0), ("192.0.2.30/24", 2)], ..Spec::default() }.lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.reload(|s| drop(s.groups[0].interfaces.remove(1)));
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    assert_eq!(lab.where_is("192.0.2.12"), [] as [u32; 0], "nor its test address");
}
