//! The world in motion: virtual time, the queue of what is to happen, and the engine in the middle of it.
//! What the daemon would do lies in `driver`, what goes wrong in `disturb`, what must hold in
//! [`crate::invariants`].

mod disturb;
mod driver;
mod setup;

use crate::cut::Cut;
use crate::faults::{Fault, Schedule};
use crate::invariants::{Duty, Tracked, Violation};
use crate::kernel::Kernel;
use crate::lan::{Lan, Nic};
use crate::rng::Rng;
use crate::run::{Ran, panic_of};
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::trace::Trace;
use mpath_core::input::{BatchId, RequestId};
use mpath_core::persist::Persistent;
use mpath_core::{Action, Engine, Input};
use mpath_model::kernel::{Heard, Listen, Neighbour, Packet, ifa, nud};
use mpath_model::{IfAddr, IfIndex, KernelEvent, Route, Settings, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Handling of one moment must end: more ticks than this without time passing is a busy loop.
const TICKS_AT_ONCE: u32 = 200;

/// Something to happen at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A packet reaches a NIC.
    Arrive(Nic, Packet),
    /// The daemon reads its event socket.
    Events,
    /// The daemon has collected the answers to a batch.
    Done(u32, BatchId, Vec<i32>),
    /// The daemon dumps everything.
    Dump(u32),
    /// The daemon polls the carrier of an interface.
    Poll(IfIndex),
    /// The daemon has given up waiting for a report that was lost.
    GivenUp(u32, BatchId),
    /// The kernel tells of a carrier change.
    LinkEvent(IfIndex),
    /// Duplicate address detection ends.
    Dad(IfIndex, IpAddr),
    /// A packet could not be sent.
    SendFailed(u32, IfIndex, Option<u16>, mpath_model::Family, i32),
    /// The schedule.
    Fault(Option<u32>, Fault),
    /// The daemon is started.
    Start,
    /// The daemon gets the processor back.
    Awake,
    /// The daemon runs itself again as soon as it is at rest.
    Reexec(u32),
    /// Hosts talk to each other.
    Chatter(usize),
    /// Duties may be due.
    Check,
    /// Whether all is well at the end.
    Final,
}

#[derive(Debug, PartialEq, Eq)]
struct Planned {
    at: Time,
    order: u64,
    what: Happening,
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A daemon with a known defect, to prove that the invariants notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Never deletes an address.
    KeepsOld,
    /// Deletes addresses before it adds them elsewhere.
    BreaksFirst,
    /// Sends each packet a hundred times.
    Floods,
    /// Handles timers a failure detection time late.
    LateTimers,
    /// Writes nothing to the state directory.
    Forgets,
    /// Touches no routes.
    IgnoresRoutes,
}

/// How hostile the kernel is at the moment, in permille.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hostile {
    pub(crate) refuse: u32,
    pub(crate) mute: u32,
    pub(crate) lose: u32,
    pub(crate) late: u32,
    pub(crate) twice: u32,
}

/// The daemon as far as it is not the engine.
#[derive(Default)]
pub(crate) struct Daemon {
    pub(crate) engine: Option<Engine>,
    /// Counts the starts, so that what belongs to a dead one is recognised.
    pub(crate) life: u32,
    pub(crate) persist: Option<Persistent>,
    pub(crate) listen: Listen,
    /// Events in the socket.
    pub(crate) socket: VecDeque<KernelEvent>,
    pub(crate) reading: bool,
    pub(crate) overflow: bool,
    /// Dumps asked for and not yet made.
    pub(crate) dumps: u32,
    /// Batches not yet reported.
    pub(crate) batches: BTreeSet<BatchId>,
    pub(crate) starved_until: Time,
    pub(crate) backlog: VecDeque<Input>,
    /// The journal is cut off there when it is read next, in millionths.
    pub(crate) torn: Option<u32>,
    /// Dies in the next step that changes something, and stays dead for so long.
    pub(crate) doomed: Option<Duration>,
    /// Unanswered, each with the NIC that a yes takes out of service.
    pub(crate) requests: BTreeMap<RequestId, Option<Nic>>,
    pub(crate) last_request: RequestId,
    buffer: Vec<Action>,
}

/// One simulated world.
pub struct World {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) scenario: Scenario,
    pub(crate) schedule: Schedule,
    pub(crate) kernel: Kernel,
    pub(crate) lan: Lan,
    /// Interface index of each NIC that is there.
    pub(crate) index: Vec<Option<IfIndex>>,
    pub(crate) carrier: Vec<bool>,
    pub(crate) daemon: Daemon,
    pub(crate) hostile: Hostile,
    /// At which NIC a node of a segment believes an address to be.
    pub(crate) believed: BTreeMap<(usize, usize, IpAddr), Nic>,
    /// The configuration file.
    pub(crate) file: Settings,
    /// A journal has been lost: nobody can know any more where adopted addresses and routes belong.
    pub(crate) forgetful: bool,
    /// Last moment at which something was done to the world.
    pub(crate) disturbed: Time,
    /// Last moment at which requests were refused or events lost.
    pub(crate) mistreated: Option<Time>,
    pub(crate) tracked: Vec<Tracked>,
    pub(crate) duties: Vec<Duty>,
    /// NICs that the daemon said it has taken out of service and was not asked to bring back.
    pub(crate) offline: BTreeSet<Nic>,
    /// When declared addresses were deleted by hand, and from which NICs.
    pub(crate) deletions: Vec<(IfAddr, Nic, Time)>,
    /// Routes found at the start, and their NICs.
    pub(crate) found_routes: Vec<(Nic, Route)>,
    pub(crate) removed: Vec<bool>,
    pub(crate) second: (u64, u32, u32),
    pub(crate) violation: Option<Violation>,
    pub(crate) stats: Stats,
    pub(crate) trace: Trace,
    queue: BinaryHeap<Reverse<Planned>>,
    order: u64,
    ticks: u32,
    pub(crate) finished: bool,
    /// The longest failure detection time of a group since all was mended.
    pub(crate) slowest: Duration,
    pub(crate) sabotage: Option<Sabotage>,
}

impl World {
    /// Runs the world of `seed` to its end or to the first broken invariant.
    pub fn run(seed: u64, trace: Trace) -> World {
        World::run_cut(seed, &Cut::default(), trace, None)
    }

    /// What is left of it, perhaps with a defective daemon.
    pub fn run_cut(seed: u64, cut: &Cut, trace: Trace, sabotage: Option<Sabotage>) -> World {
        let mut world = World::new(seed, cut, trace);
        world.sabotage = sabotage;
        let panic = panic_of(|| {
            while world.violation.is_none() && !world.finished {
                world.step();
            }
        });
        panic.into_iter().for_each(|text| world.violate("no panic", text));
        world.stats.worlds = 1;
        world.stats.virtual_time = world.now.since(Time(0));
        world
    }

    /// What broke, if anything.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What happened, in numbers.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The world it is.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    pub(crate) fn plan(&mut self, after: Duration, what: Happening) {
        self.plan_at(self.now + after, what);
    }

    pub(crate) fn plan_at(&mut self, at: Time, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Planned { at: at.max(self.now), order: self.order, what }));
    }

    fn step(&mut self) {
        let next = self.queue.peek().map(|Reverse(p)| p.at);
        let deadline = match &self.daemon.engine {
            Some(engine) if !self.starving() => engine.next_deadline().map(|d| self.late(d).max(self.now)),
            _ => None,
        };
        match (next, deadline) {
            // Packets and events that wait are read before timers are examined.
            (Some(n), d) if d.is_none_or(|d| n <= d) => {
                if let Some(Reverse(p)) = self.queue.pop() {
                    self.advance(p.at);
                    self.happen(p.what);
                }
            }
            (_, Some(d)) => {
                self.advance(d);
                self.ticks += 1;
                if self.ticks > TICKS_AT_ONCE {
                    self.violate("busy loop", format!("{TICKS_AT_ONCE} ticks in a row at one moment"));
                }
                self.feed(Input::Tick);
            }
            _ => self.finished = true,
        }
    }

    fn late(&self, deadline: Time) -> Time {
        match self.sabotage {
            Some(Sabotage::LateTimers) => deadline + self.scenario.slowest(),
            _ => deadline,
        }
    }

    fn advance(&mut self, to: Time) {
        if to > self.now {
            let second = |t: Time| t.0 / 1_000_000_000;
            let begins = second(to) > second(self.now);
            self.now = to;
            self.ticks = 0;
            if begins {
                self.check_questions();
            }
        }
    }

    pub(crate) fn starving(&self) -> bool {
        self.now < self.daemon.starved_until
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive(nic, packet) => self.arrive(nic, packet),
            Happening::Events => self.read_events(),
            Happening::Done(life, batch, errors) if life == self.daemon.life => {
                self.finish_batch(batch, errors)
            }
            Happening::Dump(life) if life == self.daemon.life => self.dump(),
            Happening::GivenUp(life, batch) if life == self.daemon.life => {
                self.daemon.batches.remove(&batch);
            }
            Happening::Done(..) | Happening::Dump(_) | Happening::GivenUp(..) => {}
            Happening::Poll(index) => {
                if let Some(running) = self.kernel.link(index).map(|l| l.running) {
                    self.feed(Input::Running { index, running });
                }
            }
            Happening::LinkEvent(index) => {
                self.kernel.link_event(index);
                self.collect_events();
            }
            Happening::Dad(index, address) => {
                let others: Vec<IfIndex> = (0..self.index.len())
                    .filter(|n| self.lan.connected(*n))
                    .filter_map(|n| self.index[n])
                    .collect();
                self.kernel.finish_dad(index, address, |i| others.contains(&i));
                self.note_presence(false);
                self.collect_events();
            }
            Happening::SendFailed(life, index, seq, family, errno) => {
                if life == self.daemon.life {
                    self.feed(Input::SendFailed { index, seq, family, errno });
                }
            }
            Happening::Fault(number, fault) => self.disturb(number, fault),
            Happening::Start => self.start(),
            Happening::Awake => self.awake(),
            Happening::Reexec(life) if life == self.daemon.life => self.reexec(),
            Happening::Reexec(_) => {}
            Happening::Chatter(segment) => {
                for a in self.lan.chatter(segment, &mut self.rng) {
                    self.plan(a.after, Happening::Arrive(a.nic, a.packet));
                }
                self.converse(segment);
                let pause = self.scenario.fastest() + Duration::from_millis(500);
                let pause = self.rng.duration(pause, pause * 5);
                self.plan(pause, Happening::Chatter(segment));
            }
            Happening::Check => self.check_duties(),
            Happening::Final => self.check_final(),
        }
    }

    /// Clients talk to the host's addresses, so that it knows their link-layer addresses.
    fn converse(&mut self, segment: usize) {
        let nodes: Vec<&crate::lan::Node> = self.lan.segments[segment].iter().filter(|n| n.alive).collect();
        if nodes.is_empty() {
            return;
        }
        let node = (*self.rng.pick(&nodes)).clone();
        self.ask(segment, &node);
        for nic in 0..self.index.len() {
            let Some(index) = self.index[nic].filter(|_| self.lan.ports[nic].segment == segment) else {
                continue;
            };
            if !self.lan.connected(nic) {
                continue;
            }
            let four =
                node.four.map(IpAddr::V4).filter(|_| self.kernel.on(index).any(|a| a.addr.address.is_ipv4()));
            let six = node.six.first().copied().map(IpAddr::V6);
            for address in four.into_iter().chain(six) {
                self.kernel.learn(Neighbour {
                    index,
                    address,
                    mac: Some(node.mac),
                    state: nud::REACHABLE,
                    router: false,
                });
            }
        }
        self.collect_events();
    }

    /// A node that does not know where the host's addresses are asks.
    fn ask(&mut self, segment: usize, node: &crate::lan::Node) {
        let Some(n) = self.lan.segments[segment].iter().position(|x| x.mac == node.mac) else { return };
        for nic in (0..self.index.len()).filter(|nic| self.lan.ports[*nic].segment == segment) {
            let Some(index) = self.index[nic].filter(|_| self.lan.connected(nic)) else { continue };
            for a in self.kernel.on(index).filter(|a| !a.has(ifa::TENTATIVE)) {
                self.believed.entry((segment, n, a.addr.address)).or_insert(nic);
            }
        }
    }

    /// An announcement goes out: whoever is there believes it.
    pub(crate) fn announce(&mut self, index: IfIndex, address: IpAddr) {
        let Some(nic) = self.index.iter().position(|i| *i == Some(index)) else { return };
        let segment = self.lan.ports[nic].segment;
        if self.lan.leaves(nic, &mut self.rng) {
            for n in (0..self.lan.segments[segment].len()).filter(|n| self.lan.segments[segment][*n].alive) {
                self.believed.insert((segment, n, address), nic);
            }
        }
    }

    fn arrive(&mut self, nic: Nic, packet: Packet) {
        if !self.lan.enters(nic, &mut self.rng) {
            return;
        }
        let Some(index) = self.index[nic] else { return };
        let wanted = match &packet {
            Packet::EchoReply { to, .. } => {
                let family = mpath_model::Family::of(to);
                self.daemon.listen.echo.contains(&(index, family)) && self.kernel.holds(to)
            }
            Packet::Beacon { .. } => self.daemon.listen.beacons.contains(&index),
            Packet::Advertisement { .. } => {
                self.daemon.listen.echo.contains(&(index, mpath_model::Family::Inet6))
            }
            Packet::Arp { .. } => self.daemon.listen.arp.contains(&index),
            Packet::Carp(_) => false,
        };
        if wanted {
            self.feed(Input::Heard(Heard { index, at: self.now, what: packet }));
        }
    }

    /// Hands an input to the engine and carries out what it asks for.
    pub(crate) fn feed(&mut self, input: Input) {
        if self.starving() {
            self.daemon.backlog.push_back(input);
            return;
        }
        let Some(engine) = self.daemon.engine.as_mut() else {
            return;
        };
        self.trace.input(self.now, &input);
        self.stats.step(self.now, &input);
        let mut actions = std::mem::take(&mut self.daemon.buffer);
        engine.handle(self.now, input, &mut actions);
        self.carry_out(&mut actions);
        actions.clear();
        self.daemon.buffer = actions;
    }

    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            let seed = self.scenario.seed;
            self.trace.note(self.now, format_args!("BROKEN: {invariant}: {what}"));
            self.violation = Some(Violation { seed, at: self.now, invariant, what });
        }
    }
}

impl From<World> for Ran {
    fn from(world: World) -> Ran {
        let World { violation, schedule, scenario, trace, stats, .. } = world;
        Ran { violation, events: schedule.events(&scenario), trace, stats }
    }
}
