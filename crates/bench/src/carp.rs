//! Scenario `carp`: two hosts with one virtual address. The master is killed, stopped, or runs its program again; how long
//! until the other one answers, and whether both ever do. And what many vhids cost.

mod inside;
mod many;
mod world;

use crate::cli::{CarpFault, CarpOptions};
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::Site;
use crate::stats::{Summary, ms};
use mpath_testkit::Error;
use mpath_testkit::witness::Tally;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use world::{Run, World};
pub(crate) use world::{launch, opposite, wait_state};

/// Silence after which the other one takes over at advbase 1 and skew 0, and what may be added, ms.
const PATIENCE_MS: (f64, f64) = (3000.0, 3100.0);
/// Longest way from a clean stop to the other one's first answer, ms.
const STOP_MS: f64 = 50.0;
/// What an advert may be late by, ms.
const LATE_MS: f64 = 50.0;

/// Everything asked for, each a case of its own.
pub(crate) fn run(site: &Site, options: &CarpOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for what in &options.what {
        cases.push(match what {
            CarpFault::Many => many::case(site)?,
            CarpFault::Group | CarpFault::Lagg => inside::case(site, *what, runs)?,
            fault => faults(site, *fault, options.worlds, runs, seed)?,
        });
    }
    Ok(cases)
}

/// `runs` faults, shared by `worlds` worlds that run at once.
fn faults(site: &Site, fault: CarpFault, worlds: u32, runs: u32, seed: u64) -> Result<Case, Error> {
    let worlds = worlds.min(runs);
    let progress = Progress::new(format!("carp, {}", fault.name()), runs);
    let (next, all) = (AtomicU32::new(0), Mutex::new((Vec::new(), Tally::default())));
    let one = |number: u32| -> Result<(), Error> {
        let mut world = World::build(site, fault)?;
        let mut rng = Rng::new(seed.wrapping_mul(1000).wrapping_add(number.into()));
        while next.fetch_add(1, Ordering::Relaxed) < runs {
            let run = world.fault(fault, &mut rng)?;
            let mut all = all.lock().expect("no holder of this lock panics");
            all.0.push(run);
            let done = u32::try_from(all.0.len()).unwrap_or(u32::MAX);
            progress.done(done, &run.text(fault));
        }
        let tally = world.tally();
        let sum = &mut all.lock().expect("no holder of this lock panics").1;
        (sum.asked, sum.answered) = (sum.asked + tally.asked, sum.answered + tally.answered);
        sum.by_both += tally.by_both;
        Ok(())
    };
    std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..worlds).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().try_for_each(|t| t.join().expect("worlds do not panic"))
    })?;
    let (runs, tally) = all.into_inner().expect("no holder of this lock panics");
    Ok(case(fault, worlds, &runs, tally))
}

fn case(fault: CarpFault, worlds: u32, runs: &[Run], tally: Tally) -> Case {
    let of = |key: &str, label: &str, value: fn(&Run) -> f64| {
        Measure::new(key, label, runs.iter().map(value).collect())
    };
    let silence = of("silence_ms", "last advert to the other's first, ms", |r| ms(r.silence));
    let unanswered = of("answer_ms", "last advert to the other's first answer, ms", |r| ms(r.answer));
    let taken = of("taken_ms", "fault to the other's first answer, ms", |r| ms(r.taken));
    let late = of("late_ms", "longest time between adverts beyond the interval, ms", |r| ms(r.late));
    let lost = of("lost", "packets lost", |r| r.lost);
    let range = |m: &Measure| Summary::of(&m.samples).map_or((f64::NAN, f64::NAN), |s| (s.min, s.max));
    let limit = |key, label: String, m: &Measure, least: f64, most: f64| {
        let (min, max) = range(m);
        Check { key, label, found: format!("{min:.1} to {max:.1} ms"), ok: min >= least && max <= most }
    };
    let (least, most) = PATIENCE_MS;
    let mut checks = vec![Check {
        key: "by_both",
        label: "questions answered by both hosts".to_owned(),
        found: format!("{} of {}", tally.by_both, tally.asked),
        ok: tally.by_both == 0 && tally.answered > 0,
    }];
    let measures = match fault {
        CarpFault::Kill => {
            let label = format!("takeover {least} to {most} ms after the last advert");
            checks.push(limit("takeover", label, &silence, least, most));
            let label = "the other answers within the protocol's time plus 50 ms".to_owned();
            checks.push(limit("answer", label, &unanswered, 0.0, least + 50.0));
            vec![silence, unanswered, taken]
        }
        CarpFault::Stop => {
            checks.push(limit("takeover", format!("takeover within {STOP_MS} ms"), &taken, 0.0, STOP_MS));
            vec![taken]
        }
        _ => {
            checks.push(limit("late", format!("no advert later than {LATE_MS} ms"), &late, 0.0, LATE_MS));
            let total: f64 = lost.samples.iter().sum();
            let label = "packets lost".to_owned();
            checks.push(Check { key: "lost", label, found: total.to_string(), ok: total == 0.0 });
            vec![late, lost]
        }
    };
    Case {
        title: format!("{}, {} runs in {worlds} worlds at once, advbase 1, skew 0", fault.name(), runs.len()),
        settings: vec![("worlds", f64::from(worlds))],
        measures,
        checks,
    }
}
