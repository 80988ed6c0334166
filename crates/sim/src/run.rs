//! Running seeds: one, or many on all cores.

use crate::duo::Duo;
use crate::invariants::Violation;
use crate::stats::Stats;
use crate::trace::Trace;
use crate::trunk::Trunk;
use crate::world::World;
use mpath_model::Time;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Lines of the trace that a report keeps.
const LINES: usize = 60;
/// Every so manieth world is run twice: equal seeds must give equal runs.
const TWICE: u64 = 16;

/// A broken invariant with its history.
#[derive(Clone, Debug)]
pub struct Report {
    /// What broke.
    pub violation: Violation,
    /// The steps before.
    pub trace: Vec<String>,
}

/// Runs the worlds of one seed: that of a host with groups, that of two hosts with a vhid, and that of a host with a lagg.
pub fn run_one(seed: u64) -> Result<Stats, Violation> {
    let run = || {
        let all =
            || (World::run(seed, Trace::off()), Duo::run(seed, Trace::off()), Trunk::run(seed, Trace::off()));
        catch_unwind(AssertUnwindSafe(all))
    };
    let outcome = |(world, duo, trunk): (World, Duo, Trunk)| match world
        .violation()
        .or(duo.violation())
        .or(trunk.violation())
    {
        Some(v) => Err(v.clone()),
        None => {
            let (carp_steps, takeovers) = duo.counts();
            let (lagg_steps, switches) = trunk.counts();
            Ok(Stats { carp_steps, takeovers, lagg_steps, switches, ..world.stats().clone() })
        }
    };
    let stats = run().map_err(|e| panicked(seed, &*e)).and_then(outcome)?;
    if seed.is_multiple_of(TWICE) {
        let again = run().map_err(|e| panicked(seed, &*e)).and_then(outcome)?;
        if again != stats {
            let what = format!("two runs differ: {stats:?} and {again:?}");
            return Err(Violation { seed, at: Time(0), invariant: "determinism", what });
        }
    }
    Ok(stats)
}

fn panicked(seed: u64, payload: &(dyn std::any::Any + Send)) -> Violation {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Violation { seed, at: Time(0), invariant: "no panic", what: text.to_string() }
}

/// The violation again, with the steps that led to it.
fn explain(violation: Violation) -> Report {
    let seed = violation.seed;
    let keep = || Trace::last(LINES);
    let all = || (World::run(seed, keep()), Duo::run(seed, keep()), Trunk::run(seed, keep()));
    let trace = match catch_unwind(AssertUnwindSafe(all)) {
        Ok((world, ..)) if world.violation() == Some(&violation) => world.trace().lines().cloned().collect(),
        Ok((_, duo, _)) if duo.violation() == Some(&violation) => duo.trace().lines().cloned().collect(),
        Ok((.., trunk)) if trunk.violation() == Some(&violation) => trunk.trace().lines().cloned().collect(),
        Ok(all) if violation.invariant != "determinism" => {
            let others = [all.0.violation(), all.1.violation(), all.2.violation()];
            vec![format!("a second run ended differently: {others:?}")]
        }
        Ok(_) | Err(_) => Vec::new(),
    };
    Report { violation, trace }
}

/// What many worlds brought.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The sum over the worlds that held.
    pub stats: Stats,
    /// The broken ones: the first alone unless all were wanted. Sorted by seed.
    pub broken: Vec<Violation>,
}

impl Outcome {
    /// The first broken world again, with the steps that led to it.
    pub fn explain(&self) -> Option<Report> {
        self.broken.first().cloned().map(explain)
    }
}

/// Runs `count` seeds from `first` on `threads` threads; stops at the first broken invariant unless
/// `keep_going`. `progress` is called with the number of finished worlds.
pub fn run_seeds(
    first: u64,
    count: u64,
    threads: usize,
    keep_going: bool,
    progress: &(dyn Fn(u64) + Sync),
) -> Outcome {
    let next = AtomicU64::new(0);
    let finished = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let total: Mutex<Outcome> = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    let outcome = run_one(first.wrapping_add(n));
                    let mut total = total.lock().expect("no holder of this lock panics");
                    match outcome {
                        Ok(stats) => total.stats.add(&stats),
                        Err(v) => {
                            stop.store(!keep_going, Ordering::Relaxed);
                            total.broken.push(v);
                        }
                    }
                    drop(total);
                    progress(finished.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    let mut outcome = total.into_inner().expect("no holder of this lock panics");
    outcome.broken.sort_by_key(|v| v.seed);
    outcome
}
