//! Scenarios `scale` and `idle`: what a daemon costs that has nothing to do but to watch, by the number of NICs: processor
//! time, memory, wake-ups. The floor is what one echo, there and back, costs a program that does nothing else on this
//! network, where a virtual cable charges the whole way to whoever sends.

mod network;

use crate::cli::{IdleOptions, Load, ScaleOptions};
use crate::cost::Cost;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::{PATIENCE, Site, Stage};
use crate::stats::{Summary, ms};
use mpath_model::status::{ProbeState, Status};
use mpath_testkit::daemon::DaemonOptions;
use mpath_testkit::{Daemon, Error};
use network::Network;
use std::time::Duration;

/// What is left over from the start has been done after this time.
const SETTLING: Duration = Duration::from_secs(3);
/// Limits: NICs, failure detection time, percent of a processor, and MiB of memory where that has a limit.
const LIMITS: [(u32, Duration, f64, Option<f64>); 2] =
    [(512, Duration::from_secs(10), 3.0, Some(64.0)), (64, Duration::from_millis(100), 30.0, None)];
/// Limit of a quiet daemon with two NICs, percent of a processor.
const IDLE: f64 = 0.2;
/// A probe among many NICs may cost so many times as much as one among few.
const FLAT: f64 = 1.25;

/// What each window saw.
#[derive(Default)]
struct Samples {
    percent: Vec<f64>,
    each_us: Vec<f64>,
    ratio: Vec<f64>,
    probes: Vec<f64>,
    wakeups: Vec<f64>,
    memory: Vec<f64>,
}

impl Samples {
    fn push(&mut self, cost: &Cost, probes: f64, floor_us: f64) {
        let seconds = cost.time.as_secs_f64();
        let each = ms(cost.processor) * 1000.0 / probes.max(1.0);
        self.percent.push(cost.processor.as_secs_f64() / seconds * 100.0);
        self.each_us.push(each);
        self.ratio.push(each / floor_us.max(f64::MIN_POSITIVE));
        self.probes.push(probes / seconds);
        self.wakeups.push(cost.wakeups / seconds);
        self.memory.push(cost.memory_mib);
    }

    fn measures(self) -> Vec<Measure> {
        vec![
            Measure::new("processor_percent", "processor time, % of one", self.percent),
            Measure::new("probe_us", "processor time for each probe, us", self.each_us),
            Measure::new("probe_to_floor", "the same : one echo by itself", self.ratio),
            Measure::new("probes_hz", "probes a second", self.probes),
            Measure::new("wakeups_hz", "wake-ups a second", self.wakeups),
            Measure::new("memory_mib", "resident memory, MiB", self.memory),
        ]
    }
}

fn median(samples: &[f64]) -> f64 {
    Summary::of(samples).map_or(0.0, |s| s.p50)
}

fn limit(key: &'static str, label: String, unit: &str, found: f64, most: f64) -> Check {
    Check { key, label, found: format!("{found:.2}{unit}"), ok: found < most }
}

/// Measures each load in `runs` windows.
pub(crate) fn run(site: &Site, options: &ScaleOptions, runs: u32) -> Result<Vec<Case>, Error> {
    let mut cases: Vec<(Load, Case)> = Vec::new();
    for load in &options.at {
        let mut case = case(site, *load, options.lasting, runs)?;
        let each = |case: &Case| {
            case.measures.iter().find(|m| m.key == "probe_us").map_or(0.0, |m| median(&m.samples))
        };
        if let Some((few, first)) = cases.iter().find(|(few, _)| few.fdt == load.fdt) {
            let (found, before) = (each(&case), each(first));
            let label = format!("a probe under {FLAT} times what it costs with {} NICs", few.nics);
            case.checks.push(limit("flat", label, "", found / before.max(f64::MIN_POSITIVE), FLAT));
        }
        cases.push((*load, case));
    }
    Ok(cases.into_iter().map(|(_, case)| case).collect())
}

fn case(site: &Site, load: Load, lasting: Duration, runs: u32) -> Result<Case, Error> {
    let Load { nics, fdt } = load;
    let progress = Progress::new(format!("{nics} NICs at {fdt:?}"), runs);
    let network = Network::build(nics)?;
    let floor_us = network.floor_us()?;
    let binary = Some(site.daemon.clone());
    let options = DaemonOptions { config: network.config(fdt), binary, ..DaemonOptions::default() };
    let daemon = Daemon::launch(&network.server, options)?;
    site.interrupt.remove_at_end(daemon.directory());
    daemon.wait_ready()?;
    let well = |status: &Status| {
        let mut all = status.groups.iter().flat_map(|g| &g.interfaces);
        all.all(|i| {
            i.probe == ProbeState::Ok && i.instances.iter().filter(|x| !x.targets.is_empty()).count() == 2
        })
    };
    daemon.wait_status(PATIENCE + fdt * 3, "every NIC is probed in both families", well)?;
    std::thread::sleep(SETTLING + fdt);
    let mut samples = Samples::default();
    for number in 1..=runs {
        let (probes, before) = (network.echoes()?, Cost::begin(&daemon)?);
        std::thread::sleep(lasting);
        let cost = before.end(&daemon)?;
        samples.push(&cost, network.echoes()? - probes, floor_us);
        progress.done(
            number,
            &format!("{:.2}% of a processor", samples.percent.last().copied().unwrap_or_default()),
        );
    }
    let mut checks = Vec::new();
    for (_, _, percent, memory) in LIMITS.into_iter().filter(|l| (l.0, l.1) == (nics, fdt)) {
        let found = median(&samples.percent);
        checks.push(limit("processor", format!("processor time under {percent}%"), "%", found, percent));
        let most = samples.memory.iter().copied().fold(0.0, f64::max);
        checks.extend(
            memory.map(|m| limit("memory", format!("resident memory under {m} MiB"), " MiB", most, m)),
        );
    }
    let mut measures = samples.measures();
    measures.push(Measure::new("floor_us", "floor: one echo by itself, us", vec![floor_us]));
    Ok(Case {
        title: format!("{nics} NICs, both families, failure detection time {fdt:?}, windows of {lasting:?}"),
        settings: vec![("nics", f64::from(nics)), ("failure_detection_time_ms", ms(fdt))],
        measures,
        checks,
    })
}

/// Two NICs and the default settings, and nothing happens.
pub(crate) fn idle(site: &Site, options: &IdleOptions, runs: u32) -> Result<Vec<Case>, Error> {
    let progress = Progress::new("idle".to_owned(), runs);
    let stage = Stage::build(site, Duration::from_secs(10))?;
    std::thread::sleep(SETTLING + Duration::from_secs(2));
    let (mut percent, mut wakeups, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=runs {
        let cost = Cost::begin(stage.daemon())?;
        std::thread::sleep(options.lasting);
        let cost = cost.end(stage.daemon())?;
        let seconds = cost.time.as_secs_f64();
        percent.push(cost.processor.as_secs_f64() / seconds * 100.0);
        wakeups.push(cost.wakeups / seconds);
        memory.push(cost.memory_mib);
        progress.done(number, &format!("{:.1} wake-ups a second", cost.wakeups / seconds));
    }
    let found = median(&percent);
    Ok(vec![Case {
        title: format!(
            "two NICs, failure detection time 10 s, {} windows of {:?}",
            percent.len(),
            options.lasting
        ),
        settings: vec![("nics", 2.0), ("failure_detection_time_ms", 10_000.0)],
        checks: vec![limit("processor", format!("processor time under {IDLE}%"), "%", found, IDLE)],
        measures: vec![
            Measure::new("processor_percent", "processor time, % of one", percent),
            Measure::new("wakeups_hz", "wake-ups a second", wakeups),
            Measure::new("memory_mib", "resident memory, MiB", memory),
        ],
    }])
}
