//! The path behind the active port falls silent, carrier up: until the lagg has changed its port.

use super::Stage;
use crate::cli::Backend;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{NIC, PATIENCE, Site};
use crate::stats::{Summary, ms};
use mpath_model::EventKind;
use mpath_testkit::Error;
use std::time::Duration;

/// Failure detection time, and the limit.
const FDT: Duration = Duration::from_millis(100);
/// Rest before each fault, and what is added at random.
const REST: Duration = Duration::from_millis(300);

pub(super) fn case(site: &Site, backend: Backend, runs: u32, seed: u64) -> Result<Case, Error> {
    let progress = Progress::new(format!("lagg, {}, silent path", backend.name()), runs);
    let stage = Stage::build(site, backend, 2, "failure_detection_time = \"100ms\"")?;
    stage.wait_answers()?;
    let mut rng = Rng::new(seed);
    let mut took = Vec::new();
    for number in 1..=runs {
        std::thread::sleep(REST + rng.below(REST));
        let fault = stage.lan.blackhole(NIC)?;
        let seen = stage.events.wait(EventKind::LaggSwitch, "lagg0", fault, PATIENCE)?;
        took.push(ms(seen.at - fault));
        stage.lan.heal(NIC)?;
        stage.wait_active("eth0")?;
        progress.done(number, &format!("switched after {:.1} ms", ms(seen.at - fault)));
    }
    let worst = Summary::of(&took).map_or(f64::INFINITY, |s| s.max);
    Ok(Case {
        title: format!(
            "lagg by {}, silent path, failure detection time {FDT:?}, {runs} failures",
            backend.name()
        ),
        settings: vec![("failure_detection_time_ms", ms(FDT))],
        checks: vec![Check {
            key: "in_time",
            label: format!("every switch within {FDT:?}"),
            found: format!("{worst:.1} ms at worst"),
            ok: worst <= ms(FDT),
        }],
        measures: vec![Measure::new("switch_ms", "fault to switch, ms", took)],
    })
}
