//! Running seeds: one, or many on all cores.

use crate::cut::{Event, Kind, Piece};
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

/// What came of a world.
#[derive(Debug)]
pub struct Ran {
    /// What broke, if anything.
    pub violation: Option<Violation>,
    /// What went wrong.
    pub events: Vec<Event>,
    /// What happened, if it was recorded.
    pub trace: Trace,
    /// In numbers; those of one world are sums over it alone.
    pub stats: Stats,
}

/// Runs one world of a seed, or what is left of it. No panic gets out.
pub fn run_piece(piece: &Piece, trace: Trace) -> Ran {
    let Piece { seed, world, cut } = piece;
    match world {
        Kind::Groups => World::run_cut(*seed, cut, trace, None).into(),
        Kind::Carp => Duo::run_cut(*seed, cut, trace).into(),
        Kind::Lagg => Trunk::run_cut(*seed, cut, trace).into(),
    }
}

/// Runs the worlds of one seed: that of a host with groups, that of two hosts with a vhid, and that of a host with a lagg.
pub fn run_one(seed: u64) -> Result<Stats, Violation> {
    let run = || {
        let mut stats = Stats::default();
        for world in Kind::ALL {
            let ran = run_piece(&Piece::whole(seed, world), Trace::off());
            if let Some(violation) = ran.violation {
                return Err(violation);
            }
            stats.add(&ran.stats);
        }
        Ok(stats)
    };
    let stats = run()?;
    if seed.is_multiple_of(TWICE) {
        let again = run()?;
        if again != stats {
            let what = format!("two runs differ: {stats:?} and {again:?}");
            return Err(Violation { seed, at: Time(0), invariant: "determinism", what });
        }
    }
    Ok(stats)
}

/// What a panic said, if it came to one.
pub(crate) fn panic_of(run: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(run)).err()?;
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Some(text.to_owned())
}

/// The violation again, with the steps that led to it.
fn explain(violation: Violation) -> Report {
    let ran = Kind::ALL.map(|world| run_piece(&Piece::whole(violation.seed, world), Trace::last(LINES)));
    let trace = match ran.iter().find(|r| r.violation.as_ref() == Some(&violation)) {
        Some(ran) => ran.trace.lines().cloned().collect(),
        None if violation.invariant != "determinism" => {
            let others = ran.map(|r| r.violation);
            vec![format!("a second run ended differently: {others:?}")]
        }
        None => Vec::new(),
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
