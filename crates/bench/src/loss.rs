//! Scenario `loss`: paths that lose frames by chance. What lives may not be failed, what dies is found in time, and what
//! loses too much is left. Every run has a network and a daemon of its own, so that several may run at once.

use crate::cli::{LossOptions, Question};
use crate::events;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{HOME, NIC, PATIENCE, Site, Stage};
use crate::stats::ms;
use mpath_model::EventKind;
use mpath_testkit::lan::{DATA4, DATA6, Loss};
use mpath_testkit::{Error, GroupConfig, LanOptions, Stack, poll_until};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Losses go on for this long, and some more, before a path dies.
const LEAD: Duration = Duration::from_secs(1);
/// A path dies at a random moment within this time.
const SPREAD: Duration = Duration::from_secs(1);
/// Within this a NIC that loses too much is left.
const LEFT_WITHIN: Duration = Duration::from_secs(10);
/// Packets a second of the stream that shows how much is lost: few enough to bother nobody.
const RATE: u32 = 100;

/// Events that tell of a failure or a move.
const FAILURES: [EventKind; 3] = [EventKind::NicFailed, EventKind::GroupFailed, EventKind::Failover];

/// What came of one run.
struct Run {
    number: u32,
    /// Failures and moves for which there was no reason.
    wrong: usize,
    /// How long what had to happen took; none where nothing had to, or it did not.
    took: Option<Duration>,
    /// Detection time in force when it began.
    in_force: Duration,
    /// Packets lost of the client's, in percent.
    lost: Option<f64>,
}

/// Asks each question with each detection time and each loss, `runs` times.
pub(crate) fn run(site: &Site, options: &LossOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for what in &options.what {
        for fdt in &options.fdt {
            for percent in &options.loss {
                let bench = Bench { site, options, what: *what, fdt: *fdt, percent: *percent };
                cases.push(bench.case(bench.runs(runs, seed)?));
            }
        }
    }
    Ok(cases)
}

/// One question with one detection time and one loss.
struct Bench<'a> {
    site: &'a Site,
    options: &'a LossOptions,
    what: Question,
    fdt: Duration,
    percent: u32,
}

impl Bench<'_> {
    fn title(&self) -> String {
        format!("{} at {}% loss, FDT {} ms", self.what.name(), self.percent, self.fdt.as_millis())
    }

    /// All runs, several at once.
    fn runs(&self, runs: u32, seed: u64) -> Result<Vec<Run>, Error> {
        let progress = Mutex::new(Progress::new(format!("loss, {}", self.title()), runs));
        let (next, failed) = (AtomicU32::new(1), AtomicBool::new(false));
        let done = Mutex::new(Vec::new());
        let work = || -> Result<(), Error> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > runs || failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let (run, notes) =
                    self.one(number, seed).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                let mut done = done.lock().expect("no holder of this lock panics");
                done.push(run);
                let progress = progress.lock().expect("no holder of this lock panics");
                let run = &done[done.len() - 1];
                let took = run.took.map_or("-".to_owned(), |t| format!("{:.1} ms", ms(t)));
                let text = format!("run {}: {} wrong, took {took}", run.number, run.wrong);
                progress.done(u32::try_from(done.len()).unwrap_or(u32::MAX), &text);
                if let Some(notes) = notes {
                    progress.note(&notes);
                }
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.options.parallel).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|w| w.join().expect("the workers do not panic"))
        })?;
        let mut all = done.into_inner().expect("no holder of this lock panics");
        all.sort_by_key(|run| run.number);
        Ok(all)
    }

    /// One run, and the daemon's log if a limit was missed.
    fn one(&self, number: u32, seed: u64) -> Result<(Run, Option<String>), Error> {
        let stack = if self.options.ipv4_only { Stack::NoIpv6 } else { Stack::Dual };
        let mut config = GroupConfig { failure_detection_time: self.fdt, stack, ..GroupConfig::default() };
        if self.options.without_test_addresses {
            config.test_addresses.clear();
        }
        let stage = Stage::build_on(self.site, &config, LanOptions { stack, ..LanOptions::default() })?;
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003) ^ u64::from(number));
        let run = match self.what {
            Question::Steady => self.steady(&stage, number),
            Question::Death => self.death(&stage, number, &mut rng),
            Question::Gray => self.gray(&stage, number),
        }?;
        let missed = run.wrong > 0 || self.limit().is_some_and(|l| run.took.is_none_or(|t| t > l));
        let notes = missed.then(|| format!("run {number}:\n{}", stage.log()));
        Ok((run, notes))
    }

    /// Within which something has to happen.
    fn limit(&self) -> Option<Duration> {
        match self.what {
            Question::Steady => None,
            Question::Death => Some(self.fdt),
            Question::Gray => Some(LEFT_WITHIN),
        }
    }

    fn lose(&self, stage: &Stage, nics: &[usize]) -> Result<Instant, Error> {
        let permille = self.percent * 10;
        let loss = match self.options.one_way {
            true => Loss { outbound: permille, inbound: 0 },
            false => Loss::both(permille),
        };
        let begin = Instant::now();
        stage.lan.lose(nics, loss)?;
        Ok(begin)
    }

    /// Every NIC loses, and none is dead.
    fn steady(&self, stage: &Stage, number: u32) -> Result<Run, Error> {
        let stream = stage.stream(RATE)?;
        let in_force = stage.detection_time()?;
        let begin = self.lose(stage, &[NIC, NIC + 1])?;
        std::thread::sleep(self.options.lasting);
        let seen = stream.window(begin, Instant::now());
        let wrong = failures(stage, begin)?.len();
        let lost = Some(seen.lost as f64 * 100.0 / seen.sent.max(1) as f64);
        Ok(Run { number, wrong, took: None, in_force, lost })
    }

    /// Every NIC loses, and the path of one dies.
    fn death(&self, stage: &Stage, number: u32, rng: &mut Rng) -> Result<Run, Error> {
        let begin = self.lose(stage, &[NIC, NIC + 1])?;
        std::thread::sleep(LEAD + rng.below(SPREAD));
        let in_force = stage.detection_time()?;
        let fault = stage.lan.blackhole(NIC)?;
        let told = stage.events.wait(EventKind::NicFailed, HOME, fault, self.fdt * 20 + PATIENCE);
        let took = told.ok().map(|seen| seen.at - fault);
        let early = failures(stage, begin)?.into_iter().filter(|seen| seen.at < fault).count();
        Ok(Run { number, wrong: early, took, in_force, lost: None })
    }

    /// One NIC loses, the other is clean.
    fn gray(&self, stage: &Stage, number: u32) -> Result<Run, Error> {
        let in_force = stage.detection_time()?;
        let begin = self.lose(stage, &[NIC])?;
        let all = [DATA4, DATA6];
        let data = &all[..if self.options.ipv4_only { 1 } else { 2 }];
        let gone = || data.iter().all(|data| stage.lan.server.holders(data) == ["eth1"]).then(Instant::now);
        let took = poll_until(LEFT_WITHIN * 2, gone).map(|at| at - begin);
        let seen = failures(stage, begin)?;
        let wrong = seen.iter().filter(|seen| seen.is(EventKind::NicFailed, "eth1")).count();
        Ok(Run { number, wrong, took, in_force, lost: None })
    }

    fn case(&self, all: Vec<Run>) -> Case {
        let took: Vec<f64> = all.iter().filter_map(|run| run.took).map(ms).collect();
        let mut measures = vec![Measure::new(
            "in_force_ms",
            "detection time in force, ms",
            all.iter().map(|r| ms(r.in_force)).collect(),
        )];
        if self.what == Question::Steady {
            let lost = all.iter().filter_map(|run| run.lost).collect();
            measures.push(Measure::new("lost_percent", "packets of a client lost, %", lost));
        } else {
            measures.push(Measure::new("took_ms", self.what.measure(), took));
        }
        let wrong: usize = all.iter().map(|run| run.wrong).sum();
        let mut checks = vec![Check {
            key: "false_failures",
            label: "failures and moves without a reason".to_owned(),
            found: wrong.to_string(),
            ok: wrong == 0,
        }];
        if let Some(limit) = self.limit() {
            let kept = all.iter().filter(|run| run.took.is_some_and(|t| t <= limit)).count();
            checks.push(Check {
                key: "in_time",
                label: format!("within {} ms", limit.as_millis()),
                found: format!("{kept} of {}", all.len()),
                ok: kept == all.len(),
            });
        }
        let manner = if self.options.without_test_addresses { ", no test addresses" } else { "" };
        let family = if self.options.ipv4_only { ", IPv4 only" } else { "" };
        let ways = if self.options.one_way { "one way" } else { "each way" };
        let lasting = match self.what {
            Question::Steady => format!(" of {} s", self.options.lasting.as_secs_f64()),
            _ => String::new(),
        };
        Case {
            title: format!("{}, {ways}{manner}{family}, {} runs{lasting}", self.title(), all.len()),
            settings: vec![
                ("failure_detection_time_ms", ms(self.fdt)),
                ("loss_percent", f64::from(self.percent)),
                ("lasting_ms", ms(self.options.lasting)),
            ],
            measures,
            checks,
        }
    }
}

/// Events since `begin` that tell of a failure or a move.
fn failures(stage: &Stage, begin: Instant) -> Result<Vec<events::Seen>, Error> {
    let bad = |e: &events::Seen| e.at >= begin && FAILURES.contains(&e.event.event.event);
    Ok(stage.events.all()?.into_iter().filter(bad).collect())
}
