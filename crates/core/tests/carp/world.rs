//! Two hosts on one link. Adverts take a millisecond; the kernel drops addresses whose lifetime is over, up to 1.3 s
//! late; a host may be killed, stopped, frozen, cut off. After every event the world checks who answers.

use super::kernel::Kernel;
use mpath_core::input::Command;
use mpath_core::{Action, Engine, Input};
use mpath_model::carp::{Content, HeardAdvert, Over};
use mpath_model::kernel::{FOREVER, Heard, KernelOp, Packet, Transmit};
use mpath_model::settings::{Carp, PassphraseSource, Replay};
use mpath_model::{IfIndex, Settings, Time};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

const NIC: IfIndex = 2;
const VIP: &str = "192.0.2.100";
/// One way.
const DELAY: Duration = Duration::from_millis(1);
/// What the kernel may keep an address beyond its lifetime.
const OVERDUE: u64 = 1300;

struct Host {
    engine: Option<Engine>,
    kernel: Kernel,
    settings: Settings,
    frozen: Option<Time>,
    /// What has come in while nobody read it.
    waiting: Vec<Heard>,
    /// When the kernel drops an address.
    expiry: BTreeMap<(IfIndex, IpAddr), Time>,
    takeovers: u32,
}

pub struct World {
    pub now: Time,
    /// Lost packets, percent.
    pub loss: u64,
    hosts: [Host; 2],
    flying: BTreeMap<(Time, u64), (usize, HeardAdvert)>,
    order: u64,
    split: bool,
    /// Until then two may answer: they could not hear each other.
    excused: Time,
    seed: u64,
    name: u64,
}

fn settings(skew: u8, preempt: bool) -> Settings {
    let carp = Carp {
        over: Over::Interface("eth0".into()),
        vhid: 1,
        passphrase: PassphraseSource::None,
        advbase: 1,
        advskew: skew,
        preempt,
        vmac: true,
        peer: None,
        peer6: None,
        replay: Replay::Loop,
        addresses: vec![format!("{VIP}/24").parse().unwrap()],
    };
    Settings { carps: vec![carp], ..Settings::default() }
}

impl World {
    pub fn new(seed: u64, skews: [u8; 2], preempt: bool) -> World {
        let host = |n: usize| {
            let mut kernel = Kernel::new();
            kernel.add_link(NIC, "eth0");
            kernel.put(NIC, &format!("192.0.2.{}/24", n + 1));
            kernel.take_events();
            Host {
                engine: None,
                kernel,
                settings: settings(skews[n], preempt),
                frozen: None,
                waiting: Vec::new(),
                expiry: BTreeMap::new(),
                takeovers: 0,
            }
        };
        let mut world = World {
            now: Time(1_000_000_000_000),
            loss: 0,
            hosts: [host(0), host(1)],
            flying: BTreeMap::new(),
            order: 0,
            split: false,
            excused: Time(0),
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            name: seed,
        };
        world.start(0);
        world.start(1);
        world
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below.max(1)
    }

    pub fn start(&mut self, n: usize) {
        if self.hosts[n].engine.is_some() {
            return;
        }
        let seed = self.random(u64::MAX);
        self.hosts[n].frozen = None;
        self.hosts[n].engine = Some(Engine::new(seed, "test"));
        let (settings, inventory) = (self.hosts[n].settings.clone(), self.hosts[n].kernel.inventory());
        self.feed(n, Input::WallClock { unix: self.now.0 << 2 });
        self.feed(n, Input::Configure(settings));
        self.feed(n, Input::Inventory(inventory));
    }

    pub fn kill(&mut self, n: usize) {
        self.struck();
        let host = &mut self.hosts[n];
        (host.engine, host.frozen) = (None, None);
        host.waiting.clear();
    }

    pub fn stop(&mut self, n: usize) {
        if self.hosts[n].frozen.is_none() {
            self.feed(n, Input::Stop);
            self.kill(n);
        }
    }

    /// A master that is struck in the moment in which another one preempts it cannot yield any more: its addresses go
    /// when their lifetimes end.
    fn struck(&mut self) {
        if self.masters() == [true, true] {
            self.excused = self.excused.max(self.now + Duration::from_millis(1000 + OVERDUE));
        }
    }

    pub fn freeze(&mut self, n: usize, how_long: Duration) {
        self.struck();
        self.hosts[n].frozen = Some(self.now + how_long);
    }

    pub fn ask(&mut self, n: usize, command: Command) {
        if self.hosts[n].frozen.is_none() {
            self.feed(n, Input::Request { id: 1, command });
        }
    }

    pub fn cut(&mut self, cut: bool) {
        self.split = cut;
    }

    /// Something happens to somebody.
    pub fn disturb(&mut self) {
        let n = self.random(2) as usize;
        let what = self.random(9);
        if std::env::var_os("CARP_TRACE").is_some() {
            println!("{:?} host {n}: disturbance {what}, {:?}", self.now, self.masters());
        }
        match what {
            0 | 1 => self.kill(n),
            2 => self.stop(n),
            3 | 4 => self.start(n),
            5 => {
                let how_long = Duration::from_millis(self.random(8_000));
                self.freeze(n, how_long);
            }
            6 => self.ask(n, Command::Demote(120)),
            7 => self.ask(n, Command::Demote(-120)),
            _ => self.split = !self.split,
        }
    }

    /// Everybody is there, awake and within earshot.
    pub fn calm(&mut self) {
        (self.split, self.loss) = (false, 0);
        for n in 0..2 {
            self.hosts[n].frozen = self.hosts[n].frozen.map(|_| self.now);
        }
        self.run(Duration::from_millis(1));
        self.start(0);
        self.start(1);
    }

    pub fn masters(&self) -> [bool; 2] {
        [0, 1].map(|n| self.state(n) == "MASTER")
    }

    fn state(&self, n: usize) -> String {
        let engine = self.hosts[n].engine.as_ref();
        engine.and_then(|e| e.snapshot().carps.first().map(|c| c.state.clone())).unwrap_or_default()
    }

    pub fn takeovers(&self, n: usize) -> u32 {
        self.hosts[n].takeovers
    }

    /// The address is on an interface that is up.
    pub fn answers(&self, n: usize) -> bool {
        let kernel = &self.hosts[n].kernel;
        let vip: IpAddr = VIP.parse().unwrap();
        let holding = kernel.addresses.iter().filter(|a| a.addr.address == vip);
        holding.into_iter().any(|a| kernel.links.get(&a.index).is_some_and(|l| l.up))
    }

    pub fn run(&mut self, how_long: Duration) {
        let end = self.now + how_long;
        while self.step(end) {}
        self.now = end;
    }

    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.step(end), "seed {}: not within {limit:?}: {:?}", self.name, self.masters());
        }
    }

    /// The next event up to `end`, if there is one.
    fn step(&mut self, end: Time) -> bool {
        let awake =
            |h: &Host| h.engine.as_ref().filter(|_| h.frozen.is_none()).and_then(Engine::next_deadline);
        let timers = self.hosts.iter().filter_map(awake).map(|t| t.max(self.now));
        let thaws = self.hosts.iter().filter_map(|h| h.frozen);
        let expiries = self.hosts.iter().flat_map(|h| h.expiry.values().copied());
        let flights = self.flying.keys().map(|(t, _)| *t);
        let Some(next) = timers.chain(thaws).chain(expiries).chain(flights).min().filter(|t| *t <= end)
        else {
            return false;
        };
        self.now = self.now.max(next);
        self.expire();
        for n in 0..2 {
            if self.hosts[n].frozen.is_some_and(|t| t <= self.now) {
                self.thaw(n);
            }
        }
        while let Some(((at, order), _)) = self.flying.first_key_value().map(|(k, v)| (*k, v.0)) {
            if at > self.now {
                break;
            }
            let (n, advert) = self.flying.remove(&(at, order)).unwrap();
            let heard = Heard { index: NIC, at, what: Packet::Carp(advert) };
            if self.hosts[n].frozen.is_some() {
                self.hosts[n].waiting.push(heard);
            } else {
                self.feed(n, Input::Heard(heard));
            }
        }
        for n in 0..2 {
            if awake(&self.hosts[n]).is_some_and(|t| t <= self.now) {
                self.feed(n, Input::Tick);
            }
        }
        self.check();
        true
    }

    /// As the daemon does: the kernel's events, then packets, then time.
    fn thaw(&mut self, n: usize) {
        self.hosts[n].frozen = None;
        let events = self.hosts[n].kernel.take_events();
        self.feed(n, Input::Kernel(events));
        for heard in std::mem::take(&mut self.hosts[n].waiting) {
            self.feed(n, Input::Heard(heard));
        }
    }

    fn expire(&mut self) {
        for n in 0..2 {
            let host = &mut self.hosts[n];
            let over: Vec<_> = host.expiry.iter().filter(|(_, t)| **t <= self.now).map(|(k, _)| *k).collect();
            for (index, address) in over {
                host.expiry.remove(&(index, address));
                let there =
                    host.kernel.addresses.iter().find(|a| a.index == index && a.addr.address == address);
                if let Some(addr) = there.map(|a| a.addr) {
                    host.kernel.drop_address(index, &addr);
                }
            }
            if host.frozen.is_none() {
                let events = self.hosts[n].kernel.take_events();
                if !events.is_empty() {
                    self.feed(n, Input::Kernel(events));
                }
            }
        }
    }

    fn feed(&mut self, n: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut actions = Vec::new();
            let Some(engine) = &mut self.hosts[n].engine else { return };
            engine.handle(self.now, input, &mut actions);
            for action in actions {
                self.carry_out(n, action, &mut inputs);
            }
        }
    }

    fn carry_out(&mut self, n: usize, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Kernel { batch, ops } => {
                let errors = ops.iter().map(|op| self.apply(n, op)).collect();
                let events = self.hosts[n].kernel.take_events();
                if !events.is_empty() {
                    inputs.push_back(Input::Kernel(events));
                }
                inputs.push_back(Input::Done { batch, errors });
            }
            Action::Resynchronise => inputs.push_back(Input::Inventory(self.hosts[n].kernel.inventory())),
            Action::Send(Transmit::Advert(sent)) => {
                let content = Content::Advert { version: 2, advert: sent.advert, authentic: true };
                let heard = HeardAdvert { from: sent.source, hops: 255, content };
                let lost = self.split || self.random(100) < self.loss;
                if lost {
                    // Whoever cannot hear takes over, or does not yield, until he hears again.
                    self.excused = self.excused.max(self.now + Duration::from_secs(6));
                } else {
                    self.order += 1;
                    self.flying.insert((self.now + DELAY, self.order), (1 - n, heard));
                }
            }
            Action::Emit(event) => {
                if std::env::var_os("CARP_TRACE").is_some() {
                    println!("{:?} host {n}: {}", self.now, event.message);
                }
                if event.message.contains("-> MASTER") {
                    self.hosts[n].takeovers += 1;
                    // Two whose patience ends at once know of each other when the adverts have arrived.
                    self.excused = self.excused.max(self.now + DELAY * 2);
                }
            }
            _ => {}
        }
    }

    fn apply(&mut self, n: usize, op: &KernelOp) -> i32 {
        let errno = self.hosts[n].kernel.apply(op);
        if let (KernelOp::AddAddress(a), 0) = (op, errno)
            && a.valid_lft != FOREVER
        {
            let late = Duration::from_millis(self.random(OVERDUE));
            let over = self.now + Duration::from_secs(a.valid_lft.into()) + late;
            self.hosts[n].expiry.insert((a.index, a.addr.address), over);
        }
        errno
    }

    fn check(&self) {
        if self.answers(0) && self.answers(1) && self.now > self.excused {
            let states = [self.state(0), self.state(1)];
            panic!("seed {}: both answer at {:?}, as {states:?}", self.name, self.now);
        }
    }
}
