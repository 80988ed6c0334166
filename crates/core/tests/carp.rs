//! Two hosts with whole engines and one vhid, in a world that kills, freezes and cuts: at most one of them answers for
//! the address, whatever happens, as long as they can hear each other.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "common/kernel.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod kernel;

#[path = "carp/world.rs"]
mod world;

use mpath_core::input::Command;
use std::time::Duration;
use world::World;

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_better_host_is_master_and_the_other_takes_over_after_its_patience() {
    let mut w = World::new(1, [0, 100], false);
    w.run(s(10));
    assert_eq!(w.masters(), [true, false]);
    let killed = w.now;
    w.kill(0);
    w.run_until(s(10), |w| w.masters() == [false, true]);
    let took = w.now - killed;
    assert!(took > s(2) && took < Duration::from_millis(3_400), "{took:?}");
    w.start(0);
    w.run(s(10));
    assert_eq!(w.masters(), [false, true], "without preempt it stays");
}

#[test]
fn a_clean_stop_hands_over_at_once() {
    let mut w = World::new(2, [0, 100], false);
    w.run(s(10));
    let stopped = w.now;
    w.stop(0);
    w.run_until(s(10), |w| w.masters() == [false, true]);
    assert!(w.now - stopped < Duration::from_millis(50));
    assert!(!w.answers(0));
}

#[test]
fn who_is_better_preempts_if_told_to() {
    let mut w = World::new(3, [0, 100], true);
    w.run(s(10));
    w.kill(0);
    w.run(s(6));
    assert_eq!(w.masters(), [false, true]);
    w.start(0);
    w.run(s(10));
    assert_eq!(w.masters(), [true, false]);
    w.ask(0, Command::Demote(240));
    w.run(s(3));
    assert_eq!(w.masters(), [false, true], "the healthier host wins");
}

#[test]
fn a_new_life_within_the_lifetimes_goes_on_as_master() {
    let mut w = World::new(4, [0, 100], false);
    w.run(s(10));
    w.kill(0);
    w.run(Duration::from_millis(300));
    w.start(0);
    w.run(s(10));
    assert_eq!(w.masters(), [true, false]);
    assert_eq!(w.takeovers(1), 0, "the other one never noticed");
}

#[test]
fn a_host_that_slept_as_master_gives_up_before_anything_else() {
    let mut w = World::new(5, [0, 100], false);
    w.run(s(10));
    w.freeze(0, s(20));
    w.run(s(30));
    assert_eq!(w.masters(), [false, true]);
}

#[test]
fn a_split_ends_within_an_advert_of_healing() {
    let mut w = World::new(6, [0, 100], false);
    w.run(s(10));
    w.cut(true);
    w.run(s(10));
    assert_eq!(w.masters(), [true, true], "each is alone");
    w.cut(false);
    let healed = w.now;
    w.run_until(s(10), |w| w.masters() == [true, false]);
    assert!(w.now - healed < Duration::from_millis(1_500));
}

#[test]
fn two_equal_hosts_do_not_take_turns_for_ever() {
    let mut w = World::new(7, [0, 0], false);
    w.run(s(60));
    let before = w.takeovers(0) + w.takeovers(1);
    w.run(s(60));
    assert_eq!(w.takeovers(0) + w.takeovers(1), before);
    assert!(w.masters()[0] ^ w.masters()[1]);
}

/// Kills, starts, stops, sleeps, demotions and lost packets in any order; every step is checked.
#[test]
fn at_most_one_host_answers() {
    let only = std::env::var("CARP_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    for seed in only.map_or(0..500, |s| s..s + 1) {
        let mut w = World::new(seed, [0, 100], seed % 2 == 0);
        w.loss = if seed % 3 == 0 { 10 } else { 0 };
        w.run(s(6));
        for _ in 0..25 {
            w.disturb();
            let pause = Duration::from_millis(w.random(6_000));
            w.run(pause);
        }
        w.calm();
        w.run(s(15));
        let masters = w.masters();
        assert!(masters[0] ^ masters[1], "seed {seed}: in the end exactly one is master: {masters:?}");
    }
}
