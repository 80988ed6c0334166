use super::*;
use crate::group::HomedAddress;
use mpath_model::Time;
use mpath_model::settings::{self, Interface};

/// `names` with a trailing `*` are standby. Each NIC that is not standby is home to one address.
fn group(names: &str, failback: bool) -> Group {
    let interfaces: Vec<Interface> = names
        .split_whitespace()
        .map(|n| Interface {
            name: n.trim_end_matches('*').into(),
            test_addresses: vec![],
            standby: n.ends_with('*'),
        })
        .collect();
    let mut g = Group::new(settings::Group {
        name: "g".into(),
        failure_detection_time: std::time::Duration::from_secs(1),
        failback,
        probe: Default::default(),
        targets: vec![],
        adopt: Default::default(),
        confirm: Default::default(),
        thresholds: Default::default(),
        interfaces,
        addresses: vec![],
    });
    for i in 0..g.nics.len() {
        g.nics[i].index = Some(i as u32 + 1);
        if !g.nics[i].settings.standby {
            add(&mut g, i, &format!("192.0.2.{}/24", 10 + i));
        }
    }
    g
}

fn add(g: &mut Group, home: NicId, addr: &str) {
    let addr = addr.parse().unwrap();
    g.addresses.push(HomedAddress { declared: true, ..HomedAddress::new(addr, home) });
}

fn settle(g: &mut Group) {
    for _ in 0..10 {
        if !place(g, &|_, _| true, &|_, _| false) {
            return;
        }
    }
    panic!("placement does not come to rest");
}

fn hosts(g: &Group) -> String {
    g.addresses.iter().map(|a| g.nics[a.host].name()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_standby_takes_over_and_gives_back() {
    let mut g = group("a b s*", true);
    settle(&mut g);
    assert_eq!(hosts(&g), "a b");
    g.nics[0].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "s b");
    g.nics[0].failed = false;
    settle(&mut g);
    assert_eq!(hosts(&g), "a b");
}

/// What is at home on a standby is not sent to and fro between it and a NIC that loses a lot.
#[test]
fn a_standby_keeps_its_own_beside_a_nic_that_loses_a_lot() {
    let mut g = group("a s*", true);
    add(&mut g, 1, "192.0.2.20/24");
    settle(&mut g);
    assert_eq!(hosts(&g), "a a");
    g.nics[0].distrusted = Some(Time(1));
    settle(&mut g);
    assert_eq!(hosts(&g), "s s");
    g.nics[0].distrusted = None;
    settle(&mut g);
    assert_eq!(hosts(&g), "a a");
}

#[test]
fn the_least_loaded_takes_all_and_ties_follow_configuration_order() {
    let mut g = group("a b c", true);
    add(&mut g, 0, "192.0.2.20/24");
    add(&mut g, 1, "192.0.2.21/24");
    g.nics[0].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "c b c c b");
    let mut g = group("a b c", true);
    g.nics[0].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "b b c");
}

#[test]
fn foreign_addresses_move_on_and_owners_are_respected() {
    let mut g = group("a b c", true);
    g.nics[1].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "a a c");
    g.nics[0].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "c c c");
    g.nics[1].failed = false;
    settle(&mut g);
    assert_eq!(hosts(&g), "c b c", "b gets its own; what belongs to a stays where it works")
}

#[test]
fn without_failback_addresses_stay_and_the_repaired_nic_is_the_next_destination() {
    let mut g = group("a b c", false);
    g.nics[0].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "b b c");
    g.nics[0].failed = false;
    settle(&mut g);
    assert_eq!(hosts(&g), "b b c");
    assert!(g.inactive(0));
    g.nics[2].failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "b b a");
    g.nics[0].bring_home = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "a b a", "online brings home in any case");
}

#[test]
fn a_standby_never_keeps_data_of_its_own() {
    let mut g = group("a s*", true);
    add(&mut g, 1, "192.0.2.30/24");
    settle(&mut g);
    assert_eq!(hosts(&g), "a a");
    let mut g = group("s* t*", true);
    add(&mut g, 0, "192.0.2.30/24");
    settle(&mut g);
    assert_eq!(hosts(&g), "s", "another standby is no better");
}

#[test]
fn nothing_moves_in_a_failed_group_or_without_a_destination() {
    let mut g = group("a b", true);
    g.nics[0].failed = true;
    g.failed = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "a b");
    g.failed = false;
    g.nics[1].offline = true;
    settle(&mut g);
    assert_eq!(hosts(&g), "a b");
}

#[test]
fn a_nic_without_the_family_is_no_destination() {
    let mut g = group("a b", true);
    g.addresses[0].addr = "2001:db8::1/64".parse().unwrap();
    g.nics[0].failed = true;
    assert!(!place(&mut g, &|n, f| f == Family::Inet || n == 0, &|_, _| false));
    assert_eq!(hosts(&g), "a b");
}

#[test]
fn a_home_that_lost_the_family_is_left_and_gone_back_to() {
    let mut g = group("a b", true);
    g.addresses[0].addr = "2001:db8::1/64".parse().unwrap();
    let without_a = |n: NicId, f: Family| f == Family::Inet || n != 0;
    assert!(place(&mut g, &without_a, &|_, _| false));
    assert_eq!(hosts(&g), "b b");
    assert!(!place(&mut g, &without_a, &|_, _| false));
    g.nics[1].failed = true;
    assert!(place(&mut g, &|_, _| true, &|_, _| false));
    assert_eq!(hosts(&g), "a a", "the second one is b's own");
}

#[test]
fn where_it_is_left_alone_nothing_goes_home_from_whoever_serves() {
    let mut g = group("a b", true);
    let shunned = |n: NicId, _: &mpath_model::IfAddr| n == 0;
    g.nics[0].failed = true;
    assert!(place(&mut g, &|_, _| true, &shunned));
    g.nics[0].failed = false;
    assert!(!place(&mut g, &|_, _| true, &shunned));
    assert_eq!(hosts(&g), "b b");
    g.nics[1].failed = true;
    assert!(place(&mut g, &|_, _| true, &shunned));
    assert_eq!(hosts(&g), "a a");
}

#[test]
fn an_absent_home_is_hosted_by_the_standby() {
    let mut g = group("a b s*", true);
    g.nics[0].index = None;
    settle(&mut g);
    assert_eq!(hosts(&g), "s b");
    g.nics[0].index = Some(9);
    settle(&mut g);
    assert_eq!(hosts(&g), "a b");
}
