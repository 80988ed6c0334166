//! Where probes come from and whom they ask: test address selection (mpathd-behaviour.md 5.1), and the sources
//! of targets (section 2).

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::inventory;
use crate::probe::instance::{Instance, Source};
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::nud;
use mpath_model::settings::{ProbeMode, TestAddress};
use mpath_model::{IfAddr, IfIndex, Time};
use std::net::IpAddr;
use std::time::Duration;

/// Grace before complaining about a missing test address (TESTADDR_CONF_TIME).
pub const TESTADDR_CONF_TIME: Duration = Duration::from_secs(20);

/// Neighbour states that mean somebody was there.
const SEEN: u16 = nud::REACHABLE | nud::STALE | nud::DELAY | nud::PROBE | nud::PERMANENT;

impl Engine {
    /// Makes the instances of every NIC what its addresses call for.
    pub(super) fn sync_sources(&mut self, now: Time, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            for n in 0..self.groups[g].nics.len() {
                let wanted = self.wanted_sources(g, n);
                self.refresh_targets |= self.apply_sources(now, g, n, &wanted);
                self.drop_manners(g, n);
                self.drop_gray(g, n);
                self.missing_test_address(now, g, n, !wanted.is_empty(), out);
            }
        }
    }

    /// Where nothing is asked any more, nothing can tell that losses are over.
    fn drop_gray(&mut self, g: GroupId, n: NicId) {
        let nic = &self.groups[g].nics[n];
        if nic.gray.is_some() && !nic.probed() && !nic.offline {
            self.groups[g].nics[n].gray = None;
        }
    }

    /// A NIC that has an address of its own to ask from needs no restraint.
    fn drop_manners(&mut self, g: GroupId, n: NicId) {
        let four = |a: &mpath_model::Address| a.addr.family() == Family::Inet && inventory::usable(a);
        let has = self.speaker(g, n).is_some_and(|i| self.inventory.on(i).any(four));
        if let Some(i) = self.groups[g].nics[n].instance(Family::Inet).filter(|_| has) {
            i.manners = Default::default();
        }
    }

    fn wanted_sources(&self, g: GroupId, n: NicId) -> Vec<(Family, Source, bool)> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let Some(index) = nic.index.filter(|_| !nic.offline && !group.retiring) else {
            return Vec::new();
        };
        let mode = group.settings.probe;
        if mode == ProbeMode::Link {
            return Vec::new();
        }
        let there = |a: &IpAddr| self.inventory.at(index, a).any(inventory::usable).then_some(*a);
        let mut wanted = Vec::new();
        for t in &nic.settings.test_addresses {
            let found = match t {
                TestAddress::Address(a) => there(&a.address),
                TestAddress::LinkLocal => self.inventory.link_local(index),
            };
            let unique = found.filter(|a| !self.elsewhere(g, n, a));
            wanted.extend(unique.map(|a| (Family::of(&a), Source::Echo(a), true)));
        }
        if nic.settings.test_addresses.is_empty() && mode == ProbeMode::Auto {
            let inet = self.uses_inet(g);
            wanted.extend(inet.then_some((Family::Inet, Source::Arp, false)));
            if group.lagg.is_some() {
                // What the kernel itself sends from a port carries the lagg's MAC: only frames made here may leave one.
                let speaks = |i| self.inventory.link_local(i).is_some();
                let inet6 = !inet && self.faces(g).into_iter().any(speaks);
                wanted.extend(inet6.then_some((Family::Inet6, Source::Solicit, false)));
                return wanted;
            }
            wanted.extend(self.inventory.link_local(index).map(|a| (Family::Inet6, Source::Echo(a), false)));
        }
        wanted
    }

    /// Whether the group has anything to do with IPv4. A lagg has it whether its address is there or has just been deleted:
    /// ports that nobody asked any more would all be repaired by their links.
    fn uses_inet(&self, g: GroupId) -> bool {
        let group = &self.groups[g];
        let v4 = |a: &IfAddr| a.family() == Family::Inet;
        group.addresses.iter().any(|a| v4(&a.addr))
            || group.lagg.as_ref().is_some_and(|l| l.settings.addresses.iter().any(v4))
            || self.faces(g).into_iter().any(|i| self.inventory.on(i).any(|a| v4(&a.addr)))
    }

    fn apply_sources(&mut self, now: Time, g: GroupId, n: NicId, wanted: &[(Family, Source, bool)]) -> bool {
        let interval = self.groups[g].detection.interval();
        let nic = &mut self.groups[g].nics[n];
        nic.instances.retain(|i| wanted.iter().any(|(f, _, _)| *f == i.family));
        let mut changed = false;
        for (family, source, configured) in wanted {
            match nic.instances.iter_mut().find(|i| i.family == *family) {
                Some(i) if i.source == *source => {}
                Some(i) => {
                    i.source = *source;
                    i.configured = *configured;
                    i.restart(now, interval, &mut self.rng);
                    changed = true;
                }
                None => {
                    let mut i = Instance::new(*family, *source, *configured, now, interval, &mut self.rng);
                    if nic.answered {
                        i.end_quiet();
                    }
                    nic.instances.push(i);
                    nic.instances.sort_by_key(|i| i.family);
                    changed = true;
                }
            }
        }
        changed
    }

    /// Diagnostic 4 and its end, once per episode and after a grace time (5.5).
    fn missing_test_address(&mut self, now: Time, g: GroupId, n: NicId, there: bool, out: &mut Vec<Action>) {
        let nic = &self.groups[g].nics[n];
        let mode = self.groups[g].settings.probe;
        let demanded = mode == ProbeMode::TestAddress
            || (mode != ProbeMode::Link && !nic.settings.test_addresses.is_empty());
        let missing = demanded && !there && nic.index.is_some() && !nic.offline && nic.link;
        let nic = &mut self.groups[g].nics[n];
        if !missing {
            nic.test_address_missing = None;
            if std::mem::take(&mut nic.test_address_told) && there {
                self.tell(out, diag::test_address_back(self.about(g, n)));
            }
            return;
        }
        let since = *nic.test_address_missing.get_or_insert(now);
        if now - since >= TESTADDR_CONF_TIME && !std::mem::replace(&mut nic.test_address_told, true) {
            self.tell(out, diag::no_test_address(self.about(g, n)));
        }
    }

    /// Re-reads the routers of every instance (2.1, 2.5), if anything about routes has changed.
    pub(super) fn sync_targets(&mut self, now: Time) {
        if !std::mem::take(&mut self.refresh_targets) {
            return;
        }
        for g in 0..self.groups.len() {
            let routers = self.routers(g);
            for n in 0..self.groups[g].nics.len() {
                for family in Family::BOTH {
                    let admitted: Vec<IpAddr> = routers
                        .iter()
                        .filter(|a| Family::of(a) == family && self.admissible(g, n, a))
                        .copied()
                        .collect();
                    let failed = self.groups[g].failed;
                    let Some(i) = self.groups[g].nics[n].instance(family) else {
                        continue;
                    };
                    if i.passes_over_routers(now) && !i.targets.is_empty() {
                        continue;
                    }
                    // While the group has failed, a route was probably removed by somebody reacting to that.
                    if failed && i.targets.are_routers() && admitted.is_empty() {
                        continue;
                    }
                    let had = !i.targets.is_empty();
                    let gone = i.targets.set_routers(&admitted);
                    i.forget(&gone, now);
                    if had && i.targets.is_empty() {
                        i.discover_anew(now);
                    }
                }
            }
            self.offer_neighbours(g);
        }
    }

    /// Named targets, else next hops of the routes through members, also of those that are lost at the moment.
    pub(super) fn routers(&self, g: GroupId) -> Vec<IpAddr> {
        let group = &self.groups[g];
        if !group.settings.targets.is_empty() {
            return group.settings.targets.clone();
        }
        let member = |i: IfIndex| group.covers(i);
        let current = self.inventory.gateways().filter(|(index, gw)| gw.is_ipv4() || member(*index));
        let kept = group.routes.iter().flat_map(|r| &r.route.hops).filter_map(|h| h.gateway);
        let mut found: Vec<IpAddr> = current.map(|(_, gateway)| gateway).chain(kept).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Admission (2.2): on the link of the NIC's test address, and not one of our own.
    fn admissible(&self, g: GroupId, n: NicId, target: &IpAddr) -> bool {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        if self.inventory.is_own_and_up(target) || target.is_unspecified() || target.is_multicast() {
            return false;
        }
        let Some(index) = nic.index else { return false };
        let family = Family::of(target);
        let Some(i) = nic.instances.iter().find(|i| i.family == family) else {
            return false;
        };
        match (i.source, family) {
            (Source::Echo(_), Family::Inet6) => is_link_local6(target),
            (Source::Echo(source), Family::Inet) => {
                nic.test_addresses().any(|a| a.address == source && a.contains(target))
                    || self.inventory.at(index, &source).any(|a| a.addr.contains(target))
            }
            (Source::Solicit, _) if is_link_local6(target) => true,
            (Source::Arp | Source::Solicit, _) => {
                let nets = group.addresses.iter().map(|a| a.addr);
                let found = self.faces(g).into_iter().flat_map(|i| self.inventory.on(i));
                nets.chain(found.map(|a| a.addr)).any(|net| !net.is_host() && net.contains(target))
            }
        }
    }

    /// Offers a host that answered, or was heard, to every NIC of the group.
    pub(super) fn offer_host(&mut self, g: GroupId, host: IpAddr) {
        if !self.groups[g].settings.targets.is_empty() {
            return;
        }
        for n in 0..self.groups[g].nics.len() {
            if self.admissible(g, n, &host)
                && let Some(i) = self.groups[g].nics[n].instance(Family::of(&host))
            {
                i.targets.offer_host(host);
            }
        }
    }

    /// Offers what the kernel's neighbour table knows: Linux neighbours ignore a broadcast echo
    /// (linux-failover.md, pitfall 21).
    pub(super) fn offer_neighbours(&mut self, g: GroupId) {
        let group = &self.groups[g];
        let mut all = group.nics.iter().flat_map(|n| &n.instances);
        if !all.any(|i| !i.targets.are_routers()) {
            return;
        }
        for family in Family::BOTH {
            for address in self.neighbours(g, family) {
                self.offer_host(g, address);
            }
        }
    }

    /// Who has been seen on the link of a group, as the kernel's neighbour table has it, without ourselves.
    pub(super) fn neighbours(&self, g: GroupId, family: Family) -> Vec<IpAddr> {
        let group = &self.groups[g];
        let member = |i: IfIndex| group.covers(i);
        let seen = |n: &&mpath_model::Neighbour| n.state & SEEN != 0 && n.mac.is_some() && member(n.index);
        let table = self.inventory.neighbours.values().filter(seen).map(|n| n.address);
        let on_link = |a: &IpAddr| (0..group.nics.len()).any(|n| self.admissible(g, n, a));
        let mut found: Vec<IpAddr> = table.filter(|a| Family::of(a) == family && on_link(a)).collect();
        found.sort();
        found.dedup();
        found
    }
}
