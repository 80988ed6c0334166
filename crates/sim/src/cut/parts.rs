//! What can be left out of a host with groups: a NIC, a group or an address, with every fault that would have struck it.

use super::{Cut, Kind, Piece};
use crate::churn::drop_nic;
use crate::faults::{Fault, Schedule};
use crate::scenario::Scenario;
use mpath_model::IfAddr;

/// Something with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Group(usize),
    Nic(usize),
    /// The address of a group in the configuration.
    Declared(usize, usize),
    /// The address that a NIC had before.
    Found(usize, usize),
}

impl Piece {
    /// Whether there is such a world, and all of its parts that are to be left out.
    pub fn check(&self) -> Result<(), String> {
        let Cut { without, .. } = &self.cut;
        if self.world != Kind::Groups && !without.is_empty() {
            return Err(format!("nothing can be left out of the world {}", self.world));
        }
        let mut scenario = Scenario::generate(self.seed);
        let mut schedule = Schedule::generate(&scenario);
        without.iter().try_for_each(|name| scenario.leave_out(name, &mut schedule))
    }

    /// Names of the parts that can still be left out, each by itself, the big ones first.
    pub(crate) fn parts(&self) -> Vec<String> {
        if self.world != Kind::Groups {
            return Vec::new();
        }
        let mut scenario = Scenario::generate(self.seed);
        let mut schedule = Schedule::generate(&scenario);
        for name in &self.cut.without {
            if scenario.leave_out(name, &mut schedule).is_err() {
                return Vec::new();
            }
        }
        let parts = scenario.parts();
        parts.into_iter().filter(|(part, _)| scenario.can_spare(*part)).map(|(_, name)| name).collect()
    }
}

impl Scenario {
    fn parts(&self) -> Vec<(Part, String)> {
        let groups = self.settings.groups.iter().enumerate();
        let declared = groups.clone().flat_map(|(g, group)| {
            group
                .addresses
                .iter()
                .enumerate()
                .map(move |(a, d)| (Part::Declared(g, a), d.address.to_string()))
        });
        let nics = self.nics.iter().enumerate();
        let found = nics.clone().flat_map(|(n, nic)| {
            nic.found.iter().enumerate().map(move |(a, found)| (Part::Found(n, a), IfAddr::to_string(found)))
        });
        let groups = groups.map(|(g, group)| (Part::Group(g), group.name.clone()));
        let nics = nics.map(|(n, nic)| (Part::Nic(n), nic.name.clone()));
        groups.chain(nics).chain(declared).chain(found).collect()
    }

    /// A world has a group, a group two NICs, one of them active, and an address.
    fn can_spare(&self, part: Part) -> bool {
        let groups = &self.settings.groups;
        match part {
            Part::Group(_) => groups.len() > 1,
            Part::Nic(n) => {
                let name = &self.nics[n].name;
                let left = groups[self.nics[n].group].interfaces.iter().filter(|i| i.name != *name);
                left.clone().count() > 1 && left.clone().any(|i| !i.standby)
            }
            Part::Declared(g, _) => groups[g].addresses.len() > 1,
            Part::Found(..) => true,
        }
    }

    /// Leaves out the part of this name, and of the schedule what would have happened to it.
    pub(crate) fn leave_out(&mut self, name: &str, schedule: &mut Schedule) -> Result<(), String> {
        let part = self.parts().into_iter().find(|(_, n)| n == name).map(|(part, _)| part);
        let part = part.ok_or_else(|| format!("there is no NIC, group or address {name}"))?;
        if !self.can_spare(part) {
            return Err(format!("without {name} there would be too little left"));
        }
        match part {
            Part::Group(g) => self.leave_out_group(g, schedule),
            Part::Nic(n) => {
                let group = &mut self.settings.groups[self.nics[n].group];
                let at = group.interfaces.iter().position(|i| i.name == name);
                drop_nic(group, at.expect("NICs are members of their groups"));
                self.leave_out_nic(n, schedule);
            }
            Part::Declared(g, a) => {
                self.settings.groups[g].addresses.remove(a);
                schedule.renumber(|fault| match fault {
                    Fault::DeleteDeclared { group, address } if *group == g => closed_up(address, a),
                    _ => true,
                });
            }
            Part::Found(n, a) => drop(self.nics[n].found.remove(a)),
        }
        Ok(())
    }

    fn leave_out_group(&mut self, g: usize, schedule: &mut Schedule) {
        while let Some(n) = self.nics.iter().position(|n| n.group == g) {
            self.leave_out_nic(n, schedule);
        }
        self.settings.groups.remove(g);
        self.lan.segments.remove(g);
        self.nics.iter_mut().filter(|n| n.group > g).for_each(|n| n.group -= 1);
        self.lan.ports.iter_mut().filter(|p| p.segment > g).for_each(|p| p.segment -= 1);
        schedule.renumber(|fault| match fault {
            Fault::AllCarrier { group, .. } | Fault::DeleteDeclared { group, .. } => closed_up(group, g),
            Fault::Node { segment, .. } | Fault::AllNodes { segment, .. } => closed_up(segment, g),
            _ => true,
        });
    }

    fn leave_out_nic(&mut self, n: usize, schedule: &mut Schedule) {
        self.nics.remove(n);
        self.lan.ports.remove(n);
        for route in &mut self.default_route {
            *route = route.and_then(|mut nic| closed_up(&mut nic, n).then_some(nic));
        }
        schedule.left = schedule.left.and_then(|(mut nic, f)| closed_up(&mut nic, n).then_some((nic, f)));
        schedule.renumber(|fault| match fault {
            Fault::Carrier { nic, .. }
            | Fault::Path { nic, .. }
            | Fault::Admin { nic, .. }
            | Fault::Remove { nic }
            | Fault::Create { nic }
            | Fault::Offline { nic }
            | Fault::Online { nic } => closed_up(nic, n),
            _ => true,
        });
    }
}

/// The number of something after number `gone` has been taken out of the row; false for that itself.
fn closed_up(number: &mut usize, gone: usize) -> bool {
    let stays = *number != gone;
    *number -= usize::from(*number > gone);
    stays
}
