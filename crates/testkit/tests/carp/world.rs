//! Two daemons on two hosts with one vhid, and the questions that the scenarios ask of them.

use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, DaemonOptions, Echo, Pair, Side, poll_until};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Generous: a loaded machine, not a measurement.
pub const SOON: Duration = Duration::from_secs(20);
pub const VIP4: &str = "10.77.0.100";
pub const VIP6: &str = "fd77::100";
pub const PASSPHRASE: &str = "lagg-carp-lab";

/// How the vhid of both hosts is configured.
#[derive(Clone)]
pub struct Vhid {
    pub over: &'static str,
    pub skew: [u8; 2],
    /// Further lines, maybe further vhids: KEY stands for the file of the passphrase, SKEW for the skew of the host.
    pub extra: &'static str,
    pub addresses: &'static str,
    pub nics: usize,
    /// The NICs have addresses of their own.
    pub addressed: bool,
    /// The hosts tell each other alone.
    pub unicast: bool,
    /// What stands before `[[carp]]`, by side.
    pub head: [String; 2],
}

impl Default for Vhid {
    fn default() -> Vhid {
        Vhid {
            over: "interface = \"eth0\"",
            skew: [0, 100],
            extra: "",
            addresses: "\"10.77.0.100/24\", \"fd77::100/64\"",
            nics: 1,
            addressed: true,
            unicast: false,
            head: [String::new(), String::new()],
        }
    }
}

impl Vhid {
    pub fn text(&self, side: Side, key: &std::path::Path) -> String {
        let Vhid { over, extra, addresses, .. } = self;
        let (skew, head) = (self.skew[side as usize], &self.head[side as usize]);
        let peer = match side {
            _ if !self.unicast => "",
            Side::A => "peer = \"10.77.0.2\"",
            Side::B => "peer = \"10.77.0.1\"",
        };
        let text = format!(
            "{head}\n[[carp]]\n{over}\nvhid = 1\nadvskew = {skew}\npassphrase_file = \"{}\"\n\
             addresses = [{addresses}]\n{extra}\n{peer}\n",
            key.display()
        );
        text.replace("KEY", &key.display().to_string()).replace("SKEW", &skew.to_string())
    }
}

/// Everything that runs. Fields are dropped in this order.
pub struct World {
    _echo: [Echo; 2],
    pub daemons: [Daemon; 2],
    pub pair: Pair,
}

impl World {
    /// Both daemons; nothing is waited for but that they answer.
    pub fn start(vhid: Vhid) -> World {
        let pair = if vhid.addressed { Pair::new(vhid.nics) } else { Pair::bare(vhid.nics) }.unwrap();
        let echo = [Side::A, Side::B].map(|s| Echo::start(pair.host(s), PORT).unwrap());
        let daemons = [Side::A, Side::B].map(|side| launch(&pair, side, &vhid));
        World { _echo: echo, daemons, pair }
    }

    /// Only A's daemon runs; B's is stopped.
    pub fn start_one(vhid: Vhid) -> World {
        let mut world = World::start(vhid);
        world.daemons[1].term().unwrap();
        world
    }

    pub fn daemon(&self, side: Side) -> &Daemon {
        &self.daemons[side as usize]
    }

    /// State of the vhid, if the daemon answers.
    pub fn state(&self, side: Side) -> Option<String> {
        self.daemon(side).status().ok().and_then(|s| s.carps.first().map(|c| c.state.clone()))
    }

    /// Interfaces that hold a virtual address and are up.
    pub fn holders(&self, side: Side) -> Vec<String> {
        let host = self.pair.host(side);
        let mut all = host.holders(VIP4);
        all.extend(host.holders(VIP6));
        all.retain(|nic| host.inventory().unwrap().links.iter().any(|l| l.name == *nic && l.up));
        all
    }

    #[track_caller]
    pub fn expect_state(&self, side: Side, state: &str) {
        let found = poll_until(SOON, || (self.state(side).as_deref() == Some(state)).then_some(()));
        assert!(found.is_some(), "{side:?} never {state}: {}", self.picture());
    }

    /// Waits until one side is master of everything, and the other of nothing.
    #[track_caller]
    pub fn expect_all(&self, side: Side) {
        let all = |side: Side, state: &str| {
            let status = self.daemon(side).status();
            status.is_ok_and(|s| !s.carps.is_empty() && s.carps.iter().all(|c| c.state == state))
        };
        let other = if side == Side::A { Side::B } else { Side::A };
        let there = || (all(side, "MASTER") && all(other, "BACKUP")).then_some(());
        assert!(poll_until(SOON, there).is_some(), "not everything is {side:?}'s: {}", self.picture());
    }

    /// Waits until one side is master, holds the addresses, and the other holds none.
    #[track_caller]
    pub fn expect_master(&self, side: Side) {
        self.expect_state(side, "MASTER");
        let other = if side == Side::A { Side::B } else { Side::A };
        let alone = || (!self.holders(side).is_empty() && self.holders(other).is_empty()).then_some(());
        assert!(poll_until(SOON, alone).is_some(), "not {side:?} alone: {}", self.picture());
    }

    pub fn kill(&mut self, side: Side) -> Instant {
        let at = Instant::now();
        self.daemons[side as usize].kill9();
        at
    }

    /// SIGTERM, and the end.
    pub fn stop(&mut self, side: Side) -> Instant {
        let at = Instant::now();
        self.daemons[side as usize].term().unwrap();
        at
    }

    pub fn restart(&mut self, side: Side) {
        self.daemons[side as usize].restart().unwrap();
    }

    pub fn picture(&self) -> String {
        let of = |side: Side| {
            format!(
                "{side:?}: {:?}\n{:?}\n{}",
                self.daemon(side).status().map(|s| (s.carps, s.carp_counters)),
                self.pair.host(side).addresses(),
                self.daemon(side).log_text()
            )
        };
        format!("{}\n{}", of(Side::A), of(Side::B))
    }
}

pub fn launch(pair: &Pair, side: Side, vhid: &Vhid) -> Daemon {
    let host = pair.host(side);
    let mut daemon = Daemon::launch(host, DaemonOptions::default()).unwrap();
    daemon.wait_ready().unwrap();
    let key = daemon.secret("carp.key", PASSPHRASE).unwrap();
    daemon.set_config(&vhid.text(side, &key)).unwrap();
    daemon.restart().unwrap();
    daemon
}

pub fn target(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), PORT)
}
