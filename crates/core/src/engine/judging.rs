//! Reactions to failure and repair (mpathd-behaviour.md 3.5 to 3.9).

use super::sources::TESTADDR_CONF_TIME;
use super::{Engine, GroupId, SCAN_INTERVAL};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::probe::instance::QUIET_PERIOD;
use crate::verdict::{self, Cause, Verdict, Witness};
use mpath_model::Time;
use mpath_model::settings::{Confirm, ProbeMode};

/// Detection times over which a path that falls silent must have been clean.
const LATELY: u32 = 7;

impl Engine {
    /// The failure check: is the NIC suspect, and is it alone in that?
    pub(super) fn check_failure(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let group = &mut self.groups[g];
        if group.nics[n].offline || group.nics[n].failed {
            return;
        }
        let confirm = (group.settings.confirm != Confirm::Off).then(|| group.detection.current());
        let Some(cause) = verdict::suspect(&mut group.nics[n], now, confirm) else {
            return;
        };
        let early = confirm.is_some_and(|fdt| group.nics[n].confirm.early(now, fdt));
        if matches!(cause, Cause::Probes(_)) && early && self.lost_before(now, g, n) {
            return;
        }
        let group = &self.groups[g];
        let verdict = if group.is_lone() {
            Verdict::NicFailure
        } else {
            verdict::decide(&self.witnesses(g, n), self.groups[g].failed, cause)
        };
        match verdict {
            Verdict::NicFailure if matches!(cause, Cause::Probes(_)) && self.port_clears(g, n) => {}
            Verdict::NicFailure => self.nic_failure(g, n, cause, out),
            Verdict::GroupFailure if matches!(cause, Cause::Probes(_)) && self.ports_decide(g, n, out) => {}
            Verdict::GroupFailure => self.group_failure(now, g, out),
        }
    }

    /// Whether a path has lost something of late, before it fell silent. Where losses come in bursts, silence is less of a
    /// sign: the verdict waits until the detection time is nearly over. A path that was clean is given up as soon as enough
    /// was asked.
    fn lost_before(&self, now: Time, g: GroupId, n: NicId) -> bool {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let Some(life) = nic.confirm.life else { return false };
        nic.has_lost(now.before(group.detection.current() * LATELY), life)
    }

    fn witnesses(&self, g: GroupId, except: NicId) -> Vec<Witness> {
        let group = &self.groups[g];
        let others = group.nics.iter().enumerate().filter(|(n, _)| *n != except);
        others
            .map(|(_, nic)| Witness {
                in_service: nic.index.is_some() && !nic.offline,
                failed: nic.failed,
                link: nic.index.and_then(|i| self.inventory.links.get(&i)).is_some_and(|l| l.running),
                probed: nic.probed(),
                last_ack: nic.instances.iter().filter_map(|i| i.ring.last_ack).chain(nic.confirm.life).max(),
            })
            .collect()
    }

    pub(super) fn nic_failure(&mut self, g: GroupId, n: NicId, cause: Cause, out: &mut Vec<Action>) {
        let nic = &mut self.groups[g].nics[n];
        nic.failed = true;
        nic.trailing = false;
        nic.confirm.rest();
        nic.gray = None;
        nic.reset_rtt();
        self.dirty = true;
        let cause = match cause {
            Cause::Link => "link down",
            Cause::Probes(_) => "probes unanswered",
            Cause::Port => "no frame passes between it and the other members",
        };
        self.tell(out, diag::nic_failure(self.about(g, n), cause));
        self.switch_at_once(g, out);
    }

    /// Everything is dead: nothing moves, and hosts are looked for anew, since they may all have died at once.
    fn group_failure(&mut self, now: Time, g: GroupId, out: &mut Vec<Action>) {
        let group = &mut self.groups[g];
        let told = std::mem::replace(&mut group.failed, true);
        for nic in group.nics.iter_mut().filter(|n| !n.offline) {
            nic.failed = true;
            nic.reset_rtt();
            for i in &mut nic.instances {
                let gone = i.targets.flush_hosts();
                i.forget(&gone, now);
                i.discover_anew(now);
                // It did not ask, so that nothing is lost: what was answered before proves nothing any more.
                if i.ring.newest_decided() == Some(true) {
                    i.ring.clear();
                }
            }
        }
        group.moves.clear();
        group.first_back = None;
        self.dirty = true;
        if !told {
            let name = self.groups[g].settings.name.clone();
            self.tell(out, diag::group_failure(diag::About { nic: None, group: Some(&name) }, &name));
        }
    }

    /// The repair check (3.8).
    pub(super) fn check_repair(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let by_probes = self.judged_by_probes(now, g, n);
        let settling = self.groups[g].settling(n).is_some();
        let by_port = self.port_proven(g, n);
        let nic = &mut self.groups[g].nics[n];
        if !nic.failed || !nic.link || nic.index.is_none() || settling {
            return;
        }
        if let Some(proven) = by_port {
            if proven {
                self.repaired(now, g, n, out);
            }
            return;
        }
        if by_probes {
            if verdict::proven_by_probes(nic, now) {
                self.repaired(now, g, n, out);
            }
        } else if nic.damped_until(now).is_none() {
            self.repaired(now, g, n, out);
        } else if !std::mem::replace(&mut nic.flap_told, true) {
            self.tell(out, diag::flapping(self.about(g, n)));
        }
    }

    /// Whether probes have a say in the repair of a NIC. They have where a test address is configured, or where
    /// somebody has been asked, or can be asked from a sibling; a source that is not there yet is waited for. A NIC
    /// probed without test addresses that has no neighbour anywhere is judged by its link alone.
    pub(super) fn judged_by_probes(&self, now: Time, g: GroupId, n: NicId) -> bool {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let probing = group.settings.probe != ProbeMode::Link && !nic.offline;
        let neighbours = || group.nics.iter().any(|n| n.capable());
        let demanded = !nic.settings.test_addresses.is_empty();
        // A failed NIC of an earlier run is not repaired by nobody having asked yet, where another one serves. A lagg uses a
        // failed port where it has no other: there is time to ask.
        let early = group.lagg.is_some() && now - nic.appeared < QUIET_PERIOD;
        let spared = early || group.nics.iter().any(crate::nic::Nic::usable);
        let remembered = probing && nic.remembered && spared;
        if !nic.probed() {
            let young = now - nic.appeared < TESTADDR_CONF_TIME;
            let awaited = nic.test_address_missing.is_some_and(|since| now - since < TESTADDR_CONF_TIME);
            return probing && ((demanded && awaited) || (young && (demanded || remembered || neighbours())));
        }
        remembered || nic.instances.iter().any(|i| i.configured || i.ring.sent > 0) || neighbours()
    }

    /// When [`Engine::judged_by_probes`] has waited long enough for something to judge a failed NIC by.
    pub(super) fn unjudged_deadline(&self, g: GroupId) -> Option<Time> {
        let group = &self.groups[g];
        let failed = group.nics.iter().filter(|n| n.failed && n.link && n.index.is_some());
        let times = failed.flat_map(|n| {
            let early = group.lagg.is_some().then(|| n.appeared + QUIET_PERIOD);
            let awaited = n.test_address_missing.map(|since| since + TESTADDR_CONF_TIME);
            [Some(n.appeared + TESTADDR_CONF_TIME), awaited, early]
        });
        times.flatten().filter(|t| *t > self.now).min()
    }

    fn repaired(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let nic = &mut self.groups[g].nics[n];
        nic.failed = false;
        nic.remembered = false;
        nic.trailing = false;
        nic.port.dead = false;
        nic.repaired = now;
        nic.flap_told = false;
        self.dirty = true;
        self.tell(out, diag::nic_repair(self.about(g, n)));
        self.group_back(now, g);
        self.switch_at_once(g, out);
    }

    /// A failed group comes back through its first usable NIC, repaired or put back online.
    pub(super) fn group_back(&mut self, now: Time, g: GroupId) {
        let group = &mut self.groups[g];
        let first = group.nics.iter().position(crate::nic::Nic::usable);
        if group.failed && first.is_some() {
            group.failed = false;
            group.first_back = first;
            // The others may be a moment behind: emptying them onto the first would only be undone (3.5, 3.9).
            group.grace = Some(now + (group.detection.current() * 2).min(SCAN_INTERVAL));
            group.nics.iter_mut().for_each(|n| n.trailing = n.failed);
        }
    }

    /// Whoever has not come back by now is emptied.
    pub(super) fn end_grace(&mut self, now: Time, groups: &[GroupId]) {
        for &g in groups {
            if self.groups[g].grace.is_none_or(|t| t > now) {
                continue;
            }
            let group = &mut self.groups[g];
            group.grace = None;
            group.nics.iter_mut().for_each(|n| n.trailing = false);
            self.dirty = true;
        }
    }
}
