//! Plans for what has not happened: "this NIC loses its carrier now". A twin of the engine is told so, and what it asks
//! of the kernel is handed out to be made ready (design: fast path). There is no second planner that could disagree.
//!
//! A plan belongs to a picture, which has a number; whatever changes the picture makes all plans void. They are made
//! anew when things have been quiet for a moment, one NIC at a time so that probes are not held up.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::plan;
use mpath_model::kernel::KernelOp;
use mpath_model::{IfIndex, Settings, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// The picture has to be quiet for so long before plans are made for it.
const QUIET: Duration = Duration::from_millis(5);
/// Pause between the plans for two NICs.
const PAUSE: Duration = Duration::from_millis(1);

/// Which plans have been made for the present picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Foresight {
    generation: u64,
    due: Option<Time>,
    made: BTreeSet<IfIndex>,
}

impl Foresight {
    /// The picture has changed.
    pub(super) fn changed(&mut self, now: Time) {
        self.generation += 1;
        self.due = Some(now + QUIET);
        self.made.clear();
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.due
    }
}

impl Engine {
    /// Number of the present picture. A plan for another one is void.
    pub fn generation(&self) -> u64 {
        self.foresight.generation
    }

    /// Makes the next plan, if it is time.
    pub(super) fn prepare_plans(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.dirty || self.foresight.due.is_none_or(|t| now < t) {
            return;
        }
        self.foresight.due = None;
        if !self.batches.is_empty() {
            return; // the picture is about to change
        }
        let Some(index) = self.carriers().find(|i| !self.foresight.made.contains(i)) else { return };
        self.foresight.made.insert(index);
        self.foresight.due = Some(now + PAUSE);
        let ops: Vec<KernelOp> = self.without(now, index).into_iter().take_while(single).collect();
        if !ops.is_empty() {
            out.push(Action::Prepare { index, generation: self.foresight.generation, ops });
        }
    }

    /// NICs whose failure would move something.
    fn carriers(&self) -> impl Iterator<Item = IfIndex> + '_ {
        self.groups.iter().filter(|g| !g.anonymous && !g.retiring).flat_map(|g| {
            let busy = |n: usize| {
                g.nics[n].usable()
                    && (g.addresses.iter().any(|a| a.host == n) || g.routes.iter().any(|r| r.host == n))
            };
            (0..g.nics.len()).filter(move |n| busy(*n)).filter_map(|n| g.nics[n].index)
        })
    }

    /// What would be asked of the kernel if this interface lost its carrier now.
    fn without(&self, now: Time, index: IfIndex) -> Vec<KernelOp> {
        let Some((g, _)) = self.nic_at(index) else { return Vec::new() };
        let mut twin = self.twin(g);
        let mut out = Vec::new();
        twin.running(index, false);
        twin.sync_links(now, &mut out);
        let moved = twin.place();
        twin.carry(now, moved, &mut out);
        let kernel = out.into_iter().find_map(|action| match action {
            Action::Kernel { ops, .. } => Some(ops),
            _ => None,
        });
        // The twin knows one group only, but rules are everybody's.
        let others = self.groups.iter().enumerate().filter(|(o, _)| *o != g).map(|(_, group)| group);
        let kept = plan::rules(others, &self.inventory);
        let mut ops = kernel.unwrap_or_default();
        ops.retain(|op| !matches!(op, KernelOp::DelRule(r) if kept.contains(r)));
        ops
    }

    /// An engine with this group alone, in the present picture. What it costs does not depend on the other groups.
    fn twin(&self, g: GroupId) -> Engine {
        let group = &self.groups[g];
        let member = |name: &str| group.nic_named(name).is_some();
        let originals = self.originals.iter().filter(|((name, _), _)| member(name));
        let mut daemon = self.settings.daemon.clone();
        daemon.announce.truncate(1); // what is announced again later is no part of the plan
        Engine {
            rng: self.rng.clone(),
            settings: Settings { daemon, ..Settings::default() },
            groups: vec![group.clone()].into(),
            inventory: self.inventory.clone(),
            started: true,
            settled_once: true,
            originals: originals.map(|(at, value)| (at.clone(), *value)).collect(),
            held: self.held.clone(),
            claims: self.claims.clone(),
            guard: self.guard.clone(),
            written: self.written.clone(),
            heat: self.heat,
            frozen: self.frozen,
            scan_at: self.scan_at,
            now: self.now,
            ..Engine::new(0, "")
        }
    }
}

/// Requests that are one message each, to the kernel or to the neighbours: what does not depend on anything but the
/// picture.
fn single(op: &KernelOp) -> bool {
    matches!(
        op,
        KernelOp::Announce { .. }
            | KernelOp::Solicit { .. }
            | KernelOp::AddAddress(_)
            | KernelOp::DelAddress { .. }
            | KernelOp::AddRoute(..)
            | KernelOp::DelRoute(_)
            | KernelOp::AddRule(_)
            | KernelOp::DelRule(_)
            | KernelOp::DelNeighbour { .. }
    )
}
