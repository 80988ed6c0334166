//! Scenarios `link` and `late`: the cable of the NIC with the data addresses is cut. In `late` the kernel holds the event
//! back, as it does with physical NICs when another link event fired within the last second. And `planned`: the same NIC
//! is taken offline and put online again.

use crate::cli::LinkOptions;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{FAMILIES, HOME, NIC, PATIENCE, Site, Stage};
use crate::stats::{Summary, ms};
use mpath_model::EventKind;
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::{FirstPackets, Flow, PORT};
use mpath_testkit::{Error, GroupConfig, LanOptions};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Detection time of the daemon: the link tells of the failure, so it only matters for the way home.
const FDT: Duration = Duration::from_millis(200);

/// The cut comes at a random moment within this time: longer than a period of any timer that could be in step.
const SPREAD: Duration = Duration::from_millis(300);

/// How long a flow runs before and after what is measured.
const MARGIN: Duration = Duration::from_millis(100);

/// Limits from the cut to the first packet on the other NIC, worse family of each run, ms.
const LIMIT50_MS: f64 = 1.0;
const LIMIT99_MS: f64 = 5.0;
/// The same when the kernel's event is late.
const LATE99_MS: f64 = 15.0;

/// One failure.
struct Run {
    /// From the cut to the first packet of each family, ms.
    first: [f64; 2],
    lost: [f64; 2],
    /// From the cut to `nic_failed` at the watcher, ms.
    told: f64,
}

impl Run {
    fn worse(&self) -> f64 {
        self.first[0].max(self.first[1])
    }
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
        let begin = Instant::now();
        let (run, cut) = failure(&stage, options.rate, late, &mut rng)?;
        if run.worse() > if late { LATE99_MS } else { LIMIT99_MS } {
            progress.note(&format!("the daemon's log, ms from the cut:\n{}", stage.log_around(begin, cut)));
        }
        progress.done(
            number,
            &format!("first packet after {:.2} ms, told after {:.2} ms", run.worse(), run.told),
        );
        all.push(run);
    }
    Ok(vec![case(options, late, &all)])
}

/// Numbered packets of both families from the client on the link.
fn flow(stage: &Stage, rate: u32) -> Result<Flow, Error> {
    let target = |data: &str| SocketAddr::new(data.parse().expect("an address"), PORT + 1);
    Flow::start(&stage.lan.near, &stage.lan.server, [target(DATA4), target(DATA6)], rate)
}

fn failure(stage: &Stage, rate: u32, late: bool, rng: &mut Rng) -> Result<(Run, Instant), Error> {
    let flow = flow(stage, rate)?;
    let first = FirstPackets::watch(&stage.lan.server, "eth1")?;
    if late {
        stage.lan.make_noise()?;
    }
    std::thread::sleep(MARGIN + rng.below(SPREAD));
    let cut = stage.lan.cut(NIC)?;
    let arrived = first.wait(PATIENCE);
    let told = stage.events.wait(EventKind::NicFailed, HOME, cut, PATIENCE)?;
    std::thread::sleep(MARGIN);
    let lost = flow.lost(cut - MARGIN, Instant::now() - MARGIN);
    drop(flow);
    stage.lan.plug(NIC)?;
    stage.wait_home(PATIENCE)?;
    let took = |at: Option<Instant>| {
        let at =
            at.ok_or_else(|| Error::new("wait for packets on eth1", format!("none within {PATIENCE:?}")));
        at.map(|at| ms(at.saturating_duration_since(cut)))
    };
    let first = [took(arrived[0])?, took(arrived[1])?];
    let lost = lost.map(|(_, lost)| lost as f64);
    Ok((Run { first, lost, told: ms(told.at - cut) }, cut))
}

/// A measure for each family.
fn families(key: &str, label: &str, samples: [Vec<f64>; 2]) -> impl Iterator<Item = Measure> {
    FAMILIES.into_iter().zip(samples).map(move |(family, samples)| {
        let key = key.replace("{}", &family.to_lowercase());
        Measure::new(key, label.replace("{}", family), samples)
    })
}

fn case(options: &LinkOptions, late: bool, all: &[Run]) -> Case {
    let worse: Vec<f64> = all.iter().map(Run::worse).collect();
    let summary = Summary::of(&worse);
    let p50 = summary.map_or(f64::INFINITY, |s| s.p50);
    let p99 = summary.map_or(f64::INFINITY, |s| s.p99);
    let (limit50, limit99) = if late { (None, LATE99_MS) } else { (Some(LIMIT50_MS), LIMIT99_MS) };
    let of = |value: &dyn Fn(&Run, usize) -> f64| [0, 1].map(|f| all.iter().map(|r| value(r, f)).collect());
    let mut measures: Vec<Measure> =
        families("first_{}_ms", "cut to first packet {}, ms", of(&|r, f| r.first[f])).collect();
    measures.push(Measure::new("first_ms", "cut to first packet, worse family, ms", worse));
    measures.extend(families("lost_{}", "packets lost {}", of(&|r, f| r.lost[f])));
    let told = all.iter().map(|run| run.told).collect();
    measures.push(Measure::new("told_ms", "nic_failed at a watcher, ms", told));
    Case {
        title: format!(
            "cable cut{}, {} packets/s in each family, {} failures",
            if late { ", event held back" } else { "" },
            options.rate,
            all.len()
        ),
        settings: vec![("rate_hz", f64::from(options.rate)), ("failure_detection_time_ms", ms(FDT))],
        measures,
        checks: limit50
            .map(|limit| ("first_p50", "p50", p50, limit))
            .into_iter()
            .chain([("first_p99", "p99", p99, limit99)])
            .map(|(key, which, found, limit)| Check {
                key,
                label: format!("first packet {which} under {limit} ms"),
                found: format!("{found:.2} ms"),
                ok: found < limit,
            })
            .collect(),
    }
}

/// Measures `runs` planned moves, there and back.
pub(crate) fn planned(site: &Site, options: &LinkOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let progress = Progress::new("planned".to_owned(), runs);
    let stage = Stage::build(site, FDT)?;
    let mut rng = Rng::new(seed);
    let (mut lost, mut sent) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for number in 1..=runs {
        let flow = flow(&stage, options.rate)?;
        std::thread::sleep(MARGIN);
        let from = Instant::now();
        std::thread::sleep(rng.below(SPREAD));
        stage.offline(HOME)?;
        std::thread::sleep(MARGIN);
        stage.online(HOME)?;
        stage.wait_home(PATIENCE)?;
        std::thread::sleep(MARGIN);
        for (family, (all, gone)) in flow.lost(from, Instant::now()).into_iter().enumerate() {
            lost[family].push(gone as f64);
            sent[family].push(all as f64);
        }
        progress.done(number, &format!("{} lost", lost.iter().filter_map(|l| l.last()).sum::<f64>()));
    }
    let total: f64 = lost.iter().flatten().sum();
    Ok(vec![Case {
        title: format!("offline and online, {} packets/s in each family, {runs} times", options.rate),
        settings: vec![("rate_hz", f64::from(options.rate)), ("failure_detection_time_ms", ms(FDT))],
        measures: families("sent_{}", "packets sent {}", sent)
            .chain(families("lost_{}", "packets lost {}", lost))
            .collect(),
        checks: vec![Check {
            key: "lost",
            label: "packets lost, both families".to_owned(),
            found: total.to_string(),
            ok: total == 0.0,
        }],
    }])
}
