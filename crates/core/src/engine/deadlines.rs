//! When the engine has something to do without being told.

use super::{Engine, GroupId};
use mpath_model::Time;

impl Engine {
    /// When [`Input::Tick`](crate::input::Input::Tick) is due next.
    pub fn next_deadline(&self) -> Option<Time> {
        if !self.sees() {
            return None;
        }
        let first = [
            Some(self.scan_at),
            self.groups.next(),
            self.groups.unknown().filter_map(|g| self.group_deadline(g)).min(),
            self.batches.deadline(),
            self.held.next(),
            self.announcer.next(),
            self.waiting.iter().map(|w| w.until).min(),
            self.wish_due,
            self.cooled(),
            self.foresight.next(),
            self.guard.deadline(),
            self.proving_deadline(),
            self.claims.next(),
            self.frozen.and_then(|f| f.until),
            self.carp_deadline(),
        ];
        first.into_iter().flatten().min()
    }

    /// Notes when the groups that were written to have something to do.
    pub(super) fn refresh_deadlines(&mut self) {
        if !self.sees() {
            return;
        }
        for g in self.groups.unknown().collect::<Vec<_>>() {
            let due = self.group_deadline(g);
            self.groups.set_due(g, due);
        }
        debug_assert!(
            (0..self.groups.len())
                .all(|g| self.groups.due(g).is_some_and(|due| {
                    due == self.group_deadline(g) || due.is_some_and(|t| t <= self.now)
                })),
            "a deadline changed without anybody having written to its group"
        );
    }

    /// When a group has something to do by itself. It follows from the group and from the picture of the kernel alone: what
    /// depends on the time of the question belongs here as the time at which the answer changes.
    fn group_deadline(&self, g: GroupId) -> Option<Time> {
        let group = &self.groups[g];
        let probes = group.nics.iter().filter(|n| n.link && n.index.is_some()).flat_map(|n| {
            n.instances.iter().map(|i| {
                i.decisive().filter(|_| !n.failed).map_or(i.schedule.next, |t| t.min(i.schedule.next))
            })
        });
        let doubts = (0..group.nics.len()).filter_map(|n| self.confirm_deadline(g, n));
        let damped = group.nics.iter().filter(|n| n.failed && n.link && !n.probed());
        let first = [
            probes.min(),
            doubts.min(),
            self.beacons_deadline(g),
            self.watch_deadline(g),
            damped.filter_map(|n| n.damped_until(self.now)).min(),
            self.unjudged_deadline(g),
            self.settling_deadline(g),
            self.distrust_deadline(g),
            self.lagg_deadline(g),
            group.grace,
        ];
        first.into_iter().flatten().min()
    }
}
