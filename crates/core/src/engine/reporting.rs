//! What is said and asked for once a comparison with the kernel is over: moves that have succeeded, operators that wait for
//! one, and what the outside has to listen to.

use super::{Awaited, Engine};
use crate::action::Action;
use crate::diag;
use crate::group::{MoveKind, NicId};
use crate::plan;
use crate::probe::instance::Source;
use mpath_model::kernel::Listen;
use mpath_model::settings::ProbeMode;
use mpath_model::{Family, IfIndex};

impl Engine {
    /// Messages 13, 15 and 20, once what they say is true.
    pub(super) fn report_moves(&mut self, out: &mut Vec<Action>) {
        if !self.batches.is_empty() {
            return;
        }
        for g in 0..self.groups.len() {
            if !self.groups[g].settled {
                continue;
            }
            let moves = std::mem::take(&mut self.groups[g].moves);
            for m in moves {
                let name = |n: NicId| self.groups[g].nics[n].name().to_string();
                let message = match m.kind {
                    MoveKind::Failover => {
                        diag::failed_over(self.about(g, m.from), &name(m.from), &name(m.to))
                    }
                    MoveKind::Failback => diag::failed_back(self.about(g, m.to)),
                };
                self.tell(out, message);
                self.demand_proof(self.now, g, m);
            }
            if let Some(first) = self.groups[g].first_back.take() {
                let group = self.groups[g].settings.name.clone();
                self.tell(out, diag::group_repair(self.about(g, first), &group));
            }
        }
    }

    /// Answers operators whose move is over.
    pub(super) fn answer_waiting(&mut self, out: &mut Vec<Action>) {
        if !self.batches.is_empty() {
            return;
        }
        let (groups, released) = (&self.groups, self.released());
        let clean = |w: &super::Waiting| match &w.what {
            Awaited::Move(nic) => groups.iter().all(|g| g.nic_named(nic).is_none() || g.clean),
            Awaited::Release => released,
        };
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(clean);
        self.waiting = waiting;
        for w in ready {
            self.reply(out, w.id, Ok(()));
        }
    }

    /// What the outside has to listen to.
    pub(super) fn update_listen(&mut self, out: &mut Vec<Action>) {
        let mut listen = Listen::default();
        for (g, group) in self.groups.iter().enumerate().filter(|(_, g)| !g.retiring) {
            for (n, nic) in group.nics.iter().enumerate() {
                let Some(index) = nic.index else { continue };
                listen.carrier.push(index);
                if group.settings.probe != ProbeMode::Link && !group.anonymous {
                    listen.beacons.push(index);
                }
                for i in &nic.instances {
                    if matches!(i.source, Source::Echo(_)) {
                        listen.echo.push((index, i.family));
                    }
                    if group.lagg.is_some() && matches!(i.source, Source::Arp | Source::Solicit) {
                        listen.ports.extend(self.wire_mac(g, n).map(|mac| (index, mac)));
                    } else if i.family == Family::Inet {
                        listen.arp.push(index);
                    }
                }
            }
        }
        self.carp_listen(&mut listen);
        listen.arp.extend(self.claims.asking());
        for (index, family) in self.proving() {
            listen.echo.push((index, family));
            if family == Family::Inet {
                listen.arp.push(index);
            }
        }
        listen.echo.sort();
        listen.echo.dedup();
        listen.arp.sort();
        listen.arp.dedup();
        listen.follow = self.stand_ins();
        if listen != self.listen {
            self.listen = listen.clone();
            out.push(Action::Listen(listen));
        }
    }

    /// Members out of service, and the NIC that took over from each: multicast groups follow.
    fn stand_ins(&self) -> Vec<(IfIndex, IfIndex)> {
        let groups = self.groups.iter().filter(|g| !g.retiring && !g.anonymous && !g.failed);
        let pairs = groups.flat_map(|group| {
            let out_of_service = (0..group.nics.len()).filter(|n| !group.nics[*n].usable());
            out_of_service.filter_map(|n| {
                let away = group.addresses.iter().find(|a| a.home == n && a.host != n)?;
                Some((group.nics[n].index?, group.nics[away.host].index?))
            })
        });
        pairs.collect()
    }

    /// Groups that only waited for their last move home are dropped. Whether there were any.
    pub(super) fn drop_retired(&mut self) -> bool {
        let before = self.groups.len();
        if self.batches.is_empty() {
            let inventory = &self.inventory;
            self.groups.retain(|g| !g.retiring || !g.clean || plan::unfinished(g, inventory));
        }
        self.groups.len() != before
    }
}
