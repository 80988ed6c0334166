//! CARP's requests to the kernel: batches of their own, beside those of the groups, so that neither waits for the
//! other; answers, refusals, announcements.

use crate::action::Action;
use crate::carp::plan::{self, Plan};
use crate::carp::vhid::Vhid;
use crate::diag;
use crate::engine::{Engine, SCAN_INTERVAL, batches};
use crate::input::BatchId;
use mpath_model::kernel::KernelOp;
use mpath_model::{IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was done is not repeated within this time: its event may be on the way, or lost.
const DONE_HOLD: Duration = Duration::from_millis(300);
/// First pause after a refusal; it doubles up to [`SCAN_INTERVAL`].
const REFUSED_HOLD: Duration = Duration::from_millis(100);

/// Requests under way, and those that have to wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Work {
    under_way: Vec<(BatchId, Vec<KernelOp>, Time)>,
    held: Vec<Held>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    op: KernelOp,
    refusals: u32,
    until: Time,
    due: bool,
}

impl Work {
    pub(super) fn deadline(&self) -> Option<Time> {
        let late = self.under_way.iter().map(|(_, _, since)| *since + batches::BATCH_TIMEOUT);
        late.chain(self.held.iter().filter(|h| !h.due).map(|h| h.until)).min()
    }

    fn holds(&self, now: Time, op: &KernelOp) -> bool {
        self.held.iter().any(|h| h.until > now && same(&h.op, op))
    }

    /// What was done to an interface before is no reason to wait with something else there.
    fn begin(&mut self, batch: BatchId, ops: &[KernelOp], now: Time) {
        let touched = |h: &Held| ops.iter().any(|op| op.index() == h.op.index() && !same(op, &h.op));
        self.held.retain(|h| h.refusals > 0 || !touched(h));
        self.under_way.push((batch, ops.to_vec(), now));
    }
}

/// Lifetimes aside.
fn same(a: &KernelOp, b: &KernelOp) -> bool {
    match (a, b) {
        (KernelOp::AddAddress(x), KernelOp::AddAddress(y)) => (x.index, x.addr) == (y.index, y.addr),
        _ => a == b,
    }
}

impl Engine {
    /// Asks for the difference between what should be and what is, one batch at a time.
    pub(super) fn carp_compare(&mut self, now: Time, out: &mut Vec<Action>) {
        let devices = plan::devices(&self.inventory);
        let vhids = &self.carps.vhids;
        let serves = |index: IfIndex, address| {
            let holds = |v: &Vhid| v.settings.addresses.iter().any(|a| a.address == address);
            vhids.iter().any(|v| v.serves() && plan::host(v, &devices) == Some(index) && holds(v))
        };
        self.carps.announcer.retain(serves);
        if !self.carps.work.under_way.is_empty() {
            return;
        }
        let work = &self.carps.work;
        let plan = plan::plan(vhids, &self.inventory, &|op| work.holds(now, op));
        let Plan { make, clean, placed } = plan;
        let announce = |(index, address): &(IfIndex, _)| KernelOp::Announce {
            index: *index,
            address: *address,
            router: self.is_router(*index),
        };
        let first: Vec<KernelOp> = placed.iter().map(announce).collect();
        self.carps.announcer.set_pace(self.settings.daemon.announce_pace);
        self.carps.announcer.schedule(now, &self.settings.daemon.announce, &first, &first);
        let ops: Vec<KernelOp> = make.into_iter().chain(first).chain(clean).collect();
        if ops.is_empty() {
            self.carp_forget_retired(now);
        } else {
            self.carp_submit_more(now, ops, out);
        }
    }

    /// Whether nothing is left of vhids that are not in the settings any more.
    pub(in crate::engine) fn carp_released(&self) -> bool {
        let wanted = |vhid| self.carps.vhids.iter().any(|v| v.settings.vmac && v.settings.vhid == vhid);
        let devices = plan::devices(&self.inventory);
        let left = self.carps.vhids.iter().any(|v| v.retired);
        !left && self.carps.work.under_way.is_empty() && devices.keys().all(|(vhid, _)| wanted(*vhid))
    }

    /// Vhids that have left and of which nothing is left, not even something refused.
    fn carp_forget_retired(&mut self, now: Time) {
        let waits = self.carps.work.held.iter().any(|h| h.until > now && h.refusals > 0);
        if !waits && self.carps.vhids.iter().any(|v| v.retired) {
            self.carps.vhids.retain(|v| !v.retired);
            self.carps.renew.clear();
        }
    }

    /// Submits requests whatever else is under way.
    pub(super) fn carp_submit_more(&mut self, now: Time, ops: Vec<KernelOp>, out: &mut Vec<Action>) {
        if ops.is_empty() {
            return;
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        self.carps.work.begin(batch, &ops, now);
        out.push(Action::Kernel { batch, ops });
    }

    pub(in crate::engine) fn carp_done(
        &mut self,
        now: Time,
        batch: BatchId,
        errors: &[i32],
        out: &mut Vec<Action>,
    ) {
        let work = &mut self.carps.work;
        let Some(at) = work.under_way.iter().position(|(b, ..)| *b == batch) else { return };
        let (_, ops, _) = work.under_way.remove(at);
        self.dirty = true;
        for (op, errno) in ops.into_iter().zip(errors) {
            if matches!(op, KernelOp::Announce { .. }) {
                continue; // repeated anyway
            }
            let known = self.carps.work.held.iter().position(|h| same(&h.op, &op));
            let before = known.map(|k| self.carps.work.held.swap_remove(k).refusals).unwrap_or(0);
            let fine = *errno == 0 || batches::benign(&op, *errno);
            let refusals = if fine { 0 } else { before + 1 };
            if refusals == 1 {
                self.carp_tell_of_refusal(&op, *errno, out);
            }
            let pause = if fine {
                DONE_HOLD
            } else {
                REFUSED_HOLD.saturating_mul(1 << refusals.min(8)).min(SCAN_INTERVAL)
            };
            if *errno != 0 && fine {
                self.scan_at = self.scan_at.min(now + REFUSED_HOLD); // the picture is not true
            }
            self.carps.work.held.push(Held { op, refusals, until: now + pause, due: false });
        }
    }

    fn carp_tell_of_refusal(&self, op: &KernelOp, errno: i32, out: &mut Vec<Action>) {
        let name = |i: IfIndex| self.inventory.links.get(&i).map_or(format!("#{i}"), |l| l.name.clone());
        let what = crate::plan::describe(op, &name);
        self.tell(out, diag::request_failed(diag::About { nic: None, group: None }, &what, errno));
    }

    /// Announcements that are due, batches that nobody reports on, pauses that are over.
    pub(super) fn carp_work_due(&mut self, now: Time, out: &mut Vec<Action>) {
        let due = self.carps.announcer.due(now);
        if !due.is_empty() {
            self.submit(now, due, out);
        }
        let work = &mut self.carps.work;
        let lost = work.under_way.len();
        work.under_way.retain(|(_, _, since)| now - *since < batches::BATCH_TIMEOUT);
        let lost = work.under_way.len() != lost;
        let due = work.held.iter().any(|h| !h.due && h.until <= now);
        work.held.retain(|h| h.until > now || (h.refusals > 0 && now - h.until < SCAN_INTERVAL * 3));
        work.held.iter_mut().filter(|h| h.until <= now).for_each(|h| h.due = true);
        self.dirty |= due || lost;
        if lost {
            self.resynchronise(out);
        }
    }

    /// Renews the lifetimes of those masters whose turn it is: one batch that nothing waits for. Switches hear unicast
    /// masters by announcements alone (lagg-carp.md B.8).
    pub(super) fn carp_renew(&mut self, out: &mut Vec<Action>) {
        if self.carps.renew.is_empty() {
            return;
        }
        let devices = plan::devices(&self.inventory);
        let mut ops = Vec::new();
        for i in std::mem::take(&mut self.carps.renew) {
            let Some(v) = self.carps.vhids.get(i).filter(|v| v.serves()) else { continue };
            let Some(index) = plan::host(v, &devices) else { continue };
            let renewals = plan::renewals(v, &self.inventory, index);
            let router = self.is_router(index);
            if v.settings.vmac && (v.settings.peer.is_some() || v.settings.peer6.is_some()) {
                let first = v.settings.addresses.first().filter(|_| !renewals.is_empty());
                ops.extend(first.map(|a| KernelOp::Announce { index, address: a.address, router }));
            }
            ops.extend(renewals);
        }
        if !ops.is_empty() {
            let batch = self.next_batch;
            self.next_batch += 1;
            out.push(Action::Kernel { batch, ops });
        }
    }
}
