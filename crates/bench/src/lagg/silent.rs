//! The path behind the active port falls silent, carrier up: until traffic goes through another port. The event is told
//! when the kernel has confirmed the switch, which takes it longer than the switch itself.

use super::Stage;
use crate::cli::Backend;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure, Seen, client_measures};
use crate::rng::Rng;
use crate::stage::{NIC, PATIENCE, Site, Traffic};
use crate::stats::ms;
use mpath_model::EventKind;
use mpath_testkit::Error;
use std::time::Duration;

/// Failure detection time, and the limit.
const FDT: Duration = Duration::from_millis(100);
/// The fault comes at a random moment within this time.
const REST: Duration = Duration::from_millis(300);
/// Length of the windows with and without the fault.
const WINDOW: Duration = Duration::from_millis(500);
/// Packets a second of each stream.
const RATE: u32 = 1000;

pub(super) fn case(site: &Site, backend: Backend, runs: u32, seed: u64) -> Result<Case, Error> {
    let progress = Progress::new(format!("lagg, {}, silent path", backend.name()), runs);
    let stage = Stage::build(site, backend, 2, "failure_detection_time = \"100ms\"")?;
    stage.wait_answers()?;
    let mut rng = Rng::new(seed);
    let (mut told, mut all) = (Vec::new(), Vec::new());
    for number in 1..=runs {
        let traffic = Traffic::start(&stage.lan, RATE)?;
        let floor = traffic.floor(WINDOW);
        std::thread::sleep(rng.below(REST));
        let fault = stage.lan.blackhole(NIC)?;
        let event = stage.events.wait(EventKind::LaggSwitch, "lagg0", fault, PATIENCE)?;
        let seen = Seen::of(&floor, &traffic.around(fault, WINDOW)?);
        stage.lan.heal(NIC)?;
        stage.wait_active("eth0")?;
        progress.done(
            number,
            &format!("outage {:.1} ms, told after {:.1} ms", seen.worse(), ms(event.at - fault)),
        );
        told.push(ms(event.at - fault));
        all.push(seen);
    }
    let worst = all.iter().map(Seen::worse).fold(0.0, f64::max);
    let mut measures = client_measures(&all);
    measures.push(Measure::new("told_ms", "fault to event, ms", told));
    Ok(Case {
        title: format!(
            "lagg by {}, silent path, failure detection time {FDT:?}, {runs} failures",
            backend.name()
        ),
        settings: vec![("failure_detection_time_ms", ms(FDT))],
        checks: vec![Check {
            key: "in_time",
            label: format!("every outage within {FDT:?}"),
            found: format!("{worst:.1} ms at worst"),
            ok: worst <= ms(FDT),
        }],
        measures,
    })
}
