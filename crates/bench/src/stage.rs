//! The private network with the daemon, the echo service and a watcher, and the questions that scenarios ask of it.

use crate::events::Events;
use crate::interrupt::Interrupt;
use crate::stats::ms;
use mpath_model::status::{GroupState, ProbeState, Status};
use mpath_testkit::daemon::DaemonOptions;
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::process::LogLine;
use mpath_testkit::traffic::{PORT, Report};
use mpath_testkit::{Daemon, Echo, Error, GroupConfig, Lan, LanOptions, Stack, UdpStream, poll_until};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The NIC that fails: home of the data addresses.
pub(crate) const NIC: usize = 0;
/// Its name.
pub(crate) const HOME: &str = "eth0";

/// The streams of a client, in this order everywhere.
pub(crate) const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Longest wait for anything that must happen, beyond what detection itself takes. No limit of a figure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much of the window lies before the fault: the last answer before it must be inside.
pub(crate) const LEAD: Duration = Duration::from_millis(100);

/// Time for packets under way to arrive before a window is evaluated.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// What the program found and set up before it built anything.
pub(crate) struct Site {
    /// The daemon's program.
    pub(crate) daemon: PathBuf,
    /// Cleans up if the program is ended.
    pub(crate) interrupt: Interrupt,
}

/// Everything that runs. Fields are dropped in this order.
pub(crate) struct Stage {
    _echo: Echo,
    daemon: Daemon,
    pub(crate) events: Events,
    pub(crate) lan: Lan,
    stack: Stack,
}

impl Stage {
    /// Two NICs, one data address of each family; ready when every NIC has had answers in every probed family.
    pub(crate) fn build(site: &Site, failure_detection_time: Duration) -> Result<Stage, Error> {
        let config = GroupConfig { failure_detection_time, ..GroupConfig::default() };
        Stage::build_on(site, &config, LanOptions::default())
    }

    /// The same with another group on a network with other options.
    pub(crate) fn build_on(site: &Site, config: &GroupConfig, options: LanOptions) -> Result<Stage, Error> {
        let stack = config.stack;
        let configured = !config.test_addresses.is_empty();
        let lan = Lan::new(LanOptions { configured, ..options })?;
        if !configured {
            lan.configure_plainly()?;
        }
        let binary = Some(site.daemon.clone());
        let options = DaemonOptions { config: config.text(), binary, ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options)?;
        site.interrupt.remove_at_end(daemon.directory());
        daemon.wait_ready()?;
        let events = Events::watch(&daemon.socket())?;
        let echo = Echo::start(&lan.server, PORT)?;
        let stage = Stage { _echo: echo, daemon, events, lan, stack };
        stage.wait_home(PATIENCE)?;
        stage.wait_answers()?;
        Ok(stage)
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.daemon.signal(signal)
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Takes a NIC out of service; returns when the move is over.
    pub(crate) fn offline(&self, nic: &str) -> Result<(), Error> {
        self.daemon.offline(nic)
    }

    /// Puts it back in service.
    pub(crate) fn online(&self, nic: &str) -> Result<(), Error> {
        self.daemon.online(nic)
    }

    /// All that the daemon has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.log_text()
    }

    /// Waits until all NICs work, says the daemon, and the kernel has both data addresses at home.
    pub(crate) fn wait_home(&self, deadline: Duration) -> Result<(), Error> {
        self.daemon.wait_status(deadline, "all NICs work", all_well)?;
        self.wait_holders(deadline)
    }

    fn wait_holders(&self, deadline: Duration) -> Result<(), Error> {
        let home = || self.stack.data().iter().all(|data| self.lan.server.holders(data) == [HOME]);
        poll_until(deadline, || home().then_some(())).ok_or_else(|| {
            let why = format!("not within {deadline:?}; the log of mpathd:\n{}", self.daemon.log_text());
            Error::new(format!("wait for the data addresses on {HOME}"), why)
        })
    }

    /// Waits until every probed family of every NIC has had an answer: what never answered is no evidence of a
    /// failure.
    fn wait_answers(&self) -> Result<(), Error> {
        let answered = || match self.daemon.all_answered() {
            Ok(false) => None,
            other => Some(other.map(drop)),
        };
        poll_until(PATIENCE, answered).unwrap_or_else(|| {
            let why = format!("not within {PATIENCE:?}; the log of mpathd:\n{}", self.daemon.log_text());
            Err(Error::new("wait for answers to the probes of every NIC", why))
        })
    }

    /// The failure detection time in force: the daemon raises it while the network, or a machine too busy to answer in
    /// time, does not permit the requested one.
    pub(crate) fn detection_time(&self) -> Result<Duration, Error> {
        let status = self.daemon.status()?;
        let group = status.groups.first();
        let group = group.ok_or_else(|| Error::new("read the status of mpathd", "it has no group"))?;
        Ok(Duration::from_millis(group.failure_detection_time_ms))
    }

    /// Starts the streams of the client on the link, and waits until answers come.
    pub(crate) fn traffic(&self, rate: u32) -> Result<Traffic, Error> {
        Traffic::start(&self.lan, rate)
    }

    /// One stream to the IPv4 data address.
    pub(crate) fn stream(&self, rate: u32) -> Result<UdpStream, Error> {
        let address = DATA4.parse().expect("the data addresses are addresses");
        UdpStream::start(&self.lan.near, SocketAddr::new(address, PORT), rate)
    }

    /// What the daemon logged from `begin` on, each line with its distance from `fault` in ms: whoever wants to know
    /// why a limit was missed begins here.
    pub(crate) fn log_around(&self, begin: Instant, fault: Instant) -> String {
        let lines = self.daemon.log().into_iter().filter(|line| line.at >= begin);
        lines.map(|LogLine { at, text }| format!("  {:+10.3} ms  {text}\n", distance(at, fault))).collect()
    }
}

/// Signed milliseconds from `zero` to `at`.
pub(crate) fn distance(at: Instant, zero: Instant) -> f64 {
    ms(at.saturating_duration_since(zero)) - ms(zero.saturating_duration_since(at))
}

/// Every NIC is watched by probes and works.
pub(crate) fn all_well(status: &Status) -> bool {
    let groups = &status.groups;
    let watched = groups.iter().flat_map(|g| &g.interfaces).all(|i| i.probe == ProbeState::Ok);
    !groups.is_empty() && watched && groups.iter().all(|g| g.state == GroupState::Ok)
}

/// The streams of the client on the link, one for each family.
pub(crate) struct Traffic([UdpStream; 2]);

impl Traffic {
    /// Starts the streams of the client on the link, and waits until answers come.
    pub(crate) fn start(lan: &Lan, rate: u32) -> Result<Traffic, Error> {
        let start = |data: &str| {
            let address = data.parse().expect("the data addresses are addresses");
            UdpStream::start(&lan.near, SocketAddr::new(address, PORT), rate)
        };
        let traffic = Traffic([start(DATA4)?, start(DATA6)?]);
        traffic.wait_answers(PATIENCE)?;
        Ok(traffic)
    }

    /// Waits until both streams have answers that arrive from now on.
    pub(crate) fn wait_answers(&self, deadline: Duration) -> Result<(), Error> {
        let now = Instant::now();
        let alive = || self.0.iter().all(|stream| stream.alive_since(now)).then_some(());
        poll_until(deadline, alive).ok_or_else(|| {
            Error::new("wait for answers to the UDP streams", format!("none within {deadline:?}"))
        })
    }

    /// Whether both streams have answers that arrived after `since`.
    pub(crate) fn alive_since(&self, since: Instant) -> bool {
        self.0.iter().all(|stream| stream.alive_since(since))
    }

    /// What both streams saw between two times; waits for what is under way.
    pub(crate) fn window(&self, from: Instant, to: Instant) -> [Report; 2] {
        std::thread::sleep(UNDER_WAY);
        self.0.each_ref().map(|stream| stream.window(from, to))
    }

    /// What both streams see in a window of this length, from now on and with nothing failing.
    pub(crate) fn floor(&self, length: Duration) -> [Report; 2] {
        let from = Instant::now();
        std::thread::sleep(length);
        self.window(from, from + length)
    }

    /// What both streams saw around a fault: a window as long as that of the floor, longer only if the streams are
    /// not back by then.
    pub(crate) fn around(&self, fault: Instant, length: Duration) -> Result<[Report; 2], Error> {
        let end = fault - LEAD + length;
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let asked = Instant::now();
        self.wait_answers(PATIENCE)?;
        // The first answer after the window has come: if it came late, so was the end of the outage.
        let late = asked.elapsed() > LEAD;
        Ok(self.window(fault - LEAD, if late { Instant::now() } else { end }))
    }
}
