//! Two hosts and one vhid: what they owe each other, step by step. Hundreds of worlds in which anything may happen run
//! with those of `worlds.rs`.

use mpath_core::input::Command;
use mpath_sim::duo::{Duo, Manner};
use mpath_sim::trace::Trace;
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;
const S: fn(u64) -> Duration = Duration::from_secs;

fn duo(manner: Manner) -> Duo {
    Duo::new(1, manner, Trace::off())
}

/// The first host is preferred.
const PLAIN: Manner = Manner { skew: [0, 100], preempt: false, group: false, loss: 0, reorder: false };

#[track_caller]
fn assert_sound(duo: &Duo) {
    assert_eq!(duo.violation(), None);
}

#[test]
fn the_better_host_is_master_and_the_other_takes_over_after_its_patience() {
    let mut w = duo(PLAIN);
    w.pass(S(10));
    assert_eq!(w.masters(), [true, false]);
    let killed = w.now;
    w.kill(0);
    assert!(w.pass_until(S(10), |w| w.masters() == [false, true]));
    let took = w.now - killed;
    assert!(took > S(2) && took < MS(3_400), "{took:?}");
    w.start(0);
    w.pass(S(10));
    assert_eq!(w.masters(), [false, true], "without preempt it stays");
    assert_sound(&w);
}

#[test]
fn a_clean_stop_hands_over_at_once() {
    let mut w = duo(PLAIN);
    w.pass(S(10));
    let stopped = w.now;
    w.stop(0);
    assert!(w.pass_until(S(10), |w| w.masters() == [false, true]));
    assert!(w.now - stopped < MS(50));
    assert!(!w.answers(0) && w.answers(1));
    assert_sound(&w);
}

#[test]
fn who_is_better_preempts_if_told_to() {
    let mut w = duo(Manner { preempt: true, ..PLAIN });
    w.pass(S(10));
    w.kill(0);
    w.pass(S(6));
    assert_eq!(w.masters(), [false, true]);
    w.start(0);
    w.pass(S(10));
    assert_eq!(w.masters(), [true, false]);
    w.ask(0, Command::Demote(240));
    w.pass(S(3));
    assert_eq!(w.masters(), [false, true], "the healthier host wins");
    assert_sound(&w);
}

#[test]
fn a_new_life_within_the_lifetimes_goes_on_as_master() {
    let mut w = duo(PLAIN);
    w.pass(S(10));
    w.kill(0);
    w.pass(MS(300));
    w.start(0);
    w.pass(S(10));
    assert_eq!(w.masters(), [true, false]);
    assert_eq!(w.takeovers(1), 0, "the other one never noticed");
    assert_sound(&w);
}

#[test]
fn a_host_that_slept_as_master_gives_up_before_anything_else() {
    let mut w = duo(PLAIN);
    w.pass(S(10));
    w.freeze(0, S(20));
    w.pass(S(30));
    assert_eq!(w.masters(), [false, true]);
    assert_sound(&w);
}

#[test]
fn a_split_ends_within_an_advert_of_healing() {
    let mut w = duo(PLAIN);
    w.pass(S(10));
    w.split(true);
    w.pass(S(10));
    assert_eq!(w.masters(), [true, true], "each is alone");
    w.split(false);
    let healed = w.now;
    assert!(w.pass_until(S(10), |w| w.masters() == [true, false]));
    assert!(w.now - healed < MS(1_500));
    assert_sound(&w);
}

#[test]
fn two_equal_hosts_do_not_take_turns_for_ever() {
    let mut w = duo(Manner { skew: [0, 0], ..PLAIN });
    w.pass(S(60));
    let before = w.takeovers(0) + w.takeovers(1);
    w.pass(S(60));
    assert_eq!(w.takeovers(0) + w.takeovers(1), before);
    assert!(w.masters()[0] ^ w.masters()[1]);
    assert_sound(&w);
}

/// A NIC of a group is no reason for another host to take over, preempt or not; the whole group is.
#[test]
fn faults_of_a_nic_stay_inside_the_host() {
    for reorder in [false, true] {
        let mut w = duo(Manner { group: true, reorder, ..PLAIN });
        w.pass(S(10));
        for round in 0..10 {
            w.cable(0, round % 2, false);
            w.pass(S(4));
            assert!(w.answers(0), "round {round}");
            w.cable(0, round % 2, true);
            w.pass(S(4));
        }
        assert_eq!((w.masters(), w.takeovers(0), w.takeovers(1)), ([true, false], 1, 0));
        w.cable(0, 0, false);
        w.cable(0, 1, false);
        w.pass(S(5));
        assert_eq!(w.masters(), [false, true]);
        assert_sound(&w);
    }
}

/// With preempt, a host whose group has lost a NIC gives way to one that is whole, and comes back when it is mended.
#[test]
fn the_healthier_host_wins() {
    let mut w = duo(Manner { group: true, preempt: true, ..PLAIN });
    w.pass(S(10));
    w.cable(0, 0, false);
    w.pass(S(5));
    assert_eq!(w.masters(), [false, true]);
    w.cable(0, 0, true);
    w.pass(S(8));
    assert_eq!(w.masters(), [true, false]);
    assert_sound(&w);
}
