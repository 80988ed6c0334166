//! Scenario `lagg`: the cable of a lagg's active port is cut, and plugged in again.

use crate::cli::LaggOptions;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure, Seen, client_measures};
use crate::rng::Rng;
use crate::stage::{NIC, PATIENCE, Site, Traffic};
use crate::stats::{Summary, ms};
use mpath_testkit::daemon::DaemonOptions;
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, Error, Lan, LanOptions, poll_until};
use std::time::{Duration, Instant};

/// Length of the windows with and without the fault.
const WINDOW: Duration = Duration::from_secs(1);
/// The cut comes at a random moment within this time.
const SPREAD: Duration = Duration::from_millis(300);
/// Limits of the outage, worse family of each run, ms.
const P50_MS: f64 = 1.0;
/// See [`P50_MS`].
const P99_MS: f64 = 5.0;
/// Packets that may be lost when the primary returns, at 1 kHz.
const LOST: f64 = 1.0;

/// Everything that runs. Fields are dropped in this order.
struct Stage {
    _echo: Echo,
    daemon: Daemon,
    lan: Lan,
}

/// One failure and the way back.
struct Run {
    cut: Seen,
    back: Seen,
}

/// Measures `runs` failures with each back-end.
pub(crate) fn run(site: &Site, options: &LaggOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for backend in &options.backend {
        let progress = Progress::new(format!("lagg, {}", backend.name()), runs);
        let stage = Stage::build(site, backend.name())?;
        let mut rng = Rng::new(seed);
        let mut all = Vec::new();
        for number in 1..=runs {
            let run = stage.failure(options.traffic.rate, &mut rng)?;
            let lost: f64 = run.back.lost.iter().sum();
            progress.done(number, &format!("outage {:.2} ms, {lost} lost on the way back", run.cut.worse()));
            all.push(run);
        }
        cases.push(case(backend.name(), options.traffic.rate, &all));
    }
    Ok(cases)
}

impl Stage {
    fn build(site: &Site, backend: &str) -> Result<Stage, Error> {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() })?;
        let config = format!(
            "[[lagg]]\nname = \"lagg0\"\nports = [\"eth0\", \"eth1\"]\naddresses = [\"{DATA4}/24\", \"{DATA6}/64\"]\n\
             backend = \"{backend}\"\nfailure_detection_time = \"1s\"\n"
        );
        let options = DaemonOptions { config, binary: Some(site.daemon.clone()), ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options)?;
        site.interrupt.remove_at_end(daemon.directory());
        daemon.wait_ready()?;
        let echo = Echo::start(&lan.server, PORT)?;
        let stage = Stage { _echo: echo, daemon, lan };
        stage.wait_active("eth0")?;
        Ok(stage)
    }

    fn wait_active(&self, port: &str) -> Result<(), Error> {
        let active = || {
            let status = self.daemon.status().ok()?;
            (status.laggs.first()?.active.as_deref() == Some(port)).then_some(())
        };
        poll_until(PATIENCE, active).ok_or_else(|| {
            let why = format!("not within {PATIENCE:?}; the log of mpathd:\n{}", self.daemon.log_text());
            Error::new(format!("wait until {port} is active"), why)
        })
    }

    fn failure(&self, rate: u32, rng: &mut Rng) -> Result<Run, Error> {
        let traffic = Traffic::start(&self.lan, rate)?;
        let floor = traffic.floor(WINDOW);
        std::thread::sleep(rng.below(SPREAD));
        let cut = self.lan.cut(NIC)?;
        let fault = traffic.around(cut, WINDOW)?;
        self.lan.plug(NIC)?;
        self.wait_active("eth0")?;
        let back = traffic.around(Instant::now(), WINDOW)?;
        Ok(Run { cut: Seen::of(&floor, &fault), back: Seen::of(&floor, &back) })
    }
}

fn case(backend: &str, rate: u32, all: &[Run]) -> Case {
    let seen: Vec<Seen> = all.iter().map(|run| run.cut).collect();
    let worse: Vec<f64> = seen.iter().map(Seen::worse).collect();
    let summary = Summary::of(&worse);
    let (p50, p99) = summary.map_or((f64::INFINITY, f64::INFINITY), |s| (s.p50, s.p99));
    let lost: Vec<f64> =
        all.iter().map(|run| run.back.lost.iter().fold(0.0, |a: f64, b| a.max(*b))).collect();
    let most = lost.iter().fold(0.0, |a: f64, b| a.max(*b));
    let mut measures = client_measures(&seen);
    measures.push(Measure::new("lost_back", "packets lost on the way back, worse family", lost));
    let check = |key, label: String, found: String, ok| Check { key, label, found, ok };
    Case {
        title: format!(
            "lagg by {backend}, cable cut, {rate} packets/s in each family, {} failures",
            all.len()
        ),
        settings: vec![("rate_hz", f64::from(rate)), ("window_ms", ms(WINDOW))],
        measures,
        checks: vec![
            check(
                "outage_p50",
                format!("outage p50 under {P50_MS} ms"),
                format!("{p50:.2} ms"),
                p50 < P50_MS,
            ),
            check(
                "outage_p99",
                format!("outage p99 under {P99_MS} ms"),
                format!("{p99:.2} ms"),
                p99 < P99_MS,
            ),
            check(
                "lost_back",
                format!("at most {LOST} packet at 1 kHz lost on the way back"),
                format!("{most}"),
                most <= LOST * f64::from(rate) / 1000.0,
            ),
        ],
    }
}
