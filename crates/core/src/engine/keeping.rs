//! What has to be kept reachable: adoption, wishes and losses. What survives the process is in `memory`.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::{Group, HomedAddress, HomedRoute};
use crate::guard::Object;
use crate::inventory::{self, Inventory};
use crate::{adopt, plan};
use mpath_model::kernel::{Address, FOREVER, ifa};
use mpath_model::{Family, IfAddr, PROTO_MPATHD, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
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
                self.claim_test_addresses(g);
            }
            self.watch_addresses(now, g, out);
            self.watch_routes(now, g, out);
        }
        let addresses = self.groups.iter().flat_map(|g| &g.addresses).filter_map(|a| a.missing);
        let routes = self.groups.iter().flat_map(|g| &g.routes).filter_map(|r| r.missing);
        self.wish_due = addresses.chain(routes).min().map(|t| t + WISH_GRACE);
    }

    fn adopt_addresses(&mut self, g: GroupId, out: &mut Vec<Action>) {
        let mut known = positions(self.groups[g].addresses.iter().map(|h| h.addr.address));
        let mut others = None;
        let mut adopted = Vec::new();
        for n in 0..self.groups[g].nics.len() {
            let Some(index) = self.groups[g].nics[n].index else { continue };
            for a in self.inventory.on(index).filter(|a| !self.carps.is_virtual(&a.addr)) {
                if let Some(i) = known.get(&a.addr.address) {
                    let h = &mut self.groups[g].addresses[*i];
                    if let Some(found) =
                        h.found.as_mut().filter(|_| h.home == n && h.host == n && h.addr == a.addr)
                    {
                        // Duplicate detection was left out by us: it is not what was found.
                        let nodad = found.flags & ifa::NODAD;
                        *found = a.clone();
                        found.flags = (found.flags & !ifa::NODAD) | nodad;
                    } else if let Some(found) = h.found.as_mut().filter(|_| h.host == n && h.addr == a.addr) {
                        // A lease goes on running wherever the address is.
                        (found.valid_lft, found.preferred_lft) = (a.valid_lft, a.preferred_lft);
                    }
                    continue;
                }
                let others = others.get_or_insert_with(|| addresses_of_others(&self.groups, g));
                let leaves = self.groups.iter().any(|o| o.lets_go(a)) || others.contains(&a.addr.address);
                if leaves || adopt::judge(&self.groups[g].settings, a).is_err() {
                    continue;
                }
                // A declared one that was here before us, and has left the configuration: now it stays.
                for o in &mut self.groups {
                    o.condemned.remove(&a.addr);
                }
                let group = &mut self.groups[g];
                known.insert(a.addr.address, group.addresses.len());
                group.addresses.push(HomedAddress { found: Some(a.clone()), ..HomedAddress::new(a.addr, n) });
                adopted.push((n, a.addr));
            }
        }
        for (n, addr) in adopted {
            self.tell(out, diag::adopted(self.about(g, n), &addr.to_string()));
        }
    }

    /// Configured test addresses that carry our mark were installed by us, whatever the memory says. Where the kernel keeps no
    /// marks their form tells, which hardly anybody else gives them.
    fn claim_test_addresses(&mut self, g: GroupId) {
        for nic in &mut self.groups[g].nics {
            let Some(index) = nic.index else { continue };
            let marks = self.inventory.marks.kept();
            let made = |a: &&Address| {
                let ours = plan::test_address(index, a.addr);
                let form = |a: &Address| (a.addr, a.scope, a.has(ifa::NOPREFIXROUTE));
                let told = a.addr.family() == Family::Inet && a.protocol == 0 && form(a) == form(&ours);
                a.protocol == PROTO_MPATHD || (told && !marks)
            };
            for a in self.inventory.on(index).filter(made) {
                if nic.is_test_address(&a.addr.address) && !nic.installed.contains(&a.addr) {
                    nic.installed.push(a.addr);
                }
            }
        }
    }

    fn adopt_routes(&mut self, g: GroupId) {
        let group = &mut self.groups[g];
        let mut homed: BTreeMap<IfAddr, Vec<usize>> = BTreeMap::new();
        for (i, h) in group.routes.iter().enumerate() {
            homed.entry(h.route.dst).or_default().push(i);
        }
        for n in 0..group.nics.len() {
            let Some(index) = group.nics[n].index else { continue };
            let bare = plan::bare_networks(group, n);
            for route in self.inventory.routes_through(index).filter(|r| plan::follows(r, index, &bare)) {
                let known = |i: &usize| {
                    let h = &group.routes[*i];
                    (h.home == n && plan::at_home(group, route, h)) || plan::is_rest_of(group, route, h)
                };
                let same = homed.entry(route.dst).or_default();
                if !same.iter().any(known) {
                    same.push(group.routes.len());
                    let (route, missing) = (route.clone(), None);
                    group.routes.push(HomedRoute { route, index, home: n, host: n, missing, seen: true });
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
                a.seen = !self.batches.delete_address(link, &a.addr);
                a.known |= inventory::usable(there);
                a.missing = None;
                continue;
            }
            // One that met a copy of its own is taken off and put on again: by us.
            a.seen &= !self.batches.delete_address(link, &a.addr);
            // What was leased has run out, or whoever leased it has given it back: it may be another host's by now.
            let leased = a.found.as_ref().is_some_and(|f| f.valid_lft != FOREVER);
            let wish = !a.declared && (leased || (a.host == a.home && !group.nics[a.home].failed));
            let (addr, host) = (a.addr, a.host);
            match a.missing {
                Some(since) if now - since >= WISH_GRACE => forgotten.push(i),
                None if a.seen && wish => a.missing = Some(now),
                None if a.seen => {
                    a.seen = false;
                    if !self.guard.blocks(&Object::Address(link, addr)) {
                        self.tell(out, diag::put_back(self.about(g, host), &addr.to_string()));
                    }
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
        for i in 0..self.groups[g].routes.len() {
            let group = &self.groups[g];
            let r = &group.routes[i];
            let here = |h: &HomedRoute| {
                let nic = &group.nics[h.home];
                h.host == h.home && !nic.failed && up_link(&nic.index, &self.inventory).is_some()
            };
            let (mut seen, mut missing) = (false, None);
            if plan::records(group, r).all(here) {
                (seen, missing) = (r.seen, r.missing);
                if self.inventory.routes_to(&r.route.dst).any(|x| plan::at_home(group, x, r)) {
                    (seen, missing) = (!self.batches.delete_route(&r.route.dst), None);
                } else if seen && missing.is_none() {
                    missing = Some(now);
                } else if missing.is_some_and(|since| now - since >= WISH_GRACE) {
                    forgotten.push(i);
                }
            }
            let r = &mut self.groups[g].routes[i];
            (r.seen, r.missing) = (seen, missing);
        }
        for i in forgotten.into_iter().rev() {
            let r = self.groups[g].routes.remove(i);
            self.refresh_targets = true;
            self.tell(out, diag::forgotten(self.about(g, r.home), &format!("route {}", r.route.dst)));
        }
    }
}

/// Positions of things by what they are found by.
fn positions<K: Ord>(all: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    all.enumerate().map(|(i, key)| (key, i)).collect()
}

fn addresses_of_others(groups: &[Group], g: GroupId) -> BTreeSet<IpAddr> {
    let others = groups.iter().enumerate().filter(|(o, _)| *o != g);
    others.flat_map(|(_, o)| o.addresses.iter().map(|h| h.addr.address).chain(o.claims())).collect()
}

fn up_link(index: &Option<mpath_model::IfIndex>, inventory: &Inventory) -> Option<mpath_model::IfIndex> {
    index.filter(|i| inventory.links.get(i).is_some_and(|l| l.up))
}
