//! What a step would do now, for `mpathctl plan`: the step is taken by a copy of the engine, and what the copy would
//! have differently is told. The copy's actions are thrown away.

use super::Engine;
use crate::group::Group;
use crate::input::Input;
use mpath_model::explain::{Plan, PlannedAddress, PlannedRoute};
use mpath_model::kernel::{KernelEvent, Route};
use mpath_model::status::GroupState;
use mpath_model::{IfAddr, Settings, Time};
use std::collections::BTreeMap;

impl Engine {
    /// What losing the link of this NIC would do. The error is a sentence for people.
    pub fn plan_failure(&self, now: Time, interface: &str) -> Result<Plan, String> {
        let (g, n) = self.member(interface).map_err(|(_, message)| message)?;
        let nic = &self.groups[g].nics[n];
        let Some(link) = nic.index.and_then(|i| self.inventory.links.get(&i)) else {
            return Err(format!(
                "this host has no interface {interface}: it carries nothing that could move"
            ));
        };
        let mut twin = self.clone();
        let mut link = link.clone();
        link.running = false;
        twin.handle(now, Input::Kernel(vec![KernelEvent::Link(link)]), &mut Vec::new());
        let mut plan = self.difference(&twin);
        let group = &twin.groups[g];
        let name = &group.settings.name;
        if !nic.link || nic.failed || nic.offline {
            plan.remarks.push(format!("{interface} is out of service already"));
        } else if group.state() == GroupState::Failed {
            plan.remarks
                .push(format!("no other NIC of group {name} is usable: its addresses stay and are dead"));
        } else if plan.addresses.is_empty() && plan.routes.is_empty() {
            plan.remarks.push(format!("{interface} carries nothing: nothing would move"));
        } else if group.nics.iter().filter(|x| x.usable()).count() == 1 {
            plan.remarks.push(format!("group {name} would have no spare NIC left"));
        }
        if self.frozen.is_some() {
            plan.remarks.push("frozen: a lost link moves addresses, unanswered probes do not".to_string());
        }
        Ok(plan)
    }

    /// What putting these settings in force would do.
    pub fn plan_settings(&self, now: Time, settings: Settings) -> Plan {
        let mut twin = self.clone();
        twin.handle(now, Input::Configure(settings), &mut Vec::new());
        let mut plan = self.difference(&twin);
        let (before, after) = (self.membership(), twin.membership());
        for (nic, group) in &after {
            match before.get(nic) {
                None => plan.members.push(format!("{nic} joins {group}")),
                Some(old) if old != group => {
                    plan.members.push(format!("{nic} changes from {old} to {group}"));
                }
                Some(_) => {}
            }
            if self.inventory.link_named(nic).is_none() {
                plan.remarks.push(format!("this host has no interface {nic} now"));
            }
        }
        for (nic, group) in before.iter().filter(|(nic, _)| !after.contains_key(*nic)) {
            plan.members.push(format!("{nic} leaves {group}"));
        }
        self.plan_carps(&twin, &mut plan);
        plan
    }

    /// Which vhids begin and which are given up: where an address of CARP is then is for the other hosts to say, too.
    fn plan_carps(&self, twin: &Engine, plan: &mut Plan) {
        let (before, after) = (&self.settings.carps, &twin.settings.carps);
        for carp in after.iter().filter(|c| before.iter().all(|o| o.id() != c.id())) {
            plan.members.push(format!("vhid {} begins", carp.id()));
        }
        for carp in before.iter().filter(|c| after.iter().all(|o| o.id() != c.id())) {
            plan.members.push(format!("vhid {} is given up", carp.id()));
        }
        let stays = |a: &IfAddr| after.iter().any(|c| c.addresses.contains(a));
        for address in before.iter().flat_map(|c| &c.addresses).filter(|a| !stays(a)) {
            if let Some(from) = self.actual(address)
                && plan.addresses.iter().all(|a| a.address != *address)
            {
                plan.addresses.push(PlannedAddress { address: *address, from: Some(from), to: None });
            }
        }
    }

    /// NICs with the group or lagg that they belong to.
    fn membership(&self) -> BTreeMap<String, String> {
        let groups = self.groups.iter().filter(|g| !g.retiring && !g.is_lone());
        let whole = |g: &Group| match &g.lagg {
            Some(lagg) => format!("lagg {}", lagg.settings.name),
            None => format!("group {}", g.settings.name),
        };
        groups.flat_map(|g| g.nics.iter().map(move |n| (n.name().to_string(), whole(g)))).collect()
    }

    fn difference(&self, twin: &Engine) -> Plan {
        let (here, there) = (self.whereabouts(), twin.whereabouts());
        let mut all: Vec<IfAddr> = here.keys().chain(there.keys()).copied().collect();
        all.sort();
        all.dedup();
        let mut addresses = Vec::new();
        for address in all {
            let from = self.actual(&address).or_else(|| here.get(&address).cloned().flatten());
            let to = there.get(&address).cloned().flatten();
            if from != to {
                addresses.push(PlannedAddress { address, from, to });
            }
        }
        let before = self.roads();
        let routes = twin.roads().into_iter().filter_map(|(key, to)| {
            let from = before.get(&key).filter(|from| **from != to)?.clone();
            Some(PlannedRoute { route: key.0, from, to })
        });
        let announce = &twin.settings.daemon.announce;
        let ms = |d: &std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Plan {
            announcements_ms: if addresses.iter().any(|a| a.to.is_some()) {
                announce.iter().map(ms).collect()
            } else {
                Vec::new()
            },
            addresses,
            routes: routes.collect(),
            ..Plan::default()
        }
    }

    /// NIC that shows the address now.
    fn actual(&self, address: &IfAddr) -> Option<String> {
        let index = self.inventory.addresses.keys().find(|(_, a)| a == address).map(|(i, _)| *i)?;
        self.inventory.links.get(&index).map(|l| l.name.clone())
    }

    /// Data addresses, those of laggs, and test addresses that mpathd puts on, with the interface each should be on; none for
    /// one that is on its way out.
    fn whereabouts(&self) -> BTreeMap<IfAddr, Option<String>> {
        let mut found = BTreeMap::new();
        for group in self.groups.iter().filter(|g| !g.anonymous) {
            let host = |a: &crate::group::HomedAddress| (a.addr, Some(group.nics[a.host].name().to_string()));
            found.extend(group.addresses.iter().map(host));
            for nic in group.nics.iter().filter(|_| !group.retiring) {
                let name = |wanted: bool| wanted.then(|| nic.name().to_string());
                let wanted: Vec<IfAddr> = nic.test_addresses().collect();
                let there =
                    |a: &IfAddr| nic.index.is_some_and(|i| self.inventory.at(i, &a.address).next().is_some());
                found.extend(
                    nic.installed.iter().map(|a| (*a, name(wanted.iter().any(|w| w.address == a.address)))),
                );
                found.extend(wanted.iter().filter(|a| !there(a)).map(|a| (*a, name(true))));
            }
        }
        for lagg in self.groups.iter().filter(|g| !g.retiring).filter_map(|g| g.lagg.as_ref()) {
            let name = &lagg.settings.name;
            found.extend(lagg.settings.addresses.iter().map(|a| (*a, Some(name.clone()))));
        }
        for group in self.groups.iter() {
            for gone in &group.condemned {
                found.entry(*gone).or_insert(None);
            }
        }
        found
    }

    /// Routes that follow their NIC, by text and home, with the NIC each should lead through.
    fn roads(&self) -> BTreeMap<(String, String), String> {
        let groups = self.groups.iter().filter(|g| !g.anonymous);
        groups
            .flat_map(|g| {
                let name = |n: usize| g.nics[n].name().to_string();
                g.routes.iter().map(move |r| ((text(&r.route), name(r.home)), name(r.host)))
            })
            .collect()
    }
}

fn text(route: &Route) -> String {
    let mut text = route.dst.to_string();
    for gateway in route.hops.iter().filter_map(|h| h.gateway) {
        text.push_str(&format!(" via {gateway}"));
    }
    if route.metric != 0 {
        text.push_str(&format!(" metric {}", route.metric));
    }
    text
}
