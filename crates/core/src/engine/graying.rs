//! Loss that fails nothing, and what is done about it (see `gray`).

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::gray::{self, Tally};
use crate::group::NicId;
use crate::probe::ring::Fate;
use mpath_model::Time;
use mpath_model::settings::Confirm;
use std::net::IpAddr;
use std::time::Duration;

/// Detection times over which loss condemns a NIC: enough for the probes that a judgement needs. Over twice as many, and over
/// all that is remembered, it must not have been much less, since chance deals bad hands.
const CONDEMNED: u32 = 3;
/// Detection times over which a sibling must have been clean, or a NIC that was not; the ring holds no more.
const CLEAN: u32 = 7;
/// Detection times for which a NIC that has lost a lot is not taken for clean: chance deals good hands, too.
const WARY: u32 = 20;

impl Engine {
    /// Weighs what a NIC has lost of late.
    pub(super) fn weigh(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let nic = &mut self.groups[g].nics[n];
        let rings = || nic.instances.iter().map(|i| &i.ring);
        let (sent, answered) = (rings().map(|r| r.sent).sum(), rings().map(|r| r.acked).sum());
        nic.minutes.note(now, sent, answered);
        let group = &self.groups[g];
        let fdt = group.detection.current();
        let max_rtt = group.settings.thresholds.max_rtt;
        let nic = &group.nics[n];
        // Most NICs most of the time: there is nothing to weigh.
        if nic.gray.is_none() && max_rtt.is_none() && !nic.has_lost(now.before(fdt * CLEAN), now) {
            return;
        }
        let recent = self.tally(now, g, n, fdt * CLEAN);
        if recent.asked >= gray::ENOUGH && !recent.clean() {
            self.groups[g].beacons.hurry(now);
        }
        let nic = &mut self.groups[g].nics[n];
        if recent.bad(gray::DIRTY) {
            nic.dirty = Some(now);
        }
        let slow = gray::slow(nic.fastest(), max_rtt);
        if nic.gray.is_some() {
            if gray::pardoned(recent) && !slow {
                self.groups[g].nics[n].gray = None;
                self.dirty = true;
                self.tell(out, diag::trusted_again(self.about(g, n)));
            }
            return;
        }
        let group = &self.groups[g];
        let nic = &group.nics[n];
        // While there is doubt whether it lives at all, that is the question. A lagg is told where its frames leave by links
        // and verdicts alone.
        if group.lagg.is_some()
            || group.settings.confirm == Confirm::Off
            || group.failed
            || !nic.usable()
            || nic.confirm.doubting()
        {
            return;
        }
        // Whoever loses too much in a shorter time is not clean in this.
        if recent.clean() && !slow {
            return;
        }
        let (max_loss, last) = (group.settings.thresholds.max_loss, nic.gray_last);
        let own = self.tally(now, g, n, fdt * CONDEMNED);
        let lasting = self.tally(now, g, n, fdt * CONDEMNED * 2);
        let losing = own.bad(max_loss) && lasting.bad(max_loss * 4 / 5) && recent.bad(max_loss * 3 / 5);
        if !(losing || slow && recent.asked >= gray::ENOUGH) {
            return;
        }
        let fit = |m: &NicId| *m != n && group.nics[*m].usable() && group.nics[*m].gray.is_none();
        let quick =
            |m: &NicId| max_rtt.is_none() || group.nics[*m].fastest().is_some_and(|t| Some(t) <= max_rtt);
        let lucky = |m: &NicId| group.nics[*m].dirty.is_some_and(|at| now - at < fdt * WARY);
        let siblings = (0..group.nics.len()).filter(fit).filter(quick).filter(|m| !lucky(m));
        let siblings: Vec<Tally> = siblings.map(|m| self.tally(now, g, m, fdt * CLEAN)).collect();
        if !gray::condemned(now, &siblings, last) {
            return;
        }
        let message = match nic.fastest() {
            Some(takes) if !losing => diag::slow(self.about(g, n), takes),
            _ => diag::losing(self.about(g, n), own.percent().unwrap_or_default()),
        };
        let nic = &mut self.groups[g].nics[n];
        (nic.gray, nic.gray_last) = (Some(now), Some(now));
        self.dirty = true;
        self.tell(out, message);
    }

    /// What has been asked over a NIC in the last `window`, and lost. Probes of the schedule only, of both families:
    /// confirmations are asked when packets are being lost, and would count every burst of losses several times.
    pub(super) fn tally(&self, now: Time, g: GroupId, n: NicId, window: Duration) -> Tally {
        let nic = &self.groups[g].nics[n];
        let from = now.before(window).max(nic.repaired);
        let mut asked: Vec<(Time, IpAddr, bool)> = Vec::new();
        for i in &nic.instances {
            for p in i.ring.newest_first().take_while(|p| p.sent >= from) {
                let target = p.target.filter(|_| p.fate != Fate::Outstanding);
                asked.extend(target.map(|t| (p.sent, t, matches!(p.fate, Fate::Acked(_)))));
            }
        }
        asked.sort_by_key(|(sent, ..)| *sent);
        gray::count(asked.into_iter().map(|(_, whom, answered)| (whom, answered)))
    }
}
