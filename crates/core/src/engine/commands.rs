//! What operators ask for (mpathd-behaviour.md 7.3 and 7.4).

use super::{Awaited, Engine, GroupId, Waiting};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::input::{Command, RequestId};
use crate::probe::ring::Fate;
use mpath_model::Time;
use std::time::Duration;

/// An operator is told after this that a move goes on.
const PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) fn request(&mut self, now: Time, id: RequestId, command: Command, out: &mut Vec<Action>) {
        match command {
            Command::Statistics => {
                self.statistics(out);
                self.reply(out, id, Ok(()));
            }
            Command::Freeze(how_long) => self.freeze(now, id, how_long, out),
            Command::Thaw => self.thaw(id, out),
            Command::Demote(more) => {
                self.carp_demote(more, out);
                self.reply(out, id, Ok(()));
            }
            Command::Offline(name) => match self.offline(&name, out) {
                Ok(()) => self.wait(now, id, Awaited::Move(name)),
                Err(refusal) => self.reply(out, id, Err(refusal)),
            },
            Command::Release(name) => match self.release(name.as_deref()) {
                Ok(()) => self.wait(now, id, Awaited::Release),
                Err(refusal) => self.reply(out, id, Err(refusal)),
            },
            Command::Online(name) => match self.online(&name, out) {
                Ok(()) => self.wait(now, id, Awaited::Move(name)),
                Err(refusal) => self.reply(out, id, Err(refusal)),
            },
        }
    }

    fn wait(&mut self, now: Time, id: RequestId, what: Awaited) {
        let concerned = |g: &crate::group::Group| match &what {
            Awaited::Move(nic) => g.nic_named(nic).is_some(),
            Awaited::Release => g.retiring,
        };
        for g in self.groups.iter_mut().filter(|g| concerned(g)) {
            (g.settled, g.clean) = (false, false);
        }
        self.waiting.push(Waiting { id, what, until: now + PATIENCE });
    }

    pub(super) fn member(&self, name: &str) -> Result<(GroupId, NicId), (&'static str, String)> {
        let groups = self.groups.iter().enumerate().filter(|(_, g)| !g.retiring && !g.anonymous);
        groups.clone().find_map(|(g, group)| group.nic_named(name).map(|n| (g, n))).ok_or_else(|| {
            let members: Vec<&str> = groups.flat_map(|(_, g)| g.nics.iter().map(|n| n.name())).collect();
            let known = if members.is_empty() { "there is no group".into() } else { members.join(", ") };
            ("unknown_interface", format!("{name} is not a member of a group (members: {known})"))
        })
    }

    /// At least one other usable NIC must remain; in a failed group any partner in service counts.
    fn offline(&mut self, name: &str, out: &mut Vec<Action>) -> Result<(), (&'static str, String)> {
        let (g, n) = self.member(name)?;
        let group = &self.groups[g];
        if group.nics[n].offline {
            return Err(("already_offline", format!("{name} is already offline")));
        }
        let serves = |x: &crate::nic::Nic| x.usable() || (group.failed && x.index.is_some() && !x.offline);
        if !group.nics.iter().enumerate().any(|(i, x)| i != n && serves(x)) {
            let text = format!(
                "{name} cannot be taken offline: no other functional interface is left in group {}",
                group.settings.name
            );
            return Err(("no_other_interface", text));
        }
        self.groups[g].nics[n].offline = true;
        self.dirty = true;
        self.tell(out, diag::offline(self.about(g, n)));
        Ok(())
    }

    fn online(&mut self, name: &str, out: &mut Vec<Action>) -> Result<(), (&'static str, String)> {
        let (g, n) = self.member(name)?;
        let nic = &mut self.groups[g].nics[n];
        if !nic.offline {
            return Err(("not_offline", format!("{name} is not offline")));
        }
        nic.offline = false;
        nic.bring_home = true;
        nic.test_address_missing = None;
        self.dirty = true;
        self.tell(out, diag::online(self.about(g, n)));
        Ok(())
    }

    fn statistics(&mut self, out: &mut Vec<Action>) {
        let all = || self.groups.iter().flat_map(|g| &g.nics).flat_map(|n| &n.instances);
        let (probes, occasions) = all().fold((0, 0), |(p, o), i| (p + i.missed.0, o + i.missed.1));
        self.tell(out, diag::missed_total(probes, occasions));
        for g in 0..self.groups.len() {
            for n in 0..self.groups[g].nics.len() {
                for i in &self.groups[g].nics[n].instances {
                    let open = i.ring.newest_first().filter(|p| p.fate == Fate::Outstanding).count() as u64;
                    let lost = i.ring.sent.saturating_sub(i.ring.acked + open);
                    let counts = [i.ring.sent, i.ring.acked, lost, open, i.refused];
                    for m in diag::statistics(self.about(g, n), i.family, counts) {
                        self.tell(out, m);
                    }
                }
            }
        }
    }
}
