//! The daemon dies and starts again in every state (mpathd-behaviour.md 6.6): case 57.

use crate::common::*;
use mpath_core::input::Command;
use mpath_model::kernel::KernelOp;
use mpath_model::settings::Lagg;
use mpath_model::status::{InterfaceState, ProbeState};
use std::time::Duration;

const REPAIRED0: &str = "NIC repair detected on eth0 of group g";

fn healthy(lab: &mut Lab) {
    lab.net.silent.clear();
    lab.kernel.refuse.clear();
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
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "{}", lab.story());
    assert_eq!(lab.where_is("192.0.2.20"), [ETH1]);
    assert_eq!((lab.state("eth0"), lab.state("eth1")), (InterfaceState::Ok, InterfaceState::Ok));
}

fn lab() -> Lab {
    Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }.lab()
}

// case 57
#[test]
fn a_restart_while_all_is_well_changes_nothing() {
    let mut lab = lab().restart(secs(1));
    lab.run(secs(60));
    let changes = |op: &&(mpath_model::Time, KernelOp)| {
        !matches!(op.1, KernelOp::Announce { .. } | KernelOp::Solicit { .. })
    };
    assert_eq!(lab.ops.iter().filter(changes).count(), 0, "{:?}", lab.ops);
    assert_eq!(lab.said(), [] as [&str; 0]);
    healthy(&mut lab);
}

// case 57
#[test]
fn a_failed_nic_stays_failed_until_it_has_proved_itself() {
    let mut lab = lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(100));
    assert_eq!(lab.state("eth0"), InterfaceState::Failed);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.said(), [] as [&str; 0], "no failure is told twice");
    lab.heal(ETH0);
    lab.until_said(secs(2), REPAIRED0);
    healthy(&mut lab);
}

/// Without a test address nothing is probed in the first moment: that is no proof that a path works again.
#[test]
fn a_failed_nic_without_a_test_address_stays_failed_until_it_has_proved_itself() {
    let mut lab = Spec { four: false, hosts: 2, ..Spec::default() }.lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    assert_eq!(lab.state("eth0"), InterfaceState::Failed);
    let mut lab = lab.restart(secs(1));
    lab.run(secs(100));
    assert_eq!(lab.said(), [] as [&str; 0]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.heal(ETH0);
    lab.until_said(secs(40), REPAIRED0);
}

// case 57
#[test]
fn a_nic_repaired_while_nobody_ran_needs_ten_answers() {
    let mut lab = lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    lab.heal(ETH0);
    let mut lab = lab.restart(secs(1));
    let begin = lab.now;
    lab.until(secs(3), REPAIRED0, |l| l.count(REPAIRED0) == 1);
    assert!(lab.now - begin > ms(1200));
    healthy(&mut lab);
}

// case 57
#[test]
fn a_link_only_nic_that_had_failed_is_repaired_by_its_link() {
    let spec = Spec { probe: mpath_model::settings::ProbeMode::Link, four: false, ..Spec::default() };
    let mut lab = spec.lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.kernel.change_link(ETH0, |l| l.running = true);
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 57
#[test]
fn a_nic_that_failed_while_nobody_ran_is_found() {
    let mut lab = lab();
    lab.kernel.change_link(ETH0, |l| l.running = false);
    let mut lab = lab.restart(secs(1));
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.carrier(&[ETH0], true);
    healthy(&mut lab);
}

// case 57
#[test]
fn a_crash_in_every_step_of_a_failover_and_a_failback_loses_nothing() {
    for up in [false, true] {
        for step in 0..40 {
            let mut lab = lab();
            lab.carrier(&[ETH0], false);
            if up {
                lab.run(secs(2));
                lab.carrier(&[ETH0], true);
                lab.until(secs(3), REPAIRED0, |l| l.count(REPAIRED0) == 1);
            }
            for _ in 0..step {
                lab.step(lab.now + ms(5));
            }
            let mut lab = lab.restart(ms(300));
            lab.run(secs(3));
            assert!(!lab.where_is("192.0.2.10").is_empty(), "step {step}");
            lab.kernel.change_link(ETH0, |l| l.running = true);
            lab.deliver();
            healthy(&mut lab);
        }
    }
}

/// The address is on both NICs when the daemon dies, or on its host alone; either way nobody knows whom it has told.
#[test]
fn a_start_tells_the_neighbours_what_a_crash_kept_from_them() {
    for both in [true, false] {
        let mut lab = lab();
        lab.carrier(&[ETH0], false);
        lab.run(secs(2));
        if both {
            lab.kernel.put(ETH0, "192.0.2.10/24");
        }
        let mut lab = lab.restart(secs(1));
        lab.run(ms(200));
        let told = |op: &KernelOp| matches!(op, KernelOp::Announce { index: ETH1, address, .. } if *address == ip("192.0.2.10"));
        let times: Vec<_> =
            lab.ops.iter().filter(|(_, op)| told(op)).map(|(t, _)| *t - lab.ops[0].0).collect();
        assert_eq!(times, [ms(0), ms(20), ms(100)], "{:?}", lab.ops);
        assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    }
}

// case 57
#[test]
fn a_crash_before_what_was_kept_reached_the_disk_loses_nothing() {
    let mut lab = lab();
    let before = lab.persist.clone();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.persist = before;
    let mut lab = lab.restart(secs(1));
    lab.carrier(&[ETH0], true);
    healthy(&mut lab);
}

// case 57
#[test]
fn without_any_memory_installed_routes_are_kept() {
    // The state directory is gone, or of a newer format and moved aside.
    let mut lab = lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.persist = None;
    let mut lab = lab.restart(secs(1));
    lab.run(secs(30));
    assert!(
        lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH1)),
        "the default route that was moved"
    );
    lab.carrier(&[ETH0], true);
    healthy(&mut lab);
}

#[test]
fn without_any_memory_a_moved_address_keeps_the_route_to_its_neighbours() {
    let spec = Spec { data: Vec::new(), ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.persist = None;
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.50"), [ETH1]);
    let network = "192.0.2.0/24".parse().unwrap();
    let route = |r: &mpath_model::Route| r.dst == network && r.metric == 0 && r.uses(ETH1);
    assert!(lab.kernel.routes.iter().any(route), "{:?}", lab.kernel.routes);
}

// case 57
#[test]
fn a_failed_group_stays_failed_over_a_restart_and_comes_back() {
    let mut lab = lab();
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(5));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(100));
    assert_eq!(lab.group().state, mpath_model::status::GroupState::Failed);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.net.host("192.0.2.1").alive = true;
    healthy(&mut lab);
}

// case 57
#[test]
fn adopted_addresses_and_routes_find_their_way_home_over_a_restart() {
    let mut lab = lab();
    lab.kernel.put(ETH0, "192.0.2.50/24");
    lab.deliver();
    lab.run(secs(1));
    let found = lab.kernel.routes.iter().find(|r| r.is_default()).unwrap().clone();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    let mut lab = lab.restart(secs(1));
    lab.carrier(&[ETH0], true);
    healthy(&mut lab);
    assert_eq!(lab.where_is("192.0.2.50"), [ETH0]);
    let main = |r: &&mpath_model::Route| r.is_default() && r.table == 254;
    let back: Vec<_> = lab.kernel.routes.iter().filter(main).collect();
    assert_eq!(back, [&found], "exactly as it was");
}

// case 57
#[test]
fn a_restart_with_a_nic_offline_or_absent() {
    let mut lab = lab();
    lab.ask(Command::Offline("eth1".into()));
    lab.run(secs(1));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    lab.ask(Command::Online("eth1".into()));
    healthy(&mut lab);
    lab.kernel.remove_link(ETH0);
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.kernel.add_link(ETH0, "eth0");
    lab.deliver();
    healthy(&mut lab);
}

// case 4, as far as the engine sees it
#[test]
fn a_storm_of_reloads_keeps_history_verdicts_and_moved_addresses() {
    let mut lab = lab();
    lab.silence(ETH0);
    lab.run(secs(3));
    lab.mark();
    for _ in 0..500 {
        lab.reload(|_| ());
        lab.run(Duration::from_millis(7));
    }
    assert_eq!(lab.said(), [] as [&str; 0]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert!(lab.probes(ETH0).len() >= 20, "timers go on: {}", lab.probes(ETH0).len());
    lab.heal(ETH0);
    for _ in 0..300 {
        lab.reload(|_| ());
        lab.run(Duration::from_millis(7));
    }
    assert_eq!(lab.count(REPAIRED0), 1, "answers from before a reload count");
    healthy(&mut lab);
}

/// Where no port of a lagg is usable one is used that has failed: there is time to ask before any is called repaired.
#[test]
fn the_failed_ports_of_a_lagg_stay_failed_until_there_was_time_to_ask() {
    let spec = Spec { four: false, ..Spec::default() };
    let mut settings = spec.settings();
    let mut lagg = Lagg::new("lagg0", &settings.detection);
    lagg.ports = vec!["eth0".into(), "eth1".into()];
    settings.groups.clear();
    settings.laggs.push(lagg);
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(5));
    lab.carrier(&[ETH0, ETH1], false);
    lab.run(secs(5));
    [ETH0, ETH1].into_iter().for_each(|i| lab.kernel.change_link(i, |l| l.running = true));
    let mut lab = lab.restart(secs(1));
    let failed =
        |lab: &Lab| lab.status().laggs[0].ports.iter().filter(|p| p.state == InterfaceState::Failed).count();
    lab.run(secs(15));
    assert_eq!(failed(&lab), 2, "{}", lab.story());
    lab.run(secs(40));
    assert_eq!(failed(&lab), 0, "{}", lab.story());
}

/// Without a journal, on a kernel that keeps no marks, a test address of ours is known by its form: it brings no route, so that
/// the gateway of a route that moves there would be out of reach.
#[test]
fn a_gateway_is_within_reach_after_the_journal_was_lost() {
    let spec = Spec { six: true, data: vec![("2001:db8::10/64", 0)], ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.no_marks = true;
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    lab.persist = None;
    let mut lab = lab.restart(secs(1));
    lab.run(secs(20));
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    let router = ip("192.0.2.1");
    let through = |r: &&mpath_model::Route| r.uses(ETH1) && r.table == 254;
    let mut routes = lab.kernel.routes.iter().filter(through);
    assert!(routes.clone().any(|r| r.hops[0].gateway == Some(router)), "{:?}", lab.kernel.routes);
    let near = routes.any(|r| r.hops[0].gateway.is_none() && r.dst.contains(&router));
    assert!(near, "{:?}", lab.kernel.routes);
}

#[test]
fn the_ports_of_a_lagg_are_asked_in_the_family_of_its_addresses_even_while_those_are_missing() {
    let spec = Spec::default();
    let mut settings = spec.settings();
    let mut lagg = Lagg::new("lagg0", &settings.detection);
    lagg.ports = vec!["eth0".into(), "eth1".into()];
    lagg.addresses = vec!["192.0.2.5/24".parse().unwrap()];
    settings.groups.clear();
    settings.laggs.push(lagg);
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(5));
    let probed = |p: &mpath_model::status::Port| p.probe != ProbeState::Disabled;
    assert!(lab.status().laggs[0].ports.iter().all(probed), "{:?}", lab.status().laggs);
}

/// A NIC that is tracked without a group keeps its verdict, too.
#[test]
fn a_reload_repairs_no_nic_that_is_tracked_alone() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces.remove(2);
    settings.detection.track_interfaces_only_with_groups = false;
    settings.detection.failure_detection_time = secs(1);
    let mut kernel = spec.kernel();
    kernel.put(ETH2, "192.0.2.70/24");
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(60));
    lab.silence(ETH2);
    lab.until_said(secs(20), "NIC failure detected on eth2");
    lab.mark();
    lab.reload(|_| {});
    lab.run(secs(20));
    assert_eq!(lab.count("NIC repair detected on eth2"), 0, "{}", lab.story());
}

/// Events are lost, among them that a route of ours in another table was put there anew; the route itself is gone.
#[test]
fn a_route_that_went_with_lost_events_is_no_wish() {
    let mut lab = lab();
    lab.run(secs(5));
    let main = |r: &mpath_model::Route| r.is_default() && r.table == 254;
    let route = lab.kernel.routes.iter().find(|r| main(r)).cloned().expect("a default route");
    let copy = |r: &mpath_model::Route| r.is_default() && r.table != 254 && r.uses(ETH0);
    assert!(lab.kernel.routes.iter().any(copy), "{:?}", lab.kernel.routes);
    lab.kernel.del_routes(main);
    let events = lab.kernel.take_events();
    lab.feed(mpath_core::Input::Kernel(events));
    lab.dump();
    lab.run(secs(2));
    assert!(lab.kernel.routes.contains(&route), "{}", lab.story());
}

/// What a vhid runs over is given another name, which is another vhid to the configuration: the one that was is gone before the
/// new one begins, and neither takes the other's device and addresses away for ever.
#[test]
fn a_vhid_that_changes_from_an_interface_to_its_group_settles() {
    use mpath_model::carp::Over;
    let spec = Spec::default();
    let mut settings = spec.settings();
    settings.carps.push(mpath_model::settings::Carp {
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..mpath_model::settings::Carp::new(Over::Interface("eth0".into()), 7)
    });
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(10));
    assert_eq!(lab.where_is("192.0.2.100").len(), 1, "{}", lab.story());
    lab.mark();
    lab.reload(|s| s.carps[0].over = Over::Group("g".into()));
    lab.run(secs(20));
    let changes = |op: &KernelOp| matches!(op, KernelOp::DelAddress { .. } | KernelOp::SetLink { .. });
    let count = lab.ops.iter().filter(|(_, op)| changes(op)).count();
    assert!(count < 10, "{count} requests");
    assert_eq!(lab.where_is("192.0.2.100").len(), 1, "{}", lab.story());
}
