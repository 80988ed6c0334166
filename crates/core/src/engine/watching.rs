//! The watch over switch ports. While no target answers on any member, nobody can tell "my port" from "my target" by asking;
//! so the members send each other frames through the switch, a round in every probe interval. Whoever reaches another one
//! there and back has a port that works, and its targets are at fault. Whoever reaches nobody while others live has a dead one.
//!
//! ```text
//!            reached somebody             5 rounds in vain, while others live
//!   unknown ────────────────► port works ─────────────────────────────────────► port dead
//!                                  ▲                                                │
//!                                  └────────────────────────────────────────────────┘
//!                                          10 rounds in a row
//! ```

use super::{Engine, GroupId};
use crate::action::Action;
use crate::group::NicId;
use crate::probe::{PROBE_FAILS, PROBE_REPAIRS};
use crate::verdict::Cause;
use mpath_model::kernel::{Packet, Transmit};
use mpath_model::settings::{Confirm, ProbeMode};
use mpath_model::{IfIndex, Mac, Time};
use mpath_wire::beacon::Beacon;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Members to which a member sends in a round: enough to tell whose fault it is.
const PARTNERS: usize = 3;
/// Intervals without an answer of anybody after which the watch begins.
const PATIENCE: u32 = 2;

/// What the watch knows of the port of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Rounds in a row in which it reached somebody, there and back.
    pub met: u32,
    /// Rounds in a row in which it reached nobody.
    pub missed: u32,
    /// It has ever reached somebody.
    pub known: bool,
    /// It has failed because it reached nobody.
    pub dead: bool,
    /// When the first round in vain began.
    since: Time,
    /// When somebody who is not of this host was heard on it last.
    foreign: Option<Time>,
}

impl Port {
    /// Frames arrive on it, as far as is known.
    pub fn works(&self) -> bool {
        self.met > 0 || (self.missed > 0 && self.foreign.is_some_and(|at| at > self.since))
    }

    fn in_vain(&self) -> bool {
        self.missed as usize >= PROBE_FAILS && !self.works()
    }
}

/// A round: who sent to whom, and what arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Round {
    number: u64,
    begun: Time,
    senders: Vec<(NicId, IfIndex)>,
    heard: BTreeSet<(IfIndex, IfIndex)>,
    joined: BTreeSet<IfIndex>,
}

/// The watch of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// When the next round is due; none while there is no need of any.
    next: Option<Time>,
    /// The last two rounds: what was sent at the end of an interval may arrive in the next.
    rounds: VecDeque<Round>,
}

impl Watch {
    /// No target answers on any member.
    pub fn running(&self) -> bool {
        self.next.is_some()
    }
}

impl Engine {
    /// Begins and ends watches, and their rounds.
    pub(super) fn watch(&mut self, now: Time, groups: &[GroupId], out: &mut Vec<Action>) {
        for &g in groups {
            if self.blind_from(g).is_none_or(|t| t > now) {
                if self.groups[g].watch.running() {
                    self.end_watch(now, g);
                }
                continue;
            }
            if self.groups[g].watch.next.is_some_and(|t| t > now) {
                continue;
            }
            if self.groups[g].watch.rounds.len() >= 2
                && let Some(round) = self.groups[g].watch.rounds.pop_front()
            {
                self.judge_round(g, &round, out);
            }
            self.begin_round(now, g, out);
        }
    }

    /// When something is to be done about a watch.
    pub(super) fn watch_deadline(&self, g: GroupId) -> Option<Time> {
        self.groups[g].watch.next.or_else(|| self.blind_from(g))
    }

    /// When a group whose members hear no more answers is to be watched.
    fn blind_from(&self, g: GroupId) -> Option<Time> {
        let group = &self.groups[g];
        let wanted = group.settings.confirm != Confirm::Off
            && group.settings.probe != ProbeMode::Link
            && !(group.anonymous || group.retiring);
        if !wanted || self.watched(g).nth(1).is_none() {
            return None;
        }
        let life = group.nics.iter().filter_map(|n| n.confirm.life).max();
        Some(life.map_or(self.now, |at| at + group.detection.interval() * PATIENCE))
    }

    /// Somebody answers again. What was lost until now was the targets' fault where the port works: that NIC may have
    /// time to be answered, too.
    fn end_watch(&mut self, now: Time, g: GroupId) {
        let group = &mut self.groups[g];
        group.watch = Watch::default();
        for nic in &mut group.nics {
            if nic.port.works() {
                nic.confirm.alive(now);
            }
            (nic.port.met, nic.port.missed) = (0, 0);
        }
        self.dirty = true;
    }

    /// Members whose ports can be watched.
    fn watched(&self, g: GroupId) -> impl Iterator<Item = (NicId, IfIndex, Mac)> {
        let live = self.groups[g].nics.iter().enumerate().filter(|(_, n)| n.link && !n.offline);
        live.filter_map(move |(n, nic)| {
            let index = nic.index?;
            let link = self.inventory.links.get(&index).filter(|l| l.running)?;
            Some((n, index, link.mac?))
        })
    }

    fn begin_round(&mut self, now: Time, g: GroupId, out: &mut Vec<Action>) {
        let members: Vec<_> = self.watched(g).collect();
        let number = self.rounds.next_u64();
        for (k, (_, index, mac)) in members.iter().enumerate() {
            let partners = members.iter().cycle().skip(k + 1).take(PARTNERS.min(members.len() - 1));
            for (_, _, partner) in partners {
                let bytes = Beacon { round: number, sender: *index }.frame_to(*mac, *partner);
                out.push(Action::Send(Transmit::Frame { index: *index, bytes }));
            }
        }
        let senders = members.into_iter().map(|(n, index, _)| (n, index)).collect();
        let group = &mut self.groups[g];
        self.dirty |= !group.watch.running();
        let (heard, joined) = (BTreeSet::new(), BTreeSet::new());
        group.watch.rounds.push_back(Round { number, begun: now, senders, heard, joined });
        group.watch.next = Some(now + group.detection.interval());
    }

    /// A frame of the watch has come in. Whether it was one.
    pub(super) fn watch_heard(
        &mut self,
        now: Time,
        g: GroupId,
        at: IfIndex,
        number: u64,
        sender: IfIndex,
        out: &mut Vec<Action>,
    ) -> bool {
        let group = &mut self.groups[g];
        let Some(round) = group.watch.rounds.iter_mut().find(|r| r.number == number) else {
            return false;
        };
        let took_part = |i: IfIndex| round.senders.iter().any(|(_, index)| *index == i);
        if sender == at || !took_part(sender) || !took_part(at) {
            return true;
        }
        round.heard.insert((sender, at));
        if !round.heard.contains(&(at, sender)) {
            return true;
        }
        let joined = [at, sender].map(|i| round.joined.insert(i).then_some(i));
        for n in joined.map(|i| i.and_then(|i| self.groups[g].nic_at(i))).into_iter().flatten() {
            let port = &mut self.groups[g].nics[n].port;
            (port.met, port.missed, port.known) = (port.met.saturating_add(1), 0, true);
            if self.groups[g].nics[n].failed {
                self.check_repair(now, g, n, out);
            }
        }
        true
    }

    /// A round is over: who reached nobody in it, and who has done so for too long.
    fn judge_round(&mut self, g: GroupId, round: &Round, out: &mut Vec<Action>) {
        let present: BTreeSet<NicId> = self.watched(g).map(|(n, ..)| n).collect();
        let sent = round.senders.iter().filter(|(n, i)| self.groups[g].nics[*n].index == Some(*i));
        let alone = sent.filter(|(n, i)| present.contains(n) && !round.joined.contains(i));
        for (n, _) in alone.collect::<Vec<_>>() {
            let port = &mut self.groups[g].nics[*n].port;
            if port.missed == 0 {
                port.since = round.begun;
            }
            (port.met, port.missed) = (0, port.missed.saturating_add(1));
        }
        for n in present {
            let nic = &self.groups[g].nics[n];
            let suspect = !nic.failed && nic.port.known && nic.port.in_vain();
            if suspect && self.others_work(g, n) {
                self.port_failure(g, n, out);
            }
        }
    }

    fn port_failure(&mut self, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        self.groups[g].nics[n].port.dead = true;
        self.nic_failure(g, n, Cause::Port, out);
    }

    fn others_work(&self, g: GroupId, n: NicId) -> bool {
        let mut others = self.watched(g).filter(|(m, ..)| *m != n);
        others.any(|(m, ..)| self.groups[g].nics[m].port.works())
    }

    /// All members seem silent at once. What the ports say: true if that settles it. Targets that have answered and fall
    /// silent all together are a group failure, as ever; those that never did are not believed to be missing.
    pub(super) fn ports_decide(&mut self, g: GroupId, n: NicId, out: &mut Vec<Action>) -> bool {
        let group = &self.groups[g];
        if !group.watch.running() || group.failed {
            return false;
        }
        let (own, others) = (group.nics[n].port, self.others_work(g, n));
        if own.known && own.in_vain() && others {
            self.port_failure(g, n, out);
            return true;
        }
        let unheard = group.nics.iter().all(|nic| !nic.answered);
        (own.works() || others) && (unheard || self.some_port_dead(g))
    }

    /// The ports tell more than the silence of the targets: one of them is dead, and others work.
    fn some_port_dead(&self, g: GroupId) -> bool {
        let ports = || self.groups[g].nics.iter().filter(|n| n.link && !n.offline).map(|n| n.port);
        ports().any(|p| p.dead || (p.known && p.in_vain())) && ports().any(|p| p.works())
    }

    /// Whether the watch has something to say about a repair: what. A group whose ports all work and whose targets are all
    /// silent stays failed.
    pub(super) fn port_proven(&self, g: GroupId, n: NicId) -> Option<bool> {
        let group = &self.groups[g];
        let port = &group.nics[n].port;
        let proven = port.met as usize >= PROBE_REPAIRS;
        let some = group.nics.iter().any(|n| n.usable()) || self.some_port_dead(g);
        let telling = port.dead || (proven && some);
        (group.watch.running() && telling).then_some(proven)
    }

    /// What is enough to repair a NIC while no target answers on any member keeps it from failing for their silence, which a
    /// sibling that is not probed at all would make its own fault again and again.
    pub(super) fn port_clears(&self, g: GroupId, n: NicId) -> bool {
        let group = &self.groups[g];
        group.watch.running() && group.nics[n].port.met as usize >= PROBE_REPAIRS
    }

    /// Somebody who is not of this host has been heard.
    pub(super) fn note_foreign(&mut self, (g, n): (GroupId, NicId), what: &Packet, at: Time) {
        let foreign = match what {
            Packet::Arp { sender_mac, .. } => !self.inventory.is_own_mac(*sender_mac),
            Packet::EchoReply { .. } | Packet::Advertisement { .. } => true,
            Packet::Beacon { .. } | Packet::Carp(_) => false,
        };
        let port = &mut self.groups[g].nics[n].port;
        port.foreign = port.foreign.max(Some(at).filter(|_| foreign));
    }
}
