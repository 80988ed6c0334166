//! Laggs at work: their ports are the NICs of a group that nobody sees; here it is decided which of them is active, and what
//! follows from that for frames, announcements, sysctls and probes.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::{Group, NicId};
use crate::lagg::{self, Lagg, Port};
use mpath_model::kernel::{KernelOp, LaggBackend, LaggOp, Steering};
use mpath_model::{IfIndex, Mac, Time, settings};
use std::net::{IpAddr, Ipv4Addr};

/// Interfaces stacked on a lagg that are told of, at most.
const MAX_STACKED: usize = 256;
/// Errors that mean that the kernel does not have a back-end.
const EOPNOTSUPP: i32 = 95;
const EPROTONOSUPPORT: i32 = 93;
const ENODEV: i32 = 19;

/// The group of a lagg's ports, with what is known of them from before.
pub(super) fn build(settings: &settings::Lagg, old: &[Group]) -> Group {
    let interface = |name: &String| settings::Interface {
        name: name.clone(),
        test_addresses: Vec::new(),
        standby: false,
    };
    let mut group = Group::new(settings::Group {
        name: settings.name.clone(),
        failure_detection_time: settings.failure_detection_time,
        failback: settings.failback,
        probe: settings.probe,
        targets: settings.targets.clone(),
        adopt: settings::Adopt::None,
        confirm: settings::Confirm::All,
        thresholds: Default::default(),
        interfaces: settings.ports.iter().map(interface).collect(),
        addresses: Vec::new(),
    });
    group.anonymous = true;
    for nic in &mut group.nics {
        let mut known = old.iter().filter(|o| !o.retiring).flat_map(|o| &o.nics);
        if let Some(known) = known.find(|n| n.name() == nic.name()) {
            // Nobody can put a port online again.
            *nic = crate::nic::Nic { settings: nic.settings.clone(), offline: false, ..known.clone() };
        }
    }
    let before = old.iter().filter(|o| !o.retiring).find(|o| is_of(o, &settings.name));
    if let Some(before) = before {
        group.failed = before.failed;
        group.detection = before.detection.carried_over(settings.failure_detection_time);
    }
    let before = old.iter().find(|o| is_of(o, &settings.name)).and_then(|o| o.lagg.as_ref());
    group.lagg = Some(before.map_or_else(|| Lagg::new(settings.clone()), |l| l.with(settings.clone())));
    group
}

/// A lagg that has left the configuration, until everything is as it was found.
pub(super) fn leftover(old: &Group, new: &[Group]) -> Option<Group> {
    let lagg = old.lagg.as_ref().filter(|l| l.ours)?;
    if new.iter().any(|g| is_of(g, &lagg.settings.name)) {
        return None;
    }
    let mut rest = old.retired();
    rest.nics.iter_mut().for_each(|n| n.instances.clear());
    Some(rest)
}

fn is_of(group: &Group, lagg: &str) -> bool {
    group.lagg.as_ref().is_some_and(|l| l.settings.name == lagg)
}

impl Engine {
    /// Finds each lagg and remembers its ports as they are, before anything is done to them.
    pub(super) fn sync_laggs(&mut self, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            let group = &mut self.groups[g];
            let Some(lagg) = group.lagg.as_mut() else { continue };
            if lagg.lacking.is_empty() && !lagg.ours && lagg.settings.backend.is_none() {
                // Made by an earlier run that left no memory.
                lagg.backend = LaggBackend::Redirect;
                if lagg.inner(&self.inventory).is_none() {
                    lagg.backend = LaggBackend::Bond;
                }
            }
            let known = lagg.index;
            let found = lagg.link(&self.inventory);
            lagg.index = found.as_ref().ok().copied().flatten().map(|l| l.index);
            let in_the_way = found.is_err_and(|_| !lagg.ours).then(|| lagg.settings.name.clone());
            self.refresh_targets |= known != lagg.index;
            if let Some(name) = in_the_way.filter(|_| !std::mem::replace(&mut lagg.told, true)) {
                self.tell(out, diag::lagg_in_the_way(&name));
            }
        }
    }

    /// A verdict over a port: what it asks from here on, it asks with the link-layer address that it has after the switch.
    pub(super) fn switch_at_once(&mut self, g: GroupId, out: &mut Vec<Action>) {
        if self.groups[g].lagg.is_some() {
            self.choose_ports(self.now, out);
        }
    }

    /// Chooses the active port of each lagg.
    pub(super) fn choose_ports(&mut self, now: Time, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            if self.groups[g].lagg.is_none() || self.groups[g].retiring {
                continue;
            }
            let ports = self.port_views(now, g);
            let group = &mut self.groups[g];
            let lagg = group.lagg.as_mut().expect("looked at just above");
            let ids: Vec<IfIndex> = group.nics.iter().filter_map(|n| n.index).collect();
            if !lagg.chosen {
                // What an earlier run chose stays, unless something speaks against it.
                let shown = lagg.shown(&self.inventory, &ids).and_then(|s| s.active);
                lagg.active = shown.and_then(|i| group.nics.iter().position(|n| n.index == Some(i)));
            }
            let before = lagg.active;
            let after = lagg::choose(&ports, before, lagg.settings.failback);
            lagg.draining = lagg.draining.filter(|(port, until)| *until > now && Some(*port) != after);
            let first = !std::mem::replace(&mut lagg.chosen, true);
            if after == before {
                if first && after.is_some() {
                    // The earlier run may have chosen it, and died before it told anybody.
                    self.announce_lagg(now, g);
                }
                continue;
            }
            lagg.active = after;
            if let (Some(old), Some(_)) = (before, after) {
                let grace = now + lagg.settings.rx_grace;
                lagg.draining =
                    (grace > now && ports.get(old).is_some_and(|p| p.link)).then_some((old, grace));
            }
            self.report_switch(g, before, after, first, out);
            self.announce_lagg(now, g);
        }
    }

    fn port_views(&mut self, now: Time, g: GroupId) -> Vec<Port> {
        let frozen = self.frozen.is_some();
        let group = &mut self.groups[g];
        let lagg = group.lagg.as_mut().expect("the group of a lagg");
        let delay = lagg.settings.failback_delay;
        let mut ports = Vec::new();
        for (n, nic) in group.nics.iter().enumerate() {
            let link = nic.index.and_then(|i| self.inventory.links.get(&i)).is_some_and(|l| l.running);
            let risen = !std::mem::replace(&mut lagg.links[n], link) && link;
            if risen
                && lagg.backend == LaggBackend::Bridge
                && let Some(port) = nic.index.and_then(|i| self.inventory.links.get_mut(&i))
            {
                // The kernel opens a port whose carrier rises, and no event says so for sure.
                port.passes = None;
            }
            // A frozen engine moves nothing on what probes say.
            let usable = link && (nic.usable() || (frozen && lagg.active == Some(n)));
            let since = &mut lagg.since[n];
            *since = if usable { since.or(Some(now)) } else { None };
            let settled = !frozen && since.is_some_and(|s| now - s >= delay);
            ports.push(Port { link, usable, settled });
        }
        ports
    }

    fn report_switch(
        &self,
        g: GroupId,
        before: Option<NicId>,
        after: Option<NicId>,
        first: bool,
        out: &mut Vec<Action>,
    ) {
        let group = &self.groups[g];
        let name = |n: Option<NicId>| n.map(|n| group.nics[n].name());
        self.tell(out, diag::lagg_switched(&group.settings.name, name(before), name(after), first));
    }

    /// Neighbours and switches are told at once and repeatedly (lagg-carp.md C.6).
    fn announce_lagg(&mut self, now: Time, g: GroupId) {
        let Some(index) = self.groups[g].lagg.as_ref().and_then(|l| l.index) else { return };
        let spoken = self.spoken_for(index);
        self.announcer.schedule(now, &self.settings.daemon.announce, &spoken, &spoken);
        self.speak.extend(spoken);
    }

    /// Addresses of a lagg and of whatever is stacked on it; 0.0.0.0 for a link-layer address that has none.
    fn spoken_for(&self, lagg: IfIndex) -> Vec<KernelOp> {
        let mut spoken = Vec::new();
        for index in self.stack(lagg) {
            let on = self.inventory.on(index).filter(|a| crate::inventory::usable(a));
            let before = spoken.len();
            spoken.extend(on.map(|a| (index, a.addr.address)));
            let up = self.inventory.links.get(&index).is_some_and(|l| l.up && l.mac.is_some());
            if spoken.len() == before && up {
                spoken.push((index, IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            }
        }
        let announce =
            |(index, address)| KernelOp::Announce { index, address, router: self.is_router(index) };
        spoken.into_iter().map(announce).collect()
    }

    /// A lagg with the VLANs, macvlans and other interfaces that lie on it.
    fn stack(&self, lagg: IfIndex) -> Vec<IfIndex> {
        let mut found = vec![lagg];
        let mut at = 0;
        while let Some(below) = found.get(at).copied() {
            let inner = |l: &mpath_model::Link| l.kind.as_deref() == Some("veth");
            let above = self.inventory.links.values().filter(|l| l.parent == Some(below) && !inner(l));
            let new: Vec<IfIndex> = above.map(|l| l.index).filter(|i| !found.contains(i)).collect();
            found.extend(new.into_iter().take(MAX_STACKED.saturating_sub(found.len())));
            at += 1;
        }
        found
    }

    /// All laggs with what lies on them.
    pub(super) fn lagg_stacks(&self) -> Vec<IfIndex> {
        let laggs = self.groups.iter().filter(|g| !g.retiring).filter_map(|g| g.lagg.as_ref()?.index);
        laggs.flat_map(|l| self.stack(l)).collect()
    }

    /// What laggs need of the kernel. First of all, and what has left comes before what is new: a port may change laggs.
    pub(super) fn lagg_ops(&mut self, now: Time) -> Vec<KernelOp> {
        let mut ops = Vec::new();
        let (retiring, live): (Vec<GroupId>, Vec<GroupId>) = (0..self.groups.len())
            .filter(|g| self.groups[*g].lagg.is_some())
            .partition(|g| self.groups[*g].retiring);
        for g in retiring.into_iter().chain(live) {
            let group = &mut self.groups[g];
            let retiring = group.retiring;
            let lagg = group.lagg.as_mut().expect("filtered");
            let mut wanted = if retiring {
                lagg::release(lagg, &self.inventory)
            } else {
                lagg.remember(&group.nics, &self.inventory);
                lagg::plan(lagg, &group.nics, &self.inventory)
            };
            if !retiring {
                wanted.extend(self.port_sysctls(g));
            }
            let held = &self.held;
            wanted.retain(|op| !held.holds(now, op));
            ops.extend(wanted);
        }
        ops.extend(std::mem::take(&mut self.speak));
        ops
    }

    fn port_sysctls(&mut self, g: GroupId) -> Vec<KernelOp> {
        let group = &self.groups[g];
        let Some(lagg) = group.lagg.as_ref().filter(|l| l.index.is_some()) else { return Vec::new() };
        let mut ops = Vec::new();
        for nic in group.nics.iter().filter(|n| n.index.is_some()) {
            for (key, value) in lagg::port_sysctls(lagg.backend) {
                let at = (nic.name().to_string(), *key);
                let Some(now) = self.inventory.sysctls.get(&at).copied().filter(|v| v != value) else {
                    continue;
                };
                self.originals.entry(at).or_insert(now);
                ops.push(KernelOp::SetSysctl { interface: nic.name().to_string(), key: *key, value: *value });
            }
        }
        ops
    }

    /// A request for a lagg was carried out: what no event tells of is noted.
    pub(super) fn lagg_done(&mut self, op: &LaggOp) {
        match op {
            LaggOp::Steer { name, backend: LaggBackend::Redirect, steering, .. } => {
                self.inventory.steering.insert(name.clone(), steering.clone());
            }
            LaggOp::Steer { steering, .. } => self.note_passage(steering),
            LaggOp::Destroy { name, .. } => {
                self.inventory.steering.remove(name);
            }
            _ => {}
        }
    }

    fn note_passage(&mut self, steering: &Steering) {
        let shut = steering.draining.iter().chain(&steering.blocked);
        for (port, passes) in steering.active.iter().map(|p| (p, true)).chain(shut.map(|p| (p, false))) {
            if let Some(link) = self.inventory.links.get_mut(port) {
                link.passes = Some(passes);
            }
        }
    }

    /// A request for a lagg was refused. True if another back-end is tried instead, so that it is no error.
    pub(super) fn lagg_refused(&mut self, op: &LaggOp, errno: i32) -> bool {
        let LaggOp::Create { name, backend, .. } = op else { return false };
        let lacking = matches!(errno, EOPNOTSUPP | EPROTONOSUPPORT | ENODEV);
        let lagg = self.groups.iter_mut().filter_map(|g| g.lagg.as_mut());
        let Some(lagg) = lagg.into_iter().find(|l| l.settings.name == *name) else { return false };
        (lagg.ours, lagg.fresh) = (false, false);
        lacking && lagg.lacks(*backend)
    }

    /// When a lagg has something to do without being told.
    pub(super) fn lagg_deadline(&self, g: GroupId) -> Option<Time> {
        let group = &self.groups[g];
        let lagg = group.lagg.as_ref().filter(|_| !group.retiring)?;
        let delay = lagg.settings.failback_delay;
        let better = lagg.since.iter().take(lagg.active.unwrap_or(0)).flatten();
        let settles = better.map(|s| *s + delay).filter(|t| lagg.settings.failback && *t > self.now);
        settles.chain(lagg.draining.map(|(_, until)| until)).min()
    }

    pub(super) fn lagg_due(&self, now: Time, groups: &[GroupId]) -> bool {
        let delay = |l: &Lagg| l.settings.failback_delay;
        let frozen = self.frozen.is_some();
        let settled = |l: &Lagg| {
            let better = l.since.iter().take(l.active.unwrap_or(0)).flatten();
            !frozen && l.settings.failback && better.into_iter().any(|s| now - *s >= delay(l))
        };
        let drained = |l: &Lagg| l.draining.is_some_and(|(_, until)| until <= now);
        groups.iter().filter_map(|g| self.groups[*g].lagg.as_ref()).any(|l| settled(l) || drained(l))
    }

    /// Link-layer address with which a NIC speaks on the wire: a port of a lagg that is not active must not use the lagg's, or
    /// switches would send the lagg's frames to it.
    pub(super) fn wire_mac(&self, g: GroupId, n: NicId) -> Option<Mac> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let index = match &group.lagg {
            None => nic.index?,
            Some(lagg) if lagg.active == Some(n) => lagg.index?,
            Some(_) => return self.voice(g, n),
        };
        self.inventory.links.get(&index)?.mac
    }

    /// Link-layer address of a port that is not active: no other port has it.
    fn voice(&self, g: GroupId, n: NicId) -> Option<Mac> {
        let group = &self.groups[g];
        let lagg = group.lagg.as_ref()?;
        let whole = lagg.index.and_then(|i| self.inventory.links.get(&i)?.mac);
        lagg.voice(group.nics[n].name(), whole)
    }

    /// Whether a NIC speaks on the wire with a link-layer address, or did so just now: an answer to what a port asked before
    /// it became the active one comes to the address that it had then.
    pub(super) fn speaks_with(&self, g: GroupId, n: NicId, mac: Mac) -> bool {
        self.wire_mac(g, n) == Some(mac) || self.voice(g, n) == Some(mac)
    }

    /// The interface whose addresses a NIC may ask with.
    pub(super) fn speaker(&self, g: GroupId, n: NicId) -> Option<IfIndex> {
        let group = &self.groups[g];
        match &group.lagg {
            Some(lagg) if lagg.active == Some(n) => lagg.index,
            _ => group.nics[n].index,
        }
    }

    /// The interfaces whose addresses and neighbours belong to a group's link: its members, or its lagg.
    pub(super) fn faces(&self, g: GroupId) -> Vec<IfIndex> {
        let group = &self.groups[g];
        match &group.lagg {
            Some(lagg) => lagg.index.into_iter().collect(),
            None => group.nics.iter().filter_map(|n| n.index).collect(),
        }
    }
}
