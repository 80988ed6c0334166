//! Scenario `tcp`: a cable cut under bulk transfers and a hundred open sessions. How long the transfers stall, and
//! whether a session is lost.

use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{FAMILIES, LEAD, NIC, PATIENCE, Site, Stage};
use crate::stats::{Summary, ms};
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Error, TcpBulk, TcpSource, poll_until};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const FDT: Duration = Duration::from_millis(200);
const WINDOW: Duration = Duration::from_millis(700);
const SPREAD: Duration = Duration::from_millis(300);
/// Open sessions beside the transfers.
const SESSIONS: usize = 100;
/// Limit of the stall, p99, worse family, ms.
const LIMIT_MS: f64 = 300.0;

/// Measures `runs` failures.
pub(crate) fn run(site: &Site, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let progress = Progress::new("tcp".to_owned(), runs);
    let stage = Stage::build(site, FDT)?;
    let _source = TcpSource::start(&stage.lan.server, PORT)?;
    let targets = [DATA4, DATA6].map(|a| SocketAddr::new(a.parse().expect("an address"), PORT));
    let bulk = [TcpBulk::start(&stage.lan.near, targets[0])?, TcpBulk::start(&stage.lan.near, targets[1])?];
    let mut sessions = open(&stage, targets)?;
    let mut rng = Rng::new(seed);
    let mut stalls = [Vec::new(), Vec::new()];
    for number in 1..=runs {
        std::thread::sleep(Duration::from_millis(200) + rng.below(SPREAD));
        let cut = stage.lan.cut(NIC)?;
        std::thread::sleep(WINDOW);
        for (stalls, bulk) in stalls.iter_mut().zip(&bulk) {
            let now = Instant::now();
            poll_until(PATIENCE, || bulk.alive_since(now).then_some(()));
            let report = bulk.window(cut - LEAD, Instant::now());
            if let Some(cause) = report.broken {
                return Err(Error::new("keep a TCP transfer", cause));
            }
            stalls.push(ms(report.stall));
        }
        stage.lan.plug(NIC)?;
        stage.wait_home(PATIENCE)?;
        progress.done(
            number,
            &format!(
                "stalled {:.1} ms",
                stalls.iter().filter_map(|s| s.last()).fold(0.0, |a: f64, b| a.max(*b))
            ),
        );
    }
    let alive = sessions.iter_mut().filter_map(|s| advances(s).then_some(())).count();
    Ok(vec![case(stalls, alive)])
}

fn open(stage: &Stage, targets: [SocketAddr; 2]) -> Result<Vec<TcpStream>, Error> {
    let connect = |n: usize| {
        let target = targets[n % 2];
        stage
            .lan
            .near
            .run(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)))
            .map_err(|e| Error::new(format!("open session {n}"), e))
    };
    (0..SESSIONS).map(connect).collect()
}

/// Whether a session still delivers: what was queued before, and something new.
fn advances(session: &mut TcpStream) -> bool {
    let mut buffer = vec![0; 1 << 20];
    let begin = Instant::now();
    let mut total = 0;
    let _ = session.set_read_timeout(Some(Duration::from_secs(5)));
    // More than both ends' buffers can have held since before the first cut.
    while total < 16 << 20 && begin.elapsed() < PATIENCE {
        match session.read(&mut buffer) {
            Ok(n) if n > 0 => total += n,
            _ => return false,
        }
        if begin.elapsed() > Duration::from_millis(300) {
            return true;
        }
    }
    true
}

fn case(stalls: [Vec<f64>; 2], alive: usize) -> Case {
    let runs = stalls[0].len();
    let worse: Vec<f64> = stalls[0].iter().zip(&stalls[1]).map(|(a, b)| a.max(*b)).collect();
    let p99 = Summary::of(&worse).map_or(f64::INFINITY, |s| s.p99);
    let mut measures = Vec::new();
    for (samples, family) in stalls.into_iter().zip(FAMILIES) {
        let key = format!("stall_{}_ms", family.to_lowercase());
        measures.push(Measure::new(key, format!("longest stall {family}, ms"), samples));
    }
    measures.push(Measure::new("stall_ms", "longest stall, worse family, ms", worse));
    Case {
        title: format!("cable cut under bulk TCP and {SESSIONS} open sessions, {runs} failures"),
        settings: vec![("sessions", SESSIONS as f64)],
        measures,
        checks: vec![
            Check {
                key: "stall_p99",
                label: format!("stall p99 under {LIMIT_MS} ms"),
                found: format!("{p99:.1} ms"),
                ok: p99 < LIMIT_MS,
            },
            Check {
                key: "sessions",
                label: "sessions alive".to_owned(),
                found: format!("{alive} of {SESSIONS}"),
                ok: alive == SESSIONS,
            },
        ],
    }
}
