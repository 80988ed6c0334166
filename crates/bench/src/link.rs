//! Scenarios `link` and `late`: the cable of the NIC with the data addresses is cut. In `late` the kernel holds the event
//! back, as it does with physical NICs when another link event fired within the last second.

use crate::cli::LinkOptions;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure, Seen, client_measures};
use crate::rng::Rng;
use crate::stage::{HOME, NIC, PATIENCE, Site, Stage};
use crate::stats::{Summary, ms};
use mpath_model::EventKind;
use mpath_testkit::{Error, GroupConfig, LanOptions};
use std::time::Duration;

/// Detection time of the daemon: the link tells of the failure, so it only matters for the way home.
const FDT: Duration = Duration::from_secs(1);

/// Length of the windows with and without the fault.
const WINDOW: Duration = Duration::from_secs(1);

/// The cut comes at a random moment within this time: longer than a period of any timer that could be in step.
const SPREAD: Duration = Duration::from_millis(300);

/// Limits of the outage, worse family of each run, ms.
const LIMIT50_MS: f64 = 1.0;
const LIMIT99_MS: f64 = 5.0;
/// The same when the kernel's event is late.
const LATE99_MS: f64 = 15.0;

/// One failure.
struct Run {
    seen: Seen,
    /// From the cut to `nic_failed` at the watcher, ms.
    told: f64,
}

/// Measures `runs` failures.
pub(crate) fn run(
    site: &Site,
    options: &LinkOptions,
    late: bool,
    runs: u32,
    seed: u64,
) -> Result<Vec<Case>, Error> {
    let name = if late { "late" } else { "link" };
    let progress = Progress::new(name.to_owned(), runs);
    let lan = LanOptions { late_carrier: late, ..LanOptions::default() };
    let config = GroupConfig { failure_detection_time: FDT, ..GroupConfig::default() };
    let stage = Stage::build_on(site, &config, lan)?;
    if late {
        stage.lan.make_noise_source()?;
    }
    let mut rng = Rng::new(seed);
    let mut all = Vec::new();
    for number in 1..=runs {
        let run = failure(&stage, options.rate, late, &mut rng)?;
        progress.done(number, &format!("outage {:.2} ms, told after {:.2} ms", run.seen.worse(), run.told));
        all.push(run);
    }
    Ok(vec![case(options, late, &all)])
}

fn failure(stage: &Stage, rate: u32, late: bool, rng: &mut Rng) -> Result<Run, Error> {
    let traffic = stage.traffic(rate)?;
    let floor = traffic.floor(WINDOW);
    if late {
        stage.lan.make_noise()?;
    }
    std::thread::sleep(rng.below(SPREAD));
    let cut = stage.lan.cut(NIC)?;
    let told = stage.events.wait(EventKind::NicFailed, HOME, cut, PATIENCE)?;
    let fault = traffic.around(cut, WINDOW)?;
    drop(traffic);
    stage.lan.plug(NIC)?;
    stage.wait_home(PATIENCE)?;
    Ok(Run { seen: Seen::of(&floor, &fault), told: ms(told.at - cut) })
}

fn case(options: &LinkOptions, late: bool, all: &[Run]) -> Case {
    let seen: Vec<Seen> = all.iter().map(|run| run.seen).collect();
    let worse: Vec<f64> = seen.iter().map(Seen::worse).collect();
    let summary = Summary::of(&worse);
    let p50 = summary.map_or(f64::INFINITY, |s| s.p50);
    let p99 = summary.map_or(f64::INFINITY, |s| s.p99);
    let (limit50, limit99) = if late { (None, LATE99_MS) } else { (Some(LIMIT50_MS), LIMIT99_MS) };
    let mut measures = client_measures(&seen);
    let told = all.iter().map(|run| run.told).collect();
    measures.push(Measure::new("told_ms", "nic_failed at a watcher, ms", told));
    Case {
        title: format!(
            "cable cut{}, {} packets/s in each family, {} failures",
            if late { ", event held back" } else { "" },
            options.rate,
            all.len()
        ),
        settings: vec![
            ("rate_hz", f64::from(options.rate)),
            ("failure_detection_time_ms", ms(FDT)),
            ("window_ms", ms(WINDOW)),
        ],
        measures,
        checks: limit50
            .map(|limit| ("outage_p50", "p50", p50, limit))
            .into_iter()
            .chain([("outage_p99", "p99", p99, limit99)])
            .map(|(key, which, found, limit)| Check {
                key,
                label: format!("outage {which} under {limit} ms"),
                found: format!("{found:.2} ms"),
                ok: found < limit,
            })
            .collect(),
    }
}
