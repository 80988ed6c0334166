//! The engine in a few hundred worlds, and the proof that the invariants notice a defective daemon.

use mpath_sim::churn::CHURN;
use mpath_sim::cut::{Cut, Piece};
use mpath_sim::trace::Trace;
use mpath_sim::world::{Sabotage, World};
use mpath_sim::{run_piece, run_seeds};

/// Worlds of every test run; `mpath-sim` runs as many as one likes.
const WORLDS: u64 = 300;

#[test]
fn no_invariant_breaks() {
    let outcome = run_seeds(0, WORLDS, 2, false, &|_| {});
    let stats = &outcome.stats;
    if let Some(report) = outcome.explain() {
        panic!(
            "{}\nreplay: mpath-sim --seed {} --seeds 1 --trace\n{}",
            report.violation,
            report.violation.seed,
            report.trace.join("\n")
        );
    }
    // A world in which nothing happens proves nothing.
    assert_eq!(stats.worlds, WORLDS);
    let counts = [stats.nic_failures, stats.repairs, stats.failovers, stats.failbacks, stats.takeovers];
    assert!(counts.iter().all(|n| *n > WORLDS), "{stats:?}");
    let rarer = [stats.group_failures, stats.restarts, stats.refused, stats.lost, stats.duties];
    assert!(rarer.iter().all(|n| *n > WORLDS / 10), "{stats:?}");
}

#[test]
fn killed_and_configured_anew_again_and_again() {
    let outcome = run_seeds(CHURN, 60, 2, false, &|_| {});
    if let Some(report) = outcome.explain() {
        panic!("{}\nreplay: mpath-sim --seed {} --seeds 1 --trace", report.violation, report.violation.seed);
    }
    assert!(outcome.stats.restarts > 150, "{:?}", outcome.stats);
}

/// Worlds in which an invariant broke once, and pieces of such worlds.
const REGRESSIONS: &str = include_str!("regressions.txt");

#[test]
fn what_broke_once_holds() {
    for line in REGRESSIONS.lines().filter(|line| !line.starts_with('#')) {
        let piece: Piece = line.parse().unwrap_or_else(|e| panic!("regressions.txt: {line}: {e}"));
        assert_eq!(piece.check(), Ok(()), "regressions.txt: {line}");
        let violation = run_piece(&piece, Trace::off()).violation;
        assert_eq!(violation, None, "replay: mpath-sim replay {piece} --trace");
    }
}

/// Names of the invariants that a defect breaks within the first worlds.
fn noticed(sabotage: Sabotage) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = (0..30)
        .filter_map(|seed| {
            World::run_cut(seed, &Cut::default(), Trace::off(), Some(sabotage))
                .violation()
                .map(|v| v.invariant)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn defects_are_noticed() {
    for (sabotage, invariant) in [
        (Sabotage::KeepsOld, "exactly one NIC"),
        (Sabotage::BreaksFirst, "address lost"),
        (Sabotage::Floods, "action flood"),
        (Sabotage::LateTimers, "verdict within the detection time"),
        (Sabotage::Forgets, "all well in the end"),
        (Sabotage::IgnoresRoutes, "off the bad NIC"),
    ] {
        let names = noticed(sabotage);
        assert!(names.contains(&invariant), "{sabotage:?} broke only {names:?}");
    }
}

#[test]
fn a_seed_is_one_world() {
    let run = |seed| World::run(seed, Trace::off()).stats().clone();
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).digest, run(8).digest);
}
