//! Announcements to come: an address that was put on a NIC is announced at the times of `announce`, because a
//! single one gets lost, and a switch port may not forward yet (linux-failover.md, pitfalls 12 and 13).

use mpath_model::kernel::KernelOp;
use mpath_model::{IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Announcements that one call of [`Announcer::due`] hands out, at most; the rest follow a millisecond later each,
/// which makes at most 1,000 a second beside the first, unpaced ones.
const PACE: Duration = Duration::from_millis(1);

/// The schedule of announcements.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Announcer {
    #[serde(with = "crate::pairs")]
    queue: BTreeMap<(Time, u64), (IfIndex, IpAddr)>,
    count: u64,
}

impl Announcer {
    /// Plans the repeats for addresses that were put on an interface now. The one at 0 s is left out: it goes
    /// with the move itself.
    pub fn schedule(&mut self, now: Time, times: &[Duration], placed: &[(IfIndex, IpAddr)]) {
        for (index, address) in placed {
            self.queue.retain(|_, (_, a)| a != address);
            for t in times.iter().filter(|t| !t.is_zero()) {
                self.count += 1;
                let place = self.count;
                self.queue.insert((now + *t, place), (*index, *address));
            }
        }
    }

    /// Forgets what concerns addresses that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(IfIndex, IpAddr) -> bool) {
        self.queue.retain(|_, (i, a)| keep(*i, *a));
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Time> {
        self.queue.keys().next().map(|(t, _)| *t)
    }

    /// The announcements due: one for each millisecond that has passed since the first of them was.
    pub fn due(&mut self, now: Time) -> Vec<KernelOp> {
        let Some(first) = self.next().filter(|t| *t <= now) else {
            return Vec::new();
        };
        let budget = ((now - first).as_nanos() / PACE.as_nanos()) as usize + 1;
        let keys: Vec<_> = self.queue.range(..=(now, u64::MAX)).take(budget).map(|(k, _)| *k).collect();
        let mut ops = Vec::new();
        for k in keys {
            if let Some((index, address)) = self.queue.remove(&k) {
                ops.push(KernelOp::Announce { index, address, router: false });
            }
        }
        self.push_back(now);
        ops
    }

    /// What is overdue beyond the budget waits for the next millisecond.
    fn push_back(&mut self, now: Time) {
        let late: Vec<_> = self.queue.range(..=(now, u64::MAX)).map(|(k, v)| (*k, *v)).collect();
        for ((t, n), v) in late {
            self.queue.remove(&(t, n));
            self.queue.insert((now + PACE, n), v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_follow_the_times_and_are_paced() {
        let ms = Duration::from_millis;
        let mut a = Announcer::default();
        let placed: Vec<(IfIndex, IpAddr)> = (0..100).map(|n| (2, IpAddr::from([192, 0, 2, n]))).collect();
        a.schedule(Time(0), &[ms(0), ms(20), ms(100)], &placed);
        assert_eq!(a.next(), Some(Time(0) + ms(20)));
        let (mut now, mut sent) = (Time(0), 0);
        while let Some(t) = a.next() {
            assert!(t >= now);
            now = t;
            let n = a.due(now).len();
            assert!(n <= 2, "{n} at once");
            sent += n;
        }
        assert_eq!(sent, 200);
        assert!(now - Time(0) < ms(320));
    }

    #[test]
    fn a_second_move_replaces_the_first() {
        let mut a = Announcer::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let times = [Duration::from_millis(20)];
        a.schedule(Time(0), &times, &[(2, address)]);
        a.schedule(Time(1), &times, &[(3, address)]);
        let ops = a.due(Time(0) + Duration::from_secs(1));
        assert_eq!(ops, vec![KernelOp::Announce { index: 3, address, router: false }]);
    }
}
