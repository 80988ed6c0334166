//! A host with a lagg on a switch that learns where addresses are, forgets it after a while, and does not forward at once
//! when a cable is plugged in; the world pulls cables, swallows and loses frames, kills and stops the daemon, refuses
//! requests and takes the lagg's address away. Whatever happens, at most one port is open; and where a port has been sound
//! for a while, the neighbours reach the lagg.

mod world;

use crate::cut::{Cut, Script};
use crate::invariants::Violation;
use crate::kernel::Kernel;
use crate::lan::{Lan, Nic};
use crate::rng::Rng;
use crate::run::{Ran, panic_of};
use crate::stats::Stats;
use crate::trace::Trace;
use mpath_core::persist::Persistent;
use mpath_core::{Action, Engine, Input};
use mpath_model::kernel::{Heard, KernelOp, Listen, Packet, Transmit};
use mpath_model::{Family, IfIndex, Mac, Settings, Time};
use mpath_wire::ethernet;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use world::Disturbance;

/// Disturbances in a world.
const DISTURBANCES: u32 = 16;
/// A switch forgets whom it has not heard for so long.
const AGEING: Duration = Duration::from_secs(300);
/// The kernel tells of a cable within this time.
const NOTICED: Duration = Duration::from_millis(100);
/// Steps without any time passing that are no busy loop.
const AT_ONCE: u32 = 5_000;

/// What happens later.
#[derive(Debug)]
enum Coming {
    Arrive(Nic, Packet),
    Link(IfIndex),
    Start,
    Wake,
    /// Somebody on the link asks for somebody, as hosts do all the time.
    Chatter,
}

/// See the module.
pub struct Trunk {
    now: Time,
    settings: Settings,
    kernel: Kernel,
    lan: Lan,
    index: Vec<IfIndex>,
    /// From then on the switch forwards what a port sends and receives.
    forwards: Vec<Time>,
    /// When the cable or the path of a port changed last.
    changed: Vec<Time>,
    /// When an answer last reached the daemon through a port.
    answered: Vec<Time>,
    /// How long the switch waits before it forwards.
    listening: Duration,
    /// Where the switch believes an address to be, and since when.
    table: BTreeMap<Mac, (Nic, Time)>,
    engine: Option<Engine>,
    journal: Option<Persistent>,
    listen: Listen,
    /// When the daemon was started last.
    born: Time,
    asleep: bool,
    backlog: VecDeque<Input>,
    refuse: u32,
    /// Last time at which something else than a port was disturbed.
    disturbed: Time,
    coming: BTreeMap<(Time, u64), Coming>,
    order: u64,
    rng: Rng,
    seed: u64,
    inputs: u64,
    switches: u64,
    script: Script<Disturbance>,
    violation: Option<Violation>,
    trace: Trace,
}

impl Trunk {
    /// The world of `seed` to its end, or to the first broken invariant.
    pub fn run(seed: u64, trace: Trace) -> Trunk {
        Trunk::run_cut(seed, &Cut::default(), trace)
    }

    /// What is left of it.
    pub fn run_cut(seed: u64, cut: &Cut, trace: Trace) -> Trunk {
        let mut trunk = Trunk::new(seed, trace);
        let recorded = (!cut.is_whole()).then(|| Trunk::run(seed, Trace::off()).script);
        trunk.script = Script::new(recorded);
        panic_of(|| trunk.play(cut)).into_iter().for_each(|text| trunk.violate("no panic", text));
        trunk
    }

    fn play(&mut self, cut: &Cut) {
        self.start();
        self.soon(Duration::ZERO, Coming::Chatter);
        let fdt = self.settings.laggs[0].failure_detection_time;
        self.pass(cut.before_end(self.now, fdt * 4 + Duration::from_secs(5)));
        for _ in 0..DISTURBANCES {
            if self.violation.is_some() || cut.is_over(self.now) {
                break;
            }
            let drawn = self.draw();
            let Some((number, what)) = self.script.next(self.now, drawn) else { break };
            if cut.keeps(number) {
                self.disturb(number, what);
            }
            let most =
                if self.rng.chance(250) { Duration::from_secs(60) } else { fdt * 5 + Duration::from_secs(3) };
            let drawn = self.rng.duration(Duration::ZERO, most);
            let pause = self.script.pause(drawn);
            self.pass(cut.before_end(self.now, pause));
        }
        self.mend();
        self.pass(fdt * 6 + Duration::from_secs(70));
        self.check_end();
    }

    /// What broke, if anything.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    fn soon(&mut self, after: Duration, what: Coming) {
        self.order += 1;
        self.coming.insert((self.now + after, self.order), what);
    }

    /// Time passes.
    fn pass(&mut self, how_long: Duration) {
        let end = self.now + how_long;
        let mut still = (self.now, 0);
        while self.violation.is_none() {
            let timer = self.engine.as_ref().filter(|_| !self.asleep).and_then(Engine::next_deadline);
            let timer = timer.map(|t| t.max(self.now));
            let first = self.coming.keys().next().map(|(t, _)| *t);
            let Some(next) = timer.into_iter().chain(first).min().filter(|t| *t <= end) else { break };
            still = if next > still.0 { (next, 0) } else { (still.0, still.1 + 1) };
            if still.1 > AT_ONCE {
                self.violate("busy loop", format!("{AT_ONCE} steps at one moment"));
            }
            self.now = next;
            match self.coming.first_entry().filter(|e| e.key().0 <= next) {
                Some(entry) => {
                    let what = entry.remove();
                    self.happen(what);
                }
                None => self.feed(Input::Tick),
            }
            self.check_step();
        }
        self.now = end;
    }

    fn happen(&mut self, what: Coming) {
        match what {
            Coming::Arrive(nic, packet) => self.arrive(nic, packet),
            Coming::Link(index) => {
                self.kernel.link_event(index);
                self.events();
            }
            Coming::Start => self.start(),
            Coming::Chatter => {
                for a in self.lan.chatter(0, &mut self.rng) {
                    self.soon(a.after, Coming::Arrive(a.nic, a.packet));
                }
                let pause = self.rng.duration(Duration::from_secs(1), Duration::from_secs(5));
                self.soon(pause, Coming::Chatter);
            }
            Coming::Wake => {
                self.asleep = false;
                self.events();
                for input in std::mem::take(&mut self.backlog) {
                    self.feed(input);
                }
            }
        }
    }

    fn start(&mut self) {
        if self.engine.is_some() {
            return;
        }
        (self.disturbed, self.born) = (self.now, self.now);
        self.engine = Some(Engine::new(self.rng.next(), "0.0.0-sim"));
        self.feed(Input::Configure(self.settings.clone()));
        if let Some(journal) = self.journal.clone() {
            self.feed(Input::Restore(journal));
        }
        self.feed(Input::Inventory(self.kernel.inventory()));
    }

    fn kill(&mut self, down: Duration) {
        self.disturbed = self.now;
        self.engine = None;
        self.asleep = false;
        self.backlog.clear();
        self.listen = Listen::default();
        self.soon(down, Coming::Start);
    }

    /// What the kernel has to tell. Nobody else has an address of this host.
    fn events(&mut self) {
        for (index, address) in self.kernel.take_dad() {
            self.kernel.finish_dad(index, address, |_| false);
        }
        let events = self.kernel.take_events();
        if !events.is_empty() && self.engine.is_some() {
            self.feed(Input::Kernel(events));
        }
    }

    fn feed(&mut self, input: Input) {
        if self.asleep {
            return self.backlog.push_back(input);
        }
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(engine) = &mut self.engine else { return };
            self.inputs += 1;
            self.trace.input(self.now, &input);
            let mut actions = Vec::new();
            engine.handle(self.now, input, &mut actions);
            self.trace.actions(self.now, &actions);
            for action in actions {
                self.carry_out(action, &mut inputs);
            }
        }
    }

    fn carry_out(&mut self, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Kernel { batch, ops } => {
                let errors = ops.iter().map(|op| self.apply(op)).collect();
                let events = self.kernel.take_events();
                if !events.is_empty() {
                    inputs.push_back(Input::Kernel(events));
                }
                inputs.push_back(Input::Done { batch, errors });
            }
            Action::Resynchronise => inputs.push_back(Input::Inventory(self.kernel.inventory())),
            Action::Send(what) => self.transmit(&what),
            Action::Listen(listen) => self.listen = listen,
            Action::Persist(state) => self.journal = Some(state),
            Action::Emit(event) if event.event == mpath_model::EventKind::LaggSwitch => self.switches += 1,
            Action::Emit(_) | Action::Log(_) | Action::Reply { .. } | Action::Prepare { .. } => {}
        }
    }

    fn apply(&mut self, op: &KernelOp) -> i32 {
        if self.rng.chance(self.refuse) {
            return crate::kernel::errno::EBUSY;
        }
        let errno = self.kernel.apply(op);
        if let (KernelOp::Announce { index, .. }, 0) = (op, errno)
            && Some(*index) == self.lagg()
            && let (Some(nic), Some(mac)) = (self.open(), self.mac())
            && self.leaves(nic)
        {
            self.table.insert(mac, (nic, self.now));
        }
        errno
    }

    /// The lagg.
    fn lagg(&self) -> Option<IfIndex> {
        self.kernel.index_of(&self.settings.laggs[0].name)
    }

    /// Its link-layer address.
    fn mac(&self) -> Option<Mac> {
        self.lagg().and_then(|i| self.kernel.link(i)).and_then(|l| l.mac)
    }

    /// Ports through which frames pass.
    fn all_open(&self) -> impl Iterator<Item = Nic> {
        let open = |i: IfIndex| self.kernel.link(i).is_some_and(|l| l.running && l.passes == Some(true));
        (0..self.index.len()).filter(move |n| open(self.index[*n]))
    }

    fn open(&self) -> Option<Nic> {
        self.all_open().next()
    }

    /// What a port sends now goes into the switch.
    fn leaves(&mut self, nic: Nic) -> bool {
        let p = &self.lan.ports[nic];
        let (sends, loss) =
            (p.running && !p.path.tx_blocked && self.forwards[nic] <= self.now, p.path.tx_loss);
        sends && !self.rng.chance(loss)
    }

    /// Where the switch sends what is meant for an address: one port, or all.
    fn towards(&self, mac: Mac) -> Vec<Nic> {
        let known = self.table.get(&mac).filter(|(_, heard)| self.now - *heard < AGEING);
        known.map_or_else(|| (0..self.index.len()).collect(), |(nic, _)| vec![*nic])
    }

    fn transmit(&mut self, what: &Transmit) {
        let index = Lan::interface(what);
        let lagg = self.lagg();
        let port = self.index.iter().position(|i| *i == index);
        let Some(nic) = port.or_else(|| self.open().filter(|_| Some(index) == lagg)) else { return };
        let source = match what {
            Transmit::Frame { bytes, .. } => ethernet::parse(bytes).map(|(h, _)| h.source).ok(),
            _ => self.mac(),
        };
        let Some(source) = source.filter(|_| self.leaves(nic)) else { return };
        self.table.insert(source, (nic, self.now));
        for arrival in self.lan.transmit(nic, what, &mut self.rng) {
            let to = if arrival.nic == nic { self.towards(source) } else { vec![arrival.nic] };
            for nic in to {
                self.soon(arrival.after, Coming::Arrive(nic, arrival.packet.clone()));
            }
        }
    }

    fn arrive(&mut self, nic: Nic, packet: Packet) {
        if self.forwards[nic] > self.now || !self.lan.enters(nic, &mut self.rng) {
            return;
        }
        let (port, open) = (self.index[nic], self.all_open().any(|n| n == nic));
        let faces: Vec<IfIndex> = [port].into_iter().chain(self.lagg().filter(|_| open)).collect();
        for index in faces {
            let own = self.listen.ports.iter().any(|(i, _)| *i == index);
            let wanted = match &packet {
                Packet::EchoReply { to, .. } => self.listen.echo.contains(&(index, Family::of(to))),
                Packet::Advertisement { .. } => self.listen.echo.contains(&(index, Family::Inet6)),
                Packet::Arp { .. } => own || self.listen.arp.contains(&index),
                Packet::Beacon { .. } => self.listen.beacons.contains(&index),
                Packet::Carp(_) => false,
            };
            if wanted {
                if !matches!(packet, Packet::Arp { reply: false, .. } | Packet::Beacon { .. }) {
                    self.answered[nic] = self.now;
                }
                self.feed(Input::Heard(Heard { index, at: self.now, what: packet.clone() }));
            }
        }
    }

    fn violate(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.trace.note(self.now, format_args!("BROKEN: {invariant}: {what}"));
            self.violation = Some(Violation { seed: self.seed, at: self.now, invariant, what });
        }
    }
}

impl From<Trunk> for Ran {
    fn from(trunk: Trunk) -> Ran {
        let stats = Stats { lagg_steps: trunk.inputs, switches: trunk.switches, ..Stats::default() };
        Ran { violation: trunk.violation, events: trunk.script.events(), trace: trunk.trace, stats }
    }
}
