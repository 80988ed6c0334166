//! Announcements to come: an address that was put on a NIC is announced at the times of `announce`, because a
//! single one gets lost, and a switch port may not forward yet (linux-failover.md, pitfalls 12 and 13).

use mpath_model::kernel::KernelOp;
use mpath_model::{IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The schedule of announcements. The first ones go with the move itself and are not paced; of the others a bounded
/// number goes out each second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announcer {
    #[serde(with = "crate::pairs")]
    queue: BTreeMap<(Time, u64), KernelOp>,
    count: u64,
    pace: Duration,
    /// Not before this: the pace has been used up until then.
    free: Time,
}

impl Default for Announcer {
    fn default() -> Announcer {
        Announcer { queue: BTreeMap::new(), count: 0, pace: Duration::from_millis(1), free: Time::default() }
    }
}

/// Interface and address of an announcement.
fn subject(op: &KernelOp) -> Option<(IfIndex, IpAddr)> {
    match op {
        KernelOp::Announce { index, address, .. } | KernelOp::AnnounceTo { index, address, .. } => {
            Some((*index, *address))
        }
        _ => None,
    }
}

impl Announcer {
    /// At least so long between two announcements from now on, the first ones aside.
    pub fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }

    /// Plans the announcements `all` of addresses that were put on an interface now, at these times. Those in `done`
    /// go with the move itself. Earlier plans for the same addresses are void.
    pub fn schedule(&mut self, now: Time, times: &[Duration], all: &[KernelOp], done: &[KernelOp]) {
        if all.is_empty() {
            return;
        }
        let moved: BTreeSet<IpAddr> = all.iter().filter_map(subject).map(|(_, a)| a).collect();
        self.queue.retain(|_, op| subject(op).is_some_and(|(_, a)| !moved.contains(&a)));
        let done: BTreeSet<&KernelOp> = done.iter().collect();
        for t in times {
            // What cannot go at once follows at the first time.
            let left = all.iter().filter(|op| !t.is_zero() || !done.contains(op));
            for op in left {
                self.count += 1;
                self.queue.insert((now + *t, self.count), op.clone());
            }
        }
    }

    /// Forgets what concerns addresses that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(IfIndex, IpAddr) -> bool) {
        self.queue.retain(|_, op| subject(op).is_some_and(|(i, a)| keep(i, a)));
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Time> {
        self.queue.keys().next().map(|(t, _)| (*t).max(self.free))
    }

    /// The announcements due: as many as the pace allows since the first of them was.
    pub fn due(&mut self, now: Time) -> Vec<KernelOp> {
        let Some(first) = self.next().filter(|t| *t <= now) else {
            return Vec::new();
        };
        let budget = ((now - first).as_nanos() / self.pace.as_nanos().max(1)) as usize + 1;
        let mut ops = Vec::new();
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= now && ops.len() < budget) {
            ops.push(entry.remove());
        }
        self.free = first + self.pace.saturating_mul(u32::try_from(ops.len()).unwrap_or(u32::MAX));
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(index: IfIndex, address: IpAddr) -> KernelOp {
        KernelOp::Announce { index, address, router: false }
    }

    #[test]
    fn repeats_follow_the_times_and_are_paced() {
        let ms = Duration::from_millis;
        let mut a = Announcer::default();
        let placed: Vec<KernelOp> = (0..100).map(|n| of(2, IpAddr::from([192, 0, 2, n]))).collect();
        a.schedule(Time(0), &[ms(0), ms(20), ms(100)], &placed, &placed);
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
        a.schedule(Time(0), &times, &[of(2, address)], &[]);
        a.schedule(Time(1), &times, &[of(3, address)], &[]);
        let ops = a.due(Time(0) + Duration::from_secs(1));
        assert_eq!(ops, vec![of(3, address)]);
    }
}
