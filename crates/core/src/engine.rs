//! The engine: takes inputs one at a time, keeps the picture, and emits what is to be done. Edge triggers make
//! it fast, comparison makes it true: after every input that changed anything, and in full every 20 s, what
//! should be is compared with what the kernel shows (`settle`).

use crate::action::{Action, Refusal};
use crate::announce::Announcer;
use crate::diag::Message;
use crate::group::{NicId, UNTOLD};
use crate::guard::{Guard, Object};
use crate::input::{BatchId, Input, RequestId};
use crate::inventory::Inventory;
use crate::persist::{Freeze, Persistent};
use crate::rng::Rng;
use mpath_model::kernel::{Heard, KernelOp, Listen, Packet, Sysctl};
use mpath_model::{Family, IfAddr, IfIndex, Settings, Status, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

mod answers;
mod batches;
mod beaconing;
mod carping;
mod carry;
mod checks;
mod chronicle;
mod claims;
mod commands;
mod configure;
mod confirming;
mod deadlines;
mod explain;
mod finding;
mod foreign;
mod foresee;
mod foresight;
mod freeze;
mod graying;
mod groups;
mod handover;
mod holds;
mod judging;
mod keeping;
mod lagging;
mod members;
mod memory;
mod probing;
mod proving;
mod release;
mod reporting;
mod sources;
mod telling;
mod tuning;
mod watching;

pub use beaconing::Beacons;
pub use watching::{Port, Watch};

/// A full comparison with the kernel at least this often (IF_SCAN_INTERVAL).
pub const SCAN_INTERVAL: Duration = Duration::from_secs(20);

/// Position of a group.
type GroupId = usize;

/// What an operator waits for.
#[derive(Clone, Debug)]
enum Awaited {
    /// The group of this NIC is as it should be.
    Move(String),
    /// Nothing is left of what has been released.
    Release,
}

/// An operator waiting for the end of a move.
#[derive(Clone, Debug)]
struct Waiting {
    id: RequestId,
    what: Awaited,
    until: Time,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Engine {
    version: String,
    rng: Rng,
    /// Numbers of beacon rounds.
    rounds: Rng,
    ident: u16,
    settings: Settings,
    groups: groups::Groups,
    carps: carping::Carps,
    #[serde(skip)]
    inventory: Inventory,
    started: bool,
    /// Taken over from another program image: nothing is decided before the picture of the kernel is there.
    #[serde(skip)]
    blind: bool,
    /// The first comparison after start is over: NICs that appear from now on must prove themselves.
    settled_once: bool,
    restored: Option<Persistent>,
    #[serde(with = "crate::pairs")]
    originals: BTreeMap<(String, Sysctl), i32>,
    batches: batches::Batches,
    next_batch: BatchId,
    held: holds::Holds,
    #[serde(default)]
    claims: claims::Claims,
    announcer: Announcer,
    #[serde(skip)]
    waiting: Vec<Waiting>,
    persisted: Persistent,
    listen: Listen,
    scan_at: Time,
    /// Start of the present second and batches submitted in it.
    heat: (Time, u32),
    #[serde(with = "crate::pairs")]
    complaints: checks::Complaints,
    guard: Guard,
    /// Sysctls that this run has written.
    written: BTreeSet<(String, Sysctl)>,
    /// When the next deletion by somebody else turns out to be a wish or not.
    wish_due: Option<Time>,
    /// A full scan has just been made.
    scanned: bool,
    /// A dump has been asked for.
    scanning: bool,
    now: Time,
    flush: Vec<IfIndex>,
    /// What laggs have to announce at once.
    speak: Vec<KernelOp>,
    /// Verdicts of probes move nothing.
    frozen: Option<Freeze>,
    chronicle: chronicle::Chronicle,
    dirty: bool,
    refresh_targets: bool,
    /// Moves that have to show that they serve.
    proofs: Vec<proving::Proof>,
    #[serde(skip)]
    foresight: foresight::Foresight,
}

impl Engine {
    /// An engine that knows nothing yet. `seed` makes its choices repeatable; `version` is shown in the status.
    pub fn new(seed: u64, version: &str) -> Engine {
        let mut rng = Rng::new(seed);
        let ident = rng.next_u64() as u16;
        Engine {
            version: version.to_string(),
            rng,
            rounds: Rng::new(seed ^ 0x6265_6163_6f6e),
            ident,
            settings: Settings::default(),
            groups: groups::Groups::default(),
            carps: carping::Carps::default(),
            inventory: Inventory::default(),
            started: false,
            blind: false,
            settled_once: false,
            restored: None,
            originals: BTreeMap::new(),
            batches: batches::Batches::default(),
            next_batch: 1,
            held: holds::Holds::default(),
            claims: claims::Claims::default(),
            announcer: Announcer::default(),
            waiting: Vec::new(),
            persisted: Persistent::default(),
            listen: Listen::default(),
            scan_at: Time::default(),
            heat: (Time::default(), 0),
            complaints: checks::Complaints::new(),
            guard: Guard::default(),
            written: BTreeSet::new(),
            wish_due: None,
            scanned: false,
            scanning: false,
            now: Time::default(),
            flush: Vec::new(),
            speak: Vec::new(),
            frozen: None,
            chronicle: chronicle::Chronicle::default(),
            dirty: false,
            refresh_targets: false,
            proofs: Vec::new(),
            foresight: foresight::Foresight::default(),
        }
    }

    /// Takes one input at `now`; what is to be done is appended to `out`, in the order in which it is to be done:
    /// what must be kept, then the kernel, then packets and replies, and only then words.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Action>) {
        self.now = now;
        let first = out.len();
        if !matches!(input, Input::Tick | Input::Heard(_) | Input::SendFailed { .. }) {
            self.groups.touch();
        }
        self.carp_wake(now, out);
        match input {
            Input::Tick => self.tick(now, out),
            Input::Configure(settings) => self.configure(settings),
            Input::Restore(persistent) => self.restored = Some(persistent),
            Input::Inventory(dump) => self.take_inventory(now, dump, out),
            Input::Kernel(events) => self.kernel_events(now, &events, out),
            Input::Running { index, running } => self.running(index, running),
            Input::Heard(Heard { index, at, what: Packet::Carp(advert) }) => {
                self.carp_heard(now, (index, at), &advert, out);
            }
            Input::Heard(heard) => self.heard(now, heard, out),
            Input::SendFailed { index, family, errno, .. } => self.send_failed(index, family, errno, out),
            Input::Done { batch, errors } => self.done(now, batch, &errors, out),
            Input::AdvertFailed { id, errno } => self.carp_send_failed(&id, errno, out),
            Input::WallClock { unix } => self.carps.set_epoch(now, unix),
            Input::Stop => self.carp_stop(now, out),
            Input::Request { id, command } => self.request(now, id, command, out),
        }
        if self.dirty && self.sees() {
            self.settle(now, out);
        }
        self.refresh_deadlines();
        self.chronicle.note(now, &out[first..]);
        out[first..].sort_by_key(order);
    }

    /// There is a picture of the kernel to decide by.
    fn sees(&self) -> bool {
        self.started && !self.blind
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Action>) {
        if !self.sees() {
            return;
        }
        if now >= self.scan_at {
            self.scan_at = now + SCAN_INTERVAL;
            self.resynchronise(out);
        }
        self.end_freeze(now, out);
        let groups = self.groups.take_due(now);
        // First: whoever answers again ends it, and with it the blame.
        self.watch(now, &groups, out);
        self.probe(now, &groups, out);
        self.confirm(now, &groups, out);
        self.beacons(now, &groups, out);
        self.damping(now, &groups, out);
        let due = self.announcer.due(now);
        if !due.is_empty() {
            self.submit(now, due, out);
        }
        self.expire(now, out);
        self.end_fights(now, out);
        self.end_grace(now, &groups);
        self.carp_tick(now, out);
        self.dirty |= self.wish_due.is_some_and(|t| t <= now) || self.lagg_due(now, &groups);
        self.end_distrust(now, &groups);
        self.prove(now, out);
        self.claim(now, out);
        self.prepare_plans(now, out);
    }

    fn resynchronise(&mut self, out: &mut Vec<Action>) {
        self.scanning = true;
        out.push(Action::Resynchronise);
    }

    /// Brings everything that follows from the picture up to date.
    fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        self.dirty = false;
        self.foresight.changed(now);
        self.sync_ungrouped();
        self.sync_laggs(out);
        self.sync_members(now, out);
        self.sync_sources(now, out);
        self.sync_links(now, out);
        self.sync_targets(now);
        self.check(out);
        self.keep(now, out);
        self.sync_targets(now);
        let moved = self.place();
        self.sync_claims(now);
        self.choose_ports(now, out);
        self.carry(now, moved, out);
        self.carp_settle(now, out);
        self.persist(out);
        self.report_moves(out);
        self.answer_waiting(out);
        self.update_listen(out);
        if self.drop_retired() {
            // Sysctls go last.
            self.carry(now, Vec::new(), out);
            self.persist(out);
            self.answer_waiting(out);
        }
    }

    /// Reassigns addresses; returns the NICs that gave something away.
    fn place(&mut self) -> Vec<(GroupId, NicId)> {
        let mut emptied = Vec::new();
        for (g, group) in self.groups.iter_mut().enumerate() {
            let inventory = &self.inventory;
            let names: Vec<String> = group.nics.iter().map(|n| n.name().to_string()).collect();
            let has_family = |n: NicId, family: Family| inventory.has_family(&names[n], family);
            let indices: Vec<Option<IfIndex>> = group.nics.iter().map(|n| n.index).collect();
            let guard = &self.guard;
            let left_alone = |n: NicId, addr: &IfAddr| {
                indices[n].is_some_and(|index| guard.blocks(&Object::Address(index, *addr)))
            };
            let before = group.moves.clone();
            let hosts: Vec<NicId> = group.addresses.iter().map(|a| a.host).collect();
            group.frozen = self.frozen.is_some();
            if crate::placement::place(group, &has_family, &left_alone) {
                let moved = group.addresses.iter().zip(hosts).filter(|(a, before)| a.host != *before);
                for (a, index) in moved.filter_map(|(a, _)| Some((a, indices[a.host]?))) {
                    self.guard.retry(self.now, index, &a.addr);
                }
                emptied.extend(group.moves.iter().filter(|m| !before.contains(m)).map(|m| (g, m.from)));
            }
            for a in &mut group.addresses {
                // Whoever leaves a place is announced wherever he comes to be, be it there again: what was to be announced
                // is forgotten now, and a copy elsewhere may have answered for him.
                let host = group.nics[a.host].index;
                a.told = a.told.map(|at| if Some(at) == host { at } else { UNTOLD });
            }
            for nic in 0..group.nics.len() {
                let away = group.addresses.iter().any(|a| a.home == nic && a.host != nic);
                group.nics[nic].bring_home &= away;
            }
        }
        self.hush();
        emptied
    }

    /// What has moved on is announced no longer.
    fn hush(&mut self) {
        if self.announcer.next().is_none() {
            return;
        }
        let all = self.groups.iter().flat_map(|g| g.addresses.iter().map(move |h| (g, h)));
        let hosted: BTreeSet<(Option<IfIndex>, IpAddr)> =
            all.map(|(g, h)| (g.nics[h.host].index, h.addr.address)).collect();
        let laggs = self.lagg_stacks();
        let there = |i: IfIndex, a: IpAddr| a.is_unspecified() || self.inventory.at(i, &a).next().is_some();
        self.announcer.retain(|i, a| hosted.contains(&(Some(i), a)) || (laggs.contains(&i) && there(i, a)));
    }

    /// What `mpathctl status` shows.
    pub fn snapshot(&self) -> Status {
        let mut status = crate::snapshot::snapshot(&self.version, &self.groups, &self.inventory);
        (status.carps, status.carp_counters) = self.carp_snapshot();
        let members = status.groups.iter_mut().flat_map(|g| &mut g.interfaces);
        for u in members.chain(&mut status.ungrouped).flat_map(|i| &mut i.unmanaged) {
            if self.carps.is_virtual(&u.address) {
                u.reason = "CARP address".to_string();
            }
        }
        Status { frozen: self.frozen.is_some(), ..status }
    }

    fn tell(&self, out: &mut Vec<Action>, message: Message) {
        out.push(Action::Log(message.line));
        out.extend(message.event.map(Action::Emit));
    }

    fn reply(&self, out: &mut Vec<Action>, id: RequestId, result: Result<(), (&str, String)>) {
        let result = result.map_err(|(reason, message)| Refusal { reason: reason.to_string(), message });
        out.push(Action::Reply { id, result });
    }
}

/// Order in which the actions of one input are carried out.
fn order(action: &Action) -> u8 {
    match action {
        Action::Persist(_) => 0,
        Action::Kernel { .. } => 1,
        Action::Send(_) => 2,
        Action::Listen(_) | Action::Resynchronise => 3,
        Action::Prepare { .. } => 5,
        Action::Reply { .. } | Action::Log(_) | Action::Emit(_) => 4,
    }
}
