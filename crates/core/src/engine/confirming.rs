//! Doubt about a NIC: when it begins, who is asked about it, and what ends it. The bookkeeping is in `probe::confirm`, the
//! verdict in `judging`.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::group::NicId;
use crate::probe::confirm::{Candidate, Method, missed_at};
use crate::probe::instance::{Instance, Source};
use crate::probe::ring::Fate;
use mpath_model::addr::Family;
use mpath_model::kernel::Transmit;
use mpath_model::settings::Confirm;
use mpath_model::{IfIndex, Time};
use mpath_wire::probe::{Kind, Payload};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Neighbours asked beside the targets, for each family.
const NEIGHBOURS: usize = 3;
/// ARP and Neighbour Discovery answers of somebody whose echo has been silent for longer than this prove nothing: fabrics
/// answer them for the dead.
const PROXY_SUSPICION: Duration = Duration::from_secs(600);

impl Engine {
    /// Begins and pursues doubts.
    pub(super) fn confirm(&mut self, now: Time, groups: &[GroupId], out: &mut Vec<Action>) {
        for &g in groups {
            for n in 0..self.groups[g].nics.len() {
                if !self.may_doubt(g, n) {
                    if self.groups[g].nics[n].confirm.doubting() {
                        self.groups[g].nics[n].confirm.rest();
                    }
                    continue;
                }
                if !self.groups[g].nics[n].confirm.doubting()
                    && self.doubtful_at(g, n).is_some_and(|t| t <= now)
                {
                    let candidates = self.candidates(g, n);
                    self.groups[g].nics[n].confirm.doubt(now, candidates);
                }
                if !self.groups[g].nics[n].confirm.doubting() {
                    continue;
                }
                self.question(now, g, n, out);
                // Else the verdict is made with the next probe, as ever.
                if self.groups[g].nics[n].confirm.over(now, self.groups[g].detection.current()) {
                    self.check_failure(now, g, n, out);
                }
            }
        }
    }

    /// When something is to be done about doubts in a NIC.
    pub(super) fn confirm_deadline(&self, g: GroupId, n: NicId) -> Option<Time> {
        if !self.may_doubt(g, n) {
            return None;
        }
        let group = &self.groups[g];
        let doubts = &group.nics[n].confirm;
        if doubts.doubting() {
            return doubts.wake(self.now, group.detection.current());
        }
        self.doubtful_at(g, n)
    }

    fn may_doubt(&self, g: GroupId, n: NicId) -> bool {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        group.settings.confirm != Confirm::Off
            && nic.link
            && nic.index.is_some()
            && !(nic.failed || nic.offline || group.failed || group.retiring)
    }

    /// When the newest probe of some family, if nothing has been heard since, counts as missed: no loss is believed in the
    /// quiet period.
    fn doubtful_at(&self, g: GroupId, n: NicId) -> Option<Time> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let interval = group.detection.interval();
        let missed = |i: &Instance| {
            let p = i.ring.newest_first().next()?;
            let open = !matches!(p.fate, Fate::Acked(_)) && nic.confirm.life.is_none_or(|at| p.sent >= at);
            let believed = i.quiet_until.unwrap_or_default();
            open.then(|| missed_at(p.sent, p.deadline, interval).max(believed))
        };
        nic.instances.iter().filter(|i| i.capable()).filter_map(missed).min()
    }

    /// Whom to ask: the targets of both families, then some neighbours, each by every method that the settings allow.
    fn candidates(&self, g: GroupId, n: NicId) -> Vec<Candidate> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let mut found: Vec<Candidate> = Vec::new();
        for i in &nic.instances {
            let usual = i.targets.active().filter_map(|t| t.rtt.conservative()).max();
            let targets = i.targets.active().map(|t| (t.address, t.rtt.conservative()));
            let neighbours = self.neighbours(g, i.family).into_iter().map(|a| (a, None));
            let neighbours = neighbours.filter(|(a, _)| i.targets.active().all(|t| t.address != *a));
            for (target, rtt) in targets.chain(neighbours.take(NEIGHBOURS)) {
                let pause = rtt.or(usual).map_or(group.detection.interval(), |r| r + r / 2);
                for method in i.methods(group.settings.confirm) {
                    found.push(Candidate { target, method, pause, asked: None });
                }
            }
        }
        found
    }

    fn question(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let interval = self.groups[g].detection.interval();
        let Some(asked) = self.groups[g].nics[n].confirm.ask(now, interval) else { return };
        let nonce = self.rng.next_u64();
        if let Some(what) = self.compose(now, (g, n), &asked, nonce) {
            self.groups[g].nics[n].confirm.record(&asked, nonce, now);
            out.push(Action::Send(what));
        }
    }

    fn compose(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        asked: &Candidate,
        nonce: u64,
    ) -> Option<Transmit> {
        let nic = &self.groups[g].nics[n];
        let index = nic.index?;
        let instance = nic.instances.iter().find(|i| i.family == Family::of(&asked.target))?;
        match (asked.method, asked.target) {
            (Method::Echo, target) => {
                let Source::Echo(source) = instance.source else { return None };
                let payload = Payload { sent: now, kind: Kind::Confirm, nonce }.emit().to_vec();
                Some(Transmit::Echo {
                    index,
                    source,
                    target,
                    ident: self.ident,
                    seq: instance.next_seq,
                    payload,
                })
            }
            (Method::Arp, IpAddr::V4(target)) => {
                let bytes = self.arp_request(now, (g, n), index, target)?;
                Some(Transmit::Frame { index, bytes })
            }
            (Method::Solicit, IpAddr::V6(target)) => {
                let bytes = match instance.source {
                    Source::Echo(IpAddr::V6(source)) => self.solicitation(index, source, target)?,
                    Source::Solicit => self.port_solicitation((g, n), target)?,
                    _ => return None,
                };
                Some(Transmit::Frame { index, bytes })
            }
            _ => None,
        }
    }

    /// To the MAC the target was last seen with, as neighbour unreachability detection asks, or to its group.
    pub(super) fn solicitation(&self, index: IfIndex, source: Ipv6Addr, target: Ipv6Addr) -> Option<Vec<u8>> {
        let mac = self.inventory.links.get(&index).and_then(|l| l.mac)?;
        Some(match self.inventory.neighbour_mac(index, &IpAddr::V6(target)) {
            Some(known) => mpath_wire::ndisc::unicast_solicitation_frame(mac, known, source, target),
            None => mpath_wire::ndisc::solicitation_frame(mac, source, target),
        })
    }

    /// Somebody answered on this NIC in some way, at `at`: the path lives, unless somebody else may have answered for him.
    pub(super) fn sign_of_life(&mut self, (g, n): (GroupId, NicId), from: IpAddr, method: Method, at: Time) {
        let nic = &mut self.groups[g].nics[n];
        if method == Method::Echo {
            nic.note_echo(from, at);
        } else if nic.last_echo(&from).is_some_and(|last| at - last > PROXY_SUSPICION) {
            return;
        }
        nic.confirm.alive(at);
        nic.answered = true;
        let Some(instance) = nic.instance(Family::of(&from)) else { return };
        instance.end_quiet(); // what is lost from now on is believed
        match instance.targets.get_mut(&from) {
            Some(_) if method == Method::Echo => instance.relieve(),
            Some(_) => {}
            None => instance.vouch(from, at),
        }
    }
}
