//! What is said and asked for once a comparison with the kernel is over: moves that have succeeded, operators that wait for
//! one, and what the outside has to listen to.

use super::{Awaited, Engine};
use crate::action::Action;
use crate::diag;
use crate::group::{MoveKind, NicId};
use crate::probe::instance::Source;
use mpath_model::Family;
use mpath_model::kernel::Listen;
use mpath_model::settings::ProbeMode;

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
        for group in self.groups.iter().filter(|g| !g.retiring) {
            for nic in &group.nics {
                let Some(index) = nic.index else { continue };
                listen.carrier.push(index);
                if group.settings.probe != ProbeMode::Link && !group.anonymous {
                    listen.beacons.push(index);
                }
                for i in &nic.instances {
                    if matches!(i.source, Source::Echo(_)) {
                        listen.echo.push((index, i.family));
                    }
                    if i.family == Family::Inet {
                        listen.arp.push(index);
                    }
                }
            }
        }
        self.carp_listen(&mut listen);
        if listen != self.listen {
            self.listen = listen.clone();
            out.push(Action::Listen(listen));
        }
    }

    /// Groups that only waited for their last move home are dropped. Whether there were any.
    pub(super) fn drop_retired(&mut self) -> bool {
        let before = self.groups.len();
        if self.batches.is_empty() {
            self.groups.retain(|g| !g.retiring || !g.clean);
        }
        self.groups.len() != before
    }
}
