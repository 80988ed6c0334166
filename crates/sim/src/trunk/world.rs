//! How the world of a lagg is made, what happens to it, and what must hold.

use super::{Coming, NOTICED, Trunk};
use crate::cut::Script;
use crate::kernel::Kernel;
use crate::lan::{Lan, Nic, Node, Path, Port};
use crate::rng::Rng;
use crate::trace::Trace;
use mpath_model::kernel::KernelOp;
use mpath_model::settings::{Detection, Lagg, ProbeMode};
use mpath_model::{IfAddr, Mac, Settings, Time};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// After a disturbance of the daemon or of the kernel, everything is as it should be this long after, and a full comparison
/// of the engine's own.
const RECOVERED: Duration = Duration::from_secs(25);
/// A port without an address asks nobody for so long who has not answered five times.
const MANNERS: Duration = Duration::from_secs(30);
/// While nobody has ever answered, nobody is believed to be missing for so long (mpathd-behaviour.md, QUIET_PERIOD).
const QUIET: Duration = Duration::from_secs(40);
/// Reading events, carrying out, telling the neighbours.
const SLACK: Duration = Duration::from_secs(2);

/// What happens to the host, its ports and its link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disturbance {
    Cable { nic: Nic, plugged: bool },
    Path { nic: Nic, path: Path },
    Router { alive: bool },
    Kill(Duration),
    Sleep(Duration),
    Refuse { permille: u32 },
    DeleteAddress,
}

impl Trunk {
    pub(super) fn new(seed: u64, trace: Trace) -> Trunk {
        let mut rng = Rng::new(seed, 9);
        let count = *rng.pick(&[2, 2, 3]);
        let mut lagg = Lagg::new("lagg0", &Detection::default());
        lagg.ports = (0..count).map(|n| format!("em{n}")).collect();
        lagg.addresses = vec!["192.0.2.5/24".parse().expect("a constant address")];
        lagg.failback = rng.chance(700);
        lagg.failback_delay = *rng.pick(&[Duration::ZERO, Duration::from_secs(2)]);
        lagg.probe = if rng.chance(800) { ProbeMode::Auto } else { ProbeMode::Link };
        lagg.failure_detection_time = Duration::from_millis(*rng.pick(&[200, 500, 1000, 2000]));
        lagg.targets = vec![ROUTER.into()];
        let mut kernel = Kernel::new();
        let mut ports = Vec::new();
        let mut index = Vec::new();
        for (n, name) in lagg.ports.iter().enumerate() {
            let mac = Mac([2, 0, 0, 0, 3, n as u8 + 1]);
            let i = kernel.create_link(name, mac);
            kernel.set_admin(i, true);
            index.push(i);
            ports.push(Port { segment: 0, mac, path: Path::CLEAN, running: true, link_local: None });
        }
        kernel.take_events();
        kernel.take_dad();
        let router =
            Node { mac: Mac([2, 0xee, 0, 0, 0, 1]), four: Some(ROUTER), six: Vec::new(), alive: true };
        let fdt = lagg.failure_detection_time;
        let delay = rng.duration(Duration::from_micros(50), fdt / 200);
        let jitter = rng.duration(Duration::ZERO, fdt / 150);
        let now = Time(1_000_000_000_000);
        Trunk {
            now,
            settings: Settings { laggs: vec![lagg], ..Settings::default() },
            kernel,
            lan: Lan { segments: vec![vec![router]], ports, delay, jitter },
            forwards: vec![now; count],
            changed: vec![now; count],
            answered: vec![Time(0); count],
            listening: *rng.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_secs(1)]),
            index,
            table: BTreeMap::new(),
            engine: None,
            journal: None,
            listen: Default::default(),
            born: now,
            asleep: false,
            backlog: VecDeque::new(),
            refuse: 0,
            disturbed: now,
            coming: BTreeMap::new(),
            order: 0,
            rng,
            seed,
            inputs: 0,
            switches: 0,
            script: Script::new(None),
            violation: None,
            trace,
        }
    }

    /// What happens next.
    pub(super) fn draw(&mut self) -> Disturbance {
        let nic = self.rng.index(self.index.len());
        let path = |tx_blocked, rx_blocked| Disturbance::Path {
            nic,
            path: Path { tx_blocked, rx_blocked, ..Path::CLEAN },
        };
        match self.rng.below(20) {
            0..=3 => Disturbance::Cable { nic, plugged: false },
            4..=6 => Disturbance::Cable { nic, plugged: true },
            7 => path(true, true),
            8 => path(true, false),
            9 => path(false, true),
            10 => Disturbance::Path { nic, path: Path { tx_loss: 200, rx_loss: 100, ..Path::CLEAN } },
            13 => Disturbance::Router { alive: !self.lan.segments[0][0].alive },
            14 if self.engine.is_some() => {
                Disturbance::Kill(self.rng.duration(Duration::from_millis(1), Duration::from_secs(3)))
            }
            15 if self.engine.is_some() && !self.asleep => {
                Disturbance::Sleep(self.rng.duration(Duration::from_millis(1), Duration::from_secs(5)))
            }
            16 => Disturbance::Refuse { permille: if self.refuse == 0 { 200 } else { 0 } },
            17 => Disturbance::DeleteAddress,
            _ => path(false, false),
        }
    }

    /// Something happens.
    pub(super) fn disturb(&mut self, number: u32, what: Disturbance) {
        self.trace.note(self.now, format_args!("#{number} {what:?}"));
        match what {
            Disturbance::Cable { nic, plugged } => self.cable(nic, plugged),
            Disturbance::Path { nic, path } => self.path(nic, path),
            Disturbance::Kill(down) => {
                if self.engine.is_some() {
                    self.kill(down);
                }
            }
            Disturbance::Router { alive } => {
                self.disturbed = self.now;
                self.lan.segments[0][0].alive = alive;
            }
            Disturbance::Sleep(time) => {
                self.disturbed = self.now;
                self.asleep = self.engine.is_some();
                self.soon(time, Coming::Wake);
            }
            Disturbance::Refuse { permille } => {
                self.disturbed = self.now;
                self.refuse = permille;
            }
            Disturbance::DeleteAddress => {
                self.disturbed = self.now;
                if let Some(index) = self.lagg() {
                    self.kernel.apply(&KernelOp::DelAddress { index, addr: self.address() });
                    self.events();
                }
            }
        }
    }

    fn address(&self) -> IfAddr {
        self.settings.laggs[0].addresses[0]
    }

    fn cable(&mut self, nic: Nic, plugged: bool) {
        if self.lan.ports[nic].running == plugged {
            return;
        }
        self.lan.ports[nic].running = plugged;
        if plugged {
            self.forwards[nic] = self.now + self.listening;
        } else {
            // A switch forgets whom it knew behind a port that is dead.
            self.table.retain(|_, (at, _)| *at != nic);
        }
        self.kernel.set_carrier(self.index[nic], plugged);
        let lagg = self.kernel.link(self.index[nic]).and_then(|l| l.master);
        lagg.into_iter().for_each(|lagg| self.kernel.settle_lagg(lagg));
        self.changed[nic] = self.now;
        let late = self.rng.duration(Duration::ZERO, NOTICED);
        self.soon(late, Coming::Link(self.index[nic]));
    }

    /// A silent path that nobody probes is beyond anybody's knowledge, so that there is none.
    fn path(&mut self, nic: Nic, path: Path) {
        if self.settings.laggs[0].probe == ProbeMode::Link {
            return;
        }
        if self.lan.ports[nic].path != path {
            self.lan.ports[nic].path = path;
            self.changed[nic] = self.now;
        }
    }

    /// Nothing has been wrong with a port for so long.
    fn sound(&self, nic: Nic, for_so_long: Duration) -> bool {
        let p = &self.lan.ports[nic];
        let since = self.changed[nic].max(self.forwards[nic]);
        p.running && p.path == Path::CLEAN && since <= self.now && self.now - since > for_so_long
    }

    /// Its path has swallowed everything for so long, in one direction or both.
    fn silent(&self, nic: Nic, for_so_long: Duration) -> bool {
        let path = self.lan.ports[nic].path;
        let since = self.changed[nic].max(self.born);
        (path.tx_blocked || path.rx_blocked) && self.now - since > for_so_long
    }

    /// Nothing is wrong any more.
    pub(super) fn mend(&mut self) {
        self.trace.note(self.now, format_args!("## all is mended"));
        self.refuse = 0;
        self.lan.segments[0][0].alive = true;
        self.disturbed = self.now;
        for nic in 0..self.index.len() {
            self.path(nic, Path::CLEAN);
            self.cable(nic, true);
        }
    }

    /// What must hold at any time, and what must hold while a port has been sound for long enough.
    pub(super) fn check_step(&mut self) {
        let open: Vec<Nic> = self.all_open().collect();
        if open.len() > 1 {
            self.violate("one port open", format!("ports {open:?} are open"));
        }
        let lagg = &self.settings.laggs[0];
        let fdt = lagg.failure_detection_time;
        let well = self.engine.is_some()
            && !self.asleep
            && self.refuse == 0
            && self.lan.segments[0][0].alive
            && self.now - self.disturbed > RECOVERED + fdt * 3;
        // Whoever is found repaired has answered ten times, and may not have been asked for half a minute.
        let patience = fdt * 4 + lagg.failback_delay + MANNERS + SLACK;
        if !well || !(0..self.index.len()).any(|n| self.sound(n, patience)) {
            return;
        }
        let Some(open) = self.open() else {
            if self.changed.iter().all(|t| self.now - *t > SLACK) {
                self.violate("a port is open", "none, and one is sound".to_owned());
            }
            return;
        };
        // Whom this life of the daemon has never heard it does not miss at once.
        let known = self.answered[open] > self.born;
        let quiet = if known { Duration::ZERO } else { QUIET };
        if self.silent(open, quiet + fdt * 2 + SLACK) {
            self.violate("off the silent port", format!("port {open} is silent, and still the active one"));
        }
    }

    /// At the end.
    pub(super) fn check_end(&mut self) {
        let Some(open) = self.open() else {
            return self.violate("a port is open in the end", "none is".to_owned());
        };
        let lagg = &self.settings.laggs[0];
        if lagg.failback && open != 0 {
            return self.violate("the first port in the end", format!("port {open} is the active one"));
        }
        let there = self.lagg().is_some_and(|i| self.kernel.on(i).any(|a| a.addr == self.address()));
        if !there {
            return self.violate("addresses in the end", "the lagg's address is not there".to_owned());
        }
        let to = self.mac().map(|mac| self.towards(mac)).unwrap_or_default();
        if !to.contains(&open) {
            self.violate(
                "the switch knows the way",
                format!("it sends to {to:?}, port {open} is the active one"),
            );
        }
    }
}
