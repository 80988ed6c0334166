//! The standard network with addresses that are declared and addresses that are adopted, all at home on the first NIC, and
//! somebody who looks where they are, over and over.

use crate::stage::{HOME, NIC, PATIENCE, Site, Traffic, all_well};
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, DaemonOptions, Echo, Error, GroupConfig, Lan, LanOptions, Places, poll_until};
use std::time::{Duration, Instant};

/// The NIC that stands in.
pub(super) const OTHER: &str = "eth1";
/// Adopted: the administrator put them on the first NIC.
const ADOPTED: [&str; 2] = ["192.0.2.50/24", "2001:db8:1::50/64"];
/// How long everything has to stay as it is before a fault is over.
const STEADY: Duration = Duration::from_millis(300);

/// Which way the addresses are going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The cable is cut.
    Out,
    /// It is plugged in again.
    Home,
}

impl Way {
    /// Out and home in turns.
    pub(super) fn of(number: u32) -> Way {
        if number.is_multiple_of(2) { Way::Home } else { Way::Out }
    }

    /// Where the addresses are to be in the end.
    pub(super) fn target(self) -> &'static str {
        match self {
            Way::Out => OTHER,
            Way::Home => HOME,
        }
    }
}

/// What is special about a world.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setup {
    /// Netlink calls can be made to fail.
    pub(super) refusable: bool,
    /// NICs beside the two of the group.
    pub(super) more: usize,
}

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every address was on the right NIC alone and both data addresses answered, so long after.
    Recovered(Duration),
    /// An address was on two NICs in the end.
    Doubled,
    /// It was not so in time.
    Late,
}

/// Everything that runs. Fields are dropped in this order.
pub(super) struct World {
    traffic: Traffic,
    _echo: Echo,
    pub(super) places: Places,
    pub(super) daemon: Daemon,
    pub(super) lan: Lan,
}

impl World {
    /// All addresses are at home, and every NIC has had answers.
    pub(super) fn build(
        site: &Site,
        fdt: Duration,
        rate: u32,
        setup: Setup,
        more: impl FnOnce(&mut Daemon, String) -> Result<(), Error>,
    ) -> Result<World, Error> {
        let lan = Lan::new(LanOptions { nics: 2 + setup.more, ..LanOptions::default() })?;
        for address in ADOPTED {
            lan.server.add_address(HOME, address)?;
        }
        let config = GroupConfig { failure_detection_time: fdt, ..GroupConfig::default() }.text();
        let binary = Some(site.daemon.clone());
        let refusable = setup.refusable;
        let options = DaemonOptions { config: config.clone(), binary, refusable, ..DaemonOptions::default() };
        let mut daemon = Daemon::launch(&lan.server, options)?;
        site.interrupt.remove_at_end(daemon.directory());
        daemon.wait_ready()?;
        more(&mut daemon, config)?;
        let there = || [DATA4, DATA6].iter().all(|a| lan.server.holders(a) == [HOME]).then_some(());
        let why = || Error::new("wait for the data addresses", daemon.log_text());
        poll_until(PATIENCE, there).ok_or_else(why)?;
        let plain = |a: &'static str| a.split_once('/').map_or(a, |(a, _)| a);
        let all = [DATA4, DATA6, plain(ADOPTED[0]), plain(ADOPTED[1])];
        let places = Places::watch(&lan.server, &all)?;
        let echo = Echo::start(&lan.server, PORT)?;
        let traffic = Traffic::start(&lan, rate)?;
        let world = World { traffic, _echo: echo, places, daemon, lan };
        world.wait_home()?;
        let answered = || match world.daemon.all_answered() {
            Ok(false) => None,
            other => Some(other.map(drop)),
        };
        poll_until(PATIENCE, answered).unwrap_or_else(|| {
            Err(Error::new("wait for answers to the probes of every NIC", world.daemon.log_text()))
        })?;
        Ok(world)
    }

    /// The cable is pulled, or plugged in; before it is plugged in, the addresses have gone.
    pub(super) fn begin(&mut self, way: Way) -> Result<Instant, Error> {
        if way == Way::Out {
            return self.lan.cut(NIC);
        }
        let cut = self.lan.cut(NIC)?;
        match self.outcome(OTHER, cut)? {
            Outcome::Recovered(_) => self.lan.plug(NIC),
            other => Err(self.error("wait until the addresses are on the other NIC", &format!("{other:?}"))),
        }
    }

    /// Everything is mended; waits until all addresses are at home and all NICs work.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.lan.plug(NIC)?;
        self.wait_home()
    }

    fn wait_home(&self) -> Result<(), Error> {
        self.daemon.wait_status(PATIENCE, "all NICs work", all_well)?;
        let index = self.lan.server.index_of(HOME)?;
        let home = || self.places.all_on(index);
        let found = poll_until(PATIENCE, home);
        found.map(drop).ok_or_else(|| self.error("wait until all addresses are at home", "in vain"))
    }

    /// How it ends: when all addresses are on this NIC alone, and both data addresses answer, and stay so for a moment.
    pub(super) fn outcome(&self, nic: &str, since: Instant) -> Result<Outcome, Error> {
        let index = self.lan.server.index_of(nic)?;
        let mut right = None;
        let settled = poll_until(PATIENCE, || {
            right = match (right, self.places.all_on(index)) {
                (Some(before), Some(_)) => Some(before),
                (None, Some(at)) => (at >= since).then_some(at),
                (_, None) => None,
            };
            right.filter(|at| self.traffic.alive_since(*at)).map(|_| Instant::now())
        });
        let Some(at) = settled else {
            return Ok(if self.doubled() { Outcome::Doubled } else { Outcome::Late });
        };
        let end = Instant::now() + STEADY;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
            if self.places.all_on(index).is_none() {
                return Ok(if self.doubled() { Outcome::Doubled } else { Outcome::Late });
            }
        }
        Ok(Outcome::Recovered(at - since))
    }

    fn doubled(&self) -> bool {
        self.places.last().is_some_and(|(_, all)| all.iter().any(|(_, holders)| holders.len() > 1))
    }

    /// An error with where everything is, and the end of the daemon's log.
    pub(super) fn error(&self, what: &str, why: &str) -> Error {
        Error::new(what, format!("{why}; {:?}\n{}", self.places.last(), self.log_end()))
    }

    /// The last lines of the daemon's log.
    pub(super) fn log_end(&self) -> String {
        let log = self.daemon.log();
        let lines = log.iter().skip(log.len().saturating_sub(40));
        lines.map(|line| format!("  {}\n", line.text)).collect()
    }
}
