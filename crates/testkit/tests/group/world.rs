//! The standard network with a daemon and traffic, and the questions that the scenarios ask of it.

use mpath_model::status::{Group, GroupState, Interface};
use mpath_testkit::{
    Clients, Daemon, DaemonOptions, GroupConfig, Lan, LanOptions, Stack, poll_until, wait_until,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Generous: a loaded machine, not a measurement.
pub const SOON: Duration = Duration::from_secs(15);

/// Everything that runs. Fields are dropped in this order.
pub struct World {
    clients: Clients,
    pub daemon: Daemon,
    pub lan: Lan,
    stack: Stack,
}

impl World {
    /// Two or more NICs as configured, the daemon with all NICs probed, traffic from both clients.
    pub fn start(config: GroupConfig) -> World {
        World::start_on(config, |_| {})
    }

    /// The same on a network with other options.
    pub fn start_on(config: GroupConfig, change: impl FnOnce(&mut LanOptions)) -> World {
        let lan = World::lan(&config, change);
        World::run(lan, &config, None).ready()
    }

    /// The same, with a look at the network before the daemon is started.
    pub fn start_after<T>(config: GroupConfig, look: impl FnOnce(&Lan) -> T) -> (World, T) {
        let lan = World::lan(&config, |_| {});
        let seen = look(&lan);
        (World::run(lan, &config, None).ready(), seen)
    }

    /// The same with this program.
    pub fn start_program(config: GroupConfig, program: PathBuf) -> World {
        let lan = World::lan(&config, |_| {});
        World::run(lan, &config, Some(program)).ready()
    }

    fn ready(self) -> World {
        self.expect_on("eth0");
        wait_until(SOON, "every NIC has answers to its probes", || self.daemon.all_answered().unwrap());
        self.wait_group(GroupState::Ok);
        self
    }

    /// The same with some NICs absent; nothing is waited for.
    pub fn start_without(config: GroupConfig, absent: &[usize]) -> World {
        let lan = World::lan(&config, |_| {});
        for n in absent {
            lan.remove(*n).unwrap();
        }
        if absent.contains(&0) {
            // The default routes went with eth0; a boot script would have put them on a NIC that is there.
            lan.add_default_routes("eth1").unwrap();
        }
        World::run(lan, &config, None)
    }

    fn lan(config: &GroupConfig, change: impl FnOnce(&mut LanOptions)) -> Lan {
        let mut options = LanOptions { nics: config.nics, stack: config.stack, ..LanOptions::default() };
        // Without test addresses, the administrator has put the data addresses where they belong.
        options.configured = !config.test_addresses.is_empty();
        change(&mut options);
        let lan = Lan::new(options).unwrap();
        if config.test_addresses.is_empty() {
            lan.configure_plainly().unwrap();
        }
        lan
    }

    fn run(lan: Lan, config: &GroupConfig, binary: Option<PathBuf>) -> World {
        let options = DaemonOptions { config: config.text(), binary, ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options).unwrap();
        daemon.wait_ready().unwrap();
        let stack = config.stack;
        let places = || stack.data().iter().all(|data| lan.server.holders(data).len() == 1);
        wait_until(SOON, "the data addresses are installed", places);
        let clients =
            Clients::start(&lan, &stack.data()).unwrap_or_else(|e| panic!("{e}\n{}", daemon.log_text()));
        World { clients, daemon, lan, stack }
    }

    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Whether every client had an answer after that time.
    pub fn flows_since(&self, since: Instant) -> bool {
        self.clients.flow_since(since)
    }

    /// The data addresses, without prefix length.
    pub fn data(&self) -> Vec<&'static str> {
        self.stack.data()
    }

    /// The kernel has all data addresses on this NIC and no other.
    pub fn addresses_on(&self, nic: &str) -> bool {
        self.data().iter().all(|data| self.lan.server.holders(data) == [nic])
    }

    #[track_caller]
    pub fn expect_addresses_on(&self, nic: &str) {
        let found = poll_until(SOON, || self.addresses_on(nic).then_some(()));
        assert!(found.is_some(), "not on {nic}: {}", self.picture());
    }

    /// Waits until the data addresses are on this NIC, the daemon says so too, and every client gets answers.
    #[track_caller]
    pub fn expect_on(&self, nic: &str) {
        self.expect_addresses_on(nic);
        let told = || self.group().addresses.iter().all(|a| a.interface.as_deref() == Some(nic));
        assert!(poll_until(SOON, || told().then_some(())).is_some(), "not told so: {}", self.picture());
        let moved = Instant::now();
        let flows = poll_until(SOON, || self.flows_since(moved).then_some(()));
        assert!(flows.is_some(), "on {nic}, and a client gets no answer: {}", self.picture());
    }

    /// Waits until the data addresses are on one NIC other than this; gives it.
    #[track_caller]
    pub fn expect_off(&self, nic: &str) -> String {
        let elsewhere = || {
            let mut all = self.group().interfaces.into_iter().filter(|i| i.name != nic);
            all.find(|i| self.addresses_on(&i.name)).map(|i| i.name)
        };
        let found = poll_until(SOON, elsewhere).unwrap_or_else(|| panic!("on {nic}: {}", self.picture()));
        self.expect_on(&found);
        found
    }

    #[track_caller]
    pub fn assert_tcp_survived(&self) {
        assert!(self.clients.tcp_lives(SOON), "a TCP transfer died: {}", self.picture());
    }

    #[track_caller]
    pub fn group(&self) -> Group {
        let mut status = self.daemon.status().unwrap_or_else(|e| panic!("{e}\n{}", self.daemon.log_text()));
        assert_eq!(status.groups.len(), 1);
        status.groups.remove(0)
    }

    #[track_caller]
    pub fn interface(&self, nic: &str) -> Interface {
        let all = self.group().interfaces;
        all.into_iter().find(|i| i.name == nic).unwrap_or_else(|| panic!("{nic} is not in the group"))
    }

    #[track_caller]
    pub fn wait_group(&self, state: GroupState) {
        let found = poll_until(SOON, || (self.group().state == state).then_some(()));
        assert!(found.is_some(), "group never {state:?}: {}", self.picture());
    }

    /// Everything that helps to find out what went wrong.
    fn picture(&self) -> String {
        self.clients.picture(&self.lan, &self.daemon)
    }
}
