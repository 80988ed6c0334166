//! Foreign hands: what others take away that is ours to keep, who that is, and when to stop putting it back.

use super::Engine;
use crate::action::Action;
use crate::diag;
use crate::group::HomedAddress;
use crate::guard::{Object, Verdict};
use mpath_model::kernel::{Address, KernelEvent, KernelOp, Route, Rule};
use mpath_model::{IfAddr, IfIndex, PROTO_MPATHD, Time};
use std::collections::BTreeSet;

impl Engine {
    /// Looks for attacks in events that the picture has not taken in yet.
    pub(super) fn foreign_hands(&mut self, now: Time, events: &[KernelEvent], out: &mut Vec<Action>) {
        let mut author = None;
        // An interface that goes down or away in the same breath takes things along; and what is taken off one without
        // carrier was taken off by us, by a plan made in advance.
        let fallen = |e: &KernelEvent| match e {
            KernelEvent::Link(l) => (!(l.up && l.running)).then_some(l.index),
            KernelEvent::LinkGone(index) => Some(*index),
            _ => None,
        };
        let falling: BTreeSet<IfIndex> = events.iter().filter_map(fallen).collect();
        let mut kept = None;
        for event in events {
            let object = match event {
                KernelEvent::Author(program) => {
                    author = Some(program.as_str());
                    continue;
                }
                KernelEvent::AddressGone(a) if !self.batches.delete_address(a.index, &a.addr) => {
                    let at = (a.index, a.addr);
                    let kept = kept.get_or_insert_with(|| self.kept_addresses());
                    (kept.contains(&at) || self.keeps_test_address(a)).then_some(Object::Address(at.0, at.1))
                }
                KernelEvent::RouteGone(r) if self.keeps_route(r) => route(r),
                KernelEvent::RuleGone(r) if self.keeps_rule(r) => Some(Object::Rule(*r)),
                KernelEvent::RouteReplaced(r) if r.protocol != PROTO_MPATHD => self.replaced(r),
                _ => None,
            };
            let index = match &object {
                Some(Object::Address(i, _) | Object::Route(i, ..)) => Some(*i),
                _ => None,
            };
            let stands = |i: IfIndex| {
                self.inventory.links.get(&i).is_some_and(|l| l.up && l.running) && !falling.contains(&i)
            };
            if let Some(object) = object.filter(|_| index.map_or(falling.is_empty(), stands)) {
                self.attacked(now, object, author, out);
            }
            author = None;
        }
    }

    /// Data addresses that are ours to keep where they are.
    fn kept_addresses(&self) -> BTreeSet<(IfIndex, IfAddr)> {
        let groups = self.groups.iter().filter(|g| !g.retiring && !g.anonymous);
        groups
            .flat_map(|g| {
                let wish = |h: &HomedAddress| !h.declared && h.host == h.home && !g.nics[h.host].failed;
                let kept = g.addresses.iter().filter(move |h| !wish(h));
                kept.filter_map(|h| Some((g.nics[h.host].index?, h.addr)))
            })
            .collect()
    }

    fn keeps_test_address(&self, a: &Address) -> bool {
        self.groups.iter().filter(|g| !g.retiring && !g.anonymous).any(|g| {
            let nic = g.nic_at(a.index).map(|n| &g.nics[n]).filter(|n| !n.offline);
            nic.is_some_and(|n| n.is_test_address(&a.addr.address))
        })
    }

    fn keeps_route(&self, r: &Route) -> bool {
        let member = |i: IfIndex| self.groups.iter().any(|g| !g.retiring && g.nic_at(i).is_some());
        r.protocol == PROTO_MPATHD
            && r.hops.iter().all(|h| member(h.index))
            && !self.batches.delete_route(&r.dst)
    }

    fn keeps_rule(&self, r: &Rule) -> bool {
        !self.batches.delete_rule(r) && crate::plan::rules(self.groups.iter(), &self.inventory).contains(r)
    }

    /// A route of ours whose place another one has taken.
    fn replaced(&self, by: &Route) -> Option<Object> {
        let same =
            |r: &&Route| (r.table, r.tos, r.metric) == (by.table, by.tos, by.metric) && self.keeps_route(r);
        self.inventory.routes_to(&by.dst).find(same).and_then(route)
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
        self.held.undone(&object);
        let address = match &object {
            Object::Address(index, addr) => Some((*index, addr.address)),
            _ => None,
        };
        match self.guard.undone(now, object) {
            Verdict::Repair => true,
            Verdict::Last => {
                self.tell(out, diag::fought_over(about, &what, author));
                true
            }
            Verdict::Stop => {
                // Another host may have it by now.
                self.announcer.retain(|index, a| Some((index, a)) != address);
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
