//! When to stop fighting: what somebody else takes away is put back three times within a minute, and then left alone. After
//! that it is tried once a minute, until it stays.
//!
//! ```text
//!            undone, less than 3 times in a minute           undone again
//!   (none) ─────────────────────────► counted ─────────────────────────────► left alone
//!      ▲   ◄───────────────────────── (third: alarm)                      │     ▲
//!      │          a minute is over                             a minute is over │ undone
//!      └──────────────────────────────────────────── on trial ◄───────────┴─────┘
//!                  a minute without being undone
//! ```
//! What moves to where it is left alone, because nobody else can serve it, is on trial at once.

use mpath_model::kernel::{KernelOp, Rule, Sysctl};
use mpath_model::{IfAddr, IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Repairs of one object within [`WINDOW`], at most.
pub const REPAIRS: usize = 3;
/// See [`REPAIRS`]; also how long an object is left alone, and how long a trial lasts.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Objects under observation at a time; more than these are repaired without being counted.
const OBJECTS: usize = 4096;

/// Something of ours that others can take away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Object {
    /// An address on an interface.
    Address(IfIndex, IfAddr),
    /// A route: interface, destination, table, metric.
    Route(IfIndex, IfAddr, u32, u32),
    /// A policy rule.
    Rule(Rule),
    /// A sysctl of an interface.
    Sysctl(String, Sysctl),
}

impl Object {
    /// What a request makes, if it makes something that can be fought over.
    pub fn made_by(op: &KernelOp) -> Option<Object> {
        match op {
            KernelOp::AddAddress(a) => Some(Object::Address(a.index, a.addr)),
            KernelOp::AddRoute(r, _) => {
                r.hops.first().map(|h| Object::Route(h.index, r.dst, r.table, r.metric))
            }
            KernelOp::AddRule(r) => Some(Object::Rule(*r)),
            KernelOp::SetSysctl { interface, key, .. } => Some(Object::Sysctl(interface.clone(), *key)),
            _ => None,
        }
    }

    fn on(&self, at: IfIndex) -> bool {
        matches!(self, Object::Address(i, _) | Object::Route(i, ..) if *i == at)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Fight {
    /// It was undone at these times, less than a window ago.
    Counted(Vec<Time>),
    /// Nobody puts it back before this.
    LeftAlone(Time),
    /// It has been put back again, and must stay until this.
    OnTrial(Time),
}

/// What follows from something being undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Put it back.
    Repair,
    /// Put it back for the last time: an alarm is due.
    Last,
    /// Leave it alone from now on.
    Stop,
    /// It is left alone already.
    LeftAlone,
}

/// All fights.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Guard(#[serde(with = "crate::pairs")] BTreeMap<Object, Fight>);

impl Guard {
    /// Somebody else has undone this.
    pub fn undone(&mut self, now: Time, object: Object) -> Verdict {
        if self.0.len() >= OBJECTS && !self.0.contains_key(&object) {
            return Verdict::Repair;
        }
        let fight = self.0.entry(object).or_insert_with(|| Fight::Counted(Vec::new()));
        match fight {
            Fight::Counted(times) => {
                times.retain(|t| now - *t < WINDOW);
                if times.len() < REPAIRS {
                    times.push(now);
                    return if times.len() == REPAIRS { Verdict::Last } else { Verdict::Repair };
                }
                *fight = Fight::LeftAlone(now + WINDOW);
                Verdict::Stop
            }
            Fight::OnTrial(_) => {
                *fight = Fight::LeftAlone(now + WINDOW);
                Verdict::Stop
            }
            Fight::LeftAlone(_) => Verdict::LeftAlone,
        }
    }

    /// Whether this is left alone at the moment.
    pub fn blocks(&self, object: &Object) -> bool {
        matches!(self.0.get(object), Some(Fight::LeftAlone(_)))
    }

    /// Time passes. Gives what has stayed for the length of its trial, and what may be tried again.
    pub fn expire(&mut self, now: Time) -> (Vec<Object>, Vec<Object>) {
        let mut tried = Vec::new();
        let mut over = Vec::new();
        self.0.retain(|object, fight| match fight {
            Fight::Counted(times) => times.last().is_some_and(|t| now - *t < WINDOW),
            Fight::LeftAlone(until) if *until <= now => {
                tried.push(object.clone());
                *fight = Fight::OnTrial(now + WINDOW);
                true
            }
            Fight::OnTrial(until) if *until <= now => {
                over.push(object.clone());
                false
            }
            _ => true,
        });
        (over, tried)
    }

    /// When [`Guard::expire`] has something to do that cannot wait.
    pub fn deadline(&self) -> Option<Time> {
        let due = self.0.values().filter_map(|f| match f {
            Fight::Counted(_) => None,
            Fight::LeftAlone(t) | Fight::OnTrial(t) => Some(*t),
        });
        due.min()
    }

    /// The address moves to this interface, from one that cannot serve it: nothing is lost by trying once more, and it needs the
    /// routes there.
    pub fn retry(&mut self, now: Time, index: IfIndex, addr: &IfAddr) {
        for (object, fight) in &mut self.0 {
            let wanted = match object {
                Object::Address(at, a) => *at == index && a == addr,
                Object::Route(at, ..) => *at == index,
                _ => false,
            };
            if wanted && matches!(fight, Fight::LeftAlone(_)) {
                *fight = Fight::OnTrial(now + WINDOW);
            }
        }
    }

    /// The interface went down or away: what went with it was nobody's attack.
    pub fn forgive(&mut self, index: IfIndex) {
        self.0.retain(|o, fight| !(o.on(index) && matches!(fight, Fight::Counted(_))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn object() -> Object {
        Object::Address(2, "192.0.2.10/24".parse().unwrap())
    }

    #[test]
    fn three_in_a_minute_and_then_once_a_minute() {
        let mut g = Guard::default();
        let mut now = Time(0) + S;
        let hit = |g: &mut Guard, now| g.undone(now, object());
        assert_eq!(
            [hit(&mut g, now), hit(&mut g, now), hit(&mut g, now)],
            [Verdict::Repair, Verdict::Repair, Verdict::Last]
        );
        assert!(!g.blocks(&object()), "the third time it is put back");
        assert_eq!((hit(&mut g, now), g.blocks(&object())), (Verdict::Stop, true));
        assert_eq!(hit(&mut g, now), Verdict::LeftAlone);
        assert_eq!(g.deadline(), Some(now + WINDOW));
        assert_eq!(g.expire(now + S), (vec![], vec![]));
        now = now + WINDOW;
        assert_eq!((g.expire(now), g.blocks(&object())), ((vec![], vec![object()]), false));
        assert_eq!((hit(&mut g, now), g.blocks(&object())), (Verdict::Stop, true), "one trial");
        now = now + WINDOW;
        assert_eq!(g.expire(now), (vec![], vec![object()]));
        now = now + WINDOW;
        assert_eq!(g.expire(now), (vec![object()], vec![]), "it has stayed");
        assert_eq!((hit(&mut g, now), g.deadline()), (Verdict::Repair, None));
    }

    #[test]
    fn slow_deletions_are_put_back_for_ever() {
        let mut g = Guard::default();
        for n in 0..20u32 {
            assert_ne!(g.undone(Time(0) + S * 25 * n, object()), Verdict::Stop);
        }
    }

    #[test]
    fn a_link_that_goes_down_attacks_nobody() {
        let mut g = Guard::default();
        for _ in 0..10 {
            assert_eq!(g.undone(Time(0), object()), Verdict::Repair);
            g.forgive(2);
        }
    }
}
