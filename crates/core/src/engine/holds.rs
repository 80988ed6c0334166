//! Requests that wait before they are repeated: what was refused, and what was done and is not seen yet. Kept by what they
//! are about, so that each one is found at once however many there are.

use super::SCAN_INTERVAL;
use crate::guard::Object;
use mpath_model::kernel::{KernelOp, LaggOp, Rule, Sysctl};
use mpath_model::{IfAddr, IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a request is about. Requests that take each other back are about the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Subject {
    Address(IfIndex, IfAddr),
    /// Destination and table.
    Route(IfAddr, u32),
    Rule(Rule),
    Sysctl(String, Sysctl),
    Lagg(Option<IfIndex>),
    Other(Option<IfIndex>),
}

impl Subject {
    fn of(op: &KernelOp) -> Subject {
        match op {
            KernelOp::AddAddress(a) => Subject::Address(a.index, a.addr),
            KernelOp::DelAddress { index, addr } => Subject::Address(*index, *addr),
            KernelOp::AddRoute(r, _) | KernelOp::DelRoute(r) => Subject::Route(r.dst, r.table),
            KernelOp::AddRule(r) | KernelOp::DelRule(r) => Subject::Rule(*r),
            KernelOp::SetSysctl { interface, key, .. } => Subject::Sysctl(interface.clone(), *key),
            KernelOp::Lagg(op) => Subject::Lagg(op.index()),
            op => Subject::Other(op.index()),
        }
    }

    fn made(object: &Object) -> Subject {
        match object {
            Object::Address(index, addr) => Subject::Address(*index, *addr),
            Object::Route(_, dst, table, _) => Subject::Route(*dst, *table),
            Object::Rule(r) => Subject::Rule(*r),
            Object::Sysctl(interface, key) => Subject::Sysctl(interface.clone(), *key),
        }
    }
}

/// One of them, and when it may be tried again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    op: KernelOp,
    /// Refusals so far; 0 for a request that succeeded and whose event is awaited.
    times: u32,
    until: Time,
    /// The end of the pause has been noticed.
    due: bool,
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Holds(#[serde(with = "crate::pairs")] BTreeMap<Subject, Vec<Held>>);

impl Holds {
    fn all(&self) -> impl Iterator<Item = &Held> {
        self.0.values().flatten()
    }

    fn about(&self, op: &KernelOp) -> impl Iterator<Item = &Held> {
        self.0.get(&Subject::of(op)).into_iter().flatten()
    }

    fn retain_about(&mut self, subject: Subject, keep: impl Fn(&Held) -> bool) {
        if let Some(list) = self.0.get_mut(&subject) {
            list.retain(keep);
            if list.is_empty() {
                self.0.remove(&subject);
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(&Held) -> bool) {
        self.0.retain(|_, list| {
            list.retain(&keep);
            !list.is_empty()
        });
    }

    /// Whether a request has to wait.
    pub(super) fn holds(&self, now: Time, op: &KernelOp) -> bool {
        self.about(op).any(|h| h.until > now && h.op == *op)
    }

    /// Whether something was done a moment ago and is not seen yet.
    pub(super) fn awaits_events(&self, now: Time) -> bool {
        self.all().any(|h| h.until > now && h.times == 0)
    }

    /// A request was done, or its event is on its way: it waits until then.
    pub(super) fn pause(&mut self, op: KernelOp, until: Time) {
        self.push(op, 0, until);
    }

    /// A request was refused: so it waits for `pause` of the number of refusals, which is returned.
    pub(super) fn refuse(&mut self, op: KernelOp, until: impl Fn(u32) -> Time) -> u32 {
        let times = self.about(&op).find(|h| h.op == op).map_or(0, |h| h.times) + 1;
        self.retain_about(Subject::of(&op), |h| h.op != op);
        self.push(op, times, until(times));
        times
    }

    fn push(&mut self, op: KernelOp, times: u32, until: Time) {
        self.0.entry(Subject::of(&op)).or_default().push(Held { op, times, until, due: false });
    }

    /// A request succeeded: it waits no longer, and neither does what it takes back.
    pub(super) fn succeeded(&mut self, op: &KernelOp) {
        self.retain_about(Subject::of(op), |h| h.op != *op && !undoes(&h.op, op));
    }

    /// The last address of a NIC has taken its routes along, perhaps.
    pub(super) fn routes_went(&mut self, index: IfIndex) {
        self.retain(|h| !matches!(&h.op, KernelOp::AddRoute(r, _) if r.uses(index)));
    }

    /// What was done a moment ago has been undone by somebody else: that pause is over.
    pub(super) fn undone(&mut self, object: &Object) {
        self.retain_about(Subject::made(object), |h| {
            h.times > 0 || Object::made_by(&h.op).as_ref() != Some(object)
        });
    }

    /// The interface went down or away.
    pub(super) fn forget(&mut self, index: IfIndex) {
        self.retain(|h| h.op.index() != Some(index));
    }

    /// When the next pause is over.
    pub(super) fn next(&self) -> Option<Time> {
        self.all().filter(|h| !h.due).map(|h| h.until).min()
    }

    /// Time passes. Whether a pause is over that was not before. Refusals are remembered for a while.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let over = self.all().any(|h| h.until <= now && !h.due);
        self.retain(|h| h.until > now || (h.times > 0 && now - h.until < SCAN_INTERVAL * 3));
        self.0.values_mut().flatten().filter(|h| h.until <= now).for_each(|h| h.due = true);
        over
    }
}

/// Whether one request takes back the other. Both are about the same.
fn undoes(a: &KernelOp, b: &KernelOp) -> bool {
    match (a, b) {
        (KernelOp::AddAddress(_), KernelOp::DelAddress { .. })
        | (KernelOp::DelAddress { .. }, KernelOp::AddAddress(_))
        | (KernelOp::AddRoute(..), KernelOp::DelRoute(_))
        | (KernelOp::DelRoute(_), KernelOp::AddRoute(..))
        | (KernelOp::AddRule(_), KernelOp::DelRule(_))
        | (KernelOp::DelRule(_), KernelOp::AddRule(_)) => true,
        (KernelOp::Lagg(x), KernelOp::Lagg(_)) => LaggOp::index(x).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::{Address, Route};
    use std::time::Duration;

    const S: Duration = Duration::from_secs(1);

    fn add(index: IfIndex) -> KernelOp {
        KernelOp::AddAddress(Address::plain(index, "192.0.2.10/24".parse().unwrap()))
    }

    fn del(index: IfIndex) -> KernelOp {
        KernelOp::DelAddress { index, addr: "192.0.2.10/24".parse().unwrap() }
    }

    #[test]
    fn what_was_done_waits_until_it_is_undone() {
        let mut h = Holds::default();
        h.pause(add(2), Time(0) + S);
        assert!(h.holds(Time(0), &add(2)) && !h.holds(Time(0), &add(3)) && h.awaits_events(Time(0)));
        assert!(!h.holds(Time(0) + S, &add(2)));
        h.succeeded(&del(3));
        assert!(h.holds(Time(0), &add(2)), "elsewhere");
        h.succeeded(&del(2));
        assert!(!h.holds(Time(0), &add(2)));
    }

    #[test]
    fn refusals_are_counted_and_outlive_their_pause() {
        let mut h = Holds::default();
        let until = |n: u32| Time(0) + S * n;
        assert_eq!((h.refuse(add(2), until), h.refuse(add(2), until)), (1, 2));
        assert_eq!(h.next(), Some(Time(0) + S * 2));
        assert!(!h.expire(Time(0) + S) && h.expire(Time(0) + S * 2) && !h.expire(Time(0) + S * 2));
        assert_eq!((h.next(), h.refuse(add(2), until)), (None, 3));
        h.forget(2);
        assert_eq!(h.refuse(add(2), until), 1);
    }

    #[test]
    fn the_last_address_takes_the_routes_along() {
        let mut h = Holds::default();
        let route = |index| {
            let r = Route::onlink("192.0.2.0/24".parse().unwrap(), index, 0, 77);
            KernelOp::AddRoute(r, mpath_model::kernel::Placing::Before)
        };
        h.pause(route(2), Time(0) + S);
        h.pause(route(3), Time(0) + S);
        h.routes_went(2);
        assert!(!h.holds(Time(0), &route(2)) && h.holds(Time(0), &route(3)));
    }
}
