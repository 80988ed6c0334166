//! Members and the kernel's links: which NIC exists under which index, and what its link does.

use super::{Engine, GroupId, SCAN_INTERVAL};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::nic::SETTLING;
use mpath_model::kernel::{Address, Inventory, KernelEvent, Route};
use mpath_model::{Family, IfAddr, IfIndex, Time};

impl Engine {
    pub(super) fn take_inventory(&mut self, now: Time, dump: Inventory, out: &mut Vec<Action>) {
        self.inventory.replace(dump);
        self.blind = false;
        // Unasked for, a dump means that events were lost, so that nobody can tell a wish from a loss.
        let asked = std::mem::take(&mut self.scanning);
        self.forgive_absence(!asked);
        self.dirty = true;
        self.refresh_targets = true;
        self.scanned = self.started;
        if !self.started {
            self.started = true;
            self.scan_at = now + SCAN_INTERVAL;
            self.restore(now, out);
        }
    }

    pub(super) fn kernel_events(&mut self, now: Time, events: &[KernelEvent], out: &mut Vec<Action>) {
        self.foreign_hands(now, events, out);
        for event in events {
            let minor = match event {
                KernelEvent::Neighbour(_) | KernelEvent::NeighbourGone(_) | KernelEvent::Author(_) => true,
                KernelEvent::Sysctl(interface, key, value) => {
                    self.inventory.sysctls.get(&(interface.clone(), *key)) == Some(value)
                }
                _ => self.only_renews(event),
            };
            self.note_raised(now, event);
            self.inventory.apply(event);
            match event {
                KernelEvent::Link(link) if !link.up => self.note_loss(link.index),
                KernelEvent::LinkGone(index) => self.note_loss(*index),
                KernelEvent::AddressGone(a) => self.note_silent_loss(a),
                _ => {}
            }
            self.dirty |= !minor;
            let route = matches!(
                event,
                KernelEvent::Route(_) | KernelEvent::RouteGone(_) | KernelEvent::RouteReplaced(_)
            );
            self.refresh_targets |= route;
        }
    }

    /// What a dump lacks without an event having told of it was lost along with events: nobody can say that somebody wished
    /// it away.
    fn forgive_absence(&mut self, events_lost: bool) {
        for group in &mut self.groups {
            for a in group.addresses.iter_mut().filter(|a| events_lost || a.missing.is_none()) {
                a.missing = None;
                let index = group.nics[a.host].index;
                a.seen &= index.is_some_and(|i| self.inventory.addresses.contains_key(&(i, a.addr)));
            }
            for r in group.routes.iter_mut().filter(|r| events_lost || r.missing.is_none()) {
                r.missing = None;
                let index = group.nics[r.host].index;
                // A copy in a table of ours says nothing about the route itself.
                let same = |x: &Route| x.table == r.route.table && index.is_some_and(|i| x.uses(i));
                r.seen &= self.inventory.routes_to(&r.route.dst).any(same);
            }
        }
    }

    /// Somebody sets a NIC up.
    fn note_raised(&mut self, now: Time, event: &KernelEvent) {
        let KernelEvent::Link(link) = event else { return };
        if link.up && self.inventory.links.get(&link.index).is_some_and(|l| !l.up) {
            let nics = self.groups.iter_mut().flat_map(|g| &mut g.nics);
            nics.filter(|n| n.index == Some(link.index)).for_each(|n| n.raised = Some(now));
        }
    }

    /// When a NIC that was set up has settled.
    pub(super) fn settling_deadline(&self, g: GroupId) -> Option<Time> {
        let group = Some(&self.groups[g]).filter(|g| !g.retiring)?;
        group.nics.iter().filter_map(|n| n.raised).min().map(|t| t + SETTLING)
    }

    /// What was on a NIC that went down or away is lost, not deleted on purpose, even if it is back already.
    fn note_loss(&mut self, index: IfIndex) {
        self.guard.forgive(index);
        for group in &mut self.groups {
            let Some(n) = group.nic_at(index) else { continue };
            group
                .addresses
                .iter_mut()
                .filter(|a| a.host == n)
                .for_each(|a| (a.seen, a.missing) = (false, None));
            group.routes.iter_mut().filter(|r| r.host == n).for_each(|r| (r.seen, r.missing) = (false, None));
        }
        self.held.forget(index);
    }

    /// With the last IPv4 address of a NIC the kernel takes its IPv4 routes, without a word. Where an address is to be put
    /// back, nobody wished the routes away.
    fn note_silent_loss(&mut self, gone: &Address) {
        let four = |a: &IfAddr| a.family() == Family::Inet;
        if !four(&gone.addr) || self.inventory.on(gone.index).any(|a| four(&a.addr)) {
            return;
        }
        for group in self.groups.iter_mut().filter(|g| !g.retiring) {
            let Some(n) = group.nic_at(gone.index) else { continue };
            let tested = group.nics[n].test_addresses().any(|a| four(&a));
            let kept = tested || group.hosted(n).any(|a| a.declared && four(&a.addr));
            let routes = group.routes.iter_mut().filter(|r| kept && r.host == n && four(&r.route.dst));
            routes.for_each(|r| (r.seen, r.missing) = (false, None));
        }
    }

    /// Polling saw the live carrier before the kernel told of it.
    pub(super) fn running(&mut self, index: IfIndex, running: bool) {
        if let Some(link) = self.inventory.links.get_mut(&index).filter(|l| l.running != running) {
            link.running = running;
            self.dirty = true;
        }
    }

    /// Finds each member by name; a new index is a new NIC.
    pub(super) fn sync_members(&mut self, now: Time, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            for n in 0..self.groups[g].nics.len() {
                let nic = &self.groups[g].nics[n];
                let found = self.inventory.link_named(nic.name());
                let lagg = self.groups[g].lagg.as_ref().and_then(|l| l.index);
                let found = found.filter(|l| !l.loopback && (l.master.is_none() || l.master == lagg));
                let found = found.map(|l| l.index);
                let known = nic.index;
                if known == found {
                    continue;
                }
                let startup = known.is_none() && !self.settled_once && !nic.failed;
                if let Some(index) = known {
                    self.nic_gone(g, n, out);
                    self.groups[g].former.push(index);
                }
                if let Some(index) = found {
                    self.nic_appeared(now, g, n, index, startup);
                    let name = self.groups[g].nics[n].name();
                    if !self.inventory.knows_sysctls_of(name) {
                        self.resynchronise(out);
                    }
                }
            }
            self.sync_former(g);
        }
    }

    /// Drops former interfaces that are gone or members again.
    fn sync_former(&mut self, g: GroupId) {
        // What another group has there by now is its own: only strays of ours may not stay.
        let others = self.groups.iter().enumerate().filter(|(o, other)| *o != g && !other.retiring);
        let taken: Vec<IfIndex> = others.flat_map(|(_, o)| &o.nics).filter_map(|n| n.index).collect();
        let group = &mut self.groups[g];
        let members: Vec<IfIndex> = group.nics.iter().filter_map(|n| n.index).collect();
        group.lenders.extend(group.former.extract_if(.., |i| taken.contains(i)));
        let links = &self.inventory.links;
        group.former.retain(|i| links.contains_key(i) && !members.contains(i));
        group.lenders.retain(|i| links.contains_key(i) && !members.contains(i));
    }

    fn nic_gone(&mut self, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        for i in std::mem::take(&mut self.groups[g].nics[n].instances) {
            self.tell(out, diag::removed(self.about(g, n), i.family));
        }
        let nic = &mut self.groups[g].nics[n];
        let told = nic.failed;
        nic.index = None;
        nic.link = true;
        nic.failed = true;
        nic.answered = false;
        nic.installed.clear();
        if !told && !self.groups[g].retiring {
            self.tell(out, diag::nic_failure(self.about(g, n), "the interface is gone"));
        }
    }

    fn nic_appeared(&mut self, now: Time, g: GroupId, n: NicId, index: IfIndex, startup: bool) {
        let retiring = self.groups[g].retiring;
        let nic = &mut self.groups[g].nics[n];
        // A new device begins with the kernel's own sysctls: nobody has taken ours away.
        self.written.retain(|(interface, _)| interface != nic.name());
        nic.index = Some(index);
        nic.appeared = now;
        nic.link = true;
        // At start a NIC is trusted until something speaks against it; one that appears later has to prove itself.
        nic.failed |= !startup && !retiring;
        if nic.failed {
            nic.note_link_up(now);
        }
        self.refresh_targets = true;
    }

    /// Compares recorded and actual link state (mpathd-behaviour.md 4.2 and 4.3).
    pub(super) fn sync_links(&mut self, now: Time, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            if self.groups[g].retiring {
                continue; // nobody is interested in their state any more
            }
            for n in 0..self.groups[g].nics.len() {
                let nic = &self.groups[g].nics[n];
                let Some(link) = nic.index.and_then(|i| self.inventory.links.get(&i)) else {
                    continue;
                };
                if link.running == nic.link {
                    // Put back online with its link down.
                    if !nic.link && !nic.failed {
                        self.check_failure(now, g, n, out);
                    }
                    continue;
                }
                if link.running { self.link_up(now, g, n, out) } else { self.link_down(now, g, n, out) }
            }
            for n in 0..self.groups[g].nics.len() {
                self.repair_unprobed(now, g, n, out);
            }
            self.group_back(now, g);
        }
        self.settled_once = true;
    }

    fn link_down(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        self.tell(out, diag::link_down(self.about(g, n)));
        let nic = &mut self.groups[g].nics[n];
        nic.link = false;
        nic.port.dead = false;
        (nic.port.met, nic.port.missed) = (0, 0);
        nic.instances.iter_mut().for_each(|i| i.ring.clear());
        if !nic.failed {
            self.check_failure(now, g, n, out);
        }
    }

    fn link_up(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        self.tell(out, diag::link_up(self.about(g, n)));
        let interval = self.groups[g].detection.interval();
        let nic = &mut self.groups[g].nics[n];
        nic.link = true;
        for i in &mut nic.instances {
            i.restart(now, interval, &mut self.rng);
        }
        self.check_repair(now, g, n, out);
        self.groups[g].nics[n].note_link_up(now);
        self.refresh_targets = true;
    }

    /// A NIC without probes and with its link up is repaired by that alone (4.4), also one that has just
    /// appeared, or lost its test address.
    fn repair_unprobed(&mut self, now: Time, g: GroupId, n: NicId, out: &mut Vec<Action>) {
        let nic = &self.groups[g].nics[n];
        if nic.index.is_some() && nic.failed && nic.link && !self.judged_by_probes(now, g, n) {
            self.check_repair(now, g, n, out);
        }
    }

    /// Flap damping and settling that have run out.
    pub(super) fn damping(&mut self, now: Time, groups: &[GroupId], out: &mut Vec<Action>) {
        for &g in groups {
            if self.groups[g].retiring {
                continue;
            }
            for n in 0..self.groups[g].nics.len() {
                if self.groups[g].nics[n].raised.is_some_and(|t| now - t >= SETTLING) {
                    self.groups[g].nics[n].raised = None;
                    self.dirty = true;
                    self.check_repair(now, g, n, out);
                }
                self.repair_unprobed(now, g, n, out);
            }
        }
    }

    pub(super) fn about(&self, g: GroupId, n: NicId) -> diag::About<'_> {
        let group = &self.groups[g];
        diag::About {
            nic: Some(group.nics[n].name()),
            group: (!group.anonymous).then_some(group.settings.name.as_str()),
        }
    }
}
