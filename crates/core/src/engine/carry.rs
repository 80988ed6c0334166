//! Carrying plans to the kernel: what every group, rule and sysctl calls for, in one batch.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::group::NicId;
use crate::plan::{self, Plan};
use mpath_model::kernel::{KernelOp, Sysctl};
use mpath_model::{IfIndex, Time};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What was done and is not seen within this time is looked for: its event may be on the way, or lost.
const UNSEEN: Duration = Duration::from_millis(300);
/// Deletes in one batch, at most: the kernel takes long for many (linux-failover.md, numbers), and others want to be heard.
const CHUNK: usize = 256;

impl Engine {
    /// Compares all groups with the kernel and submits the difference. While a batch is under way nothing new is
    /// planned: the picture is about to change.
    pub(super) fn carry(&mut self, now: Time, emptied: Vec<(GroupId, NicId)>, out: &mut Vec<Action>) {
        let indices = emptied.iter().filter_map(|(g, n)| self.groups[*g].nics[*n].index);
        let indices: Vec<IfIndex> = indices.collect();
        self.flush.extend(indices);
        if !self.batches.is_empty() || self.overheated(now, out) {
            return;
        }
        let mut ops = self.lagg_ops(now);
        let laggs = ops.iter().filter(|op| matches!(op, KernelOp::Lagg(_))).count();
        ops.extend(self.sysctl_ops(now, out));
        let (rules, routers) = (self.rule_ops(now), self.router_ops(now));
        let mut clean = Vec::new();
        let mut placed = Vec::new();
        for g in 0..self.groups.len() {
            let mut plan = self.plan_group(now, g);
            let group = &mut self.groups[g];
            group.settled = plan.make.is_empty() && plan.held == 0;
            group.clean = group.settled && plan.clean.is_empty() && (group.lagg.is_none() || laggs == 0);
            placed.extend(&plan.placed);
            let told: BTreeMap<IpAddr, IfIndex> = plan.placed.iter().map(|(index, a)| (*a, *index)).collect();
            for a in &mut group.addresses {
                a.told = told.get(&a.addr.address).copied().or(a.told);
            }
            // Nothing is asked for before addresses but what they need.
            let stuck = self.stuck_gateways(&plan);
            let routes = plan.make.iter().position(|op| matches!(op, KernelOp::AddRoute(..)));
            let routes = plan.make.split_off(routes.unwrap_or(plan.make.len()));
            ops.extend(plan.make.into_iter().chain(stuck).chain(routes));
            ops.extend(self.solicitations(g, &plan.placed));
            clean.extend(plan.clean);
        }
        ops.extend(rules);
        let (mut first, copies) = self.announcements(&placed);
        let all: Vec<KernelOp> = first.iter().cloned().chain(copies).collect();
        if self.settings.daemon.announce.first().is_none_or(|t| !t.is_zero()) {
            first.clear();
        }
        ops.extend(first.iter().cloned());
        ops.extend(std::mem::take(&mut self.flush).into_iter().map(KernelOp::FlushNeighbours));
        ops.extend(clean.into_iter().take(CHUNK));
        ops.extend(routers);
        self.announcer.set_pace(self.settings.daemon.announce_pace);
        self.announcer.schedule(now, &self.settings.daemon.announce, &all, &first);
        if !ops.is_empty() {
            self.submit(now, ops, out);
        }
    }

    fn plan_group(&mut self, now: Time, g: GroupId) -> Plan {
        let (left, claimed) = (Cell::new(0), Cell::new(0));
        let hold = |op: &KernelOp| {
            let alone = self.left_alone(op) || self.claims.given_up(op);
            let asked = !alone && self.claims.hold(op);
            left.set(left.get() + usize::from(alone));
            claimed.set(claimed.get() + usize::from(asked));
            alone || asked || self.held.holds(now, op)
        };
        let mut plan = plan::plan(&self.groups[g], &self.inventory, &hold);
        // What is left alone is not waited for.
        plan.held = plan.held.saturating_sub(left.get());
        if plan.held > claimed.get() && self.held.awaits_events(now) {
            // Done, but not seen: look again soon.
            self.scan_at = self.scan_at.min(now + UNSEEN);
        }
        plan
    }

    /// Policy rules: what is missing comes, then what is wrong goes, both after the routes they lead to.
    fn rule_ops(&self, now: Time) -> Vec<KernelOp> {
        let wanted = plan::rules(self.groups.iter(), &self.inventory);
        let there = &self.inventory.rules;
        let add = wanted.difference(there).map(|r| KernelOp::AddRule(*r));
        let del = there.difference(&wanted).map(|r| KernelOp::DelRule(*r));
        add.chain(del).filter(|op| !self.held.holds(now, op) && !self.left_alone(op)).collect()
    }

    /// What concerns advertised default routes: their metric, and asking for them again.
    fn router_ops(&mut self, now: Time) -> Vec<KernelOp> {
        let mut ops = Vec::new();
        for group in self.groups.iter() {
            for n in 0..group.nics.len() {
                let at = (group.nics[n].name().to_string(), Sysctl::RaDefrtrMetric);
                let original = self.originals.get(&at).copied();
                let current = self.inventory.sysctls.get(&at).copied();
                let wanted = plan::advertised::metric(group, &self.inventory, n, original);
                if let (Some(value), Some(current)) = (wanted, current)
                    && value != current
                {
                    self.originals.entry(at.clone()).or_insert(current);
                    ops.push(KernelOp::SetSysctl { interface: at.0, key: at.1, value });
                }
            }
            ops.extend(plan::advertised::solicitations(group, &self.inventory));
        }
        ops.retain(|op| !self.held.holds(now, op));
        ops
    }

    pub(super) fn is_member(&self, interface: &str) -> bool {
        self.groups.iter().any(|g| !g.retiring && !g.anonymous && g.nic_named(interface).is_some())
    }

    pub(super) fn nic_at(&self, index: IfIndex) -> Option<(GroupId, NicId)> {
        self.groups.iter().enumerate().find_map(|(g, group)| group.nic_at(index).map(|n| (g, n)))
    }

    pub(super) fn nic_with_test_address(
        &mut self,
        index: IfIndex,
        addr: mpath_model::IfAddr,
    ) -> Option<&mut crate::nic::Nic> {
        let (g, n) = self.nic_at(index)?;
        let nic = &mut self.groups[g].nics[n];
        nic.is_test_address(&addr.address).then_some(nic)
    }
}
