//! Scenario `silent`: the path behind the NIC's switch port swallows every frame, and the carrier stays.

use crate::cli::SilentOptions;
use crate::events;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure, Seen, client_measures};
use crate::rng::Rng;
use crate::stage::{HOME, NIC, PATIENCE, Site, Stage, Traffic, distance};
use crate::stats::{Summary, ms};
use mpath_model::EventKind;
use mpath_testkit::Error;
use std::time::{Duration, Instant};

/// Probes in a detection time.
const PROBES: u32 = 7;

/// Limit of the outage, p99, in detection times: 23 ms at 20 ms.
const OUTAGE: f64 = 1.15;

/// Faults and healings come at random moments within this time: the kernel asks for neighbours once a second.
const SPREAD: Duration = Duration::from_secs(1);

/// What the window of the traffic holds beyond the detection time.
const MARGIN: Duration = Duration::from_millis(500);

/// Calm after the last repair in which nothing may fail: at least this, and some detection times.
const CALM: Duration = Duration::from_secs(5);

/// Detection and repair may take this many detection times before the measurement is given up. No limit of a figure.
const GIVE_UP: u32 = 20;

/// One failure.
struct Run {
    fault: Instant,
    healed: Instant,
    /// Detection time in force just before the fault: the requested one, or what the daemon has raised it to.
    in_force: Duration,
    /// From the fault to `nic_failed`.
    detection: Duration,
    /// From the healing to `nic_repaired`.
    repair: Duration,
    seen: Seen,
}

impl Run {
    /// Detection without what the machine's load took: the longest gap of the same traffic just before, worse family.
    fn net(&self) -> Duration {
        let floor = self.seen.floor[0].max(self.seen.floor[1]);
        self.detection.saturating_sub(Duration::from_secs_f64(floor / 1000.0))
    }
}

/// Measures `runs` failures with each detection time.
pub(crate) fn run(site: &Site, options: &SilentOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut rng = Rng::new(seed);
    let mut cases = Vec::new();
    for fdt in &options.fdt {
        cases.push(Bench::start(site, *fdt, options.traffic.rate, runs)?.run(&mut rng)?);
    }
    Ok(cases)
}

/// The measurement with one detection time.
struct Bench {
    stage: Stage,
    fdt: Duration,
    rate: u32,
    runs: u32,
    progress: Progress,
}

impl Bench {
    fn start(site: &Site, fdt: Duration, rate: u32, runs: u32) -> Result<Bench, Error> {
        let progress = Progress::new(format!("silent, FDT {} ms", fdt.as_millis()), runs);
        Ok(Bench { stage: Stage::build(site, fdt)?, fdt, rate, runs, progress })
    }

    fn run(&self, rng: &mut Rng) -> Result<Case, Error> {
        let mut all = Vec::new();
        for number in 1..=self.runs {
            let run = self.failure(rng)?;
            let mut text = format!(
                "detected after {:.1} ms, repaired after {:.1} ms",
                ms(run.detection),
                ms(run.repair)
            );
            if run.in_force != self.fdt {
                text.push_str(&format!(", detection time raised to {:.0} ms", ms(run.in_force)));
            }
            self.progress.done(number, &text);
            self.explain(number, &run)?;
            all.push(run);
        }
        std::thread::sleep(CALM.max(self.fdt * 5));
        Ok(self.case(&all, &self.stage.events.all()?))
    }

    fn failure(&self, rng: &mut Rng) -> Result<Run, Error> {
        let Bench { stage, fdt, .. } = self;
        let window = *fdt + MARGIN;
        let deadline = *fdt * GIVE_UP + PATIENCE;
        let traffic: Traffic = stage.traffic(self.rate)?;
        let floor = traffic.floor(window);
        std::thread::sleep(rng.below(SPREAD));
        let in_force = stage.detection_time()?;
        let fault = stage.lan.blackhole(NIC)?;
        let failed = stage.events.wait(EventKind::NicFailed, HOME, fault, deadline)?;
        let seen = Seen::of(&floor, &traffic.around(fault, window)?);
        drop(traffic);
        std::thread::sleep(rng.below(SPREAD));
        let healed = stage.lan.heal(NIC)?;
        let repaired = stage.events.wait(EventKind::NicRepaired, HOME, healed, deadline)?;
        stage.wait_home(deadline)?;
        let (detection, repair) = (failed.at - fault, repaired.at - healed);
        Ok(Run { fault, healed, in_force, detection, repair, seen })
    }

    /// Shows what the daemon said around a fault of which a limit was missed.
    fn explain(&self, number: u32, run: &Run) -> Result<(), Error> {
        let late = [
            (run.detection > self.fdt, "detected late", run.fault),
            (run.repair >= self.fdt * 2, "repaired late", run.healed),
        ];
        for (_, what, zero) in late.into_iter().filter(|(late, ..)| *late) {
            let begin = zero.checked_sub(self.fdt).unwrap_or(zero);
            // How the detection time came to be what it is, was told earlier.
            let wanted =
                |seen: &events::Seen| seen.at >= begin || seen.event.event.event == EventKind::DetectionTime;
            let events = self.stage.events.all()?.into_iter().filter(wanted);
            let events: String = events
                .map(|seen| {
                    let events::Seen { at, event } = seen;
                    let name = format!("{:?}", event.event.event);
                    format!(
                        "  {:+10.3} ms  {} {name} {}\n",
                        distance(at, zero),
                        event.time,
                        event.event.message
                    )
                })
                .collect();
            self.progress.note(&format!(
                "run {number}: {what}; detection time in force before the fault: {:.0} ms.\n\
                 The daemon's log, ms from the fault or healing to where it was read:\n{}\
                 Events, ms from there to the watcher, then the daemon's own time:\n{events}",
                ms(run.in_force),
                self.stage.log_around(begin, zero)
            ));
        }
        Ok(())
    }

    fn case(&self, all: &[Run], events: &[events::Seen]) -> Case {
        let (fdt, interval) = (self.fdt, self.fdt / PROBES);
        let in_ms = |value: fn(&Run) -> Duration| all.iter().map(|run| ms(value(run))).collect::<Vec<f64>>();
        let in_intervals = |samples: &[f64]| samples.iter().map(|v| v / ms(interval)).collect::<Vec<f64>>();
        let (detection, repair) = (in_ms(|r| r.detection), in_ms(|r| r.repair));
        let mut measures = vec![
            Measure::new("detection_intervals", "detection, probe intervals", in_intervals(&detection)),
            Measure::new("detection_ms", "detection, ms", detection),
            Measure::new("detection_net_ms", "detection minus floor, ms", in_ms(Run::net)),
            Measure::new("repair_intervals", "repair, probe intervals", in_intervals(&repair)),
            Measure::new("repair_ms", "repair, ms", repair),
            Measure::new("in_force_ms", "detection time in force, ms", in_ms(|r| r.in_force)),
        ];
        measures.extend(client_measures(&all.iter().map(|run| run.seen).collect::<Vec<_>>()));
        Case {
            title: format!(
                "silent path, failure detection time {} ms, probe interval {:.2} ms, {} failures",
                fdt.as_millis(),
                ms(interval),
                all.len()
            ),
            settings: vec![
                ("failure_detection_time_ms", ms(fdt)),
                ("probe_interval_ms", ms(interval)),
                ("rate_hz", f64::from(self.rate)),
            ],
            measures,
            checks: checks(fdt, all, events),
        }
    }
}

fn checks(fdt: Duration, all: &[Run], events: &[events::Seen]) -> Vec<Check> {
    let (runs, twice) = (all.len(), fdt * 2);
    let detected = all.iter().filter(|run| run.detection <= fdt).count();
    let net = all.iter().filter(|run| run.net() <= fdt).count();
    let kept = all.iter().filter(|run| run.detection <= run.in_force).count();
    let repaired = all.iter().filter(|run| run.repair < twice).count();
    let outages: Vec<f64> = all.iter().map(|run| run.seen.worse()).collect();
    let (outage, outage_limit) = (Summary::of(&outages).map_or(f64::INFINITY, |s| s.p99), ms(fdt) * OUTAGE);
    let faults: Vec<(Instant, Instant)> = all.iter().map(|run| (run.fault, run.healed)).collect();
    let failures: Vec<(Instant, bool)> = events
        .iter()
        .filter(|seen| seen.event.event.event == EventKind::NicFailed)
        .map(|seen| (seen.at, seen.is(EventKind::NicFailed, HOME)))
        .collect();
    let wrong = false_failures(&faults, &failures);
    vec![
        Check {
            key: "detected_in_time",
            label: format!("detected within {} ms", fdt.as_millis()),
            found: format!("{detected} of {runs}"),
            ok: detected == runs,
        },
        Check {
            key: "detected_in_time_net",
            label: format!("detected within {} ms, floor taken off", fdt.as_millis()),
            found: format!("{net} of {runs}"),
            ok: net == runs,
        },
        Check {
            key: "detected_in_force",
            label: "detected within the time in force".to_owned(),
            found: format!("{kept} of {runs}"),
            ok: kept == runs,
        },
        Check {
            key: "repaired_in_time",
            label: format!("repaired in under {} ms", twice.as_millis()),
            found: format!("{repaired} of {runs}"),
            ok: repaired == runs,
        },
        Check {
            key: "outage_p99",
            label: format!("outage p99 under {outage_limit:.0} ms"),
            found: format!("{outage:.1} ms"),
            ok: outage < outage_limit,
        },
        Check {
            key: "false_failures",
            label: "failures without a fault".to_owned(),
            found: wrong.to_string(),
            ok: wrong == 0,
        },
    ]
}

/// How many failures have no fault of their own: between a fault and its healing the NIC fails once, another NIC
/// and at other times none. A failure is when it was heard of and whether it is the NIC with the faults.
fn false_failures(faults: &[(Instant, Instant)], failures: &[(Instant, bool)]) -> usize {
    let explained = faults.iter().filter(|(fault, healed)| {
        failures.iter().any(|(at, faulty)| *faulty && (*fault..=*healed).contains(at))
    });
    failures.len() - explained.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_explains_a_failure_and_only_one() {
        let zero = Instant::now();
        let at = |s| zero + Duration::from_secs(s);
        let faults = [(at(10), at(20)), (at(30), at(40))];
        let count = |failures: &[(u64, bool)]| {
            let failures: Vec<_> = failures.iter().map(|(s, faulty)| (at(*s), *faulty)).collect();
            false_failures(&faults, &failures)
        };
        assert_eq!(count(&[(11, true), (31, true)]), 0);
        assert_eq!(count(&[(11, true), (12, true), (31, true)]), 1, "twice for one fault");
        assert_eq!(count(&[(5, true), (11, true), (31, true), (41, true)]), 2, "at other times");
        assert_eq!(count(&[(11, true), (12, false), (31, true)]), 1, "another NIC");
        assert_eq!(count(&[(11, false)]), 1, "only another NIC");
    }
}
