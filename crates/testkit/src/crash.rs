//! The daemon killed at random instants of moves, repairs and reloads, again and again: whatever it was doing, and whatever
//! else dies before it is back, no address is lost, none is doubled, and every one finds its way home.

use crate::daemon::{Daemon, DaemonOptions};
use crate::error::Error;
use crate::group::GroupConfig;
use crate::lan::{DATA4, DATA6, Lan, LanOptions};
use crate::wait::poll_until;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// Addresses that the administrator put on the second NIC: adopted.
const ADOPTED: [&str; 2] = ["192.0.2.50/24", "2001:db8:1::50/64"];
/// How long everything may take to be home again, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Failure detection time.
const DETECTION: Duration = Duration::from_millis(100);
/// The daemon is killed within this after something has happened.
const LATEST: u64 = 300;

/// What came of the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kills.
    pub rounds: u32,
    /// Rounds in which an address was nowhere while nobody ran.
    pub lost: u32,
    /// Rounds after which an address was not on its home alone.
    pub astray: u32,
}

/// What is going on when the daemon is killed.
#[derive(Clone, Copy, Debug)]
enum Event {
    Cut(usize),
    Blackhole(usize),
    Offline(usize),
    Repair(usize),
    Reload,
    Remove(usize),
    Nothing,
}

/// The network, the daemon on it, and a source of chance that repeats itself.
pub struct Crashes {
    daemon: Daemon,
    lan: Lan,
    chance: u64,
    tally: Tally,
}

impl Crashes {
    /// Builds the network and starts the daemon (`binary`, or the one that is found).
    pub fn build(binary: Option<PathBuf>, seed: u64) -> Result<Crashes, Error> {
        let lan = Lan::new(LanOptions { nics: 3, ..LanOptions::default() })?;
        for address in ADOPTED {
            lan.server.add_address("eth1", address)?;
        }
        let options = DaemonOptions { config: config(false), binary, ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options)?;
        daemon.wait_ready()?;
        let mut crashes =
            Crashes { daemon, lan, chance: seed.wrapping_mul(2).wrapping_add(1), tally: Tally::default() };
        crashes.expect_home("at the start")?;
        crashes.tally = Tally::default();
        Ok(crashes)
    }

    /// The daemon's temporary directory.
    pub fn directory(&self) -> PathBuf {
        self.daemon.directory()
    }

    /// One round. Gives the tally so far; what went wrong is told in words.
    pub fn round(&mut self) -> Result<(Tally, Option<String>), Error> {
        let event = self.event();
        self.happen(event)?;
        std::thread::sleep(Duration::from_micros(self.below(LATEST * 1000)));
        self.daemon.kill9();
        let mut complaint = self.missing().map(|a| format!("{a} is nowhere after a kill during {event:?}"));
        self.tally.lost += u32::from(complaint.is_some());
        let meanwhile = self.event();
        if !matches!(meanwhile, Event::Offline(_) | Event::Remove(_)) {
            self.happen(meanwhile)?;
        }
        std::thread::sleep(Duration::from_millis(self.below(30)));
        self.daemon.restart()?;
        std::thread::sleep(Duration::from_millis(self.below(150)));
        self.mend()?;
        let what = format!("after a kill during {event:?}, then {meanwhile:?}");
        if let Err(error) = self.expect_home(&what) {
            self.tally.astray += 1;
            complaint = Some(error.to_string());
        }
        self.tally.rounds += 1;
        Ok((self.tally, complaint))
    }

    fn below(&mut self, limit: u64) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % limit.max(1)
    }

    fn event(&mut self) -> Event {
        let nic = self.below(2) as usize;
        match self.below(12) {
            0..=2 => Event::Cut(nic),
            3..=4 => Event::Blackhole(nic),
            5 => Event::Offline(nic),
            6..=7 => Event::Repair(nic),
            8..=9 => Event::Reload,
            10 => Event::Remove(2),
            _ => Event::Nothing,
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Cut(nic) => self.lan.cut(nic).map(drop),
            Event::Blackhole(nic) => self.lan.blackhole(nic).map(drop),
            // Refused where it would be the last one.
            Event::Offline(nic) => {
                let _ = self.daemon.offline(&format!("eth{nic}"));
                Ok(())
            }
            Event::Repair(nic) => {
                self.lan.cut(nic)?;
                std::thread::sleep(Duration::from_millis(self.below(100)));
                self.lan.plug(nic).map(drop)
            }
            Event::Reload => {
                self.daemon.set_config(&config(true))?;
                if self.daemon.pid().is_some() {
                    self.daemon.signal(Signal::SIGHUP)?;
                }
                Ok(())
            }
            Event::Remove(nic) => self.lan.remove(nic).map(drop),
            Event::Nothing => Ok(()),
        }
    }

    /// Everything is as it was at the start, except for what the daemon has to see to.
    fn mend(&mut self) -> Result<(), Error> {
        for nic in 0..3 {
            if !self.lan.server.has(&format!("eth{nic}")) {
                self.lan.recreate(nic)?;
            }
            self.lan.plug(nic)?;
            self.lan.heal(nic)?;
            // Refused unless it is offline.
            let _ = self.daemon.online(&format!("eth{nic}"));
        }
        self.daemon.set_config(&config(false))?;
        self.daemon.signal(Signal::SIGHUP)
    }

    fn addresses() -> impl Iterator<Item = (&'static str, &'static str)> {
        let plain = |a: &'static str| a.split_once('/').map_or(a, |(a, _)| a);
        [(DATA4, "eth0"), (DATA6, "eth0")].into_iter().chain(ADOPTED.map(|a| (plain(a), "eth1")))
    }

    fn missing(&self) -> Option<&'static str> {
        Crashes::addresses().map(|(a, _)| a).find(|a| self.lan.server.holders(a).is_empty())
    }

    fn expect_home(&self, what: &str) -> Result<(), Error> {
        let home =
            || Crashes::addresses().all(|(a, home)| self.lan.server.holders(a) == [home]).then_some(());
        poll_until(PATIENCE, home).ok_or_else(|| {
            let places: Vec<_> = Crashes::addresses().map(|(a, _)| (a, self.lan.server.holders(a))).collect();
            let log = self.daemon.log_text();
            let tail = log.len().saturating_sub(6000);
            let tail = log.char_indices().map(|(i, _)| i).find(|i| *i >= tail).unwrap_or(0);
            Error::new(
                format!("find every address at home {what}"),
                format!("{places:?}\nlog:\n{}", &log[tail..]),
            )
        })
    }
}

/// The configuration, and the one that a reload puts in its place: a NIC less, and another home.
fn config(other: bool) -> String {
    let home = usize::from(other);
    let config = GroupConfig {
        nics: if other { 2 } else { 3 },
        failure_detection_time: DETECTION,
        data: vec![(format!("{DATA4}/24"), home), (format!("{DATA6}/64"), home)],
        ..GroupConfig::default()
    };
    config.text()
}
