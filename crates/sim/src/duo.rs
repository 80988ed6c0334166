//! Two hosts with one vhid, in a world that kills, stops, freezes, demotes and cuts, loses and reorders adverts, pulls
//! cables: whatever happens, at most one of them answers for the address, as long as they can hear each other; and in
//! the end exactly one does. Each host is an engine on a virtual kernel of its own (`host`).

mod course;
mod host;

use crate::cut::Script;
use crate::invariants::Violation;
use crate::rng::Rng;
use crate::trace::Trace;
use course::Disturbance;
use host::{Host, NICS, VIPS, settings};
use mpath_core::input::Command;
use mpath_core::{Action, Engine, Input};
use mpath_model::carp::{Content, HeardAdvert, SendAdvert};
use mpath_model::kernel::{FOREVER, Heard, KernelOp, Packet, Transmit};
use mpath_model::{IfIndex, Time};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What the kernel may keep an address beyond its lifetime, ms.
const OVERDUE: u64 = 1300;
/// A cable that is pulled is noticed within this time.
const NOTICED: Duration = Duration::from_millis(100);
/// Longest way of an advert where adverts overtake each other, and where they do not.
const SLOWEST: Duration = Duration::from_millis(15);
const QUICK: Duration = Duration::from_millis(1);
/// Whoever did not hear an advert takes over, or does not yield, until he hears again.
const DEAF: Duration = Duration::from_secs(6);
const ZERO: Duration = Duration::ZERO;
/// Steps without any time passing that are no busy loop.
const AT_ONCE: u32 = 5_000;

/// What a world is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// `advskew` of each host.
    pub skew: [u8; 2],
    /// Both preempt.
    pub preempt: bool,
    /// The vhid is over a group of two NICs; else over one.
    pub group: bool,
    /// Lost adverts, percent.
    pub loss: u64,
    /// Adverts overtake each other.
    pub reorder: bool,
}

/// The two hosts. See the module.
pub struct Duo {
    /// Virtual time.
    pub now: Time,
    manner: Manner,
    loss: u64,
    hosts: [Host; 2],
    flying: BTreeMap<(Time, u64), (usize, IfIndex, HeardAdvert)>,
    order: u64,
    split: bool,
    /// Until then two may answer: they could not hear each other.
    excused: Time,
    rng: Rng,
    seed: u64,
    inputs: u64,
    script: Script<Disturbance>,
    violation: Option<Violation>,
    trace: Trace,
}

impl Duo {
    /// Both hosts at their start.
    pub fn new(seed: u64, manner: Manner, trace: Trace) -> Duo {
        let mut duo = Duo::off(seed, manner, trace);
        (0..2).for_each(|n| duo.start(n));
        duo
    }

    /// Both hosts before their start.
    fn off(seed: u64, manner: Manner, trace: Trace) -> Duo {
        Duo {
            now: Time(1_000_000_000_000),
            manner,
            loss: manner.loss,
            hosts: [0, 1].map(|n| Host::new(n, settings(manner, n))),
            flying: BTreeMap::new(),
            order: 0,
            split: false,
            excused: Time(0),
            rng: Rng::new(seed, 8),
            seed,
            inputs: 0,
            script: Script::new(None),
            violation: None,
            trace,
        }
    }

    /// What broke, if anything.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// A daemon starts, unless it runs.
    pub fn start(&mut self, n: usize) {
        if self.hosts[n].engine.is_some() {
            return;
        }
        let seed = self.rng.next();
        self.hosts[n].frozen = None;
        self.hosts[n].engine = Some(Engine::new(seed, "sim"));
        let (settings, inventory) = (self.hosts[n].settings.clone(), self.hosts[n].kernel.inventory());
        self.feed(n, Input::WallClock { unix: self.now.0 << 2 });
        self.feed(n, Input::Configure(settings));
        self.feed(n, Input::Inventory(inventory));
    }

    /// kill -9.
    pub fn kill(&mut self, n: usize) {
        self.struck();
        let host = &mut self.hosts[n];
        (host.engine, host.frozen) = (None, None);
        host.waiting.clear();
    }

    /// A clean stop, if the daemon is awake.
    pub fn stop(&mut self, n: usize) {
        if self.hosts[n].frozen.is_none() {
            self.feed(n, Input::Stop);
            self.kill(n);
        }
    }

    fn struck(&mut self) {
        if self.masters() == [true, true] {
            self.cannot_yield();
        }
    }

    /// A master that is struck in the moment in which another one preempts it, or while its last advert is on the way, cannot yield
    /// any more: its addresses go when their lifetimes end.
    fn cannot_yield(&mut self) {
        self.excuse(Duration::from_millis(1000 + OVERDUE));
    }

    fn excuse(&mut self, how_long: Duration) {
        self.excused = self.excused.max(self.now + how_long);
    }

    /// The daemon does nothing for so long.
    pub fn freeze(&mut self, n: usize, how_long: Duration) {
        self.struck();
        self.hosts[n].frozen = Some(self.now + how_long);
    }

    /// An operator's command, if the daemon is awake.
    pub fn ask(&mut self, n: usize, command: Command) {
        if self.hosts[n].frozen.is_none() {
            self.feed(n, Input::Request { id: 1, command });
        }
    }

    /// The hosts cannot hear each other any more, or can again.
    pub fn split(&mut self, split: bool) {
        self.split = split;
    }

    /// A cable is pulled or plugged; the kernel tells of it a little later.
    pub fn cable(&mut self, n: usize, nic: usize, plugged: bool) {
        let late = self.rng.duration(ZERO, NOTICED);
        let at = self.now + late;
        self.hosts[n].cable(nic, plugged, at);
    }

    /// Whose vhid is MASTER.
    pub fn masters(&self) -> [bool; 2] {
        [0, 1].map(|n| self.hosts[n].state() == "MASTER")
    }

    /// How often a host became master.
    pub fn takeovers(&self, n: usize) -> u32 {
        self.hosts[n].takeovers
    }

    /// One of the addresses is within reach of others on this host.
    pub fn answers(&self, n: usize) -> bool {
        self.hosts[n].answers()
    }

    /// Time passes.
    pub fn pass(&mut self, how_long: Duration) {
        let end = self.now + how_long;
        while self.violation.is_none() && self.step(end) {}
        self.now = end;
    }

    /// Time passes until something is so; whether it came to be within `limit`.
    pub fn pass_until(&mut self, limit: Duration, done: impl Fn(&Duo) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.violation.is_some() || !self.step(end) {
                return false;
            }
        }
        true
    }

    /// The next event up to `end`, if there is one.
    fn step(&mut self, end: Time) -> bool {
        let timers = self.hosts.iter().filter_map(|h| h.next(self.now));
        let next = timers.chain(self.flying.keys().map(|(t, _)| *t)).min();
        let Some(next) = next.filter(|t| *t <= end) else { return false };
        self.now = self.now.max(next);
        for n in 0..2 {
            self.hosts[n].expire(self.now);
            self.hosts[n].tell_of_cables(self.now);
            if self.hosts[n].frozen.is_some_and(|t| t <= self.now) {
                self.thaw(n);
            }
            self.read_events(n);
        }
        while let Some((&(at, order), _)) =
            self.flying.first_key_value().filter(|((at, _), _)| *at <= self.now)
        {
            let Some((n, index, advert)) = self.flying.remove(&(at, order)) else { break };
            let heard = Heard { index, at, what: Packet::Carp(advert) };
            if self.hosts[n].frozen.is_some() {
                self.hosts[n].waiting.push(heard);
            } else {
                self.feed(n, Input::Heard(heard));
            }
        }
        for n in 0..2 {
            let mut ticks = 0;
            while self.hosts[n].timer().is_some_and(|t| t <= self.now) && self.violation.is_none() {
                self.feed(n, Input::Tick);
                ticks += 1;
                if ticks > AT_ONCE {
                    self.violate("busy loop", format!("{ticks} ticks in a row at one moment"));
                }
            }
        }
        self.check();
        true
    }

    /// As the daemon does: the kernel's events, then packets, then time.
    fn thaw(&mut self, n: usize) {
        self.hosts[n].frozen = None;
        self.read_events(n);
        for heard in std::mem::take(&mut self.hosts[n].waiting) {
            self.feed(n, Input::Heard(heard));
        }
    }

    fn read_events(&mut self, n: usize) {
        if self.hosts[n].frozen.is_none() {
            let events = self.hosts[n].events();
            if !events.is_empty() {
                self.feed(n, Input::Kernel(events));
            }
        }
    }

    fn feed(&mut self, n: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut actions = Vec::new();
            let Some(engine) = &mut self.hosts[n].engine else { return };
            self.inputs += 1;
            self.trace.note(self.now, format_args!("host {n}"));
            self.trace.input(self.now, &input);
            engine.handle(self.now, input, &mut actions);
            self.trace.actions(self.now, &actions);
            for action in actions {
                self.carry_out(n, action, &mut inputs);
            }
        }
    }

    fn carry_out(&mut self, n: usize, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Kernel { batch, ops } => {
                let errors = ops.iter().map(|op| self.apply(n, op)).collect();
                let events = self.hosts[n].events();
                if !events.is_empty() {
                    inputs.push_back(Input::Kernel(events));
                }
                inputs.push_back(Input::Done { batch, errors });
            }
            Action::Resynchronise => inputs.push_back(Input::Inventory(self.hosts[n].kernel.inventory())),
            Action::Send(Transmit::Advert(sent)) => self.send(n, &sent),
            Action::Emit(event) if event.message.contains("-> MASTER") => {
                self.hosts[n].takeovers += 1;
                // Two whose patience ends at once know of each other when the adverts have arrived.
                self.excuse(if self.manner.reorder { SLOWEST * 2 } else { QUICK * 2 });
                if event.message.contains("preempting") && !self.hosts[1 - n].awake() {
                    self.cannot_yield();
                }
            }
            _ => {}
        }
    }

    /// To every NIC on the link but the one it leaves by: those of the other host, and the sender's others.
    fn send(&mut self, n: usize, sent: &SendAdvert) {
        let content = Content::Advert { version: 2, advert: sent.advert, authentic: true };
        let heard = HeardAdvert { from: sent.source, hops: 255, content };
        let leaves = self.hosts[n].linked(sent.index);
        let mut arrived = false;
        for to in 0..2 {
            let nics = if self.manner.group { NICS } else { 1 };
            for index in self.hosts[to].nics().into_iter().take(nics) {
                let own = to == n;
                let cut = !leaves || !self.hosts[to].linked(index) || (self.split && !own);
                if cut || (own && index == sent.index) || self.rng.below(100) < self.loss {
                    continue;
                }
                arrived |= !own;
                let way = if self.manner.reorder { self.rng.duration(QUICK, SLOWEST) } else { QUICK };
                self.order += 1;
                self.flying.insert((self.now + way, self.order), (to, index, heard.clone()));
            }
        }
        if !arrived {
            self.excuse(DEAF);
        }
    }

    fn apply(&mut self, n: usize, op: &KernelOp) -> i32 {
        let errno = self.hosts[n].kernel.apply(op);
        if let (KernelOp::AddAddress(a), 0) = (op, errno)
            && a.valid_lft != FOREVER
        {
            let late = Duration::from_millis(self.rng.below(OVERDUE));
            let over = self.now + Duration::from_secs(a.valid_lft.into()) + late;
            self.hosts[n].lives(a.index, a.addr, over);
        }
        errno
    }

    fn check(&mut self) {
        if self.answers(0) && self.answers(1) && self.now > self.excused {
            let states = [0, 1].map(|n| self.hosts[n].state());
            self.violate("one host answers", format!("both hold one of {VIPS:?}, as {states:?}"));
        }
    }

    fn violate(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.trace.note(self.now, format_args!("BROKEN: {invariant}: {what}"));
            self.violation = Some(Violation { seed: self.seed, at: self.now, invariant, what });
        }
    }
}
