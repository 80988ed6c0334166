//! When carrier is polled beside the kernel's events, which can be a second late (linux-failover.md, pitfall 23):
//! every millisecond for a second after any link event, else every 100 ms, stretched so that polling stays under
//! 0.1% of a core.

use mpath_model::settings::LinkPoll;
use mpath_model::{IfIndex, Time};
use std::collections::HashMap;
use std::time::Duration;

const FAST: Duration = Duration::from_millis(1);
const FAST_FOR: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_millis(100);
/// One thousandth of a core.
const SHARE: u32 = 1000;

/// The schedule of polls.
#[derive(Debug, Default)]
pub(crate) struct Carrier {
    mode: LinkPoll,
    interfaces: usize,
    next: Option<Time>,
    fast_until: Option<Time>,
    last: HashMap<IfIndex, Seen>,
}

/// What polling saw of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// In passing; none if that is not possible.
    carrier: Option<bool>,
    /// With a closer look right after it.
    running: bool,
}

impl Carrier {
    /// `link_poll` of the configuration.
    pub(crate) fn set(&mut self, mode: LinkPoll) {
        self.mode = mode;
    }

    /// These interfaces are to be polled.
    pub(crate) fn watch(&mut self, now: Time, interfaces: &[IfIndex]) {
        self.interfaces = interfaces.len();
        self.last.retain(|i, _| interfaces.contains(i));
        self.next = self.next.or(Some(now));
    }

    /// When to poll next.
    pub(crate) fn next(&self) -> Option<Time> {
        self.next.filter(|_| self.interfaces > 0 && self.mode != LinkPoll::Off)
    }

    /// A link event: the next one may be held back by the kernel, so look often for a while.
    pub(crate) fn link_event(&mut self, now: Time) {
        self.last.clear();
        if self.mode == LinkPoll::Auto {
            self.fast_until = Some(now + FAST_FOR);
            self.next = Some(now + FAST);
        }
    }

    /// Whether what is seen in passing calls for a closer look.
    pub(crate) fn stirred(&self, index: IfIndex, carrier: Option<bool>) -> bool {
        carrier.is_none() || self.last.get(&index).is_none_or(|seen| seen.carrier != carrier)
    }

    /// Whether the state differs from what polling saw last.
    pub(crate) fn changed(&mut self, index: IfIndex, carrier: Option<bool>, running: bool) -> bool {
        self.last.insert(index, Seen { carrier, running }).is_none_or(|seen| seen.running != running)
    }

    /// A round of polls that took `cost` is over.
    pub(crate) fn polled(&mut self, now: Time, cost: Duration) {
        self.next = Some(match self.mode {
            LinkPoll::Every(period) => now + period,
            _ if self.fast_until.is_some_and(|t| now < t) => now + FAST,
            _ => common(now + (cost * SHARE).saturating_sub(SLOW)),
        });
    }
}

/// The next moment at which everything is done that is only due now and then: waking up costs more than most of it.
pub(crate) fn common(after: Time) -> Time {
    let grid = SLOW.as_nanos() as u64;
    Time((after.0 / grid + 1) * grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_after_an_event_slow_otherwise_and_never_greedy() {
        let ms = Duration::from_millis;
        let us = Duration::from_micros;
        let mut c = Carrier::default();
        assert_eq!(c.next(), None, "nothing to poll");
        c.watch(Time(0), &[2, 3]);
        c.polled(Time(0), us(4));
        assert_eq!(c.next(), Some(Time(0) + ms(100)));
        c.polled(Time(0), us(300));
        assert_eq!(c.next(), Some(Time(0) + ms(300)));
        c.link_event(Time(0));
        assert_eq!(c.next(), Some(Time(0) + ms(1)));
        c.polled(Time(0) + ms(1), us(300));
        assert_eq!(c.next(), Some(Time(0) + ms(2)));
        let later = Time(0) + ms(1001);
        c.polled(later, us(4));
        assert_eq!(c.next(), Some(Time(0) + ms(1100)));
        c.set(LinkPoll::Off);
        assert_eq!(c.next(), None);
    }

    #[test]
    fn a_closer_look_where_something_has_stirred() {
        let mut c = Carrier::default();
        c.watch(Time(0), &[2, 3]);
        assert!(c.stirred(2, Some(true)) && c.changed(2, Some(true), true));
        assert!(!c.stirred(2, Some(true)));
        assert!(c.stirred(2, Some(false)) && c.changed(2, Some(false), false));
        // The carrier is back, and the kernel has not yet said that the link is in use: its event brings the next look.
        assert!(c.stirred(2, Some(true)) && !c.changed(2, Some(true), false));
        assert!(!c.stirred(2, Some(true)));
        c.link_event(Time(0));
        assert!(c.stirred(2, Some(true)) && c.changed(2, Some(true), true));
        assert!(c.stirred(2, None) && !c.changed(2, None, true) && c.stirred(2, None));
    }
}
