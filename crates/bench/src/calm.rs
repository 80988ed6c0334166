//! Scenario `calm`: nothing is broken, and something else disturbs the daemon. Nothing may fail.

use crate::cli::{CalmOptions, Disturbance};
use crate::cost::processor_time;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::{FAMILIES, PATIENCE, Site, Stage};
use crate::stats::ms;
use mpath_model::EventKind;
use mpath_testkit::{Error, Hogs};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Events that tell of a failure.
const FAILURES: [EventKind; 3] = [EventKind::NicFailed, EventKind::GroupFailed, EventKind::Failover];

/// Limit of the processor time, at a detection time of 100 ms, ms a second.
const PROCESSOR_MS: f64 = 3.0;

/// One disturbance.
struct Run {
    /// Events that told of a failure.
    failures: usize,
    /// Longest time without an answer, IPv4 and IPv6, ms.
    gap: [f64; 2],
    /// Detection time in force at the end, ms.
    in_force: f64,
    /// Processor time of the daemon, ms a second.
    processor: f64,
}

/// Makes each disturbance `runs` times.
pub(crate) fn run(site: &Site, options: &CalmOptions, runs: u32) -> Result<Vec<Case>, Error> {
    options.by.iter().map(|by| case(site, options, *by, runs)).collect()
}

fn case(site: &Site, options: &CalmOptions, by: Disturbance, runs: u32) -> Result<Case, Error> {
    let progress = Progress::new(format!("calm, {}", by.name()), runs);
    let stage = Stage::build(site, options.fdt)?;
    let mut all = Vec::new();
    for number in 1..=runs {
        let run = disturb(&stage, options, by)?;
        progress.done(number, &format!("{} failures, detection time {:.0} ms", run.failures, run.in_force));
        if run.failures > 0 {
            progress.note(&stage.log());
        }
        all.push(run);
    }
    let of = |value: &dyn Fn(&Run) -> f64| all.iter().map(value).collect::<Vec<f64>>();
    let gap = |f: usize| {
        let family = FAMILIES[f];
        let key = format!("gap_{}_ms", family.to_lowercase());
        Measure::new(key, format!("longest gap {family}, ms"), of(&|run| run.gap[f]))
    };
    let failures: usize = all.iter().map(|run| run.failures).sum();
    let mut checks = vec![Check {
        key: "false_failures",
        label: "failures without a fault".to_owned(),
        found: failures.to_string(),
        ok: failures == 0,
    }];
    if by == Disturbance::None && options.fdt >= Duration::from_millis(100) {
        let most = all.iter().map(|run| run.processor).fold(0.0, f64::max);
        checks.push(Check {
            key: "processor",
            label: format!("processor time under {PROCESSOR_MS} ms a second"),
            found: format!("{most:.2} ms"),
            ok: most < PROCESSOR_MS,
        });
    }
    Ok(Case {
        title: format!(
            "{}, failure detection time {} ms, {} runs of {} s",
            by.name(),
            options.fdt.as_millis(),
            all.len(),
            options.lasting.as_secs_f64()
        ),
        settings: vec![
            ("failure_detection_time_ms", ms(options.fdt)),
            ("lasting_ms", ms(options.lasting)),
            ("rate_hz", f64::from(options.traffic.rate)),
        ],
        measures: vec![
            gap(0),
            gap(1),
            Measure::new("in_force_ms", "detection time in force, ms", of(&|r| r.in_force)),
            Measure::new("processor_ms", "processor time of the daemon, ms a second", of(&|r| r.processor)),
        ],
        checks,
    })
}

fn disturb(stage: &Stage, options: &CalmOptions, by: Disturbance) -> Result<Run, Error> {
    let traffic = stage.traffic(options.traffic.rate)?;
    let begin = Instant::now();
    let used = processor_time(stage.daemon())?;
    let hogs = match by {
        Disturbance::Hogs => Some(Hogs::start()?),
        Disturbance::Hog => Some(Hogs::start_on(1)?),
        Disturbance::Stop | Disturbance::None => None,
    };
    if by == Disturbance::Stop {
        stage.signal(Signal::SIGSTOP)?;
        std::thread::sleep(options.lasting / 2);
        stage.signal(Signal::SIGCONT)?;
    }
    std::thread::sleep(options.lasting.saturating_sub(begin.elapsed()));
    let processor = ms(processor_time(stage.daemon())?.saturating_sub(used)) / begin.elapsed().as_secs_f64();
    let seen = traffic.window(begin, Instant::now());
    let in_force = ms(stage.detection_time()?);
    drop(hogs);
    traffic.wait_answers(PATIENCE)?;
    let failed = |e: &crate::events::Seen| e.at >= begin && FAILURES.contains(&e.event.event.event);
    let failures = stage.events.all()?.iter().filter(|e| failed(e)).count();
    stage.wait_home(PATIENCE)?;
    Ok(Run { failures, gap: seen.map(|report| ms(report.outage)), in_force, processor })
}
