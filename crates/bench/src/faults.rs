//! Scenario `faults`: what goes wrong around the daemon in the middle of a move, one fault after another: whether an address is
//! lost or doubled, whether the daemon lives, and how soon everything is in its place again.

mod hostile;
mod options;
mod storm;
mod world;

pub(crate) use options::FaultOptions;

use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{NIC, PATIENCE, Site};
use crate::stats::ms;
use mpath_testkit::Error;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use options::Fault;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use world::{Outcome, Setup, Way, World};

/// How long the daemon stands still.
const STOPPED: Duration = Duration::from_secs(3);
/// How long netlink calls fail.
const REFUSED: Duration = Duration::from_secs(2);
/// After a cut, a fault comes at a random moment within this.
const MOVE: Duration = Duration::from_millis(20);
/// Storms are so old at most when the cable is pulled.
const STORM: Duration = Duration::from_secs(1);
/// Everything is in its place again within this, and on the way home within two detection times more.
const LIMIT: Duration = Duration::from_secs(5);

/// One fault.
struct Run {
    way: Way,
    outcome: Outcome,
    /// An address was nowhere.
    lost: bool,
    /// The daemon ended by itself.
    ended: bool,
    /// Netlink calls that failed.
    refused: u64,
}

/// Every fault that is asked for, `runs` times each.
pub(crate) fn run(site: &Site, options: &FaultOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut rng = Rng::new(seed);
    let mut cases = Vec::new();
    for fault in &options.what {
        match fault {
            Fault::Hostile => cases.extend(hostile::cases(site, options, runs, seed)?),
            fault => cases.push(Bench::start(site, options, *fault, runs)?.run(&mut rng)?),
        }
    }
    Ok(cases)
}

/// The measurement of one fault.
struct Bench {
    _disk: Option<Disk>,
    world: World,
    fault: Fault,
    fdt: Duration,
    runs: u32,
    progress: Progress,
}

impl Bench {
    fn start(site: &Site, options: &FaultOptions, fault: Fault, runs: u32) -> Result<Bench, Error> {
        let progress = Progress::new(format!("faults, {}", fault.name()), runs);
        let setup = Setup { refusable: fault.errno().is_some(), ..Setup::default() };
        let mut disk = None;
        let more = |daemon: &mut mpath_testkit::Daemon, _| match fault {
            Fault::Disk => {
                daemon.term()?;
                disk = Some(Disk::mount(daemon.state_dir())?);
                daemon.restart()
            }
            _ => Ok(()),
        };
        let world = World::build(site, options.fdt, options.traffic.rate, setup, more)?;
        Ok(Bench { _disk: disk, world, fault, fdt: options.fdt, runs, progress })
    }

    fn run(&mut self, rng: &mut Rng) -> Result<Case, Error> {
        let mut all = Vec::new();
        for number in 1..=self.runs {
            let runs = self.fault(number, rng)?;
            for run in &runs {
                self.progress.done(number, &format!("{:?}: {:?}", run.way, run.outcome));
                if run.lost || run.ended || !matches!(run.outcome, Outcome::Recovered(_)) {
                    self.progress.note(&self.world.error(self.fault.name(), "missed").to_string());
                }
            }
            all.extend(runs);
        }
        Ok(self.case(&all))
    }

    /// One fault, or in the storm of routes one at its beginning and one at its end.
    fn fault(&mut self, number: u32, rng: &mut Rng) -> Result<Vec<Run>, Error> {
        let way = Way::of(number);
        let runs = match self.fault {
            Fault::Kill => vec![self.watched(way, |bench| bench.kill(way, rng))?],
            Fault::Stop => vec![self.watched(way, |bench| bench.stop(way, rng))?],
            Fault::Disk => vec![self.watched(way, |bench| bench.disk(way))?],
            Fault::Interfaces => vec![self.watched(way, |bench| bench.interfaces(way, rng))?],
            Fault::Routes => {
                storm::prepare_routes(&self.world.lan)?;
                let out = self.watched(Way::Out, |bench| bench.routes(rng))?;
                vec![out, self.watched(Way::Home, Bench::no_routes)?]
            }
            _ => {
                let permille = if number % 4 < 2 { 500 } else { 1000 };
                vec![self.watched(way, |bench| bench.refuse(way, permille, rng))?]
            }
        };
        self.world.end()?;
        Ok(runs)
    }

    /// Makes a fault, and looks what became of addresses and daemon.
    fn watched(
        &mut self,
        way: Way,
        fault: impl FnOnce(&mut Bench) -> Result<(Outcome, u64), Error>,
    ) -> Result<Run, Error> {
        let begun = Instant::now();
        let (outcome, refused) = fault(self)?;
        let lost = !self.world.places.absences(begun).is_empty();
        Ok(Run { way, outcome, lost, ended: !self.world.daemon.is_running(), refused })
    }

    /// A random moment of a move: the way home begins when the NIC is found repaired.
    fn moment(&self, way: Way, rng: &mut Rng) -> Duration {
        match way {
            Way::Out => rng.below(MOVE),
            Way::Home => rng.below(self.fdt * 2),
        }
    }

    fn kill(&mut self, way: Way, rng: &mut Rng) -> Result<(Outcome, u64), Error> {
        self.world.begin(way)?;
        std::thread::sleep(self.moment(way, rng));
        let at = Instant::now();
        self.world.daemon.kill9();
        std::thread::sleep(rng.below(MOVE));
        self.world.daemon.restart()?;
        Ok((self.world.outcome(way.target(), at)?, 0))
    }

    fn stop(&mut self, way: Way, rng: &mut Rng) -> Result<(Outcome, u64), Error> {
        self.world.begin(way)?;
        std::thread::sleep(self.moment(way, rng));
        self.world.daemon.signal(Signal::SIGSTOP)?;
        std::thread::sleep(STOPPED);
        let at = Instant::now();
        self.world.daemon.signal(Signal::SIGCONT)?;
        Ok((self.world.outcome(way.target(), at)?, 0))
    }

    fn refuse(&mut self, way: Way, permille: u32, rng: &mut Rng) -> Result<(Outcome, u64), Error> {
        let errno = self.fault.errno().expect("a fault that makes calls fail");
        let daemon = &self.world.daemon;
        let before = daemon.refusals().map_or(0, |r| r.permit());
        // In the middle of the move, or from before it on.
        let late = rng.below(MOVE) < MOVE / 2;
        let refuse =
            |world: &World| world.daemon.refusals().into_iter().for_each(|r| r.refuse(errno, permille));
        if late {
            self.world.begin(way)?;
            std::thread::sleep(self.moment(way, rng) / 8);
            refuse(&self.world);
        } else if way == Way::Out {
            refuse(&self.world);
            std::thread::sleep(rng.below(MOVE));
            self.world.begin(way)?;
        } else {
            self.world.begin(way)?;
            refuse(&self.world);
        }
        std::thread::sleep(REFUSED);
        let at = Instant::now();
        let refused = self.world.daemon.refusals().map_or(0, |r| r.permit()) - before;
        Ok((self.world.outcome(way.target(), at)?, refused))
    }

    /// The disk is full before the move, and a daemon that starts after it finds nothing newer than before.
    fn disk(&mut self, way: Way) -> Result<(Outcome, u64), Error> {
        let filler = fill(&self.world.daemon.state_dir())?;
        let at = self.world.begin(way)?;
        let mut outcome = self.world.outcome(way.target(), at)?;
        self.world.daemon.kill9();
        let killed = self.world.daemon.log().len();
        self.world.daemon.restart()?;
        let again = self.world.outcome(way.target(), Instant::now())?;
        if !matches!(again, Outcome::Recovered(_)) {
            outcome = again;
        }
        // Nothing is written where what is there is true already.
        let log = self.world.daemon.log();
        let said = log.iter().skip(killed).any(|line| line.text.contains("state cannot be written"));
        fs::remove_file(&filler).map_err(|e| Error::new(format!("remove {}", filler.display()), e))?;
        if said {
            self.world.daemon.wait_log_after(killed, PATIENCE, "state is written again")?;
        }
        Ok((outcome, 0))
    }

    fn interfaces(&mut self, way: Way, rng: &mut Rng) -> Result<(Outcome, u64), Error> {
        let moment = rng.below(STORM);
        if way == Way::Home {
            // The storm begins when the addresses have gone.
            self.world.begin(Way::Out)?;
            self.world.outcome(world::OTHER, Instant::now())?;
        }
        let server = std::sync::Arc::clone(&self.world.lan.server);
        let storm = std::thread::spawn(move || storm::interfaces(&server));
        std::thread::sleep(moment);
        let at = if way == Way::Out { self.world.lan.cut(NIC)? } else { self.world.lan.plug(NIC)? };
        let during = self.world.outcome(way.target(), at)?;
        storm.join().expect("a storm does not panic")?;
        Ok((self.still(way, during)?, 0))
    }

    fn routes(&mut self, rng: &mut Rng) -> Result<(Outcome, u64), Error> {
        let moment = rng.below(STORM);
        let server = std::sync::Arc::clone(&self.world.lan.server);
        let storm = std::thread::spawn(move || storm::routes(&server));
        std::thread::sleep(moment);
        let at = self.world.begin(Way::Out)?;
        let during = self.world.outcome(Way::Out.target(), at)?;
        storm.join().expect("a storm does not panic")?;
        Ok((self.still(Way::Out, during)?, 0))
    }

    fn no_routes(&mut self) -> Result<(Outcome, u64), Error> {
        let at = self.world.lan.plug(NIC)?;
        storm::end_routes(&self.world.lan.server)?;
        Ok((self.world.outcome(Way::Home.target(), at)?, 0))
    }

    /// What was right in a storm is right after it.
    fn still(&self, way: Way, during: Outcome) -> Result<Outcome, Error> {
        Ok(match self.world.outcome(way.target(), Instant::now())? {
            Outcome::Recovered(_) => during,
            after => after,
        })
    }

    fn case(&self, all: &[Run]) -> Case {
        let took = |way: Way| {
            let one = |run: &Run| match run.outcome {
                Outcome::Recovered(took) if run.way == way => Some(ms(took)),
                _ => None,
            };
            all.iter().filter_map(one).collect::<Vec<f64>>()
        };
        let (out, home) = (took(Way::Out), took(Way::Home));
        let limits = [ms(LIMIT), ms(LIMIT + self.fdt * 2)];
        let in_time = |samples: &[f64], limit: f64| samples.iter().filter(|took| **took <= limit).count();
        let recovered = in_time(&out, limits[0]) + in_time(&home, limits[1]);
        let none = |key, label: &str, what: &dyn Fn(&Run) -> bool| {
            let found = all.iter().filter(|run| what(run)).count();
            Check { key, label: label.to_owned(), found: found.to_string(), ok: found == 0 }
        };
        let mut measures = vec![
            Measure::new("recovery_ms", "recovery in a failover, ms", out),
            Measure::new("home_ms", "recovery on the way home, ms", home),
        ];
        if self.fault.errno().is_some() {
            let refused = all.iter().map(|run| run.refused as f64).collect();
            measures.push(Measure::new("refused", "netlink calls that failed", refused));
        }
        let label = format!("recovered within {:.0} ms, on the way home {:.0}", limits[0], limits[1]);
        Case {
            title: format!("{}, {} times", self.fault.name(), all.len()),
            settings: vec![("failure_detection_time_ms", ms(self.fdt))],
            measures,
            checks: vec![
                none("lost", "an address lost", &|run| run.lost),
                none("doubled", "an address doubled", &|run| run.outcome == Outcome::Doubled),
                none("ended", "ends of the daemon by itself", &|run| run.ended),
                Check {
                    key: "recovered",
                    label,
                    found: format!("{recovered} of {}", all.len()),
                    ok: recovered == all.len(),
                },
            ],
        }
    }
}

/// A file system with room for little, on a directory.
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: PathBuf) -> Result<Disk, Error> {
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
            .map_err(|e| Error::new(format!("mount a small file system on {}", dir.display()), e))?;
        Ok(Disk(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Fills it; gives the file that does.
fn fill(dir: &Path) -> Result<PathBuf, Error> {
    let filler = dir.join("filler");
    match fs::write(&filler, vec![0; 1 << 20]) {
        Err(_) => Ok(filler),
        Ok(()) => Err(Error::new(format!("fill {}", dir.display()), "it has room for more")),
    }
}
