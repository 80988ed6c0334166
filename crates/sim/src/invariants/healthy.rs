//! How a group must look when everything has been healed and time has passed.

use crate::faults::Fault;
use crate::lan::Nic;
use crate::world::{Happening, World};
use mpath_core::Input;
use mpath_core::input::Command;
use mpath_model::kernel::ifa;
use mpath_model::status::{InterfaceState, ProbeState};
use std::time::Duration;

impl World {
    /// Whether a group whose NICs are all perfect, but `broken`, is as it should be.
    pub(crate) fn healthy(&self, group: usize, broken: Option<Nic>) -> Result<(), String> {
        let status = self.status();
        let Some(view) = status.groups.get(group) else {
            return Err("the group is missing".to_string());
        };
        for n in self.scenario.members(group) {
            let name = &self.scenario.nics[n].name;
            let i = self.interface(&status, n).ok_or_else(|| format!("{name} is missing in the status"))?;
            if i.probe == ProbeState::Unknown && (broken == Some(n) || !self.discoverable(group)) {
                return Ok(()); // without anybody to ask nothing can be known
            }
            let wanted = if broken == Some(n) { InterfaceState::Failed } else { InterfaceState::Ok };
            if i.state != wanted {
                return Err(format!(
                    "{name} is {:?} (link {:?}, probe {:?}), not {wanted:?}",
                    i.state, i.link, i.probe
                ));
            }
        }
        for t in self.tracked.iter().filter(|t| t.group == group && !t.forgotten) {
            let hosts = self.hosts(&t.addr);
            let home = &self.scenario.nics[t.home].name;
            if hosts.is_empty() && self.unknowable(t) {
                continue;
            }
            let [host] = hosts[..] else {
                return Err(format!("{} (home {home}) is on NICs {hosts:?}, not on exactly one", t.addr));
            };
            if broken == Some(host) {
                return Err(format!("{} is on the broken NIC", t.addr));
            }
            let lossy = self.interface(&status, t.home).is_some_and(|i| i.degraded);
            let wanted = self.scenario.settings.groups[group].failback && broken != Some(t.home) && !lossy;
            let wanted = wanted && (t.declared || !self.forgetful);
            if wanted && host != t.home {
                return Err(format!(
                    "{} is on {}, not home on {home}",
                    t.addr, self.scenario.nics[host].name
                ));
            }
            let entry = view.addresses.iter().find(|a| a.address == t.addr);
            let told = entry.and_then(|a| a.interface.as_ref());
            if told != Some(&self.scenario.nics[host].name) {
                return Err(format!(
                    "{} is on {}, the status says {told:?}",
                    t.addr, self.scenario.nics[host].name
                ));
            }
        }
        self.no_duplicates(group)?;
        self.exact(group, broken)?;
        self.routed(group, broken)
    }

    /// Whether targets can be found on the link at all: IPv6 nodes answer a multicast, IPv4 ones must lie
    /// in the network of an address.
    fn discoverable(&self, group: usize) -> bool {
        let networks = self.tracked.iter().any(|t| t.group == group && !t.addr.is_host());
        let interfaces = &self.scenario.settings.groups[group].interfaces;
        let six = self.lan.segments[group].iter().any(|n| !n.six.is_empty());
        six || networks || interfaces.iter().any(|i| !i.test_addresses.is_empty())
    }

    /// Nobody on the link believes an address to be where it is not: its last move has been announced, or it has not moved.
    fn believed(&self, group: usize) -> Result<(), String> {
        for ((segment, node, address), nic) in &self.believed {
            let mine = self.tracked.iter().find(|t| t.group == group && t.addr.address == *address);
            let Some(t) = mine.filter(|t| !t.forgotten && *segment == group) else { continue };
            let hosts = self.hosts(&t.addr);
            if !hosts.is_empty() && !hosts.contains(nic) {
                let name = &self.scenario.nics[*nic].name;
                return Err(format!("node {node} believes {address} to be at {name}, it is on {hosts:?}"));
            }
        }
        Ok(())
    }

    /// No tentative or duplicate leftovers on a working NIC.
    fn no_duplicates(&self, group: usize) -> Result<(), String> {
        for n in self.scenario.members(group).filter(|n| self.perfect(*n)) {
            let bad = self.index[n].and_then(|i| self.kernel.on(i).find(|a| a.has(ifa::DADFAILED)));
            if let Some(a) = bad {
                return Err(format!(
                    "{} on {} has failed duplicate address detection",
                    a.addr, self.scenario.nics[n].name
                ));
            }
        }
        Ok(())
    }

    /// The routes found at the start are back, exactly; those of a device that went away at least lead
    /// through a working NIC.
    fn routed(&self, group: usize, broken: Option<Nic>) -> Result<(), String> {
        let here = |n: &Nic| self.scenario.nics[*n].group == group && !self.forgetful;
        for (nic, r) in self.found_routes.iter().filter(|(n, _)| here(n)) {
            let nic = *nic;
            if self.interface(&self.status(), nic).is_some_and(|i| i.degraded) {
                continue; // it carries nothing while somebody better can
            }
            let way = self.kernel.lookup(&r.dst.address).and_then(|i| self.nic_at(i));
            let bad = way.is_none_or(|w| broken == Some(w) || self.scenario.nics[w].group != group);
            if bad {
                return Err(format!("the way to {} is {way:?}", r.dst));
            }
            let own = self.scenario.settings.groups[group].failback && broken != Some(nic);
            if own && !self.removed[nic] && !self.kernel.routes().contains(r) {
                return Err(format!("the route {r:?} is not as it was found"));
            }
            if own && way != Some(nic) {
                return Err(format!("the way to {} is {way:?}, not home", r.dst));
            }
        }
        Ok(())
    }

    /// At the end: all healed (but perhaps one NIC), so all must become well in bounded time.
    pub(crate) fn check_final(&mut self) {
        self.daemon.doomed = None;
        let status = self.status();
        let slowest = status.groups.iter().map(|g| Duration::from_millis(g.failure_detection_time_ms)).max();
        // It may have been raised while all was being repaired.
        self.slowest = self.slowest.max(slowest.unwrap_or_default()).max(self.scenario.slowest());
        let found = self.all_well();
        let missing = self.daemon.requests.len();
        let over = self.now - self.schedule.end;
        let late = over > self.slowest * 3 + Duration::from_secs(90);
        match found {
            Ok(()) if missing == 0 => self.finished = true,
            Ok(()) if late => self.violate("replies", format!("{missing} requests were never answered")),
            Err(what) if late => self.violate("all well in the end", what),
            _ => {
                self.undo_offline();
                let pause = (self.scenario.fastest() / 2).max(Duration::from_millis(100)) + over / 10;
                self.plan(pause, Happening::Final);
            }
        }
    }

    fn all_well(&self) -> Result<(), String> {
        if self.daemon.engine.is_none() || self.starving() || !self.idle() {
            return Err("something is always under way".to_string());
        }
        let status = self.status();
        for group in 0..self.scenario.settings.groups.len() {
            let left = self.schedule.left.filter(|(n, _)| self.scenario.nics[*n].group == group);
            // A silent path of a NIC that is not probed is beyond anybody's knowledge.
            if let Some((n, Fault::Path { .. })) = left
                && self.interface(&status, n).is_none_or(|i| i.probe == ProbeState::Disabled)
            {
                continue;
            }
            self.healthy(group, left.map(|(n, _)| n))?;
            self.believed(group)?;
        }
        Ok(())
    }

    /// A request to come back online may have met a dead daemon.
    fn undo_offline(&mut self) {
        let status = self.status();
        for n in 0..self.scenario.nics.len() {
            if self.interface(&status, n).is_some_and(|i| i.state == InterfaceState::Offline) {
                self.comes_back(n);
                self.daemon.last_request += 1;
                let id = self.daemon.last_request;
                self.daemon.requests.insert(id, None);
                self.feed(Input::Request {
                    id,
                    command: Command::Online(self.scenario.nics[n].name.clone()),
                });
            }
        }
    }
}
