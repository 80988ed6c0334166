//! What the schedule does to the world, and to whom it is news.

use super::{Happening, World};
use crate::faults::Fault;
use crate::invariants::Tracked;
use crate::lan::Nic;
use mpath_core::Input;
use mpath_core::input::Command;
use mpath_model::kernel::{KernelOp, Route};
use mpath_model::{Family, Settings};
use std::time::Duration;

impl World {
    pub(super) fn disturb(&mut self, number: Option<u32>, fault: Fault) {
        let number = number.map_or_else(String::new, |n| format!(" #{n}"));
        self.trace.note(self.now, format_args!("fault{number} {fault:?}"));
        self.stats.faults += 1;
        let calm = self.calm();
        self.duties.clear();
        let wanted = if calm { self.duties_of(fault) } else { Vec::new() };
        self.disturbed = self.now;
        self.routes_go_with_nobody();
        self.do_fault(fault);
        self.routes_go_with_nobody();
        self.sync_ports();
        let foreign = matches!(fault, Fault::DeleteDeclared { .. });
        self.note_presence(foreign);
        self.collect_events();
        for duty in wanted.into_iter().chain(if calm { self.duties_after(fault) } else { Vec::new() }) {
            self.plan_at(duty.due, Happening::Check);
            self.duties.push(duty);
        }
    }

    fn do_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Carrier { nic, present } => self.set_carrier(nic, present),
            Fault::AllCarrier { group, present } => {
                let members: Vec<Nic> = self.scenario.members(group).collect();
                members.into_iter().for_each(|n| self.set_carrier(n, present));
            }
            Fault::Path { nic, path } => self.lan.ports[nic].path = path,
            Fault::Node { segment, node, alive } => {
                self.believed.retain(|(s, n, _), _| (*s, *n) != (segment, node));
                self.lan.segments[segment][node].alive = alive;
            }
            Fault::AllNodes { segment, alive } => {
                self.believed.retain(|(s, ..), _| *s != segment);
                self.lan.segments[segment].iter_mut().for_each(|n| n.alive = alive);
            }
            Fault::Admin { nic, up } => {
                if let Some(index) = self.index[nic] {
                    let own = self.only_at_home(nic);
                    self.kernel.set_admin(index, up);
                    self.went_with(nic, own);
                }
            }
            Fault::Remove { nic } => {
                let own = self.only_at_home(nic);
                if let Some(index) = self.index[nic].take() {
                    self.removed[nic] = true;
                    self.kernel.remove_link(index);
                }
                self.went_with(nic, own);
            }
            Fault::Create { nic } => self.create(nic),
            Fault::DeleteDeclared { group, address } => self.delete_declared(group, address),
            Fault::Refuse { permille } => {
                self.note_mistreatment();
                self.hostile.refuse = permille;
            }
            Fault::Mute { permille } => {
                self.note_mistreatment();
                self.hostile.mute = permille;
            }
            Fault::Lose { permille } => {
                self.note_mistreatment();
                self.hostile.lose = permille;
            }
            Fault::Late { permille } => self.hostile.late = permille,
            Fault::Twice { permille } => self.hostile.twice = permille,
            Fault::Offline { nic } => self.request(nic, Command::Offline, Some(nic)),
            Fault::Online { nic } => {
                self.comes_back(nic);
                self.request(nic, Command::Online, None);
            }
            Fault::Restart { down, midway, torn } => {
                if self.daemon.engine.is_some() {
                    self.daemon.torn = torn;
                    if midway {
                        self.daemon.doomed = Some(down);
                    } else {
                        self.die(down);
                    }
                }
            }
            Fault::Starve { time } => {
                if self.daemon.engine.is_some() {
                    self.daemon.starved_until = self.now + time;
                    self.plan(time, Happening::Awake);
                }
            }
            Fault::Reexec => self.reexec(),
            Fault::Reload => self.reload(self.scenario.settings.clone()),
            Fault::Reconfigure { change } => {
                self.reload(crate::churn::altered(&self.scenario.settings, change));
            }
        }
    }

    /// Writes the file and has the daemon read it, if one runs.
    fn reload(&mut self, settings: Settings) {
        if self.file != settings {
            // Members come and go: who is out of service then is not said.
            (0..self.index.len()).for_each(|nic| self.comes_back(nic));
        }
        self.file = settings.clone();
        self.feed(Input::Configure(settings));
    }

    /// Found addresses that are on their NIC and nowhere else.
    fn only_at_home(&self, nic: Nic) -> Vec<usize> {
        let own = |t: &Tracked| !t.declared && t.home == nic && self.hosts(&t.addr) == [nic];
        (0..self.tracked.len()).filter(|t| own(&self.tracked[*t])).collect()
    }

    /// What the kernel took along with a NIC. Of an address at home on a NIC that is no member, by the file of the moment,
    /// nobody was to look after it; of an address or route that no journal knows, because whoever was to adopt it has not had a
    /// processor since its NIC is a member, nobody knew.
    fn went_with(&mut self, nic: Nic, own: Vec<usize>) {
        let absent = self.daemon.engine.is_none() || self.starving();
        for t in own {
            let addr = self.tracked[t].addr;
            let mut journal = self.daemon.persist.iter().flat_map(|p| &p.addresses);
            let unknown = absent && !journal.any(|a| a.addr == addr);
            let gone = !self.kernel.holds(&addr.address);
            self.tracked[t].forgotten |= gone && (unknown || !self.is_member(nic));
        }
        if absent {
            let journal: Vec<_> = self.daemon.persist.iter().flat_map(|p| &p.routes).collect();
            let known =
                |r: &Route| journal.iter().any(|k| k.route.dst == r.dst) || self.kernel.routes().contains(r);
            self.found_routes.retain(|(n, r)| *n != nic || known(r));
        }
    }

    /// The routes of a NIC that is no member and is away, down, or without an address of their family: the kernel has none for it.
    /// Looked at before a fault, which may make it a member again, and after it.
    fn routes_go_with_nobody(&mut self) {
        let mut found = std::mem::take(&mut self.found_routes);
        found.retain(|(n, r)| self.is_member(*n) || self.carries(*n, r.dst.family()));
        self.found_routes = found;
    }

    /// The NIC is up and has an address of the family.
    fn carries(&self, nic: Nic, family: Family) -> bool {
        let up = self.index[nic].filter(|i| self.kernel.link(*i).is_some_and(|l| l.up));
        up.is_some_and(|i| self.kernel.on(i).any(|a| a.addr.family() == family))
    }

    fn is_member(&self, nic: Nic) -> bool {
        let name = &self.scenario.nics[nic].name;
        self.file.group_of(name).is_some()
    }

    fn note_mistreatment(&mut self) {
        if self.hostile.refuse > 0 || self.hostile.mute > 0 || self.hostile.lose > 0 {
            self.mistreated = Some(self.now);
        }
    }

    fn set_carrier(&mut self, nic: Nic, present: bool) {
        if self.carrier[nic] == present {
            return;
        }
        self.carrier[nic] = present;
        let Some(index) = self.index[nic] else { return };
        let up = self.kernel.link(index).is_some_and(|l| l.up);
        self.kernel.set_carrier(index, present);
        if up {
            let late = if self.rng.chance(300) { 900_000 } else { 100 };
            let after = self.rng.duration(Duration::from_micros(5), Duration::from_micros(late));
            self.plan(after, Happening::LinkEvent(index));
            self.poll_soon(index);
        }
    }

    fn create(&mut self, nic: Nic) {
        if self.index[nic].is_some() {
            return;
        }
        let plan = self.scenario.nics[nic].clone();
        let index = self.kernel.create_link(&plan.name, plan.mac);
        self.index[nic] = Some(index);
        self.kernel.set_carrier(index, self.carrier[nic]);
        self.kernel.set_admin(index, true);
    }

    fn delete_declared(&mut self, group: usize, address: usize) {
        let addr = self.scenario.settings.groups[group].addresses[address].address;
        let on: Vec<u32> =
            self.kernel.addresses().iter().filter(|a| a.addr == addr).map(|a| a.index).collect();
        for index in on {
            self.kernel.apply(&KernelOp::DelAddress { index, addr });
            self.deletions.extend(self.nic_at(index).map(|nic| (addr, nic, self.now)));
        }
    }

    /// A NIC is about to be brought back, even if the daemon has not said yet that it is out of service.
    pub(crate) fn comes_back(&mut self, nic: Nic) {
        self.offline.remove(&nic);
        self.daemon.requests.values_mut().filter(|n| **n == Some(nic)).for_each(|n| *n = None);
    }

    /// `leaves`: the NIC that is out of service when the answer is yes.
    fn request(&mut self, nic: Nic, command: fn(String) -> Command, leaves: Option<Nic>) {
        if self.daemon.engine.is_none() {
            return;
        }
        let d = &mut self.daemon;
        d.last_request += 1;
        let id = d.last_request;
        d.requests.insert(id, leaves);
        let command = command(self.scenario.nics[nic].name.clone());
        self.feed(Input::Request { id, command });
    }
}
