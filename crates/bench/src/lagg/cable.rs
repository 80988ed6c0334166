//! The cable of the active port is cut, and plugged in again: every other time into a switch port that starts forwarding a
//! second late.

use super::Stage;
use crate::cli::Backend;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure, Seen, client_measures};
use crate::rng::Rng;
use crate::stage::{LEAD, NIC, PATIENCE, Site, Traffic};
use crate::stats::{Summary, ms};
use mpath_testkit::lan::DATA4;
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Error, TcpBulk, poll_until};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Length of the windows with and without the fault.
const WINDOW: Duration = Duration::from_secs(1);
/// The cut comes at a random moment within this time.
const SPREAD: Duration = Duration::from_millis(300);
/// How late a switch port starts to forward.
const LATE: Duration = Duration::from_secs(1);
/// Limits of the outage, worse family of each run, ms.
const P50_MS: f64 = 1.0;
/// See [`P50_MS`].
const P99_MS: f64 = 5.0;
/// Limit of the stall of a TCP transfer, ms.
const STALL_MS: f64 = 300.0;
/// Packets that may be lost when the primary returns, at 1 kHz, in each family.
const LOST: f64 = 1.0;

/// One failure and the way back.
struct Run {
    cut: Seen,
    /// Longest time without progress of the TCP transfer, ms.
    stall: f64,
    /// Packets lost from the plugging in until the primary carries the traffic again and a second more, worse family.
    lost_back: f64,
    /// The switch port forwarded late.
    late: bool,
}

pub(super) fn case(site: &Site, backend: Backend, rate: u32, runs: u32, seed: u64) -> Result<Case, Error> {
    let progress = Progress::new(format!("lagg, {}, cable", backend.name()), runs);
    let stage = Stage::build(site, backend, 2, "failure_detection_time = \"500ms\"")?;
    stage.wait_answers()?;
    let target = SocketAddr::new(DATA4.parse().expect("an address"), PORT);
    let bulk = poll_until(PATIENCE, || TcpBulk::start(&stage.lan.near, target).ok())
        .ok_or_else(|| Error::new("open a TCP transfer", format!("not within {PATIENCE:?}")))?;
    let mut rng = Rng::new(seed);
    let mut all = Vec::new();
    for number in 1..=runs {
        let run = stage.failure(rate, number % 2 == 0, &bulk, &mut rng)?;
        progress.done(
            number,
            &format!(
                "outage {:.2} ms, TCP stalled {:.1} ms, {} lost on the way back",
                run.cut.worse(),
                run.stall,
                run.lost_back
            ),
        );
        all.push(run);
    }
    Ok(report(backend, rate, &all))
}

impl Stage {
    fn failure(&self, rate: u32, late: bool, bulk: &TcpBulk, rng: &mut Rng) -> Result<Run, Error> {
        let traffic = Traffic::start(&self.lan, rate)?;
        let floor = traffic.floor(WINDOW);
        std::thread::sleep(rng.below(SPREAD));
        let cut = self.lan.cut(NIC)?;
        let fault = traffic.around(cut, WINDOW)?;
        let stall = bulk.window(cut - LEAD, cut - LEAD + WINDOW);
        if let Some(cause) = stall.broken {
            return Err(Error::new("keep a TCP transfer", cause));
        }
        if late {
            self.lan.blackhole(NIC)?;
        }
        let plugged = self.lan.plug(NIC)?;
        if late {
            std::thread::sleep(LATE);
            self.lan.heal(NIC)?;
        }
        self.wait_active("eth0")?;
        std::thread::sleep(WINDOW / 2);
        let back = traffic.window(plugged, Instant::now());
        let lost_back = back.iter().map(|r| r.lost as f64).fold(0.0, f64::max);
        Ok(Run { cut: Seen::of(&floor, &fault), stall: ms(stall.stall), lost_back, late })
    }
}

fn report(backend: Backend, rate: u32, all: &[Run]) -> Case {
    let seen: Vec<Seen> = all.iter().map(|run| run.cut).collect();
    let worse: Vec<f64> = seen.iter().map(Seen::worse).collect();
    let stalls: Vec<f64> = all.iter().map(|run| run.stall).collect();
    let back = |late: bool| all.iter().filter(|run| run.late == late).map(|run| run.lost_back).collect();
    let (prompt, late): (Vec<f64>, Vec<f64>) = (back(false), back(true));
    let most = |samples: &[f64]| samples.iter().fold(0.0, |a: f64, b| a.max(*b));
    let allowed = LOST * f64::from(rate).max(1000.0) / 1000.0;
    let below = |key, label: &str, samples: &[f64], of: fn(Summary) -> f64, limit: f64| {
        let found = Summary::of(samples).map_or(f64::INFINITY, of);
        let label = format!("{label} under {limit} ms");
        Check { key, label, found: format!("{found:.2} ms"), ok: found < limit }
    };
    let lost = |key, label: String, samples: &[f64]| {
        let found = most(samples);
        Check { key, label, found: format!("{found}"), ok: found <= allowed }
    };
    let checks = vec![
        below("outage_p50", "outage p50", &worse, |s| s.p50, P50_MS),
        below("outage_p99", "outage p99", &worse, |s| s.p99, P99_MS),
        below("stall_p99", "TCP stall p99", &stalls, |s| s.p99, STALL_MS),
        lost("lost_back", format!("at most {LOST} ms of packets lost on the way back"), &prompt),
        lost("lost_back_late", "the same into a switch port that forwards late".to_owned(), &late),
    ];
    let mut measures = client_measures(&seen);
    measures.push(Measure::new("stall_ms", "TCP stall, ms", stalls));
    measures.push(Measure::new("lost_back", "packets lost on the way back, worse family", prompt));
    measures.push(Measure::new("lost_back_late", "the same, port forwards a second late", late));
    Case {
        title: format!(
            "lagg by {}, cable cut, {rate} packets/s in each family, {} failures",
            backend.name(),
            all.len()
        ),
        settings: vec![("rate_hz", f64::from(rate)), ("window_ms", ms(WINDOW))],
        measures,
        checks,
    }
}
