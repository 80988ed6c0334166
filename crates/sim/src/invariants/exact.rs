//! Details of a healthy group: what was found is back exactly as it was, test addresses are where they
//! belong, members have the sysctls they need.

use crate::lan::Nic;
use crate::world::World;
use mpath_model::kernel::{Sysctl, ifa};
use mpath_model::settings::TestAddress;

/// What every member needs (linux-failover.md, "Recommended default move sequence", step 0).
const NEEDED: [(Sysctl, i32); 5] = [
    (Sysctl::ArpIgnore, 1),
    (Sysctl::ArpAnnounce, 2),
    (Sysctl::PromoteSecondaries, 1),
    (Sysctl::IgnoreRoutesWithLinkdown4, 1),
    (Sysctl::KeepAddrOnDown, 1),
];

impl World {
    /// The details of a group in which all NICs but `broken` work.
    pub(super) fn exact(&self, group: usize, broken: Option<Nic>) -> Result<(), String> {
        for n in self.scenario.members(group).filter(|n| broken != Some(*n)) {
            let name = &self.scenario.nics[n].name;
            if !self.forgetful {
                self.tests_in_place(group, n)?;
            }
            for (key, value) in NEEDED {
                let is = self.kernel.sysctl(name, key);
                if is != value {
                    return Err(format!("{key:?} of {name} is {is}, not {value}"));
                }
            }
        }
        self.as_found(group, broken)
    }

    fn tests_in_place(&self, group: usize, nic: Nic) -> Result<(), String> {
        let name = &self.scenario.nics[nic].name;
        let settings = self.scenario.settings.groups[group].interfaces.iter().find(|i| i.name == *name);
        for test in settings.into_iter().flat_map(|i| &i.test_addresses) {
            let TestAddress::Address(addr) = test else { continue };
            // With which prefix length it is installed is the daemon's choice.
            let on = self.kernel.addresses().iter().filter(|a| a.addr.address == addr.address);
            let hosts: Vec<Nic> = on.filter_map(|a| self.nic_at(a.index)).collect();
            if hosts != [nic] {
                return Err(format!("the test address {addr} of {name} is on NICs {hosts:?}"));
            }
        }
        Ok(())
    }

    /// Adopted addresses that are home look as they did when they were found. Whether an address is
    /// secondary, or was put back without duplicate address detection, is the kernel's business.
    fn as_found(&self, group: usize, broken: Option<Nic>) -> Result<(), String> {
        const MINOR: u32 = ifa::SECONDARY | ifa::TENTATIVE | ifa::NODAD;
        if self.forgetful {
            return Ok(());
        }
        for t in self.tracked.iter().filter(|t| t.group == group && !t.forgotten && broken != Some(t.home)) {
            let (Some(found), Some(index)) = (&t.found, self.index[t.home]) else { continue };
            let Some(is) = self.kernel.on(index).find(|a| a.addr == t.addr) else { continue };
            let mut was = found.clone();
            was.index = index;
            was.flags = (was.flags & !MINOR) | (is.flags & MINOR);
            if *is != was {
                return Err(format!("{} is home as {is:?}, but was found as {found:?}", t.addr));
            }
        }
        Ok(())
    }
}
