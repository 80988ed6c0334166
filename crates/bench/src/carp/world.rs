//! Two hosts with a vhid of skew 0 each, and their witness. Who of them is master changes with every fault.

use crate::cli::CarpFault;
use crate::rng::Rng;
use crate::stage::{PATIENCE, Site};
use crate::stats::ms;
use mpath_testkit::traffic::PORT;
use mpath_testkit::witness::Tally;
use mpath_testkit::{Daemon, DaemonOptions, Echo, Error, Pair, Side, UdpStream, Witness, poll_until};
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// From one advert to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// A fault comes at a random moment within this time, and not before a new stand-in has heard the master.
const SETTLE: Duration = Duration::from_millis(1100);
/// How long a program that runs again is watched, and the rate of the traffic meanwhile.
const WATCHED: Duration = Duration::from_millis(2500);
const RATE: u32 = 1000;

/// One fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// From the master's last advert to the first of the other.
    pub(crate) silence: Duration,
    /// From the master's last advert to the first answer of the other.
    pub(crate) answer: Duration,
    /// From the fault to the first answer of the other.
    pub(crate) taken: Duration,
    /// What adverts were late by.
    pub(crate) late: Duration,
    /// Packets lost.
    pub(crate) lost: f64,
}

impl Run {
    /// In a few words.
    pub(crate) fn text(&self, fault: CarpFault) -> String {
        match fault {
            CarpFault::Kill => {
                format!("silence {:.1} ms, answer after {:.1} ms", ms(self.silence), ms(self.answer))
            }
            CarpFault::Stop => format!("taken over within {:.1} ms", ms(self.taken)),
            _ => format!("late by {:.1} ms, {} lost", ms(self.late), self.lost),
        }
    }
}

/// Everything that runs. Fields are dropped in this order.
pub(crate) struct World {
    stream: Option<UdpStream>,
    witness: Witness,
    _echo: [Echo; 2],
    daemons: [Daemon; 2],
    _pair: Pair,
    master: Side,
}

impl World {
    /// Side A is master.
    pub(crate) fn build(site: &Site, fault: CarpFault) -> Result<World, Error> {
        let pair = Pair::new(1)?;
        let witness = Witness::start(&pair, VIP)?;
        let launch = |side: Side| {
            let vhid = |key: &str| {
                format!(
                    "[[carp]]\ninterface = \"eth0\"\nvhid = 1\npassphrase_file = \"{key}\"\naddresses = [\"{VIP}/24\"]\n"
                )
            };
            launch(site, &pair, side, &vhid)
        };
        let a = launch(Side::A)?;
        wait_state(&a, "MASTER")?;
        let b = launch(Side::B)?;
        wait_state(&b, "BACKUP")?;
        let echo = [Echo::start(&pair.a, PORT)?, Echo::start(&pair.b, PORT)?];
        let target = SocketAddr::new(VIP.into(), PORT);
        let stream =
            (fault == CarpFault::Again).then(|| UdpStream::start(&pair.client, target, RATE)).transpose()?;
        Ok(World { stream, witness, _echo: echo, daemons: [a, b], _pair: pair, master: Side::A })
    }

    /// Makes one fault and brings back who is missing afterwards.
    pub(crate) fn fault(&mut self, fault: CarpFault, rng: &mut Rng) -> Result<Run, Error> {
        std::thread::sleep(SETTLE + rng.below(INTERVAL));
        match fault {
            CarpFault::Again => self.again(),
            _ => self.takeover(fault == CarpFault::Kill),
        }
    }

    fn takeover(&mut self, kill: bool) -> Result<Run, Error> {
        let (gone, other) = (self.master, opposite(self.master));
        let (begun, at) = (Instant::now() - 2 * INTERVAL, Instant::now());
        if kill {
            self.daemons[gone as usize].kill9();
        } else {
            self.daemons[gone as usize].signal(Signal::SIGTERM)?;
        }
        let what = format!("wait until {other:?} answers");
        let come = || {
            let first = self.witness.adverts(other, at).first().map(|(t, _)| *t)?;
            Some((first, self.witness.first_answer(other, at)?))
        };
        let (first, answer) =
            poll_until(PATIENCE, come).ok_or_else(|| Error::new(what, format!("not within {PATIENCE:?}")))?;
        let last = self.witness.adverts(gone, begun).last().map(|(t, _)| *t);
        let last = last.ok_or_else(|| Error::new("find the last advert", "there was none"))?;
        if !kill {
            self.daemons[gone as usize].wait_end(PATIENCE)?;
        }
        self.daemons[gone as usize].restart()?;
        wait_state(&self.daemons[gone as usize], "BACKUP")?;
        self.master = other;
        Ok(Run { silence: first - last, answer: answer - last, taken: answer - at, ..Run::default() })
    }

    fn again(&mut self) -> Result<Run, Error> {
        let begun = Instant::now() - 2 * INTERVAL;
        let at = Instant::now();
        self.daemons[self.master as usize].signal(Signal::SIGUSR2)?;
        std::thread::sleep(WATCHED);
        let adverts = self.witness.adverts(self.master, begun);
        let gaps = adverts
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .chain([at.elapsed().saturating_sub(WATCHED)]);
        let late = gaps.max().unwrap_or(WATCHED).saturating_sub(INTERVAL);
        let stream = self.stream.as_ref().expect("this fault has traffic");
        let lost = stream.window(at, at + WATCHED - Duration::from_millis(250)).lost as f64;
        if !self.witness.adverts(opposite(self.master), begun).is_empty() {
            return Err(Error::new("run the master's program again", "the other one took over"));
        }
        Ok(Run { late, lost, ..Run::default() })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.witness.tally()
    }
}

/// Starts a daemon with a configuration that names a key file.
pub(crate) fn launch(
    site: &Site,
    pair: &Pair,
    side: Side,
    config: &dyn Fn(&str) -> String,
) -> Result<Daemon, Error> {
    let options = DaemonOptions { binary: Some(site.daemon.clone()), ..DaemonOptions::default() };
    let mut daemon = Daemon::launch(pair.host(side), options)?;
    site.interrupt.remove_at_end(daemon.directory());
    daemon.wait_ready()?;
    let key = daemon.secret("carp.key", "lagg-carp-lab")?;
    daemon.set_config(&config(&key.display().to_string()))?;
    daemon.restart()?;
    Ok(daemon)
}

/// Waits until all vhids of a daemon are in this state.
pub(crate) fn wait_state(daemon: &Daemon, state: &str) -> Result<(), Error> {
    let what = format!("every vhid is {state}");
    let there = |s: &mpath_model::Status| !s.carps.is_empty() && s.carps.iter().all(|c| c.state == state);
    daemon.wait_status(PATIENCE, &what, there).map(drop)
}

/// The other one.
pub(crate) fn opposite(side: Side) -> Side {
    match side {
        Side::A => Side::B,
        Side::B => Side::A,
    }
}
