//! Whether the members of a group are on one link: a broadcast of one must be heard by the others. Who is not heard and hears
//! nobody in three rounds is on another link, and no place for what lives on this one while there is another.

use super::{Engine, GroupId, SCAN_INTERVAL};
use crate::action::Action;
use crate::gray::Tally;
use crate::group::NicId;
use mpath_model::kernel::Transmit;
use mpath_model::settings::ProbeMode;
use mpath_model::{IfIndex, Time};
use mpath_wire::beacon::Beacon;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Rounds in which two members have not heard each other.
const ROUNDS: u32 = 3;
/// Rounds remembered.
const REMEMBERED: u32 = 20;
/// The first rounds follow each other quickly.
const EARLY: Duration = Duration::from_secs(1);

/// What a group knows of its links.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beacons {
    /// When the next round is due; none before the first.
    next: Option<Time>,
    /// Rounds begun.
    count: u32,
    /// The round under way.
    round: u64,
    /// Members that sent in it.
    senders: Vec<(NicId, IfIndex)>,
    /// Who was heard by whom in it.
    heard: BTreeSet<(IfIndex, IfIndex)>,
    /// Rounds in a row in which two members did not hear each other, by name.
    #[serde(with = "crate::pairs")]
    deaf: BTreeMap<(String, String), u32>,
    /// When some member was last found to lose packets: rounds follow each other quickly then, to tell in which direction.
    lossy: Option<Time>,
    /// The round under way is one of those: chance alone can make two members deaf in it.
    extra: bool,
    /// Of the last rounds, by sender and hearer: who was heard (newest in the lowest bit), and in how many.
    #[serde(with = "crate::pairs")]
    passed: BTreeMap<(String, String), (u32, u32)>,
}

impl Beacons {
    /// What stays when the settings change: pairs are remembered by name.
    pub fn remembered(&self) -> Beacons {
        Beacons { deaf: self.deaf.clone(), passed: self.passed.clone(), ..Beacons::default() }
    }

    /// Whether two members are on different links, as far as is known.
    pub fn apart(&self, a: &str, b: &str) -> bool {
        let pair = (a.min(b).to_string(), a.max(b).to_string());
        self.deaf.get(&pair).is_some_and(|rounds| *rounds >= ROUNDS)
    }

    /// A member loses packets.
    pub fn hurry(&mut self, now: Time) {
        self.lossy = Some(now);
        self.next = self.next.map(|t| t.min(now + EARLY));
    }

    /// What one member heard of another in the last rounds.
    pub fn heard_of(&self, sender: &str, at: &str) -> Tally {
        let pair = (sender.to_string(), at.to_string());
        let (heard, rounds) = self.passed.get(&pair).copied().unwrap_or_default();
        Tally { asked: rounds, lost: rounds - heard.count_ones() }
    }

    fn note_passed(&mut self, names: &[String], members: &[(NicId, IfIndex)]) {
        for (a, at) in members {
            for (b, bt) in members.iter().filter(|(b, _)| b != a) {
                let heard = u32::from(self.heard.contains(&(*at, *bt)));
                let pair = (names[*a].clone(), names[*b].clone());
                let (bits, rounds) = self.passed.entry(pair).or_default();
                *rounds = (*rounds + 1).min(REMEMBERED);
                *bits = (*bits << 1 | heard) & ((1 << REMEMBERED) - 1);
            }
        }
        self.passed.retain(|(a, b), _| names.contains(a) && names.contains(b));
    }

    fn judge(&mut self, names: &[String], live: &[(NicId, IfIndex)]) {
        let took_part = |m: &&(NicId, IfIndex)| live.contains(m);
        let members: Vec<_> = self.senders.iter().filter(took_part).copied().collect();
        self.note_passed(names, &members);
        if self.extra {
            return;
        }
        for (k, (a, at)) in members.iter().enumerate() {
            for (b, bt) in &members[k + 1..] {
                let heard = self.heard.contains(&(*at, *bt)) || self.heard.contains(&(*bt, *at));
                let (a, b) = (&names[*a], &names[*b]);
                let pair = (a.min(b).clone(), a.max(b).clone());
                let rounds = self.deaf.entry(pair).or_default();
                *rounds = if heard { 0 } else { rounds.saturating_add(1) };
            }
        }
    }
}

impl Engine {
    /// Ends rounds and begins new ones.
    pub(super) fn beacons(&mut self, now: Time, groups: &[GroupId], out: &mut Vec<Action>) {
        for &g in groups {
            if self.groups[g].beacons.next.is_some_and(|t| t > now) {
                continue;
            }
            let live: Vec<_> = self.beacon_members(g).collect();
            if live.len() < 2 {
                continue;
            }
            let round = self.rounds.next_u64();
            let group = &mut self.groups[g];
            let names: Vec<String> = group.nics.iter().map(|n| n.name().to_string()).collect();
            let beacons = &mut group.beacons;
            let before = beacons.deaf.clone();
            beacons.judge(&names, &live);
            self.dirty |= before != beacons.deaf;
            let lossy = beacons.lossy.is_some_and(|at| now - at <= EARLY * 2);
            let soon = beacons.count < ROUNDS || lossy;
            beacons.next = Some(now + if soon { EARLY } else { SCAN_INTERVAL });
            beacons.extra = lossy && beacons.count >= ROUNDS;
            beacons.count = beacons.count.saturating_add(1);
            (beacons.round, beacons.senders, beacons.heard) = (round, live.clone(), BTreeSet::new());
            for (_, index) in live {
                if let Some(mac) = self.inventory.links.get(&index).and_then(|l| l.mac) {
                    let bytes = Beacon { round, sender: index }.frame(mac);
                    out.push(Action::Send(Transmit::Frame { index, bytes }));
                }
            }
        }
    }

    /// When the next round is due.
    pub(super) fn beacons_deadline(&self, g: GroupId) -> Option<Time> {
        let next = self.groups[g].beacons.next.unwrap_or(self.now);
        self.beacon_members(g).nth(1).map(|_| next)
    }

    /// Members whose broadcasts must be heard: somebody has answered on them, so that their switch ports forward.
    fn beacon_members(&self, g: GroupId) -> impl Iterator<Item = (NicId, IfIndex)> {
        let group = &self.groups[g];
        let none = group.anonymous || group.retiring || group.settings.probe == ProbeMode::Link;
        let nics = if none { &[] } else { group.nics.as_slice() };
        let live = nics.iter().enumerate().filter(|(_, n)| n.link && !n.failed && n.answered);
        live.filter_map(move |(n, nic)| {
            let index = nic.index?;
            let running = self.inventory.links.get(&index).is_some_and(|l| l.running && l.mac.is_some());
            running.then_some((n, index))
        })
    }

    /// A beacon of ours has come in.
    pub(super) fn beacon_heard(&mut self, g: GroupId, at: IfIndex, round: u64, sender: IfIndex) {
        let beacons = &mut self.groups[g].beacons;
        let sent = beacons.senders.iter().any(|(_, index)| *index == sender);
        if round == beacons.round && sent && sender != at {
            beacons.heard.insert((sender, at));
        }
    }
}
