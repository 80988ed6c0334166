//! What survives the process: handed out as it changes, and taken over at the next start.
//!
//! The settings that were in force are part of it. A start restores what was remembered under those, and then goes over
//! to the settings of today exactly as a reload does: a configuration that was changed while nobody ran is no
//! special case, and neither is a reload that was cut short.

use super::Engine;
use crate::action::Action;
use crate::group::{Group, HomedAddress, HomedRoute, NicId, UNTOLD};
use crate::inventory::Inventory;
use crate::nic::Nic;
use crate::persist::{self, NicMemory, Persistent};
use mpath_model::kernel::{Route, TABLES};
use mpath_model::{PROTO_MPATHD, Time};
use std::collections::BTreeSet;

impl Engine {
    /// Takes over what an earlier run left, and finds declared addresses where they are.
    pub(super) fn restore(&mut self, now: Time, out: &mut Vec<Action>) {
        let memory = self.restored.take().unwrap_or_default();
        self.carps.restore(memory.demotion);
        self.inventory.recall(&memory.unmarked);
        let wanted = self.settings.clone();
        let then = memory.settings.clone().filter(|s| **s != wanted);
        let changed = then.is_some();
        if let Some(then) = then {
            self.groups = Default::default();
            self.configure(*then);
        }
        self.recall(&memory, None);
        self.frozen = memory.frozen;
        self.originals = memory.sysctls.iter().map(|(i, k, v)| ((i.clone(), *k), *v)).collect();
        if changed {
            // A reload knows which interfaces the members are.
            let known = self.groups.iter().flat_map(|g| &g.nics).map(|n| n.name().to_string()).collect();
            self.sync_members(now, out);
            self.configure(wanted);
            // Where something has not gone home for long, others have become members since.
            self.recall(&memory, Some(&known));
        }
        self.persisted = memory;
    }

    /// Takes over what was kept of members, all of them or those that were none under earlier settings.
    fn recall(&mut self, memory: &Persistent, known: Option<&BTreeSet<String>>) {
        let new = |name: &str| known.is_none_or(|k| !k.contains(name));
        for group in self.groups.iter_mut().filter(|g| !g.retiring) {
            let kept = |n: &NicMemory| new(&n.name) && group.nic_named(&n.name).is_some();
            if known.is_some() && !memory.nics.iter().any(kept) {
                continue;
            }
            for n in memory.nics.iter().filter(|n| new(&n.name)) {
                if let Some(id) = group.nic_named(&n.name) {
                    let nic = &mut group.nics[id];
                    (nic.failed, nic.offline) = (n.failed, n.offline);
                    nic.remembered = n.failed;
                    nic.installed = n.installed.clone();
                }
            }
            let name = group.settings.name.clone();
            if let Some(lagg) = group.lagg.as_mut().filter(|l| !l.ours)
                && let Some(known) = memory.laggs.iter().find(|m| m.name == name)
            {
                lagg.restore(known);
            }
            for a in memory.addresses.iter().filter(|a| new(&a.home)) {
                restore_address(group, a);
            }
            for r in memory.routes.iter().filter(|r| new(&r.home)) {
                let Some(home) = group.nic_named(&r.home) else { continue };
                let host = group.nic_named(&r.host).unwrap_or(home);
                let (route, index) = (r.route.clone(), r.index);
                group.routes.push(HomedRoute { route, index, home, host, missing: None, seen: false });
            }
            if memory.nics.is_empty() {
                claim_routes(group, &self.inventory);
            }
            locate(group, &self.inventory, memory);
            group.addresses.iter_mut().for_each(|a| a.told = Some(UNTOLD));
        }
    }

    /// Hands out what must be kept, if it has changed.
    pub(super) fn persist(&mut self, out: &mut Vec<Action>) {
        // Settings are big, and seldom change: they are compared by themselves, and not copied.
        let settings = self.persisted.settings.take();
        let stay = settings.as_ref().is_some_and(|s| self.under_way() || **s == self.settings);
        let mut state = self.persistent();
        let changed = !stay || state != self.persisted;
        state.settings = if stay { settings } else { Some(Box::new(self.settings.clone())) };
        self.persisted = state;
        if changed {
            out.push(Action::Persist(self.persisted.clone()));
        }
    }

    /// While something of earlier settings has not gone home, those tell where everything may be.
    fn under_way(&self) -> bool {
        let leavings = |g: &Group| !g.clean && g.former.len() + g.lenders.len() > 0;
        self.groups.iter().any(|g| g.retiring || leavings(g))
    }

    /// All but the settings.
    fn persistent(&self) -> Persistent {
        let mut p = Persistent { version: persist::VERSION, ..Persistent::default() };
        p.demotion = self.carps.operator();
        for group in self.groups.iter() {
            let name = |n: NicId| group.nics[n].name().to_string();
            p.addresses.extend(group.addresses.iter().map(|a| persist::HomedAddress {
                addr: a.addr,
                group: group.settings.name.clone(),
                home: name(a.home),
                host: name(a.host),
                found: a.found.clone(),
                fresh: !a.known,
            }));
            p.routes.extend(group.routes.iter().map(|r| persist::HomedRoute {
                route: r.route.clone(),
                index: r.index,
                home: name(r.home),
                host: name(r.host),
            }));
            p.laggs.extend(group.lagg.as_ref().and_then(crate::lagg::Lagg::memory));
            // What a group in retirement remembers of a NIC is older than what a living one knows.
            let living = |name: &str| self.groups.iter().any(|o| !o.retiring && o.nic_named(name).is_some());
            let outdated = |n: &&Nic| group.retiring && living(n.name());
            p.nics.extend(group.nics.iter().filter(|n| !outdated(n)).map(|n| NicMemory {
                name: n.name().to_string(),
                index: n.index,
                failed: n.failed,
                offline: n.offline,
                installed: n.installed.clone(),
            }));
        }
        p.frozen = self.frozen;
        p.unmarked = self.inventory.marks.all();
        p.sysctls = self.originals.iter().map(|((i, k), v)| (i.clone(), *k, *v)).collect();
        p
    }
}

fn restore_address(group: &mut Group, a: &persist::HomedAddress) {
    let Some(home) = group.nic_named(&a.home) else { return };
    let host = group.nic_named(&a.host).unwrap_or(home);
    match group.addresses.iter_mut().find(|h| h.addr == a.addr) {
        Some(declared) => (declared.host, declared.known) = (host, !a.fresh),
        None if a.found.is_some() => {
            let found = a.found.clone();
            group.addresses.push(HomedAddress { host, found, ..HomedAddress::new(a.addr, home) });
        }
        // It was declared and is no longer: the configuration changed while nobody ran.
        None => drop(group.condemned.insert(a.addr)),
    }
}

/// Without a memory, routes over gateways that carry our mark are all that is left of what their owners installed: they stay where
/// they are.
fn claim_routes(group: &mut Group, inventory: &Inventory) {
    for n in 0..group.nics.len() {
        let Some(link) = inventory.link_named(group.nics[n].name()) else { continue };
        let marked = |r: &&Route| {
            r.protocol == PROTO_MPATHD
                && r.hops.len() == 1
                && r.hops[0].gateway.is_some()
                && r.expires.is_none()
                && !TABLES.contains(&r.table)
        };
        for mut route in inventory.routes_through(link.index).filter(marked).cloned() {
            let index = link.index;
            // The source address is what we gave it on the way; with that address it would go again.
            route.prefsrc = None;
            group.routes.push(HomedRoute { route, index, home: n, host: n, missing: None, seen: false });
        }
    }
}

/// Declared addresses that nothing is remembered of are hosted where they are found.
fn locate(group: &mut Group, inventory: &Inventory, memory: &Persistent) {
    for i in 0..group.addresses.len() {
        let addr = group.addresses[i].addr;
        if memory.addresses.iter().any(|m| m.addr == addr) {
            continue;
        }
        let on = |n: &crate::nic::Nic| {
            inventory.link_named(n.name()).is_some_and(|l| inventory.addresses.contains_key(&(l.index, addr)))
        };
        let home = group.addresses[i].home;
        if !on(&group.nics[home])
            && let Some(n) = group.nics.iter().position(on)
        {
            group.addresses[i].host = n;
        }
    }
}
