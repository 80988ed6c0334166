//! The standard network with a daemon that makes a lagg over the server's NICs, and traffic to it.

use mpath_model::Family;
use mpath_model::status::{Lagg, LinkState};
use mpath_testkit::lan::{ROUTER4, ROUTER6};
use mpath_testkit::stack::with_prefix;
use mpath_testkit::{Clients, Daemon, Lan, LanOptions, Stack, poll_until, wait_until};
use std::time::{Duration, Instant};

/// Generous: a loaded machine, not a measurement.
pub const SOON: Duration = Duration::from_secs(20);

/// What the lagg is to be.
#[derive(Clone, Debug)]
pub struct LaggConfig {
    pub backend: &'static str,
    pub ports: usize,
    /// Further lines of `[[lagg]]`.
    pub more: String,
    /// Families of the server, and so of the lagg.
    pub stack: Stack,
}

impl Default for LaggConfig {
    fn default() -> LaggConfig {
        LaggConfig {
            backend: "redirect",
            ports: 2,
            more: "failure_detection_time = \"700ms\"".into(),
            stack: Stack::Dual,
        }
    }
}

impl LaggConfig {
    pub fn text(&self) -> String {
        let ports: Vec<String> = (0..self.ports).map(|n| format!("\"eth{n}\"")).collect();
        let addresses: Vec<String> =
            self.stack.data().into_iter().map(|data| format!("\"{}\"", with_prefix(data))).collect();
        format!(
            "[[lagg]]\nname = \"lagg0\"\nports = [{}]\naddresses = [{}]\nbackend = \"{}\"\n{}\n",
            ports.join(", "),
            addresses.join(", "),
            self.backend,
            self.more
        )
    }
}

/// Everything that runs. Fields are dropped in this order.
pub struct World {
    clients: Clients,
    pub daemon: Daemon,
    pub lan: Lan,
}

impl World {
    /// The daemon has made the lagg, and traffic from both clients flows through its first port.
    pub fn start(config: LaggConfig) -> World {
        World::start_on(World::lan(config.ports), &config)
    }

    /// The network alone.
    pub fn lan(nics: usize) -> Lan {
        Lan::new(LanOptions { nics, configured: false, ..LanOptions::default() }).unwrap()
    }

    pub fn start_on(lan: Lan, config: &LaggConfig) -> World {
        let daemon = Daemon::start(&lan.server, &config.text()).unwrap();
        let holds = || config.stack.data().iter().all(|data| lan.server.holders(data) == ["lagg0"]);
        let there = poll_until(SOON, || holds().then_some(()));
        assert!(
            there.is_some(),
            "lagg0 has no addresses: {:?}\n{}",
            lan.server.addresses(),
            daemon.log_text()
        );
        if config.stack.has(Family::Inet) {
            lan.server.add_route("lagg0", "0.0.0.0/0", ROUTER4).unwrap();
        }
        lan.server.add_route("lagg0", "::/0", ROUTER6).unwrap();
        let clients = Clients::start(&lan, &config.stack.data())
            .unwrap_or_else(|e| panic!("{e}\n{}", daemon.log_text()));
        let world = World { clients, daemon, lan };
        world.expect_active("eth0");
        world
    }

    /// The first port loses its cable, and gets it back.
    #[track_caller]
    pub fn cut_and_plug_the_first(&self) {
        self.lan.cut(0).unwrap();
        self.expect_active("eth1");
        self.lan.plug(0).unwrap();
        self.expect_active("eth0");
    }

    /// Waits until this port is active, says the daemon, and every client gets answers.
    #[track_caller]
    pub fn expect_active(&self, port: &str) {
        self.wait_active(port);
        self.expect_traffic();
    }

    /// Waits until this port is active, says the daemon.
    #[track_caller]
    pub fn wait_active(&self, port: &str) {
        let active = || (self.lagg().active.as_deref() == Some(port)).then_some(());
        assert!(poll_until(SOON, active).is_some(), "{port} is not active: {}", self.picture());
    }

    /// Waits until every client gets answers.
    #[track_caller]
    pub fn expect_traffic(&self) {
        let switched = Instant::now();
        let flows = || self.clients.flow_since(switched).then_some(());
        assert!(poll_until(SOON, flows).is_some(), "no answers: {}", self.picture());
    }

    /// Whether every client had an answer after that time.
    pub fn flows_since(&self, since: Instant) -> bool {
        self.clients.flow_since(since)
    }

    #[track_caller]
    pub fn assert_tcp_survived(&self) {
        assert!(self.clients.tcp_lives(SOON), "a TCP transfer died: {}", self.picture());
    }

    #[track_caller]
    pub fn lagg(&self) -> Lagg {
        let mut status = self.daemon.status().unwrap_or_else(|e| panic!("{e}\n{}", self.daemon.log_text()));
        assert_eq!(status.laggs.len(), 1);
        status.laggs.remove(0)
    }

    #[track_caller]
    pub fn wait_link(&self, link: LinkState) {
        wait_until(SOON, "link of the lagg", || self.lagg().link == link);
    }

    /// Everything that helps to find out what went wrong.
    pub fn picture(&self) -> String {
        self.clients.picture(&self.lan, &self.daemon)
    }
}
