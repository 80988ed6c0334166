//! The sysctls that members need, and those of former members that go back to what they were.

use super::Engine;
use crate::action::Action;
use crate::group::{Group, HomedAddress};
use crate::guard::Object;
use crate::nic::Nic;
use mpath_model::Time;
use mpath_model::kernel::{KernelOp, Sysctl};
use std::collections::BTreeSet;

/// What every member needs (linux-failover.md, pitfalls 1, 2, 3, 6, 8 and 20).
const MEMBER_SYSCTLS: [(Sysctl, i32); 7] = [
    (Sysctl::ArpIgnore, 1),
    (Sysctl::ArpAnnounce, 2),
    (Sysctl::RpFilter, 2),
    (Sysctl::PromoteSecondaries, 1),
    (Sysctl::IgnoreRoutesWithLinkdown4, 1),
    (Sysctl::IgnoreRoutesWithLinkdown6, 1),
    (Sysctl::KeepAddrOnDown, 1),
];

/// What an interface below a virtual MAC needs (lagg-carp.md C.8).
const CARP_SYSCTLS: [(Sysctl, i32); 2] = [(Sysctl::ArpIgnore, 1), (Sysctl::ArpAnnounce, 2)];

impl Engine {
    /// Sysctls of members that differ from what they must be, and of former members that differ from what they were.
    pub(super) fn sysctl_ops(&mut self, now: Time, out: &mut Vec<Action>) -> Vec<KernelOp> {
        let members: BTreeSet<String> = self
            .groups
            .iter()
            .filter(|g| !g.retiring && !g.anonymous)
            .flat_map(|g| g.nics.iter().filter(|n| n.index.is_some()).map(|n| n.name().to_string()))
            .collect();
        let mut ops = Vec::new();
        for interface in &members {
            for (key, value) in MEMBER_SYSCTLS {
                let at = (interface.clone(), key);
                let Some(now) = self.inventory.sysctls.get(&at).copied().filter(|v| *v != value) else {
                    continue;
                };
                self.originals.entry(at).or_insert(now);
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key, value });
            }
        }
        let parents = self.carp_parents();
        for interface in parents.difference(&members) {
            for (key, value) in CARP_SYSCTLS {
                let at = (interface.clone(), key);
                let Some(now) = self.inventory.sysctls.get(&at).copied().filter(|v| *v != value) else {
                    continue;
                };
                self.originals.entry(at).or_insert(now);
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key, value });
            }
        }
        let below =
            |i: &String, k: &Sysctl| parents.contains(i) && CARP_SYSCTLS.iter().any(|(key, _)| key == k);
        let named: BTreeSet<&str> = self.groups.iter().flat_map(|g| &g.nics).map(|n| n.name()).collect();
        let inventory = &self.inventory;
        // Who merely waits for a NIC to come back needs no more of the others than that a copy can be taken off them.
        let busy = |g: &Group, n: &Nic| {
            let there = |a: &HomedAddress, i| inventory.at(i, &a.addr.address).next().is_some();
            let copy = |i| g.addresses.iter().any(|a| there(a, i));
            !(g.retiring && g.clean) || n.index.is_some_and(copy)
        };
        let groups = self.groups.iter().filter(|g| !g.is_lone());
        let all = groups.flat_map(|g| g.nics.iter().map(move |n| (g, n)));
        let busy: BTreeSet<&str> = all.filter(|(g, n)| busy(g, n)).map(|(_, n)| n.name()).collect();
        let laggs = self.groups.iter().filter(|g| g.lagg.is_some());
        let ports: BTreeSet<&str> = laggs.flat_map(|g| &g.nics).map(|n| n.name()).collect();
        self.written.retain(|(i, _)| named.contains(i.as_str()));
        self.originals.retain(|(i, _), _| named.contains(i.as_str()) || inventory.link_named(i).is_some());
        for ((interface, key), value) in &self.originals {
            // A port may have no IPv6 of its own; whoever is none any more needs it back at once.
            let freed = *key == Sysctl::DisableIpv6 && !ports.contains(interface.as_str());
            // Last of all: without them, taking one address off could take others along.
            if freed
                || !members.contains(interface)
                    && !below(interface, key)
                    && !busy.contains(interface.as_str())
            {
                ops.push(KernelOp::SetSysctl { interface: interface.clone(), key: *key, value: *value });
            }
        }
        let held = &self.held;
        ops.retain(|op| !held.holds(now, op));
        ops.retain(|op| self.repairs_sysctl(now, op, out));
        ops
    }

    /// Whether a sysctl is written: the first time, and as long as nobody fights over it.
    fn repairs_sysctl(&mut self, now: Time, op: &KernelOp, out: &mut Vec<Action>) -> bool {
        let KernelOp::SetSysctl { interface, key, .. } = op else { return true };
        let at = (interface.clone(), *key);
        if !self.is_member(interface) || !self.written.contains(&at) {
            self.written.insert(at);
            return true;
        }
        !self.left_alone(op) && self.attacked(now, Object::Sysctl(interface.clone(), *key), None, out)
    }
}
