//! The laboratory: the engine in virtual time between a fake kernel and a fake link. Everything the engine
//! says and does is kept for the tests to look at.

pub mod kernel;
pub mod net;
mod spec;

pub use kernel::{Kernel, mac, via};
pub use net::Net;
pub use spec::Spec;

use mpath_core::action::Refusal;
use mpath_core::diag::Line;
use mpath_core::input::Command;
use mpath_core::persist::Persistent;
use mpath_core::{Action, Engine, Input};
use mpath_model::event::Level;
use mpath_model::kernel::{Heard, KernelOp, Listen, Packet, Transmit};
use mpath_model::{Event, Family, IfIndex, Settings, Status, Time, status};
use mpath_wire::probe::Kind;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Index of `eth0`; `eth1` is one more, and so on.
pub const ETH0: IfIndex = 2;
pub const ETH1: IfIndex = 3;
pub const ETH2: IfIndex = 4;

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// The laboratory.
#[derive(Clone)]
pub struct Lab {
    pub now: Time,
    pub engine: Engine,
    pub kernel: Kernel,
    pub net: Net,
    pub settings: Settings,
    pub lines: Vec<(Time, Line)>,
    pub events: Vec<(Time, Event)>,
    /// Probes, kept while `record` is set.
    pub sent: Vec<(Time, Transmit)>,
    pub record: bool,
    pub ops: Vec<(Time, KernelOp)>,
    pub replies: Vec<Result<(), Refusal>>,
    pub persist: Option<Persistent>,
    pub listen: Listen,
    /// Plans by NIC, with their generation.
    pub prepared: BTreeMap<IfIndex, (u64, Vec<KernelOp>)>,
    pub dumps: usize,
    /// Processor time that the engine has taken.
    pub spent: Duration,
    queue: BTreeMap<(Time, u64), Input>,
    order: u64,
    requests: u64,
    buffer: Vec<Action>,
}

impl Lab {
    /// The engine started on this kernel and link.
    pub fn start(seed: u64, settings: Settings, kernel: Kernel, net: Net, memory: Option<Persistent>) -> Lab {
        Lab::start_at(Time(0) + secs(1000), seed, settings, kernel, net, memory)
    }

    fn start_at(
        now: Time,
        seed: u64,
        settings: Settings,
        kernel: Kernel,
        net: Net,
        memory: Option<Persistent>,
    ) -> Lab {
        let mut lab = Lab {
            now,
            engine: Engine::new(seed, "test"),
            kernel,
            net,
            settings: settings.clone(),
            lines: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            record: true,
            ops: Vec::new(),
            replies: Vec::new(),
            persist: None,
            listen: Listen::default(),
            prepared: BTreeMap::new(),
            dumps: 0,
            spent: Duration::ZERO,
            queue: BTreeMap::new(),
            order: 0,
            requests: 0,
            buffer: Vec::new(),
        };
        lab.kernel.take_events();
        lab.feed(Input::Configure(settings));
        if let Some(memory) = memory {
            lab.feed(Input::Restore(memory));
        }
        lab.dump();
        lab
    }

    /// The daemon dies and starts again `down` later with what it had kept; the kernel lives on.
    pub fn restart(&self, down: Duration) -> Lab {
        let (kernel, net) = (self.kernel.clone(), self.net.clone());
        Lab::start_at(self.now + down, 99, self.settings.clone(), kernel, net, self.persist.clone())
    }

    pub fn dump(&mut self) {
        let inventory = self.kernel.inventory();
        self.kernel.take_events();
        self.feed(Input::Inventory(inventory));
    }

    /// Hands the engine an input and carries out what it asks for.
    pub fn feed(&mut self, input: Input) {
        let mut actions = std::mem::take(&mut self.buffer);
        let begin = processor_time();
        self.engine.handle(self.now, input, &mut actions);
        self.spent += processor_time().saturating_sub(begin);
        for action in actions.drain(..) {
            self.carry_out(action);
        }
        self.buffer = actions;
    }

    fn carry_out(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Send(what) => self.send(what),
            Action::Kernel { batch, ops } => {
                let errors = ops.iter().map(|op| self.kernel.apply(op)).collect();
                self.ops.extend(ops.into_iter().map(|op| (now, op)));
                self.deliver();
                self.later(Duration::from_micros(50), Input::Done { batch, errors });
            }
            Action::Persist(p) => self.persist = Some(p),
            Action::Prepare { index, generation, ops } => {
                self.prepared.insert(index, (generation, ops));
            }
            Action::Resynchronise => {
                self.dumps += 1;
                self.later(Duration::from_micros(100), Input::Tick);
                self.order += 1;
                let at = (now + Duration::from_micros(100), self.order);
                // Dumped when it is due: see `step`.
                self.queue.insert(at, Input::Inventory(Default::default()));
            }
            Action::Listen(listen) => self.listen = listen,
            Action::Log(line) => self.lines.push((now, line)),
            Action::Emit(event) => self.events.push((now, event)),
            Action::Reply { result, .. } => self.replies.push(result),
        }
    }

    fn send(&mut self, what: Transmit) {
        let (index, seq, family) = match &what {
            Transmit::Echo { index, seq, target, .. } => (*index, Some(*seq), Family::of(target)),
            Transmit::Frame { index, .. } => (*index, None, Family::Inet),
            Transmit::Advert(a) => (a.index, None, Family::of(&a.source)),
        };
        if self.record {
            self.sent.push((self.now, what.clone()));
        }
        if let Some(errno) = self.net.send_errno.get(&index).copied() {
            return self.later(Duration::ZERO, Input::SendFailed { index, seq, family, errno });
        }
        if !self.kernel.links.get(&index).is_some_and(|l| l.running) {
            return;
        }
        self.beacon(&what);
        for (after, index, what) in self.net.answers(&what) {
            let at = self.now + after;
            self.later(after, Input::Heard(Heard { index, at, what }));
        }
    }

    /// Beacons reach the other NICs on the same switch.
    fn beacon(&mut self, what: &Transmit) {
        let Transmit::Frame { index, bytes } = what else { return };
        let Ok(beacon) = mpath_wire::beacon::parse(&bytes[14..]) else { return };
        // Losses are those of what a NIC sends.
        let loss = self.net.loss_of.get(index).copied().unwrap_or(0);
        if loss > 0 && self.net.random(1000) < loss {
            return;
        }
        let net = &self.net;
        let to = mpath_model::Mac(bytes[..6].try_into().unwrap());
        let addressed =
            |i: &IfIndex| to == mpath_model::Mac::BROADCAST || self.kernel.links[i].mac == Some(to);
        let hears = |i: &IfIndex| {
            *i != *index
                && addressed(i)
                && net.apart.contains(i) == net.apart.contains(index)
                && !net.silent.contains(i)
        };
        let others: Vec<IfIndex> = self.kernel.links.keys().copied().filter(hears).collect();
        if self.net.silent.contains(index) {
            return;
        }
        for index in others {
            let what = Packet::Beacon { round: beacon.round, sender: beacon.sender };
            let at = self.now + ms(1);
            self.later(ms(1), Input::Heard(Heard { index, at, what }));
        }
    }

    /// An input that comes `after` from now.
    pub fn later(&mut self, after: Duration, input: Input) {
        self.order += 1;
        self.queue.insert((self.now + after, self.order), input);
    }

    /// Sends the kernel's events on their way.
    pub fn deliver(&mut self) {
        let events = self.kernel.take_events();
        if !events.is_empty() {
            self.later(Duration::from_micros(20), Input::Kernel(events));
        }
    }

    /// The next input or deadline up to `end`; false if there is none.
    pub fn step(&mut self, end: Time) -> bool {
        let queued = self.queue.keys().next().copied().filter(|(at, _)| *at <= end);
        let deadline = self.engine.next_deadline().map(|d| d.max(self.now)).filter(|d| *d <= end);
        match (queued, deadline) {
            (Some(key), d) if d.is_none_or(|d| key.0 <= d) => {
                let input = self.queue.remove(&key).unwrap();
                self.now = self.now.max(key.0);
                match input {
                    Input::Inventory(_) => self.dump(),
                    other => self.feed(other),
                }
            }
            (_, Some(d)) => {
                self.now = d;
                self.feed(Input::Tick);
            }
            _ => return false,
        }
        true
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until it is so, and returns how long that took; panics after `limit`.
    #[track_caller]
    pub fn until(&mut self, limit: Duration, what: &str, is: impl Fn(&Lab) -> bool) -> Duration {
        let (begin, end) = (self.now, self.now + limit);
        while !is(self) {
            assert!(self.step(end), "no {what} within {limit:?}; said:\n{}", self.story());
        }
        self.now - begin
    }

    /// Runs until this has been logged.
    #[track_caller]
    pub fn until_said(&mut self, limit: Duration, text: &str) -> Duration {
        let from = self.lines.len();
        self.until(limit, text, |l| l.lines[from..].iter().any(|(_, x)| x.text == text))
    }

    /// Nobody runs for a while; what arrived meanwhile waits.
    pub fn suspend(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub fn story(&self) -> String {
        self.lines.iter().map(|(t, l)| format!("{:>14} {:?} {}\n", t.0, l.level, l.text)).collect()
    }

    /// Forgets what has been said, sent and done.
    pub fn mark(&mut self) {
        self.lines.clear();
        self.events.clear();
        self.sent.clear();
        self.ops.clear();
    }

    /// The texts since the last mark, without those of interest to nobody but developers.
    pub fn said(&self) -> Vec<&str> {
        let loud = |l: &&(Time, Line)| l.1.level < Level::Info;
        self.lines.iter().filter(loud).map(|(_, l)| l.text.as_str()).collect()
    }

    /// How often a text has been logged.
    pub fn count(&self, text: &str) -> usize {
        self.lines.iter().filter(|(_, l)| l.text == text).count()
    }

    /// Level of a text that has been logged.
    #[track_caller]
    pub fn level(&self, text: &str) -> Level {
        let found = self.lines.iter().find(|(_, l)| l.text == text);
        found.unwrap_or_else(|| panic!("'{text}' was not said:\n{}", self.story())).1.level
    }

    /// Carrier of NICs, told in one batch.
    pub fn carrier(&mut self, nics: &[IfIndex], up: bool) {
        nics.iter().for_each(|i| self.kernel.change_link(*i, |l| l.running = up));
        self.deliver();
    }

    pub fn silence(&mut self, index: IfIndex) {
        self.net.silent.insert(index);
    }

    /// Answers on their way are lost.
    pub fn lose_answers(&mut self) {
        self.queue.retain(|_, input| !matches!(input, Input::Heard(_)));
    }

    pub fn heal(&mut self, index: IfIndex) {
        self.net.silent.remove(&index);
    }

    pub fn ask(&mut self, command: Command) {
        self.requests += 1;
        self.feed(Input::Request { id: self.requests, command });
    }

    pub fn status(&self) -> Status {
        self.engine.snapshot()
    }

    pub fn group(&self) -> status::Group {
        self.status().groups.remove(0)
    }

    pub fn nic(&self, name: &str) -> status::Interface {
        let s = self.status();
        let mut all = s.groups.into_iter().flat_map(|g| g.interfaces).chain(s.ungrouped);
        all.find(|n| n.name == name).unwrap()
    }

    pub fn state(&self, name: &str) -> status::InterfaceState {
        self.nic(name).state
    }

    /// Interfaces that have the address.
    pub fn where_is(&self, address: &str) -> Vec<IfIndex> {
        let on = |a: &&mpath_model::Address| a.addr.address == ip(address);
        self.kernel.addresses.iter().filter(on).map(|a| a.index).collect()
    }

    /// Probes of a NIC since the last mark, without confirmations: when, to whom, sequence number, kind.
    pub fn probes(&self, nic: IfIndex) -> Vec<(Time, IpAddr, u16, Kind)> {
        let echo = |(t, w): &(Time, Transmit)| match w {
            Transmit::Echo { index, target, seq, payload, .. } if *index == nic => {
                Some((*t, *target, *seq, mpath_wire::probe::parse(payload).unwrap().kind))
            }
            _ => None,
        };
        self.sent.iter().filter_map(echo).filter(|p| p.3 != Kind::Confirm).collect()
    }

    /// The last unicast probe of a NIC.
    pub fn last_probe(&self, nic: IfIndex) -> Transmit {
        let of = |(_, w): &&(Time, Transmit)| matches!(w, Transmit::Echo { index, target, .. } if *index == nic && !target.is_multicast());
        self.sent.iter().rev().find(of).unwrap().1.clone()
    }

    /// A packet comes in now.
    pub fn hear(&mut self, index: IfIndex, what: Packet) {
        self.feed(Input::Heard(Heard { index, at: self.now, what }));
    }

    /// The statistics in a line of this beginning, for each instance (SIGUSR1).
    pub fn statistic(&mut self, beginning: &str) -> Vec<u64> {
        let from = self.lines.len();
        self.ask(Command::Statistics);
        let texts = self.lines[from..].iter().map(|(_, l)| l.text.as_str());
        texts.filter_map(|t| t.strip_prefix(beginning)).map(|n| n.trim().parse().unwrap()).collect()
    }

    /// Puts changed settings in force.
    pub fn reload(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.feed(Input::Configure(self.settings.clone()));
    }
}
