//! Two hosts with two NICs each, a switch apiece: cables, NICs and switches fail in turn, then the host itself. Faults of
//! NICs never move the address to the other host, which has no reason to take over.

use super::world::{launch, wait_state};
use crate::cli::CarpFault;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::{PATIENCE, Site};
use crate::stats::{Summary, ms};
use mpath_model::Status;
use mpath_model::status::{GroupState, LinkState};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, Error, Pair, Side, UdpStream, poll_until};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const VIP: &str = "10.77.0.100";
const RATE: u32 = 1000;
/// Skew of the stand-in: 100/256 s are added to its patience.
const SKEW: u8 = 100;
/// How long a fault of a NIC is watched, and that of a host.
const WATCHED: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(6);
/// The protocol's time for this skew, and what may be added, ms.
const PATIENCE_MS: f64 = 3000.0 + 1000.0 * SKEW as f64 / 256.0;
const MORE_MS: f64 = 50.0;

/// Probes tell when a NIC is back: by its link alone it is not believed more than twice a minute.
const DETECTION: &str = "failure_detection_time = \"700ms\"\ntargets = [\"10.77.0.9\"]\n";

/// What fails.
const FAULTS: [&str; 4] = ["cable", "nic", "switch", "host"];

/// Everything that runs. Fields are dropped in this order.
struct World {
    stream: UdpStream,
    _echo: [Echo; 2],
    daemons: [Daemon; 2],
    pair: Pair,
    lagg: bool,
}

/// `runs` times everything in sequence.
pub(super) fn case(site: &Site, what: CarpFault, runs: u32) -> Result<Case, Error> {
    let progress = Progress::new(format!("carp, {}", what.name()), runs);
    let mut world = World::build(site, what == CarpFault::Lagg)?;
    let mut outages: [Vec<f64>; 4] = Default::default();
    let mut moves = 0;
    for number in 1..=runs {
        let before = world.takeovers();
        for nic in 0..2 {
            for (n, fault) in FAULTS.into_iter().take(3).enumerate() {
                let outage = world.small(fault, nic)?;
                outages[n].push(ms(outage));
            }
        }
        moves += world.takeovers() - before;
        outages[3].push(ms(world.host()?));
        let worst = |n: usize| Summary::of(&outages[n]).map_or(f64::NAN, |s| s.max);
        progress.done(
            number,
            &format!(
                "at worst: cable {:.1}, NIC {:.1}, switch {:.1}, host {:.1} ms",
                worst(0),
                worst(1),
                worst(2),
                worst(3)
            ),
        );
    }
    let slowest = Summary::of(&outages[3]).map_or(f64::INFINITY, |s| s.max);
    let measures = FAULTS.into_iter().zip(outages);
    let measure = |(fault, samples): (&str, Vec<f64>)| {
        Measure::new(format!("{fault}_ms"), format!("outage, {fault} fails, ms"), samples)
    };
    Ok(Case {
        title: format!("{}, {runs} runs, {RATE} packets/s", what.name()),
        settings: vec![("rate_hz", f64::from(RATE))],
        measures: measures.map(measure).collect(),
        checks: vec![
            Check {
                key: "moves",
                label: "moves to the other host while a NIC, cable or switch fails".to_owned(),
                found: moves.to_string(),
                ok: moves == 0,
            },
            Check {
                key: "host",
                label: format!("a host failure costs at most {PATIENCE_MS:.0} ms and {MORE_MS} ms more"),
                found: format!("{slowest:.1} ms at worst"),
                ok: slowest <= PATIENCE_MS + MORE_MS,
            },
        ],
    })
}

impl World {
    /// Side A is master.
    fn build(site: &Site, lagg: bool) -> Result<World, Error> {
        let pair = if lagg { Pair::bare(2) } else { Pair::new(2) }?;
        let launch = |side: Side| {
            let config = |key: &str| config(lagg, side, key);
            launch(site, &pair, side, &config)
        };
        let a = launch(Side::A)?;
        wait_state(&a, "MASTER")?;
        let b = launch(Side::B)?;
        wait_state(&b, "BACKUP")?;
        let echo = [Echo::start(&pair.a, PORT)?, Echo::start(&pair.b, PORT)?];
        let target = SocketAddr::new(VIP.parse().expect("a constant address"), PORT);
        let stream = UdpStream::start(&pair.client, target, RATE)?;
        let world = World { stream, _echo: echo, daemons: [a, b], pair, lagg };
        world.settle()?;
        Ok(world)
    }

    /// Waits until everything is as it should be and the address answers.
    fn settle(&self) -> Result<(), Error> {
        let lagg = self.lagg;
        let whole = |s: &Status| match lagg {
            true => {
                s.laggs[0].active.as_deref() == Some("eth0")
                    && s.laggs[0].ports.iter().all(|p| p.link == LinkState::Up)
            }
            false => s.groups[0].state == GroupState::Ok,
        };
        for daemon in &self.daemons {
            daemon.wait_status(PATIENCE, "everything is whole", whole)?;
        }
        wait_state(&self.daemons[0], "MASTER")?;
        wait_state(&self.daemons[1], "BACKUP")?;
        self.answered()
    }

    fn answered(&self) -> Result<(), Error> {
        let now = Instant::now();
        let alive = || self.stream.alive_since(now).then_some(());
        poll_until(PATIENCE, alive).ok_or_else(|| {
            Error::new(format!("wait for answers of {VIP}"), format!("none within {PATIENCE:?}"))
        })
    }

    /// The longest time without an answer around a fault.
    fn around(&self, fault: Instant, length: Duration) -> Result<Duration, Error> {
        std::thread::sleep((fault + length).saturating_duration_since(Instant::now()));
        self.answered()?;
        Ok(self.stream.window(fault - Duration::from_millis(100), Instant::now()).outage)
    }

    /// Something of the master's breaks and is mended.
    fn small(&mut self, fault: &str, nic: usize) -> Result<Duration, Error> {
        let at = match fault {
            "cable" => self.pair.cable(Side::A, nic, false)?,
            "nic" => self.pair.nic(Side::A, nic, false)?,
            _ => self.pair.power(nic, false)?,
        };
        let outage = self.around(at, WATCHED)?;
        match fault {
            "cable" => self.pair.cable(Side::A, nic, true)?,
            "nic" => self.pair.nic(Side::A, nic, true)?,
            _ => self.pair.power(nic, true)?,
        };
        self.settle()?;
        Ok(outage)
    }

    /// How often the stand-in has become master so far.
    fn takeovers(&self) -> usize {
        self.daemons[1].log_text().matches("-> MASTER").count()
    }

    /// The master dies with its cables, comes back, and becomes master again.
    fn host(&mut self) -> Result<Duration, Error> {
        let at = Instant::now();
        for nic in 0..2 {
            self.pair.cable(Side::A, nic, false)?;
        }
        self.daemons[0].kill9();
        let outage = self.around(at, LONG)?;
        wait_state(&self.daemons[1], "MASTER")?;
        for nic in 0..2 {
            self.pair.cable(Side::A, nic, true)?;
        }
        self.daemons[0].restart()?;
        wait_state(&self.daemons[0], "BACKUP")?;
        self.daemons[1].term()?;
        wait_state(&self.daemons[0], "MASTER")?;
        self.daemons[1].restart()?;
        self.settle()?;
        Ok(outage)
    }
}

fn config(lagg: bool, side: Side, key: &str) -> String {
    let (n, skew) = (side as u8 + 1, if side == Side::A { 0 } else { SKEW });
    let (below, over) = match lagg {
        true => (
            format!(
                "[[lagg]]\nname = \"lagg0\"\nports = [\"eth0\", \"eth1\"]\naddresses = [\"10.77.0.{n}/24\"]\n{DETECTION}"
            ),
            "interface = \"lagg0\"",
        ),
        false => (
            format!(
                "[[group]]\nname = \"g\"\n{DETECTION}[[group.interface]]\nname = \"eth0\"\n\
                 [[group.interface]]\nname = \"eth1\"\n"
            ),
            "group = \"g\"",
        ),
    };
    format!(
        "{below}[[carp]]\n{over}\nvhid = 1\nadvskew = {skew}\npassphrase_file = \"{key}\"\naddresses = [\"{VIP}/24\"]\n"
    )
}
