//! Moves against a kernel that has its own mind (mpathd-behaviour.md 3.13): cases 39 to 42 and 60.

use crate::common::*;
use mpath_core::Input;
use mpath_model::kernel::{KernelEvent, KernelOp, Sysctl, ifa};
use mpath_model::{Event, EventKind, Time};
use std::net::IpAddr;

const FAILED0: &str = "NIC failure detected on eth0 of group g";

fn announced(lab: &Lab) -> Vec<(Time, u32, IpAddr)> {
    let of = |(t, op): &(Time, KernelOp)| match op {
        KernelOp::Announce { index, address, .. } => Some((*t, *index, *address)),
        _ => None,
    };
    lab.ops.iter().filter_map(of).collect()
}

// case 39
#[test]
fn several_addresses_of_a_subnet_move_together() {
    let mut lab = Spec {
        data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 0), ("192.0.2.30/24", 0)],
        ..Spec::default()
    }
    .lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    for a in ["192.0.2.10", "192.0.2.20", "192.0.2.30"] {
        assert_eq!(lab.where_is(a), [ETH1]);
    }
    let promotes = lab.kernel.sysctls[&("eth0".to_string(), Sysctl::PromoteSecondaries)];
    assert_eq!(promotes, 1, "secondaries do not go with their primary");
}

// case 39
#[test]
fn an_address_found_on_two_nics_stays_on_its_home_alone() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.10/24");
    kernel.put(ETH1, "192.0.2.10/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 39
#[test]
fn an_address_deleted_by_hand_while_moved_is_put_back_and_goes_home() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.kernel.drop_address(ETH1, &"192.0.2.10/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.carrier(&[ETH0], true);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

// case 39
#[test]
fn the_owner_is_unplugged_while_its_addresses_are_elsewhere() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.kernel.remove_link(ETH0);
    lab.deliver();
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert_eq!(lab.state("eth0"), mpath_model::status::InterfaceState::Unknown);
    lab.kernel.add_link(17, "eth0");
    lab.deliver();
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [17]);
    assert_eq!(lab.count("Successfully failed back to NIC eth0"), 1);
}

// case 39
#[test]
fn unspecified_and_foreign_addresses_are_never_adopted() {
    let mut lab = Spec::default().lab();
    lab.kernel.put(ETH0, "0.0.0.0/8");
    let mut foreign = mpath_model::Address::plain(ETH0, "192.0.2.66/24".parse().unwrap());
    foreign.protocol = 18;
    lab.kernel.add_address(&foreign);
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.group().addresses.len(), 1);
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.66"), [ETH0], "it belongs to its NIC");
}

// case 40
#[test]
fn a_conflict_on_the_destination_is_overcome() {
    let mut lab = Spec { data: vec![("2001:db8::10/64", 0)], six: true, ..Spec::default() }.lab();
    lab.kernel.conflict = true; // our own copy on eth0 answers duplicate detection
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(lab.where_is("2001:db8::10"), [ETH1]);
    let there = lab.kernel.on(ETH1).find(|a| a.addr.address == ip("2001:db8::10")).unwrap();
    assert!(there.has(ifa::NODAD) && !there.has(ifa::DADFAILED), "moved without detection");
}

// case 40
#[test]
fn the_old_copy_of_an_ipv6_address_stays_until_the_new_one_is_in_force() {
    let mut lab = Spec { data: vec![("2001:db8::10/64", 0)], six: true, ..Spec::default() }.lab();
    lab.kernel.sluggish = true;
    lab.silence(ETH0);
    lab.until(secs(1), "new copy", |l| l.where_is("2001:db8::10").contains(&ETH1));
    lab.run(secs(5)); // long enough for a second look, a full comparison and any repeat
    assert_eq!(lab.where_is("2001:db8::10").len(), 2, "{}", lab.story());
    lab.kernel.put_in_force();
    lab.until(secs(25), "end of the old copy", |l| l.where_is("2001:db8::10") == [ETH1]);
}

// case 40
#[test]
fn refusals_in_the_middle_of_a_move_are_retried_without_duplicates_or_flood() {
    for errno in [12, 11, 105, 16] {
        let mut lab =
            Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 0)], ..Spec::default() }.lab();
        let second: fn(&KernelOp) -> bool = |op| matches!(op, KernelOp::AddAddress(a) if a.addr.address == ip("192.0.2.20") && a.index == ETH1);
        lab.kernel.refuse.push((second, errno));
        lab.carrier(&[ETH0], false);
        lab.run(secs(300));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "errno {errno}");
        assert_eq!(lab.where_is("192.0.2.20"), [ETH0], "not taken away before it is there");
        assert!(lab.said().len() <= 4, "{:?}", lab.said());
        let tries = lab.ops.iter().filter(|(_, op)| second(op)).count();
        assert!((5..60).contains(&tries), "{tries} tries in five minutes");
        assert_eq!(lab.count("Successfully failed over from NIC eth0 to NIC eth1"), 0, "not yet true");
        lab.kernel.refuse.clear();
        lab.run(secs(40));
        assert_eq!(lab.where_is("192.0.2.20"), [ETH1]);
        assert_eq!(lab.count("Successfully failed over from NIC eth0 to NIC eth1"), 1);
    }
}

// case 40
#[test]
fn a_destination_with_a_smaller_mtu_serves() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH1, |l| l.mtu = 1280);
    lab.deliver();
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    let there = lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH1));
    assert!(there, "the default route came along");
}

// case 41
#[test]
fn each_moved_address_is_announced_again_and_again_also_on_failback() {
    let mut lab =
        Spec { data: vec![("192.0.2.10/24", 0), ("2001:db8::10/64", 0)], six: true, ..Spec::default() }.lab();
    for (up, nic) in [(false, ETH1), (true, ETH0)] {
        lab.mark();
        lab.carrier(&[ETH0], up);
        lab.run(secs(40));
        for a in ["192.0.2.10", "2001:db8::10"] {
            let times: Vec<Time> = announced(&lab)
                .iter()
                .filter(|(_, i, x)| (*i, *x) == (nic, ip(a)))
                .map(|(t, ..)| *t)
                .collect();
            assert_eq!(times.len(), 8, "{a} on {nic}");
            assert!(times[7] - times[0] > secs(29));
        }
    }
}

/// Its port flaps while the kernel is busy with something else, so that nothing is asked for; what was still to be announced
/// was about a place that it had left for a moment.
#[test]
fn an_address_that_left_its_place_for_a_moment_is_announced_there_again() {
    let spec = Spec { probe: mpath_model::settings::ProbeMode::Link, four: false, ..Spec::default() };
    let mut lab = spec.lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(2));
    lab.carrier(&[ETH0], true);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.mark();
    let key = ("eth1".to_string(), Sysctl::ArpIgnore);
    lab.kernel.sysctls.insert(key.clone(), 0);
    lab.feed(Input::Kernel(vec![KernelEvent::Sysctl(key.0, key.1, 0)]));
    for up in [false, true] {
        lab.kernel.change_link(ETH0, |l| l.running = up);
        let events = lab.kernel.take_events();
        lab.feed(Input::Kernel(events));
    }
    assert_eq!(lab.ops.len(), 1, "nothing but the sysctl");
    lab.run(secs(40));
    assert!(announced(&lab).len() >= 8, "{}", lab.story());
    assert!(announced(&lab).iter().all(|(_, i, _)| *i == ETH0), "{}", lab.story());
}

// case 41
#[test]
fn under_load_announcements_are_paced_and_none_is_lost() {
    let mut spec = Spec::default();
    spec.data.clear();
    let mut settings = spec.settings();
    for n in 0..200 {
        let address = format!("203.0.113.{n}/32").parse().unwrap();
        settings.groups[0]
            .addresses
            .push(mpath_model::settings::DataAddress { address, home: "eth0".into() });
    }
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(60));
    lab.mark();
    lab.carrier(&[ETH0], false);
    lab.run(secs(60));
    let all = announced(&lab);
    for n in 0..200 {
        let n = ip(&format!("203.0.113.{n}"));
        assert_eq!(all.iter().filter(|(_, i, a)| *i == ETH1 && *a == n).count(), 8, "{n}");
    }
    let repeats: Vec<Time> = all.iter().map(|(t, ..)| *t).skip(200).collect();
    assert!(repeats.windows(12).all(|w| w[11] - w[0] >= ms(4)), "about one a millisecond");
}

// case 42
#[test]
fn addresses_changed_by_others_during_a_failover_are_reconciled() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.kernel.put(ETH0, "192.0.2.10/24"); // somebody puts it back on the failed NIC
    lab.deliver();
    lab.run(secs(25));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.kernel.drop_address(ETH1, &"192.0.2.10/24".parse().unwrap()); // or takes it off its host
    lab.deliver();
    lab.run(secs(25));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.kernel.del_routes(|r| r.is_default()); // or deletes the route we put there
    lab.deliver();
    lab.run(secs(25));
    assert!(lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH1)));
}

// case 42
#[test]
fn sysctls_changed_by_others_are_put_right() {
    let mut lab = Spec::default().lab();
    lab.kernel.sysctls.insert(("eth0".into(), Sysctl::ArpIgnore), 0);
    lab.run(secs(25));
    assert_eq!(lab.kernel.sysctls[&("eth0".to_string(), Sysctl::ArpIgnore)], 1);
}

// case 60
#[test]
fn after_an_overflow_of_the_event_socket_a_dump_tells_everything() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH0, |l| l.running = false);
    lab.kernel.drop_address(ETH1, &"192.0.2.10/24".parse().unwrap());
    lab.kernel.take_events(); // lost: ENOBUFS, the daemon dumps without being asked
    lab.dump();
    assert_eq!(lab.said()[1], FAILED0);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
}

// case 60
#[test]
fn lost_events_are_found_by_the_next_comparison() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH0, |l| l.running = false);
    lab.kernel.take_events();
    lab.until(secs(21), "failure", |l| l.count(FAILED0) == 1);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    let told = |(_, e): &(Time, Event)| e.event == EventKind::Failover;
    assert_eq!(lab.events.iter().filter(|e| told(e)).count(), 1);
}

// case 60
#[test]
fn an_adopted_address_that_a_lost_event_took_is_no_wish() {
    let mut lab = Spec::default().lab();
    lab.kernel.put(ETH0, "192.0.2.20/24");
    lab.deliver();
    lab.run(secs(1));
    lab.kernel.drop_address(ETH0, &"192.0.2.20/24".parse().unwrap());
    lab.kernel.take_events();
    lab.dump();
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH0], "nobody can say that somebody wished it away");
}

/// With `adopt = "all"` a leased address follows its NIC, and ends where it is when its time is over.
#[test]
fn a_lease_that_runs_out_elsewhere_is_not_put_back() {
    let spec = Spec { data: vec![], ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].adopt = mpath_model::settings::Adopt::All;
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    let leased = kernel.addresses.iter_mut().find(|a| a.addr.address == ip("192.0.2.50")).unwrap();
    (leased.valid_lft, leased.preferred_lft) = (600, 600);
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(20));
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.50"), [ETH1], "{}", lab.story());
    lab.kernel.drop_address(ETH1, &"192.0.2.50/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.50"), [0; 0], "{}", lab.story());
}
