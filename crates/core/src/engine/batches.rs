//! Batches of requests to the kernel: submitting them, and what follows from how each request ended.

use super::{Engine, SCAN_INTERVAL};
use crate::action::Action;
use crate::diag;
use crate::input::BatchId;
use crate::plan;
use mpath_model::kernel::{KernelOp, LaggOp, Placing, Rule, Sysctl};
use mpath_model::{IfAddr, IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A batch that nobody reports on for this long is taken for lost.
pub(super) const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Batches that change something, at most, in each [`HEAT_WINDOW`].
const MAX_BATCHES: u32 = 200;
/// See [`MAX_BATCHES`].
const HEAT_WINDOW: Duration = Duration::from_secs(1);
/// A request that succeeded is not repeated within this time, long enough for a look whether it is seen. Linux tells of an
/// IPv6 address that is put on a NIC a second time although it is not in force yet.
const SUCCESS_HOLD: Duration = Duration::from_millis(500);
/// First pause after a refusal; it doubles up to [`SCAN_INTERVAL`].
const REFUSAL_HOLD: Duration = Duration::from_millis(100);

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;

/// Requests under way, since when, and what they take away.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Batch {
    ops: Vec<KernelOp>,
    since: Time,
    addresses: BTreeSet<(IfIndex, IfAddr)>,
    routes: BTreeSet<IfAddr>,
    rules: BTreeSet<Rule>,
}

/// Batches under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Batches(BTreeMap<BatchId, Batch>);

impl Batches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn begin(&mut self, id: BatchId, ops: Vec<KernelOp>, since: Time) {
        let (mut addresses, mut routes, mut rules) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for op in &ops {
            match op {
                KernelOp::DelAddress { index, addr } => drop(addresses.insert((*index, *addr))),
                KernelOp::DelRoute(r) | KernelOp::AddRoute(r, Placing::Replace) => {
                    routes.insert(r.dst);
                }
                KernelOp::DelRule(r) => drop(rules.insert(*r)),
                _ => {}
            }
        }
        self.0.insert(id, Batch { ops, since, addresses, routes, rules });
    }

    /// Whether a request under way takes this address off this interface.
    pub(super) fn delete_address(&self, at: IfIndex, what: &IfAddr) -> bool {
        self.0.values().any(|b| b.addresses.contains(&(at, *what)))
    }

    /// Whether a request under way deletes a route to this destination, or puts another in its place.
    pub(super) fn delete_route(&self, dst: &IfAddr) -> bool {
        self.0.values().any(|b| b.routes.contains(dst))
    }

    /// Whether a request under way deletes this rule.
    pub(super) fn delete_rule(&self, rule: &Rule) -> bool {
        self.0.values().any(|b| b.rules.contains(rule))
    }

    /// When the first of them is taken for lost.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.values().map(|b| b.since + BATCH_TIMEOUT).min()
    }

    /// Drops what is lost. Whether anything was.
    fn give_up(&mut self, now: Time) -> bool {
        let before = self.0.len();
        self.0.retain(|_, b| now - b.since < BATCH_TIMEOUT);
        self.0.len() != before
    }
}

/// Requests after which the picture is what it was: nothing has to wait for them.
fn changes_nothing(op: &KernelOp) -> bool {
    use KernelOp::{Announce, AnnounceTo, DelNeighbour};
    matches!(op, Announce { .. } | AnnounceTo { .. } | DelNeighbour { .. })
}

impl Engine {
    pub(super) fn submit(&mut self, now: Time, ops: Vec<KernelOp>, out: &mut Vec<Action>) {
        for op in &ops {
            if let KernelOp::AddAddress(a) = op {
                self.inventory.marks.putting(a);
            }
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        if !ops.iter().all(changes_nothing) {
            self.batches.begin(batch, ops.clone(), now);
            self.heat.1 += 1;
        }
        out.push(Action::Kernel { batch, ops });
    }

    pub(super) fn done(&mut self, now: Time, batch: BatchId, errors: &[i32], out: &mut Vec<Action>) {
        let Some(Batch { ops, .. }) = self.batches.0.remove(&batch) else {
            return self.carp_done(now, batch, errors, out);
        };
        self.dirty = true;
        let mut emptied = BTreeSet::new();
        for (op, errno) in ops.into_iter().zip(errors) {
            if let (KernelOp::AddAddress(a), true) = (&op, *errno != 0) {
                self.inventory.marks.gone(a.index, &a.addr);
            }
            match *errno {
                0 => self.succeeded(now, op, &mut emptied),
                errno if benign(&op, errno) => {
                    // The kernel and the picture differ: look again.
                    self.scan_at = self.scan_at.min(now + REFUSAL_HOLD);
                    self.held.pause(op, now + SUCCESS_HOLD);
                }
                errno => self.refused(now, op, errno, out),
            }
        }
    }

    /// `emptied`: interfaces that addresses of this batch were taken off, and no route has been added through since.
    fn succeeded(&mut self, now: Time, op: KernelOp, emptied: &mut BTreeSet<IfIndex>) {
        self.held.succeeded(&op);
        match &op {
            KernelOp::Lagg(lagg @ LaggOp::Steer { .. }) => {
                self.lagg_done(lagg);
                return;
            }
            KernelOp::Lagg(lagg) => self.lagg_done(lagg),
            KernelOp::SetSysctl { interface, key, value } => {
                let at = (interface.clone(), *key);
                let members = !matches!(key, Sysctl::RaDefrtrMetric | Sysctl::DisableIpv6);
                let lasting = members && self.is_member(interface);
                if self.originals.get(&at) == Some(value) && !lasting {
                    self.originals.remove(&at);
                }
                self.inventory.note_sysctl(at.0, at.1, *value);
                return;
            }
            KernelOp::AddAddress(a) => {
                if let Some(nic) = self.nic_with_test_address(a.index, a.addr)
                    && !nic.installed.contains(&a.addr)
                {
                    nic.installed.push(a.addr);
                }
            }
            KernelOp::DelAddress { index, addr } => {
                if self.groups.iter().any(|g| g.condemned.contains(addr)) {
                    self.claims.gave_up(now, addr.address);
                }
                self.taken_off(*index, *addr, emptied);
            }
            KernelOp::Announce { .. }
            | KernelOp::AnnounceTo { .. }
            | KernelOp::Solicit { .. }
            | KernelOp::FlushNeighbours(_)
            | KernelOp::DelNeighbour { .. } => return,
            KernelOp::SolicitRouters(_) => {
                self.held.pause(op, now + SCAN_INTERVAL);
                return;
            }
            KernelOp::AddRoute(r, _) => emptied.retain(|index| !r.uses(*index)),
            KernelOp::AddRule(_)
            | KernelOp::DelRule(_)
            | KernelOp::DelRoute(_)
            | KernelOp::AddVirtual { .. }
            | KernelOp::DelLink(_)
            | KernelOp::SetLink { .. } => {}
        }
        self.held.pause(op, now + SUCCESS_HOLD);
    }

    /// An address of ours has been taken off an interface. Routes that went with it were nobody's wish.
    fn taken_off(&mut self, index: IfIndex, addr: IfAddr, emptied: &mut BTreeSet<IfIndex>) {
        let first = emptied.insert(index);
        if first {
            self.held.routes_went(index);
        }
        if let Some((g, n)) = self.nic_at(index) {
            let group = &mut self.groups[g];
            group.nics[n].installed.retain(|a| *a != addr);
            if first {
                let there = group.routes.iter_mut().filter(|r| r.host == n);
                there.for_each(|r| (r.seen, r.missing) = (false, None));
            }
        }
    }

    fn refused(&mut self, now: Time, op: KernelOp, errno: i32, out: &mut Vec<Action>) {
        use KernelOp::{FlushNeighbours, Solicit, SolicitRouters};
        if changes_nothing(&op) || matches!(op, Solicit { .. } | FlushNeighbours(_) | SolicitRouters(_)) {
            return; // repeated anyway, or of no consequence
        }
        if let KernelOp::Lagg(lagg) = &op
            && self.lagg_refused(lagg, errno)
        {
            return;
        }
        let name = |i: IfIndex| self.inventory.links.get(&i).map_or(format!("#{i}"), |l| l.name.clone());
        let what = plan::describe(&op, &name);
        let until = |times: u32| now + REFUSAL_HOLD.saturating_mul(1 << times.min(8)).min(SCAN_INTERVAL);
        if self.held.refuse(op, until) == 1 {
            let about = diag::About { nic: None, group: None };
            self.tell(out, diag::request_failed(about, &what, errno));
        }
    }

    /// Gives up on batches and waiting operators whose time has run out, and forgets old refusals.
    pub(super) fn expire(&mut self, now: Time, out: &mut Vec<Action>) {
        self.dirty |= self.cooled().is_some_and(|t| t <= now);
        if self.batches.give_up(now) {
            self.dirty = true;
            self.resynchronise(out);
        }
        self.dirty |= self.held.expire(now);
        let late: Vec<_> = self.waiting.iter().filter(|w| w.until <= now).map(|w| w.id).collect();
        self.waiting.retain(|w| w.until > now);
        for id in late {
            let text = "the move has not finished yet; `mpathctl status` shows where it stands".to_string();
            self.reply(out, id, Err(("unfinished", text)));
        }
    }

    /// More than [`MAX_BATCHES`] in a second mean that something undoes what is done, as fast as it is done: the rest of the
    /// second is waited out, so that neither the kernel nor this host is busy with nothing else.
    pub(super) fn overheated(&mut self, now: Time, out: &mut Vec<Action>) -> bool {
        let (since, count) = self.heat;
        if now - since >= HEAT_WINDOW {
            self.heat = (now, 0);
            return false;
        }
        if count == MAX_BATCHES {
            self.heat.1 += 1;
            self.tell(out, diag::overheated());
        }
        count >= MAX_BATCHES
    }

    /// When planning goes on, if it is suspended.
    pub(super) fn cooled(&self) -> Option<Time> {
        (self.heat.1 > MAX_BATCHES).then_some(self.heat.0 + HEAT_WINDOW)
    }
}

/// Errors that mean the kernel already shows what was asked for, or that the interface is just going away.
pub(super) fn benign(op: &KernelOp, errno: i32) -> bool {
    match op {
        KernelOp::AddAddress(_) | KernelOp::AddRoute(..) | KernelOp::AddRule(_) => {
            errno == EEXIST || errno == ENODEV
        }
        KernelOp::DelAddress { .. } => errno == EADDRNOTAVAIL || errno == ENODEV,
        KernelOp::DelRule(_) => errno == ENOENT,
        KernelOp::DelRoute(_) => errno == ESRCH || errno == ENOENT || errno == ENODEV,
        KernelOp::SetSysctl { .. } => errno == ENOENT,
        // A vhid without its device serves nobody: that must not go unsaid.
        KernelOp::AddVirtual { .. } | KernelOp::DelLink(_) | KernelOp::SetLink { .. } => errno == ENODEV,
        KernelOp::Lagg(LaggOp::Create { .. }) => false,
        KernelOp::Lagg(_) => errno == ENODEV,
        _ => true,
    }
}
