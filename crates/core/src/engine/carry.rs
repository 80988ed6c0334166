//! Carrying plans to the kernel: batches, acks, refusals, and the sysctls that members need.

use super::{Engine, GroupId, Held, SCAN_INTERVAL};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::guard::Object;
use crate::input::BatchId;
use crate::plan::{self, Plan};
use mpath_model::Mac;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{KernelOp, LaggOp, Placing, Sysctl};
use mpath_model::{IfIndex, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Batches under way and since when.
pub(super) type Batches = BTreeMap<BatchId, (Vec<KernelOp>, Time)>;

/// A batch that nobody reports on for this long is taken for lost.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Batches that change something, at most, in each [`HEAT_WINDOW`].
const MAX_BATCHES: u32 = 200;
/// See [`MAX_BATCHES`].
const HEAT_WINDOW: Duration = Duration::from_secs(1);
/// What was done and is not seen within this time is looked for: its event may be on the way, or lost.
const UNSEEN: Duration = Duration::from_millis(300);
/// A request that succeeded is not repeated within this time, long enough for that look. Linux tells of an IPv6 address
/// that is put on a NIC a second time although it is not in force yet.
const SUCCESS_HOLD: Duration = Duration::from_millis(500);
/// First pause after a refusal; it doubles up to [`SCAN_INTERVAL`].
const REFUSAL_HOLD: Duration = Duration::from_millis(100);

/// What every member needs (linux-failover.md, pitfalls 1, 2, 3, 6, 8 and 20).
const MEMBER_SYSCTLS: [(Sysctl, i32); 7] = [
    (Sysctl::ArpIgnore, 1),
    (Sysctl::ArpAnnounce, 2),
    (Sysctl::RpFilter, 2),
    (Sysctl::PromoteSecondaries, 1),
    (Sysctl::IgnoreRoutesWithLinkdown4, 1),
    (Sysctl::IgnoreRoutesWithLinkdown6, 1),
    (Sysctl::KeepAddrOnDown, 1),
];

/// Copies of announcements to single neighbours in one round, at most.
const MAX_COPIES: usize = 1000;
/// What an interface below a virtual MAC needs (lagg-carp.md C.8).
const CARP_SYSCTLS: [(Sysctl, i32); 2] = [(Sysctl::ArpIgnore, 1), (Sysctl::ArpAnnounce, 2)];

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;

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
            let plan = self.plan_group(now, g);
            let group = &mut self.groups[g];
            group.settled = plan.make.is_empty() && plan.held == 0;
            group.clean = group.settled && plan.clean.is_empty() && (group.lagg.is_none() || laggs == 0);
            placed.extend(&plan.placed);
            ops.extend(self.stuck_gateways(&plan));
            ops.extend(plan.make);
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
        ops.extend(clean);
        ops.extend(routers);
        self.announcer.set_pace(self.settings.daemon.announce_pace);
        self.announcer.schedule(now, &self.settings.daemon.announce, &all, &first);
        if !ops.is_empty() {
            self.submit(now, ops, out);
        }
    }

    /// How the neighbours are told of addresses that were put on an interface: a broadcast each, and copies for the
    /// neighbours in the table, gateways among them, as far as they are known.
    fn announcements(&self, placed: &[(IfIndex, IpAddr)]) -> (Vec<KernelOp>, Vec<KernelOp>) {
        let mut first = Vec::new();
        let mut copies = Vec::new();
        for (index, address) in placed {
            let (index, address) = (*index, *address);
            let router = self.is_router(index);
            first.push(KernelOp::Announce { index, address, router });
            if copies.len() >= MAX_COPIES {
                continue;
            }
            let Some((g, _)) = self.nic_at(index) else { continue };
            let told =
                self.acquaintances(g, Family::of(&address)).into_iter().take(MAX_COPIES - copies.len());
            copies.extend(told.map(|(neighbour, mac)| KernelOp::AnnounceTo {
                index,
                address,
                router,
                neighbour,
                mac,
            }));
        }
        (first, copies)
    }

    /// Whether this host forwards IPv6 on an interface.
    pub(super) fn is_router(&self, index: IfIndex) -> bool {
        let name = self.inventory.links.get(&index).map(|l| l.name.clone()).unwrap_or_default();
        self.inventory.sysctls.get(&(name, Sysctl::Forwarding6)).is_some_and(|v| *v != 0)
    }

    /// Neighbours of a group with their link-layer addresses, gateways first.
    fn acquaintances(&self, g: GroupId, family: Family) -> Vec<(IpAddr, Mac)> {
        let group = &self.groups[g];
        let known = self.inventory.neighbours.values().filter(|n| Family::of(&n.address) == family);
        let known = known.filter(|n| group.nic_at(n.index).is_some() && !n.address.is_multicast());
        let mut found: Vec<(IpAddr, Mac)> = known.filter_map(|n| Some((n.address, n.mac?))).collect();
        let gateways: BTreeSet<IpAddr> =
            group.routes.iter().flat_map(|r| &r.route.hops).filter_map(|h| h.gateway).collect();
        found.sort_by_key(|(a, m)| (!gateways.contains(a), *a, *m));
        found.dedup();
        found
    }

    /// More than [`MAX_BATCHES`] in a second mean that something undoes what is done, as fast as it is done: the rest of the
    /// second is waited out, so that neither the kernel nor this host is busy with nothing else.
    fn overheated(&mut self, now: Time, out: &mut Vec<Action>) -> bool {
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

    fn plan_group(&mut self, now: Time, g: GroupId) -> Plan {
        let left = std::cell::Cell::new(0);
        let hold = |op: &KernelOp| {
            let alone = self.left_alone(op);
            left.set(left.get() + usize::from(alone));
            alone || self.held.iter().any(|h| h.until > now && h.op == *op)
        };
        let mut plan = plan::plan(&self.groups[g], &self.inventory, &hold);
        // What is left alone is not waited for.
        plan.held = plan.held.saturating_sub(left.get());
        let repeated = plan.held > 0 && self.held.iter().any(|h| h.until > now && h.times == 0);
        if repeated {
            // Done, but not seen: look again soon.
            self.scan_at = self.scan_at.min(now + UNSEEN);
        }
        plan
    }

    /// Entries of gateways without a MAC, on the NICs that routes are about to lead through: an unresolved one makes packets
    /// wait for a retransmit timer of a second. The kernel tells nobody of entries that are not resolved yet, so this asks
    /// for the deletion of whatever is not known to be resolved; that there is none is no error.
    fn stuck_gateways(&self, plan: &Plan) -> Vec<KernelOp> {
        let hops = plan.make.iter().filter_map(|op| match op {
            KernelOp::AddRoute(r, _) => Some(&r.hops),
            _ => None,
        });
        hops.flatten()
            .filter_map(|h| h.gateway.map(|address| (h.index, address)))
            .filter(|(index, address)| self.inventory.neighbour_mac(*index, address).is_none())
            .map(|(index, address)| KernelOp::DelNeighbour { index, address })
            .collect()
    }

    /// The gateways of the networks that addresses were put on a NIC for are asked for their MAC at once, so that the first
    /// packet need not wait (linux-failover.md, pitfall 14).
    fn solicitations(&self, g: GroupId, placed: &[(IfIndex, IpAddr)]) -> Vec<KernelOp> {
        let group = &self.groups[g];
        let mut asked = BTreeSet::new();
        let mut ops = Vec::new();
        if placed.is_empty() {
            return ops;
        }
        for target in group.routes.iter().flat_map(|r| &r.route.hops).filter_map(|h| h.gateway) {
            // An address of the gateway's network asks; else, with addresses of their own alone, any of the family.
            let near = |a: &IpAddr| {
                group.addresses.iter().any(|d| d.addr.address == *a && d.addr.contains(&target))
                    || (is_link_local6(&target) && a.is_ipv6())
            };
            let mut asking: Vec<_> =
                placed.iter().filter(|(_, a)| Family::of(a) == Family::of(&target)).collect();
            asking.sort_by_key(|(_, a)| !near(a));
            for (index, source) in asking {
                if asked.insert((*index, target)) {
                    ops.push(KernelOp::Solicit { index: *index, source: *source, target });
                }
            }
        }
        ops
    }

    /// Policy rules: what is missing comes, then what is wrong goes, both after the routes they lead to.
    fn rule_ops(&self, now: Time) -> Vec<KernelOp> {
        let wanted = plan::rules(self.groups.iter(), &self.inventory);
        let there = &self.inventory.rules;
        let add = wanted.difference(there).map(|r| KernelOp::AddRule(*r));
        let del = there.difference(&wanted).map(|r| KernelOp::DelRule(*r));
        add.chain(del).filter(|op| !self.holds(now, op) && !self.left_alone(op)).collect()
    }

    /// What concerns advertised default routes: their metric, and asking for them again.
    fn router_ops(&mut self, now: Time) -> Vec<KernelOp> {
        let mut ops = Vec::new();
        for group in &self.groups {
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
        ops.retain(|op| !self.holds(now, op));
        ops
    }

    fn holds(&self, now: Time, op: &KernelOp) -> bool {
        self.held.iter().any(|h| h.until > now && h.op == *op)
    }

    /// Sysctls of members that differ from what they must be, and of former members that differ from what they were.
    fn sysctl_ops(&mut self, now: Time, out: &mut Vec<Action>) -> Vec<KernelOp> {
        let members: BTreeSet<String> = self
            .groups
            .iter()
            .filter(|g| !g.retiring && !g.anonymous)
            .flat_map(|g| g.nics.iter().filter(|n| n.index.is_some()).map(|n| n.name().to_string()))
            .collect();
        let mut ops = Vec::new();
        for interface in &members {
            for (key, value) in MEMBER_SYSCTLS {
                let at = (interface.clone(), key);
                let Some(now) = self.inventory.sysctls.get(&at).copied().filter(|v| *v != value) else {
                    continue;
                };
                self.originals.entry(at).or_insert(now);
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key, value });
            }
        }
        let parents = self.carp_parents();
        for interface in parents.difference(&members) {
            for (key, value) in CARP_SYSCTLS {
                let at = (interface.clone(), key);
                let Some(now) = self.inventory.sysctls.get(&at).copied().filter(|v| *v != value) else {
                    continue;
                };
                self.originals.entry(at).or_insert(now);
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key, value });
            }
        }
        let below =
            |i: &String, k: &Sysctl| parents.contains(i) && CARP_SYSCTLS.iter().any(|(key, _)| key == k);
        let named: BTreeSet<&str> = self.groups.iter().flat_map(|g| &g.nics).map(|n| n.name()).collect();
        let inventory = &self.inventory;
        self.written.retain(|(i, _)| named.contains(i.as_str()));
        self.originals.retain(|(i, _), _| named.contains(i.as_str()) || inventory.link_named(i).is_some());
        for ((interface, key), value) in &self.originals {
            // Last of all: without them, taking one address off could take others along.
            if !members.contains(interface) && !below(interface, key) && !named.contains(interface.as_str()) {
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key: *key, value: *value });
            }
        }
        let held = &self.held;
        ops.retain(|op| !held.iter().any(|h| h.until > now && h.op == *op));
        ops.retain(|op| self.repairs_sysctl(now, op, out));
        ops
    }

    /// Whether a sysctl is written: the first time, and as long as nobody fights over it.
    fn repairs_sysctl(&mut self, now: Time, op: &KernelOp, out: &mut Vec<Action>) -> bool {
        let KernelOp::SetSysctl { interface, key, .. } = op else { return true };
        let at = (interface.clone(), *key);
        if !self.is_member(interface) || !self.written.contains(&at) {
            self.written.insert(at);
            return true;
        }
        !self.left_alone(op) && self.attacked(now, Object::Sysctl(interface.clone(), *key), None, out)
    }

    pub(super) fn submit(&mut self, now: Time, ops: Vec<KernelOp>, out: &mut Vec<Action>) {
        for op in &ops {
            if let KernelOp::AddAddress(a) = op {
                self.inventory.marks.putting(a);
            }
        }
        let batch = self.next_batch;
        self.next_batch += 1;
        // Announcements and neighbours change nothing in the picture: nothing has to wait for them.
        if !ops.iter().all(|op| {
            matches!(
                op,
                KernelOp::Announce { .. } | KernelOp::AnnounceTo { .. } | KernelOp::DelNeighbour { .. }
            )
        }) {
            self.batches.insert(batch, (ops.clone(), now));
            self.heat.1 += 1;
        }
        out.push(Action::Kernel { batch, ops });
    }

    pub(super) fn done(&mut self, now: Time, batch: BatchId, errors: &[i32], out: &mut Vec<Action>) {
        let Some((ops, _)) = self.batches.remove(&batch) else {
            return self.carp_done(now, batch, errors, out);
        };
        self.dirty = true;
        for (op, errno) in ops.into_iter().zip(errors) {
            if let (KernelOp::AddAddress(a), true) = (&op, *errno != 0) {
                self.inventory.marks.gone(a.index, &a.addr);
            }
            match *errno {
                0 => self.succeeded(now, op),
                errno if benign(&op, errno) => {
                    // The kernel and the picture differ: look again.
                    self.scan_at = self.scan_at.min(now + REFUSAL_HOLD);
                    self.held.push(Held { op, times: 0, until: now + SUCCESS_HOLD, due: false });
                }
                errno => self.refused(now, op, errno, out),
            }
        }
    }

    fn succeeded(&mut self, now: Time, op: KernelOp) {
        self.held.retain(|h| h.op != op && !undoes(&h.op, &op));
        match &op {
            KernelOp::Lagg(lagg @ LaggOp::Steer { .. }) => {
                self.lagg_done(lagg);
                return;
            }
            KernelOp::Lagg(lagg) => self.lagg_done(lagg),
            KernelOp::SetSysctl { interface, key, value } => {
                let at = (interface.clone(), *key);
                let lasting = *key != Sysctl::RaDefrtrMetric && self.is_member(interface);
                if self.originals.get(&at) == Some(value) && !lasting {
                    self.originals.remove(&at);
                }
                self.inventory.sysctls.insert(at, *value);
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
                if let Some((g, n)) = self.nic_at(*index) {
                    let group = &mut self.groups[g];
                    group.nics[n].installed.retain(|a| a != addr);
                    // Routes that went with it were nobody's wish.
                    let there = group.routes.iter_mut().filter(|r| r.host == n);
                    there.for_each(|r| (r.seen, r.missing) = (false, None));
                }
            }
            KernelOp::Announce { .. }
            | KernelOp::AnnounceTo { .. }
            | KernelOp::Solicit { .. }
            | KernelOp::FlushNeighbours(_)
            | KernelOp::DelNeighbour { .. } => return,
            KernelOp::SolicitRouters(_) => {
                self.held.push(Held { op, times: 0, until: now + SCAN_INTERVAL, due: false });
                return;
            }
            KernelOp::AddRule(_) | KernelOp::DelRule(_) => {}
            KernelOp::AddRoute(..)
            | KernelOp::DelRoute(_)
            | KernelOp::AddVirtual { .. }
            | KernelOp::DelLink(_)
            | KernelOp::SetLink { .. } => {}
        }
        self.held.push(Held { op, times: 0, until: now + SUCCESS_HOLD, due: false });
    }

    fn refused(&mut self, now: Time, op: KernelOp, errno: i32, out: &mut Vec<Action>) {
        use KernelOp::{Announce, AnnounceTo, DelNeighbour, FlushNeighbours, Solicit, SolicitRouters};
        if matches!(
            op,
            Announce { .. }
                | AnnounceTo { .. }
                | Solicit { .. }
                | FlushNeighbours(_)
                | DelNeighbour { .. }
                | SolicitRouters(_)
        ) {
            return; // repeated anyway, or of no consequence
        }
        if let KernelOp::Lagg(lagg) = &op
            && self.lagg_refused(lagg, errno)
        {
            return;
        }
        let times = self.held.iter().find(|h| h.op == op).map_or(0, |h| h.times) + 1;
        self.held.retain(|h| h.op != op);
        let pause = REFUSAL_HOLD.saturating_mul(1 << times.min(8)).min(SCAN_INTERVAL);
        if times == 1 {
            let name = |i: IfIndex| self.inventory.links.get(&i).map_or(format!("#{i}"), |l| l.name.clone());
            let what = plan::describe(&op, &name);
            let about = diag::About { nic: None, group: None };
            self.tell(out, diag::request_failed(about, &what, errno));
        }
        self.held.push(Held { op, times, until: now + pause, due: false });
    }

    /// Gives up on batches and waiting operators whose time has run out, and forgets old refusals.
    pub(super) fn expire(&mut self, now: Time, out: &mut Vec<Action>) {
        self.dirty |= self.cooled().is_some_and(|t| t <= now);
        let before = self.batches.len();
        self.batches.retain(|_, (_, since)| now - *since < BATCH_TIMEOUT);
        if self.batches.len() != before {
            self.dirty = true;
            self.resynchronise(out);
        }
        self.dirty |= self.held.iter().any(|h| h.until <= now && !h.due);
        self.held.retain(|h| h.until > now || (h.times > 0 && now - h.until < SCAN_INTERVAL * 3));
        self.held.iter_mut().filter(|h| h.until <= now).for_each(|h| h.due = true);
        let late: Vec<_> = self.waiting.iter().filter(|w| w.until <= now).map(|w| w.id).collect();
        self.waiting.retain(|w| w.until > now);
        for id in late {
            let text = "the move has not finished yet; `mpathctl status` shows where it stands".to_string();
            self.reply(out, id, Err(("unfinished", text)));
        }
    }

    pub(super) fn is_member(&self, interface: &str) -> bool {
        self.groups.iter().any(|g| !g.retiring && !g.anonymous && g.nic_named(interface).is_some())
    }

    fn nic_at(&self, index: IfIndex) -> Option<(GroupId, NicId)> {
        self.groups.iter().enumerate().find_map(|(g, group)| group.nic_at(index).map(|n| (g, n)))
    }

    fn nic_with_test_address(
        &mut self,
        index: IfIndex,
        addr: mpath_model::IfAddr,
    ) -> Option<&mut crate::nic::Nic> {
        let (g, n) = self.nic_at(index)?;
        let nic = &mut self.groups[g].nics[n];
        plan::configured(nic).iter().any(|c| c.address == addr.address).then_some(nic)
    }
}

/// Whether one request takes back the other.
fn undoes(a: &KernelOp, b: &KernelOp) -> bool {
    match (a, b) {
        (KernelOp::AddAddress(x), KernelOp::DelAddress { index, addr })
        | (KernelOp::DelAddress { index, addr }, KernelOp::AddAddress(x)) => {
            (x.index, x.addr) == (*index, *addr)
        }
        (KernelOp::AddRoute(x, _), KernelOp::DelRoute(y))
        | (KernelOp::DelRoute(y), KernelOp::AddRoute(x, _)) => x.dst == y.dst && x.table == y.table,
        (KernelOp::AddRule(x), KernelOp::DelRule(y)) | (KernelOp::DelRule(x), KernelOp::AddRule(y)) => x == y,
        // The last address of a NIC takes its routes along.
        (KernelOp::AddRoute(x, _), KernelOp::DelAddress { index, .. }) => x.uses(*index),
        (KernelOp::Lagg(x), KernelOp::Lagg(y)) => x.index().is_some() && x.index() == y.index(),
        _ => false,
    }
}

/// Whether a request under way takes this address off this interface.
pub(super) fn deletes_address(batches: &Batches, at: IfIndex, what: &mpath_model::IfAddr) -> bool {
    let deletes =
        |op: &KernelOp| matches!(op, KernelOp::DelAddress { index, addr } if *index == at && addr == what);
    batches.values().any(|(ops, _)| ops.iter().any(deletes))
}

/// Whether a request under way deletes a route to this destination, or puts another in its place.
pub(super) fn deletes_route(batches: &Batches, dst: &mpath_model::IfAddr) -> bool {
    let deletes = |op: &KernelOp| match op {
        KernelOp::DelRoute(r) | KernelOp::AddRoute(r, Placing::Replace) => r.dst == *dst,
        _ => false,
    };
    batches.values().any(|(ops, _)| ops.iter().any(deletes))
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
        KernelOp::Lagg(LaggOp::Create { .. }) => false,
        KernelOp::Lagg(_) => errno == ENODEV,
        _ => true,
    }
}
