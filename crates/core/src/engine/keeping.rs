//! What has to be kept reachable: adoption, wishes and losses, and what survives the process.

use super::{Engine, GroupId, carry};
use crate::action::Action;
use crate::diag;
use crate::group::{Group, HomedAddress, HomedRoute, NicId};
use crate::inventory::{self, Inventory};
use crate::persist::{self, NicMemory, Persistent};
use crate::{adopt, plan};
use mpath_model::kernel::Route;
use mpath_model::{PROTO_MPATHD, Time};
use std::time::Duration;

/// A deletion by somebody else is a wish if its NIC is still up after this; deletions that come with a NIC going
/// down are losses, and their events may come first.
pub const WISH_GRACE: Duration = Duration::from_millis(200);

impl Engine {
    /// Adopts what is new, forgets what was deleted on purpose.
    pub(super) fn keep(&mut self, now: Time, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            if self.groups[g].anonymous {
                continue;
            }
            if !self.groups[g].retiring {
                self.adopt_addresses(g, out);
                self.adopt_routes(g);
            }
            self.claim_test_addresses(g);
            self.watch_addresses(now, g, out);
            self.watch_routes(now, g, out);
        }
    }

    fn adopt_addresses(&mut self, g: GroupId, out: &mut Vec<Action>) {
        for n in 0..self.groups[g].nics.len() {
            let Some(index) = self.groups[g].nics[n].index else {
                continue;
            };
            let found: Vec<_> = self.inventory.on(index).cloned().collect();
            for a in found {
                let group = &mut self.groups[g];
                let known = group.addresses.iter_mut().find(|h| h.addr.address == a.addr.address);
                if let Some(h) = known {
                    if h.home == n && h.host == n && h.found.is_some() {
                        h.found = Some(a);
                    }
                    continue;
                }
                let elsewhere = |o: &Group| o.addresses.iter().any(|h| h.addr.address == a.addr.address);
                let others = self.groups.iter().enumerate().filter(|(o, _)| *o != g);
                let leaving = self.groups.iter().any(|o| o.lets_go(&a))
                    || others.into_iter().any(|(_, o)| elsewhere(o));
                let group = &mut self.groups[g];
                if leaving || adopt::judge(&group.settings, &a).is_err() {
                    continue;
                }
                let addr = a.addr;
                group.addresses.push(HomedAddress { found: Some(a), ..HomedAddress::new(addr, n) });
                self.tell(out, diag::adopted(self.about(g, n), &addr.to_string()));
            }
        }
    }

    /// Configured test addresses that carry our mark were installed by us, whatever the memory says.
    fn claim_test_addresses(&mut self, g: GroupId) {
        for nic in &mut self.groups[g].nics {
            let Some(index) = nic.index else { continue };
            let configured = plan::configured(nic);
            for a in self.inventory.on(index).filter(|a| a.protocol == PROTO_MPATHD) {
                let ours = configured.iter().any(|c| c.address == a.addr.address);
                if ours && !nic.installed.contains(&a.addr) {
                    nic.installed.push(a.addr);
                }
            }
        }
    }

    fn adopt_routes(&mut self, g: GroupId) {
        let group = &mut self.groups[g];
        for n in 0..group.nics.len() {
            let Some(index) = group.nics[n].index else {
                continue;
            };
            let new: Vec<Route> =
                self.inventory.routes().filter(|r| plan::follows(r, index)).cloned().collect();
            for route in new {
                if !group.routes.iter().any(|h| h.home == n && plan::at_home(&route, h, index)) {
                    group.routes.push(HomedRoute { route, home: n, host: n, missing: None, seen: true });
                }
            }
        }
    }

    fn watch_addresses(&mut self, now: Time, g: GroupId, out: &mut Vec<Action>) {
        let mut forgotten = Vec::new();
        for i in 0..self.groups[g].addresses.len() {
            let group = &mut self.groups[g];
            let a = &mut group.addresses[i];
            let Some(link) = up_link(&group.nics[a.host].index, &self.inventory) else {
                (a.seen, a.missing) = (false, None); // the NIC went down or away: a loss
                continue;
            };
            if let Some(there) = self.inventory.addresses.get(&(link, a.addr)) {
                a.seen = !carry::deletes_address(&self.batches, link, &a.addr);
                a.known |= inventory::usable(there);
                a.missing = None;
                continue;
            }
            let wish = !a.declared && a.host == a.home && !group.nics[a.home].failed;
            let (addr, host) = (a.addr, a.host);
            match a.missing {
                Some(since) if now - since >= WISH_GRACE => forgotten.push(i),
                None if a.seen && wish => a.missing = Some(now),
                None if a.seen => {
                    a.seen = false;
                    self.tell(out, diag::put_back(self.about(g, host), &addr.to_string()));
                }
                _ => {}
            }
        }
        for i in forgotten.into_iter().rev() {
            let a = self.groups[g].addresses.remove(i);
            self.tell(out, diag::forgotten(self.about(g, a.home), &a.addr.to_string()));
        }
    }

    fn watch_routes(&mut self, now: Time, g: GroupId, out: &mut Vec<Action>) {
        let mut forgotten = Vec::new();
        let group = &mut self.groups[g];
        for (i, r) in group.routes.iter_mut().enumerate() {
            let nic = &group.nics[r.home];
            let link = up_link(&nic.index, &self.inventory).filter(|_| r.host == r.home && !nic.failed);
            let Some(index) = link else {
                (r.seen, r.missing) = (false, None);
                continue;
            };
            if self.inventory.routes().any(|x| plan::at_home(x, r, index)) {
                (r.seen, r.missing) = (!carry::deletes_route(&self.batches, &r.route.dst), None);
                continue;
            }
            match r.missing {
                Some(since) if now - since >= WISH_GRACE => forgotten.push(i),
                None if r.seen => r.missing = Some(now),
                _ => {}
            }
        }
        for i in forgotten.into_iter().rev() {
            let r = self.groups[g].routes.remove(i);
            self.refresh_targets = true;
            self.tell(out, diag::forgotten(self.about(g, r.home), &format!("route {}", r.route.dst)));
        }
    }

    /// When the next wish is to be decided.
    pub(super) fn keeping_deadline(&self) -> Option<Time> {
        let addresses = self.groups.iter().flat_map(|g| &g.addresses).filter_map(|a| a.missing);
        let routes = self.groups.iter().flat_map(|g| &g.routes).filter_map(|r| r.missing);
        addresses.chain(routes).min().map(|t| t + WISH_GRACE)
    }

    pub(super) fn keeping_due(&self, now: Time) -> bool {
        self.keeping_deadline().is_some_and(|t| t <= now)
    }

    /// Takes over what an earlier run left, and finds declared addresses where they are.
    pub(super) fn restore(&mut self) {
        let memory = self.restored.take().unwrap_or_default();
        for group in &mut self.groups {
            for n in &memory.nics {
                if let Some(id) = group.nic_named(&n.name) {
                    let nic = &mut group.nics[id];
                    (nic.failed, nic.offline) = (n.failed, n.offline);
                    nic.installed = n.installed.clone();
                }
            }
            let name = group.settings.name.clone();
            for a in memory.addresses.iter().filter(|a| a.group == name) {
                restore_address(group, a);
            }
            for r in &memory.routes {
                let (Some(home), Some(host)) = (group.nic_named(&r.home), group.nic_named(&r.host)) else {
                    continue;
                };
                let route = r.route.clone();
                group.routes.push(HomedRoute { route, home, host, missing: None, seen: false });
            }
            if memory.nics.is_empty() {
                claim_routes(group, &self.inventory);
            }
            locate(group, &self.inventory, &memory);
        }
        self.frozen = memory.frozen;
        self.originals = memory.sysctls.iter().map(|(i, k, v)| ((i.clone(), *k), *v)).collect();
        self.persisted = memory;
    }

    /// Hands out what must be kept, if it has changed.
    pub(super) fn persist(&mut self, out: &mut Vec<Action>) {
        let state = self.persistent();
        if state != self.persisted {
            self.persisted = state.clone();
            out.push(Action::Persist(state));
        }
    }

    fn persistent(&self) -> Persistent {
        let mut p = Persistent { version: persist::VERSION, ..Persistent::default() };
        for group in &self.groups {
            let name = |n: NicId| group.nics[n].name().to_string();
            p.addresses.extend(group.addresses.iter().map(|a| persist::HomedAddress {
                addr: a.addr,
                group: group.settings.name.clone(),
                home: name(a.home),
                host: name(a.host),
                found: a.found.clone(),
            }));
            p.routes.extend(group.routes.iter().map(|r| persist::HomedRoute {
                route: r.route.clone(),
                index: r.route.hops[0].index,
                home: name(r.home),
                host: name(r.host),
            }));
            p.nics.extend(group.nics.iter().map(|n| NicMemory {
                name: n.name().to_string(),
                index: n.index,
                failed: n.failed,
                offline: n.offline,
                installed: n.installed.clone(),
            }));
        }
        p.frozen = self.frozen;
        p.sysctls = self.originals.iter().map(|((i, k), v)| (i.clone(), *k, *v)).collect();
        p
    }
}

fn restore_address(group: &mut Group, a: &persist::HomedAddress) {
    let (Some(home), Some(host)) = (group.nic_named(&a.home), group.nic_named(&a.host)) else {
        return;
    };
    match group.addresses.iter_mut().find(|h| h.addr == a.addr) {
        Some(declared) => (declared.host, declared.known) = (host, true),
        None if a.found.is_some() => {
            let found = a.found.clone();
            group.addresses.push(HomedAddress { host, found, ..HomedAddress::new(a.addr, home) });
        }
        // It was declared and is no longer: the configuration changed while nobody ran.
        None => group.condemned.push(a.addr),
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
                && r.uses(link.index)
                && r.hops[0].gateway.is_some()
        };
        for route in inventory.routes().filter(marked).cloned() {
            group.routes.push(HomedRoute { route, home: n, host: n, missing: None, seen: false });
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

fn up_link(index: &Option<mpath_model::IfIndex>, inventory: &Inventory) -> Option<mpath_model::IfIndex> {
    index.filter(|i| inventory.links.get(i).is_some_and(|l| l.up))
}
