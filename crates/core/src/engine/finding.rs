//! Gathers the evidence for `findings`: what is wrong with a path that lives.

use super::{Engine, GroupId};
use crate::findings::sentence;
use crate::gray::{self, Tally};
use crate::group::NicId;
use crate::probe::ring::Fate;
use mpath_model::Time;
use std::net::IpAddr;
use std::time::Duration;

/// Detection times over which loss is told of.
const LATELY: u32 = 7;
/// Large probes have at least this long to be answered.
const PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// What is wrong with a NIC, one sentence each.
    pub(super) fn findings(&self, now: Time, g: GroupId, n: NicId) -> Vec<String> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let thresholds = &group.settings.thresholds;
        let small = self.tally(now, g, n, group.detection.current() * LATELY);
        let mut found: Vec<String> = Vec::new();
        found.extend(
            nic.gray
                .map(|_| "its addresses are on others where there are any, until it is better".to_string()),
        );
        found.extend(lossy(small, thresholds.max_loss));
        found.extend(sentence::slow(nic.fastest(), thresholds.max_rtt));
        found.extend(sentence::rising(&nic.minutes));
        // Of two members that miss each other's frames, the one whose probes are lost is meant.
        if small.asked >= gray::ENOUGH && !small.clean() {
            let (sent, received) = self.directions(g, n);
            found.extend(sentence::one_way(sent, received));
        }
        let large = nic.instances.iter().map(|i| i.large.tally(now, PATIENCE));
        found.extend(large.filter_map(|large| sentence::large(large, small, thresholds.max_loss)));
        let deaf = nic.deaf_to.of_late(now);
        found.extend(deaf.filter_map(|(target, since)| {
            let other = self.answers_another(g, n, target, since)?;
            Some(sentence::one_sided(&target, other))
        }));
        found
    }

    /// What the other members heard of a NIC's beacons, and it of theirs.
    fn directions(&self, g: GroupId, n: NicId) -> (Tally, Tally) {
        let group = &self.groups[g];
        let others =
            || group.nics.iter().enumerate().filter(|(m, other)| *m != n && other.link && !other.failed);
        let add = |a: Tally, b: Tally| Tally { asked: a.asked + b.asked, lost: a.lost + b.lost };
        let own = group.nics[n].name();
        let sent = others().map(|(_, m)| group.beacons.heard_of(own, m.name()));
        let received = others().map(|(_, m)| group.beacons.heard_of(m.name(), own));
        (sent.fold(Tally::default(), add), received.fold(Tally::default(), add))
    }

    /// Another member that a target has answered since then.
    fn answers_another(&self, g: GroupId, n: NicId, target: IpAddr, since: Time) -> Option<&str> {
        let group = &self.groups[g];
        let answered = |m: &&crate::nic::Nic| {
            let mut probes = m.instances.iter().flat_map(|i| i.ring.newest_first());
            probes.any(|p| p.target == Some(target) && matches!(p.fate, Fate::Acked(at) if at > since))
        };
        let mut others = group.nics.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, m)| m);
        others.find(answered).map(crate::nic::Nic::name)
    }
}

fn lossy(small: Tally, max_loss: u32) -> Option<String> {
    let percent = small.percent().filter(|p| small.asked >= gray::ENOUGH && *p >= gray::CLEAN)?;
    Some(format!(
        "{percent}% of its last {} probes are lost (its addresses move from {max_loss}% on, while another member is below {}%)",
        small.asked,
        gray::CLEAN
    ))
}
