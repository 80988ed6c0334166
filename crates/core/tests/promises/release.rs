//! What leaves goes as if nobody had been here: release, reload, a changed configuration at a start, and a crash in the
//! middle of each.

use crate::common::*;
use mpath_core::Input;
use mpath_core::input::Command;
use mpath_model::kernel::KernelOp;
use mpath_model::{Address, Route, Settings, kernel::Sysctl, settings};
use std::collections::BTreeMap;

type Change = fn(&mut Settings);
type Picture = (Vec<Address>, Vec<Route>, BTreeMap<(String, Sysctl), i32>);

fn picture(kernel: &Kernel) -> Picture {
    let mut addresses = kernel.addresses.clone();
    addresses.sort_by_key(|a| (a.index, a.addr));
    let mut routes = kernel.routes.clone();
    routes.sort_by_key(|r| (r.dst, r.metric, r.hops[0].index));
    (addresses, routes, kernel.sysctls.clone())
}

/// A host with addresses and routes of its own, declared data addresses, and test addresses that mpathd installs.
fn spec() -> Spec {
    Spec { nics: 3, data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }
}

fn found(spec: &Spec) -> Kernel {
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    kernel.put(ETH1, "192.0.2.60/24");
    kernel.put(ETH1, "2001:db8::60/64");
    kernel
}

fn lab() -> (Lab, Picture) {
    lab_on(false)
}

fn lab_on(no_marks: bool) -> (Lab, Picture) {
    let spec = spec();
    let mut kernel = found(&spec);
    kernel.no_marks = no_marks;
    let before = picture(&kernel);
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    lab.mark();
    (lab, before)
}

#[track_caller]
fn same(lab: &Lab, before: &Picture) {
    let now = picture(&lab.kernel);
    assert_eq!(now.0, before.0, "addresses");
    assert_eq!(now.1, before.1, "routes");
    assert_eq!(now.2, before.2, "sysctls");
}

#[test]
fn a_release_takes_everything_back_exactly() {
    for (trouble, no_marks) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
        let (mut lab, before) = lab_on(no_marks);
        match trouble {
            1 => lab.carrier(&[ETH0], false),
            2 => lab.ask(Command::Offline("eth1".into())),
            _ => {}
        }
        lab.run(secs(3));
        lab.kernel.change_link(ETH0, |l| l.running = true);
        lab.deliver();
        assert_ne!(picture(&lab.kernel), before);
        lab.ask(Command::Release(None));
        lab.run(secs(1));
        assert_eq!(lab.replies.last(), Some(&Ok(())), "{}", lab.story());
        assert!(lab.engine.released());
        assert_eq!(lab.status().groups.len(), 0);
        same(&lab, &before);
        lab.run(secs(60));
        same(&lab, &before);
    }
}

#[test]
fn a_group_is_released_by_name_and_an_unknown_name_is_refused() {
    let (mut lab, before) = lab();
    lab.ask(Command::Release(Some("nonsense".into())));
    assert_eq!(lab.replies.last().unwrap().as_ref().unwrap_err().reason, "unknown_interface");
    lab.ask(Command::Release(Some("g".into())));
    lab.run(secs(1));
    assert_eq!(lab.replies.last(), Some(&Ok(())));
    same(&lab, &before);
    // A reload puts the file in force again.
    lab.reload(|_| ());
    lab.run(secs(10));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn a_released_nic_takes_its_own_along_and_gives_away_what_is_declared() {
    let (mut lab, before) = lab();
    lab.carrier(&[ETH1], false);
    lab.run(secs(1));
    lab.carrier(&[ETH1], true);
    lab.ask(Command::Release(Some("eth1".into())));
    lab.run(secs(1));
    assert_eq!(lab.replies.last(), Some(&Ok(())), "{} {:?}", lab.story(), &lab.ops[lab.ops.len() - 20..]);
    let mine = |p: &Picture| {
        let addresses: Vec<Address> = p.0.iter().filter(|a| a.index == ETH1).cloned().collect();
        let sysctls: Vec<i32> = p.2.iter().filter(|((i, _), _)| i == "eth1").map(|(_, v)| *v).collect();
        (addresses, sysctls)
    };
    assert_eq!(mine(&picture(&lab.kernel)), mine(&before));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH0], "declared, and still reachable");
    assert_eq!(lab.group().interfaces.len(), 2);
}

#[test]
fn a_start_without_the_settings_of_before_takes_everything_back() {
    // `mpathd --release`, or the group was removed from the file while nobody ran.
    for (broken, no_marks) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut lab, before) = lab_on(no_marks);
        lab.carrier(&[ETH0], !broken);
        lab.run(secs(2));
        lab.kernel.change_link(ETH0, |l| l.running = true);
        lab.settings = Settings::default();
        let mut lab = lab.restart(secs(1));
        lab.until(secs(2), "released", |l| l.engine.released());
        same(&lab, &before);
    }
}

/// Changes of the settings: each is tried as a reload, as a change while nobody runs, and as a reload that is cut short.
fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("a NIC leaves", |s| {
            s.groups[0].interfaces.remove(0);
            s.groups[0].addresses[0].home = "eth2".into();
        }),
        ("an address leaves", |s| drop(s.groups[0].addresses.remove(0))),
        ("an address changes its home", |s| s.groups[0].addresses[0].home = "eth2".into()),
        ("a NIC moves to another group with an address", |s| {
            let mut other = s.groups[0].clone();
            other.name = "h".into();
            other.interfaces = s.groups[0].interfaces.split_off(1);
            other.addresses = s.groups[0].addresses.split_off(1);
            s.groups.push(other);
        }),
        ("the group is called otherwise", |s| s.groups[0].name = "new".into()),
        ("a test address goes, and a NIC becomes standby", |s| {
            s.groups[0].interfaces[2].test_addresses.clear();
            s.groups[0].interfaces[2].standby = true;
        }),
        ("the NIC that hosts what another one lost leaves", |s| {
            s.groups[0].interfaces.remove(1);
            s.groups[0].addresses[1].home = "eth2".into();
        }),
        ("an adopted address, wherever it is, becomes a test address", |s| {
            let test = "192.0.2.50/24".parse().unwrap();
            s.groups[0].interfaces[0].test_addresses = vec![settings::TestAddress::Address(test)];
        }),
    ]
}

/// Every address that should be somewhere is on its home, and nothing is anywhere else.
#[track_caller]
fn well(lab: &mut Lab, what: &str) {
    lab.kernel.change_link(ETH0, |l| l.running = true);
    lab.deliver();
    lab.run(secs(60));
    lab.mark();
    lab.run(secs(5));
    let routes = |(_, op): &&(_, KernelOp)| matches!(op, KernelOp::AddRoute(..) | KernelOp::DelRoute(_));
    assert_eq!(lab.ops.iter().filter(routes).count(), 0, "{what}: peace at last");
    let declared: Vec<(String, String)> = lab
        .settings
        .groups
        .iter()
        .flat_map(|g| &g.addresses)
        .map(|a| (a.address.address.to_string(), a.home.clone()))
        .collect();
    for (address, home) in &declared {
        let home = ETH0 + home[3..].parse::<u32>().unwrap();
        assert_eq!(lab.where_is(address), [home], "{what}: {address}\n{}", lab.story());
    }
    for gone in ["192.0.2.10", "192.0.2.20"] {
        if !declared.iter().any(|(a, _)| a == gone) {
            assert_eq!(lab.where_is(gone), [] as [u32; 0], "{what}: {gone} was removed");
        }
    }
    for (adopted, home) in [("192.0.2.50", ETH0), ("192.0.2.60", ETH1), ("2001:db8::60", ETH1)] {
        assert_eq!(lab.where_is(adopted), [home], "{what}: {adopted}\n{:?}", lab.ops);
    }
    let ours = lab.kernel.routes.iter().filter(|r| r.protocol == 77);
    let member = |i: u32| {
        lab.settings.groups.iter().flat_map(|g| &g.interfaces).any(|n| n.name == format!("eth{}", i - ETH0))
    };
    let strays: Vec<_> = ours.filter(|r| !member(r.hops[0].index)).collect();
    assert!(strays.is_empty(), "{what}: {strays:?}");
}

#[test]
fn a_change_that_is_taken_back_at_once_takes_nothing_away() {
    for (what, change) in changes() {
        for steps in 0..6 {
            let (mut lab, _) = lab();
            let before = lab.settings.clone();
            lab.reload(change);
            for _ in 0..steps {
                lab.step(lab.now + ms(5));
            }
            lab.mark();
            lab.settings = before.clone();
            lab.feed(Input::Configure(before));
            lab.run(secs(2));
            for address in ["192.0.2.10", "192.0.2.20", "192.0.2.50", "192.0.2.60"] {
                let text = lab.story();
                assert_eq!(lab.where_is(address).len(), 1, "{what}, after {steps} steps: {address}\n{text}");
            }
            // Where it belongs it is not taken away once it has been put back.
            let place = |op: &KernelOp| match op {
                KernelOp::AddAddress(a) if a.addr.address == ip("192.0.2.10") => Some((true, a.index)),
                KernelOp::DelAddress { index, addr } if addr.address == ip("192.0.2.10") => {
                    Some((false, *index))
                }
                _ => None,
            };
            let here: Vec<bool> =
                lab.ops.iter().filter_map(|(_, op)| place(op)).filter(|p| p.1 == ETH0).map(|p| p.0).collect();
            let undone = here.windows(2).any(|w| w == [true, false]);
            assert!(!undone, "{what}, after {steps} steps: {here:?}");
            well(&mut lab, &format!("{what}, taken back after {steps} steps"));
        }
    }
}

#[test]
fn every_change_of_the_settings_in_every_way() {
    for (what, change) in changes() {
        for (broken, no_marks) in [(false, false), (true, false), (true, true)] {
            let (mut begin, _) = lab_on(no_marks);
            begin.carrier(&[ETH0], !broken);
            begin.run(secs(3));
            let mut reloaded = begin.clone();
            reloaded.reload(change);
            well(&mut reloaded, &format!("{what}, reload, broken {broken}"));
            let mut dead = begin.clone();
            change(&mut dead.settings);
            well(&mut dead.restart(secs(1)), &format!("{what}, while nobody ran, broken {broken}"));
            for steps in [0, 1, 2, 4, 7] {
                let mut cut = begin.clone();
                cut.reload(change);
                for _ in 0..steps {
                    cut.step(cut.now + ms(5));
                }
                well(
                    &mut cut.restart(ms(300)),
                    &format!("{what}, killed after {steps} steps, broken {broken}"),
                );
            }
        }
    }
}

/// A NIC of the usual host goes down, or away, with what others then carry for it.
fn lost(lab: &mut Lab, away: bool) {
    if away {
        lab.kernel.remove_link(ETH1)
    } else {
        lab.kernel.admin(ETH1, false)
    }
    lab.deliver();
    lab.run(secs(3));
}

/// It is back, under another index if it had been away. The address is home as it was found.
#[track_caller]
fn back_and_home(lab: &mut Lab, away: bool, before: &Picture, what: &str) {
    let index = if away { 9 } else { ETH1 };
    if away {
        lab.kernel.add_link(index, "eth1")
    } else {
        lab.kernel.admin(index, true)
    }
    lab.deliver();
    lab.run(secs(60));
    let address = |a: &&Address| a.addr.address == ip("2001:db8::60");
    let mut found = before.0.iter().find(address).unwrap().clone();
    found.index = index;
    let now: Vec<Address> = lab.kernel.addresses.iter().filter(address).cloned().collect();
    assert_eq!(now, [found], "{what}\n{}", lab.story());
}

#[test]
fn the_home_of_an_address_is_remembered_while_its_nic_is_down_or_away() {
    for (away, killed) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("away {away}, killed {killed}");
        let (mut lab, before) = lab();
        let settings = lab.settings.clone();
        lost(&mut lab, away);
        let host = lab.where_is("2001:db8::60");
        assert!(host.len() == 1 && host != [ETH1], "{what}: {host:?}");
        lab.reload(|s| s.groups.clear());
        lab.run(secs(30));
        assert_eq!((lab.where_is("2001:db8::60"), lab.engine.released()), (host, false), "{what}");
        let mut lab = if killed { lab.restart(secs(1)) } else { lab };
        lab.run(secs(1));
        let mut again = lab.clone();
        back_and_home(&mut lab, away, &before, &what);
        assert!(lab.engine.released(), "{what}");
        assert_eq!(lab.count("NIC repair detected on eth1 of group g"), 0, "{what}");
        // The same if it is a member again before it is back.
        again.reload(|s| *s = settings);
        again.run(secs(10));
        back_and_home(&mut again, away, &before, &format!("{what}, member again"));
    }
}

#[test]
fn what_became_a_member_while_something_could_not_go_home_is_remembered_too() {
    let spec = Spec { nics: 3, data: vec![("192.0.2.10/24", 1)], ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    kernel.put(ETH2, "192.0.2.70/24");
    let mut settings = spec.settings();
    let all = settings.groups[0].interfaces.clone();
    settings.groups[0].interfaces.truncate(2);
    let mut lab = Lab::start(1, settings, kernel, spec.net(), None);
    lab.run(secs(20));
    lab.kernel.remove_link(ETH0);
    lab.deliver();
    lab.run(secs(3));
    lab.reload(|s| s.groups[0].interfaces = all[1..].to_vec());
    lab.run(secs(20));
    lab.ask(Command::Offline("eth2".into()));
    lab.run(secs(3));
    assert_eq!((lab.where_is("192.0.2.50"), lab.where_is("192.0.2.70")), (vec![ETH1], vec![ETH1]));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(20));
    assert_eq!(lab.state("eth2"), mpath_model::status::InterfaceState::Offline);
    assert_eq!((lab.where_is("192.0.2.50"), lab.where_is("192.0.2.70")), (vec![ETH1], vec![ETH1]));
    lab.ask(Command::Online("eth2".into()));
    lab.kernel.add_link(9, "eth0");
    lab.deliver();
    lab.run(secs(20));
    assert_eq!((lab.where_is("192.0.2.50"), lab.where_is("192.0.2.70")), (vec![9], vec![ETH2]));
}

#[test]
fn an_adopted_address_that_another_group_declares_is_that_groups() {
    for broken in [false, true] {
        let (mut lab, _) = lab();
        // On loan, or at home.
        lab.carrier(&[ETH1], !broken);
        lab.run(secs(3));
        lab.reload(|s| {
            let mut other = s.groups[0].clone();
            other.name = "h".into();
            other.interfaces = vec![s.groups[0].interfaces.remove(1)];
            other.addresses = vec![s.groups[0].addresses.remove(1)];
            let address = "192.0.2.60/24".parse().unwrap();
            s.groups[0].addresses.push(settings::DataAddress { address, home: "eth0".into() });
            s.groups.push(other);
        });
        for _ in 0..200 {
            lab.step(lab.now + ms(5));
            assert!(!lab.where_is("192.0.2.60").is_empty(), "broken {broken}: lost\n{}", lab.story());
        }
        assert_eq!(lab.where_is("192.0.2.60"), [ETH0], "broken {broken}\n{}", lab.story());
        lab.mark();
        lab.run(secs(60));
        assert_eq!(lab.where_is("192.0.2.60"), [ETH0], "broken {broken}: at last\n{}", lab.story());
    }
}

#[test]
fn another_prefix_length_is_another_address() {
    let (mut lab, _) = lab();
    let held = |lab: &Lab| -> Vec<String> {
        let all = lab.kernel.addresses.iter().filter(|a| a.addr.address == ip("192.0.2.10"));
        all.map(|a| a.addr.to_string()).collect()
    };
    lab.reload(|s| s.groups[0].addresses[0].address = "192.0.2.10/25".parse().unwrap());
    lab.run(secs(5));
    assert_eq!(held(&lab), ["192.0.2.10/25"], "{}", lab.story());
    lab.reload(|s| drop(s.groups[0].addresses.remove(0)));
    lab.run(secs(5));
    assert_eq!(held(&lab), [""; 0], "{}", lab.story());
}

#[test]
fn who_waits_for_a_nic_in_retirement_does_not_speak_for_the_others() {
    let (mut lab, _) = lab();
    lab.kernel.remove_link(ETH0);
    lab.deliver();
    lab.run(secs(3));
    lab.reload(|s| {
        s.groups[0].interfaces.remove(0);
        s.groups[0].addresses[0].home = "eth2".into();
    });
    lab.run(secs(3));
    lab.ask(Command::Offline("eth1".into()));
    lab.run(secs(3));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(10));
    assert_eq!(lab.state("eth1"), mpath_model::status::InterfaceState::Offline, "{}", lab.story());
}

#[test]
fn a_second_address_of_the_same_number_is_not_what_was_found() {
    let (mut lab, _) = lab();
    lab.kernel.put(ETH0, "192.0.2.50/32");
    lab.deliver();
    lab.run(secs(3));
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    let there = |lab: &Lab, nic, text: &str| {
        lab.kernel.addresses.iter().any(|a| a.index == nic && a.addr == text.parse().unwrap())
    };
    let guest = [ETH1, ETH2].into_iter().find(|n| there(&lab, *n, "192.0.2.50/24"));
    assert!(guest.is_some(), "{}", lab.story());
}

/// It had been a port of a lagg, which takes IPv6 off its ports, and was made a member while nobody ran.
#[test]
fn a_port_that_becomes_a_member_has_ipv6_again() {
    let (mut lab, _) = lab();
    let key = ("eth2".to_string(), Sysctl::DisableIpv6);
    lab.kernel.sysctls.insert(key.clone(), 1);
    lab.persist.as_mut().unwrap().sysctls.push((key.0.clone(), key.1, 0));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    assert_eq!(lab.kernel.sysctls[&key], 0, "{}", lab.story());
    lab.mark();
    lab.run(secs(60));
    let again = lab.ops.iter().filter(|(_, op)| matches!(op, KernelOp::SetSysctl { .. })).count();
    assert_eq!(again, 0, "{}", lab.story());
}

/// The last move was not over when the home changed groups: copies lie where the move before it had put them.
#[test]
fn who_changes_groups_in_the_middle_of_a_move_leaves_no_copy() {
    let spec = Spec { nics: 4, data: vec![], ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.50"), [ETH1]);
    lab.kernel.refuse.push((|op| matches!(op, KernelOp::DelAddress { index: ETH1, .. }), 16));
    lab.carrier(&[ETH1], false);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.50"), [ETH1, ETH2]);
    lab.reload(|s| {
        let mut other = s.groups[0].clone();
        other.name = "h".into();
        let old = &mut s.groups[0].interfaces;
        other.interfaces = vec![old.remove(0), old.remove(2)];
        s.groups.push(other);
    });
    lab.kernel.refuse.clear();
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.50"), [5], "{}", lab.story());
}

/// It is looked at alone, and nothing is done to it; it was a member when somebody wrote the journal.
#[test]
fn a_nic_that_is_tracked_alone_has_its_sysctls_again() {
    let spec = spec();
    let mut settings = spec.settings();
    settings.detection.track_interfaces_only_with_groups = false;
    settings.groups[0].interfaces.remove(2);
    let mut lab = Lab::start(1, settings, found(&spec), spec.net(), None);
    lab.run(secs(20));
    let key = ("eth2".to_string(), Sysctl::ArpIgnore);
    lab.kernel.sysctls.insert(key.clone(), 1);
    lab.persist.as_mut().unwrap().sysctls.push((key.0.clone(), key.1, 0));
    let mut lab = lab.restart(secs(1));
    lab.run(secs(5));
    assert_eq!(lab.kernel.sysctls[&key], 0, "{}", lab.story());
}

/// The daemon dies as master and starts again in a group that adopts whatever it finds.
#[test]
fn a_virtual_address_that_a_crash_left_behind_is_not_adopted() {
    let spec = Spec { nics: 2, data: vec![], ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].adopt = settings::Adopt::All;
    settings.carps.push(settings::Carp {
        vmac: false,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..settings::Carp::new(mpath_model::carp::Over::Interface("eth0".into()), 7)
    });
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(20));
    assert_eq!(lab.where_is("192.0.2.100"), [ETH0], "{}", lab.story());
    let mut lab = lab.restart(secs(1));
    lab.run(secs(1));
    lab.carrier(&[ETH0], false);
    lab.run(secs(10));
    let adopted = |a: &mpath_model::status::DataAddress| a.address.address == ip("192.0.2.100");
    assert!(!lab.group().addresses.iter().any(adopted), "{}", lab.story());
    assert!(!lab.where_is("192.0.2.100").contains(&ETH1), "{}", lab.story());
}

/// What the ports of a lagg were before is remembered for later, and nobody waits for it.
#[test]
fn a_member_is_released_beside_a_lagg_that_stays() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut settings = spec.settings();
    settings.groups[0].interfaces.truncate(2);
    let mut lagg = mpath_model::settings::Lagg::new("lagg0", &settings.detection);
    lagg.ports = vec!["eth2".into()];
    settings.laggs.push(lagg);
    let mut lab = Lab::start(1, settings, spec.kernel(), spec.net(), None);
    lab.run(secs(10));
    lab.ask(Command::Release(Some("eth1".into())));
    lab.run(secs(3));
    assert_eq!((lab.replies.last(), lab.engine.released()), (Some(&Ok(())), true), "{}", lab.story());
}
