//! What an operator asks: why a NIC is judged as it is, what a step would do, and freezing.

use crate::common::*;
use mpath_core::input::Command;
use mpath_model::explain::{Explanation, PlannedAddress, Rule};
use mpath_model::status::InterfaceState;

fn why(lab: &Lab, nic: &str) -> Explanation {
    lab.engine.explain(lab.now, Some(nic)).remove(0)
}

#[test]
fn every_verdict_has_its_rule() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.run(secs(30));
    let ok = why(&lab, "eth0");
    assert_eq!((ok.rule, ok.state), (Rule::Answered, InterfaceState::Ok));
    let target = &ok.instances[0].targets[0];
    assert!(target.sent > 0 && target.lost == 0 && target.rtt_us.is_some(), "{ok:?}");

    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    let dead = why(&lab, "eth0");
    assert_eq!(dead.rule, Rule::LinkDown);
    assert!(dead.remedy[0].contains("cable"), "{dead:?}");
    assert!(dead.history.iter().any(|c| c.what == "NIC failure detected on eth0 of group g: link down"));

    lab.silence(ETH1);
    lab.until_said(secs(10), "NIC failure detected on eth1 of group g");
    let silent = why(&lab, "eth1");
    assert_eq!(silent.rule, Rule::ProbesLost);
    assert!(silent.instances[0].losses >= 5 && silent.instances[0].targets[0].lost >= 5, "{silent:?}");

    lab.heal(ETH1);
    lab.until(secs(30), "an answer", |l| why(l, "eth1").rule == Rule::Unproven);
    lab.until_said(secs(30), "NIC repair detected on eth1 of group g");
    lab.ask(Command::Offline("eth2".into()));
    lab.run(secs(1));
    assert_eq!(why(&lab, "eth2").rule, Rule::Offline);
    lab.kernel.remove_link(ETH2);
    lab.deliver();
    lab.run(ms(10));
    assert_eq!(why(&lab, "eth2").rule, Rule::Absent);
    assert_eq!(lab.engine.explain(lab.now, None).len(), 3);
    assert!(lab.engine.explain(lab.now, Some("eth9")).is_empty());
}

/// A NIC that was set up just now is not repaired by its answers yet, and says so.
#[test]
fn a_nic_that_was_set_up_just_now_waits_though_it_answers() {
    let mut lab = Spec { fdt: secs(1), ..Spec::default() }.lab();
    lab.run(secs(30));
    lab.kernel.admin(ETH0, false);
    lab.deliver();
    lab.run(secs(5));
    assert!(why(&lab, "eth0").remedy[0].contains("ip link set eth0 up"));
    lab.mark();
    lab.kernel.admin(ETH0, true);
    lab.carrier(&[ETH0], true);
    let mut waited = 0;
    while lab.state("eth0") != InterfaceState::Ok {
        lab.run(ms(10));
        waited += usize::from(why(&lab, "eth0").reason.starts_with("it was set up just now"));
        assert!(waited < 200, "{}", lab.story());
    }
    assert!(waited > 20, "ten answers take less than two seconds");
}

#[test]
fn a_port_and_a_wrong_subnet_are_named() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.add_link(9, "br0");
    kernel.change_link(ETH2, |l| l.master = Some(9));
    let mut settings = spec.settings();
    let wrong = "198.51.100.5/24".parse().unwrap();
    settings.groups[0].interfaces[1].test_addresses =
        vec![mpath_model::settings::TestAddress::Address(wrong)];
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(5));
    let port = why(&lab, "eth2");
    assert_eq!(port.rule, Rule::Enslaved);
    assert!(port.reason.contains("port of br0"), "{port:?}");
    let lost = why(&lab, "eth1");
    assert_eq!(lost.rule, Rule::NoTarget);
    assert!(
        lost.problems.iter().any(|p| p.contains("198.51.100.5/24") && p.contains("192.0.2.1")),
        "{lost:?}"
    );
}

#[test]
fn a_group_failure_is_not_blamed_on_a_nic() {
    let mut lab = Spec::default().lab();
    lab.run(secs(30));
    lab.silence(ETH0);
    lab.silence(ETH1);
    lab.until_said(secs(10), "All Interfaces in group g have failed");
    lab.run(secs(2));
    assert_eq!(why(&lab, "eth0").rule, Rule::GroupFailure);
}

#[test]
fn a_plan_comes_true_and_changes_nothing() {
    let mut lab = Spec { nics: 3, standby: vec![2], ..Spec::default() }.lab();
    lab.run(secs(30));
    let before = lab.status();
    let plan = lab.engine.plan_failure(lab.now, "eth0").unwrap();
    let moved = PlannedAddress {
        address: "192.0.2.10/24".parse().unwrap(),
        from: Some("eth0".into()),
        to: Some("eth2".into()),
    };
    assert_eq!(plan.addresses, [moved]);
    assert!(plan.routes.iter().any(|r| r.from == "eth0" && r.to == "eth2"), "{plan:?}");
    assert_eq!(plan.announcements_ms.len(), 8);
    assert_eq!(lab.status(), before);
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2]);
    assert!(lab.engine.plan_failure(lab.now, "eth0").unwrap().remarks[0].contains("already"));
    assert!(lab.engine.plan_failure(lab.now, "eth9").is_err());
    assert_eq!(lab.engine.plan_settings(lab.now, lab.settings.clone()).members, [] as [&str; 0]);
}

#[test]
fn settings_are_planned_before_they_are_in_force() {
    let mut lab = Spec::default().lab();
    lab.run(secs(30));
    let mut settings = lab.settings.clone();
    settings.groups[0].addresses[0].address = "192.0.2.77/24".parse().unwrap();
    settings.groups[0].interfaces.remove(1);
    let plan = lab.engine.plan_settings(lab.now, settings);
    let of = |address: &str| plan.addresses.iter().find(|a| a.address == address.parse().unwrap()).cloned();
    assert_eq!(of("192.0.2.77/24").unwrap().to, Some("eth0".into()));
    let gone = of("192.0.2.10/24").unwrap();
    assert_eq!((gone.from, gone.to), (Some("eth0".into()), None));
    assert_eq!(plan.members, ["eth1 leaves group g"]);
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn frozen_probes_report_and_move_nothing() {
    let mut lab = Spec::default().lab();
    lab.run(secs(30));
    lab.ask(Command::Freeze(None));
    assert!(lab.status().frozen);
    lab.silence(ETH0);
    lab.until_said(secs(10), "NIC failure detected on eth0 of group g");
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "reported, not moved");
    let mut lab = lab.restart(secs(1));
    lab.run(secs(10));
    assert!(lab.status().frozen, "remembered over a restart");
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.ask(Command::Thaw);
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert!(!lab.status().frozen);
}

#[test]
fn frozen_links_and_operators_still_move_and_the_freeze_ends_in_time() {
    let mut lab = Spec::default().lab();
    lab.run(secs(30));
    lab.ask(Command::Freeze(Some(secs(120))));
    lab.ask(Command::Offline("eth0".into()));
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "an operator wants it");
    lab.ask(Command::Online("eth0".into()));
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "a dead link moves");
    lab.carrier(&[ETH0], true);
    lab.until_said(secs(60), "NIC repair detected on eth0 of group g");
    lab.run(secs(10));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "answered probes bring nothing home");
    lab.until(secs(120), "the end of the freeze", |l| !l.status().frozen);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_eq!(lab.count("Thawed: verdicts of probes move addresses again"), 1);
}

/// A lagg or a vhid that would go takes its addresses along, maybe the one by which the operator has come.
#[test]
fn a_plan_tells_of_laggs_and_vhids() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces.remove(2);
    let mut lagg = mpath_model::settings::Lagg::new("lagg0", &settings.detection);
    lagg.ports = vec!["eth2".into()];
    lagg.addresses = vec!["198.51.100.5/24".parse().unwrap()];
    settings.laggs.push(lagg);
    settings.carps.push(mpath_model::settings::Carp {
        vmac: false,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..mpath_model::settings::Carp::new(mpath_model::carp::Over::Group("g".into()), 7)
    });
    let mut lab = Lab::start(1, settings.clone(), spec.kernel(), spec.net(), None);
    lab.run(secs(10));
    assert_eq!(lab.engine.plan_settings(lab.now, settings.clone()), Default::default());
    (settings.laggs, settings.carps) = (Vec::new(), Vec::new());
    let plan = lab.engine.plan_settings(lab.now, settings);
    assert_eq!(plan.members, ["eth2 leaves lagg lagg0", "vhid 7@g is given up"]);
    let gone = |a: &str| {
        plan.addresses.iter().any(|p| p.address == a.parse().unwrap() && p.from.is_some() && p.to.is_none())
    };
    assert!(gone("198.51.100.5/24") && gone("192.0.2.100/24"), "{:?}", plan.addresses);
}

/// A session may come in by a test address too.
#[test]
fn a_plan_tells_of_test_addresses_that_come_and_go() {
    let mut lab = Spec::default().lab();
    lab.run(secs(5));
    let mut settings = lab.settings.clone();
    let tests = &mut settings.groups[0].interfaces[0].test_addresses;
    let old = tests[0].address().unwrap();
    let new = "192.0.2.99/24".parse().unwrap();
    *tests = vec![mpath_model::settings::TestAddress::Address(new)];
    let eth0 = || Some("eth0".to_string());
    let goes = |a: &PlannedAddress| a.address.address == old.address && (&a.from, &a.to) == (&eth0(), &None);
    let comes = PlannedAddress { address: new, from: None, to: eth0() };
    let plan = lab.engine.plan_settings(lab.now, settings);
    assert!(plan.addresses.len() == 2 && plan.addresses.iter().any(goes), "{plan:?}");
    assert!(plan.addresses.contains(&comes), "{plan:?}");
}
