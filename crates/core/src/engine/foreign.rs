//! Foreign hands: what others take away that is ours to keep, who that is, and when to stop putting it back.

use super::{Engine, carry};
use crate::action::Action;
use crate::diag;
use crate::guard::{Object, Verdict};
use mpath_model::kernel::{Address, KernelEvent, KernelOp, Route, Rule};
use mpath_model::{IfIndex, PROTO_MPATHD, Time};

impl Engine {
    /// Looks for attacks in events that the picture has not taken in yet.
    pub(super) fn foreign_hands(&mut self, now: Time, events: &[KernelEvent], out: &mut Vec<Action>) {
        let mut author = None;
        let down = |e: &KernelEvent| match e {
            KernelEvent::Link(l) => !l.running,
            KernelEvent::LinkGone(_) => true,
            _ => false,
        };
        let any_falls = events.iter().any(down);
        for event in events {
            let object = match event {
                KernelEvent::Author(program) => {
                    author = Some(program.as_str());
                    continue;
                }
                KernelEvent::AddressGone(a) if self.keeps_address(a) => {
                    Some(Object::Address(a.index, a.addr))
                }
                KernelEvent::RouteGone(r) if self.keeps_route(r) => route(r),
                KernelEvent::RuleGone(r) if self.keeps_rule(r) => Some(Object::Rule(*r)),
                KernelEvent::RouteReplaced(r) if r.protocol != PROTO_MPATHD => self.replaced(r),
                _ => None,
            };
            // An interface that goes down or away in the same breath takes things along; and what is taken off one without
            // carrier was taken off by us, by a plan made in advance.
            let falls = |i: IfIndex| {
                events.iter().any(|e| match e {
                    KernelEvent::Link(l) => l.index == i && !(l.up && l.running),
                    KernelEvent::LinkGone(gone) => *gone == i,
                    _ => false,
                })
            };
            let index = match &object {
                Some(Object::Address(i, _) | Object::Route(i, ..)) => Some(*i),
                _ => None,
            };
            let stands =
                |i: IfIndex| self.inventory.links.get(&i).is_some_and(|l| l.up && l.running) && !falls(i);
            if let Some(object) = object.filter(|_| index.map_or(!any_falls, stands)) {
                self.attacked(now, object, author, out);
            }
            author = None;
        }
    }

    /// Whether an address is ours to keep where it was, and no request of ours has taken it away.
    fn keeps_address(&self, a: &Address) -> bool {
        if carry::deletes_address(&self.batches, a.index, &a.addr) {
            return false;
        }
        self.groups.iter().filter(|g| !g.retiring && !g.anonymous).any(|g| {
            let Some(n) = g.nic_at(a.index) else { return false };
            let nic = &g.nics[n];
            let wish = |h: &crate::group::HomedAddress| !h.declared && h.host == h.home && !nic.failed;
            let data = g.addresses.iter().any(|h| h.addr == a.addr && h.host == n && !wish(h));
            let test = || crate::plan::configured(nic).iter().any(|c| c.address == a.addr.address);
            data || (!nic.offline && test())
        })
    }

    fn keeps_route(&self, r: &Route) -> bool {
        let member = |i: IfIndex| self.groups.iter().any(|g| !g.retiring && g.nic_at(i).is_some());
        r.protocol == PROTO_MPATHD
            && r.hops.iter().all(|h| member(h.index))
            && !carry::deletes_route(&self.batches, &r.dst)
    }

    fn keeps_rule(&self, r: &Rule) -> bool {
        let deleted = |op: &KernelOp| matches!(op, KernelOp::DelRule(d) if d == r);
        let ours = self.batches.values().any(|(ops, _)| ops.iter().any(deleted));
        !ours && crate::plan::rules(self.groups.iter(), &self.inventory).contains(r)
    }

    /// A route of ours whose place another one has taken.
    fn replaced(&self, by: &Route) -> Option<Object> {
        let same = |r: &&Route| {
            (r.dst, r.table, r.tos, r.metric) == (by.dst, by.table, by.tos, by.metric) && self.keeps_route(r)
        };
        self.inventory.routes().find(same).and_then(route)
    }

    /// Counts an attack. Whether it is repaired all the same.
    pub(super) fn attacked(
        &mut self,
        now: Time,
        object: Object,
        author: Option<&str>,
        out: &mut Vec<Action>,
    ) -> bool {
        let (what, nic) = self.described(&object);
        let group = self.groups.iter().find(|g| nic.as_deref().is_some_and(|n| g.nic_named(n).is_some()));
        let group = group.filter(|g| !g.anonymous).map(|g| g.settings.name.clone());
        let about = diag::About { nic: nic.as_deref(), group: group.as_deref() };
        // What was done a moment ago has been undone: that pause is over.
        self.held.retain(|h| h.times > 0 || Object::made_by(&h.op).as_ref() != Some(&object));
        match self.guard.undone(now, object) {
            Verdict::Repair => true,
            Verdict::Last => {
                self.tell(out, diag::fought_over(about, &what, author));
                true
            }
            Verdict::Stop => {
                self.tell(out, diag::left_alone(about, &what, author));
                false
            }
            Verdict::LeftAlone => false,
        }
    }

    /// Fights that are over, and those that are taken up again.
    pub(super) fn end_fights(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.guard.deadline().is_none_or(|t| t > now) {
            return;
        }
        let (over, tried) = self.guard.expire(now);
        self.dirty |= !tried.is_empty();
        for object in tried {
            if let Object::Sysctl(interface, key) = object {
                self.written.remove(&(interface, key)); // that it differs is no new attack
            }
        }
        for object in over {
            let (what, nic) = self.described(&object);
            self.tell(out, diag::fight_over(diag::About { nic: nic.as_deref(), group: None }, &what));
        }
    }

    /// Whether a request would put back what is left alone.
    pub(super) fn left_alone(&self, op: &KernelOp) -> bool {
        Object::made_by(op).is_some_and(|o| self.guard.blocks(&o))
    }

    /// Words for an object, and its interface.
    fn described(&self, object: &Object) -> (String, Option<String>) {
        let name = |i: &IfIndex| self.inventory.links.get(i).map(|l| l.name.clone());
        match object {
            Object::Address(i, addr) => (addr.to_string(), name(i)),
            Object::Route(i, dst, _, metric) => (format!("route {dst} metric {metric}"), name(i)),
            Object::Rule(r) => (format!("rule {}", r.priority), None),
            Object::Sysctl(interface, key) => (key.path().1.to_string(), Some(interface.clone())),
        }
    }
}

fn route(r: &Route) -> Option<Object> {
    r.hops.first().map(|h| Object::Route(h.index, r.dst, r.table, r.metric))
}
