//! Putting settings in force, the first time and at a reload: history, verdicts and moved addresses stay.

use super::Engine;
use crate::adopt;
use crate::group::{Group, HomedAddress, HomedRoute, NicId};
use mpath_model::IfAddr;
use mpath_model::settings::{self, Settings};
use std::collections::BTreeSet;

impl Engine {
    pub(super) fn configure(&mut self, settings: Settings) {
        let old = std::mem::take(&mut self.groups);
        let mut groups: Vec<Group> = settings.groups.iter().map(|s| build(s, &old)).collect();
        let mut before = 0;
        for group in &mut groups {
            group.before = before;
            before += group.nics.len();
        }
        groups.extend(settings.laggs.iter().map(|s| super::lagging::build(s, &old)));
        let leaving: Vec<Group> = old.iter().filter_map(|o| leftover(o, &groups)).collect();
        groups.extend(leaving);
        groups.extend(old.iter().filter(|o| o.is_lone()).map(|o| alone_again(o, &settings.detection)));
        give_up_claimed(&mut groups);
        self.groups = groups.into();
        self.carps.configure(settings.carps.clone());
        self.settings = settings;
        self.dirty = true;
        self.refresh_targets = true;
    }

    /// NICs tracked without a group: each one is an anonymous group of one (mpathd-behaviour.md 3.1).
    pub(super) fn sync_ungrouped(&mut self) {
        let track = !self.settings.detection.track_interfaces_only_with_groups;
        let grouped =
            |name: &str, groups: &[Group]| groups.iter().any(|g| !g.is_lone() && g.nic_named(name).is_some());
        let wanted: Vec<String> = self
            .inventory
            .links
            .values()
            .filter(|l| track && crate::carp::plan::device(l).is_none())
            .filter(|l| l.multicast && !l.loopback && !l.point_to_point && l.master.is_none())
            .filter(|l| !grouped(&l.name, &self.groups))
            .map(|l| l.name.clone())
            .collect();
        self.groups.retain(|g| !g.is_lone() || wanted.contains(&g.settings.name));
        for name in wanted {
            if !self.groups.iter().any(|g| g.is_lone() && g.settings.name == name) {
                self.groups.push(anonymous(&name, &self.settings.detection));
                self.refresh_targets = true;
            }
        }
    }
}

fn anonymous(name: &str, detection: &settings::Detection) -> Group {
    let interface =
        settings::Interface { name: name.to_string(), test_addresses: Vec::new(), standby: false };
    let mut group = Group::new(settings::Group {
        name: name.to_string(),
        failure_detection_time: detection.failure_detection_time,
        failback: detection.failback,
        probe: settings::ProbeMode::Auto,
        targets: Vec::new(),
        adopt: settings::Adopt::None,
        confirm: settings::Confirm::All,
        thresholds: Default::default(),
        interfaces: vec![interface],
        addresses: Vec::new(),
    });
    group.anonymous = true;
    group
}

/// The NIC goes on being tracked with what is known of it; if it is not to be any more, the next comparison says so.
fn alone_again(old: &Group, detection: &settings::Detection) -> Group {
    let mut group = anonymous(&old.settings.name, detection);
    group.nics = old.nics.clone();
    group.detection = old.detection.carried_over(detection.failure_detection_time);
    group
}

/// A group as configured now, with what is known of its NICs and addresses from before.
fn build(settings: &settings::Group, old: &[Group]) -> Group {
    let mut group = Group::new(settings.clone());
    let before = old.iter().find(|o| !o.anonymous && !o.retiring && o.settings.name == settings.name);
    for nic in &mut group.nics {
        if let Some(known) =
            old.iter().filter(|o| !o.retiring).flat_map(|o| &o.nics).find(|n| n.name() == nic.name())
        {
            *nic = crate::nic::Nic { settings: nic.settings.clone(), ..known.clone() };
        }
    }
    if let Some(before) = before {
        (group.failed, group.grace) = (before.failed, before.grace);
        group.beacons = before.beacons.remembered();
        group.detection = before.detection.carried_over(settings.failure_detection_time);
    }
    // Whoever is waited for is so until a time that somebody knows.
    let awaited = group.grace.is_some();
    group.nics.iter_mut().for_each(|n| n.trailing &= awaited);
    for d in &settings.addresses {
        let home = group.nic_named(&d.home).expect("validated settings name a member as home");
        let known = before.and_then(|b| b.addresses.iter().find(|a| a.addr == d.address).map(|a| (b, a)));
        let host = known.and_then(|(b, a)| same_nic(b, a.host, &group)).unwrap_or(home);
        let told = known.and_then(|(_, a)| a.told);
        let known = known.is_some_and(|(_, a)| a.known);
        group.addresses.push(HomedAddress {
            host,
            known,
            told,
            declared: true,
            ..HomedAddress::new(d.address, home)
        });
    }
    if let Some(before) = before {
        keep_adopted(&mut group, before);
        // Nothing that the group keeps may stay on a NIC that has left it.
        let left = before.nics.iter().filter(|n| group.nic_named(n.name()).is_none());
        group.former = before.former.iter().copied().chain(left.filter_map(|n| n.index)).collect();
    }
    // What was on its way out and has not gone home yet stays with its NIC, too.
    for other in old.iter().filter(|o| !o.anonymous && (o.retiring || o.settings.name != settings.name)) {
        take_along(&mut group, other);
    }
    group
}

/// What belongs to NICs that have come from another group comes with them, wherever it is at the moment; and declared addresses
/// that the other group had leave no copy there.
fn take_along(group: &mut Group, other: &Group) {
    for a in &other.addresses {
        let known = group.addresses.iter().any(|d| d.addr.address == a.addr.address);
        let test = adopt::is_test_address(&group.settings, &a.addr);
        let home = same_nic(other, a.home, group).filter(|_| !known && !test && !a.declared);
        if let Some(home) = home {
            let host = same_nic(other, a.host, group).unwrap_or(home);
            group.addresses.push(HomedAddress { home, host, seen: false, missing: None, ..a.clone() });
        }
        if home.is_some() || known || test {
            // It may be on its way, with copies anywhere.
            group.lenders.extend(other.nics.iter().filter_map(|nic| nic.index));
        }
    }
    for r in &other.routes {
        let known = group.routes.iter().any(|x| x.index == r.index && x.route == r.route);
        if let Some(home) = same_nic(other, r.home, group).filter(|_| !known) {
            let host = same_nic(other, r.host, group).unwrap_or(home);
            group.routes.push(HomedRoute { home, host, seen: false, missing: None, ..r.clone() });
            group.lenders.extend(other.nics.iter().filter_map(|n| n.index).filter(|_| other.retiring));
        }
    }
}

/// What the file gives to a group, declared or as a test address, is no longer another one's, which may have adopted it before:
/// two owners would each take the other's copy for a stray one.
fn give_up_claimed(groups: &mut [Group]) {
    let claimed: BTreeSet<_> = groups.iter().flat_map(Group::claims).collect();
    for group in groups {
        group.addresses.retain(|a| a.declared || !claimed.contains(&a.addr.address));
    }
}

fn same_nic(from: &Group, nic: NicId, to: &Group) -> Option<NicId> {
    to.nic_named(from.nics[nic].name())
}

fn keep_adopted(group: &mut Group, before: &Group) {
    let test = |a: &HomedAddress| adopt::is_test_address(&group.settings, &a.addr);
    let kept: Vec<_> = before.addresses.iter().filter(|a| !a.declared && !test(a)).collect();
    for a in kept {
        let declared = group.addresses.iter().any(|d| d.addr.address == a.addr.address);
        if let (Some(home), false) = (same_nic(before, a.home, group), declared) {
            let stays = same_nic(before, a.host, group);
            let (host, seen) = (stays.unwrap_or(home), a.seen && stays.is_some());
            let missing = a.missing.filter(|_| seen);
            group.addresses.push(HomedAddress { home, host, seen, missing, ..a.clone() });
        }
    }
    for r in &before.routes {
        if let Some(home) = same_nic(before, r.home, group) {
            let stays = same_nic(before, r.host, group);
            let (host, seen) = (stays.unwrap_or(home), r.seen && stays.is_some());
            let missing = r.missing.filter(|_| seen);
            group.routes.push(HomedRoute { home, host, seen, missing, ..r.clone() });
        }
    }
}

/// What has left the configuration: adopted addresses and routes of NICs that left go home, declared addresses that were
/// removed are deleted. The group stays in retirement until that is done.
fn leftover(old: &Group, new: &[Group]) -> Option<Group> {
    if old.anonymous {
        return super::lagging::leftover(old, new);
    }
    let kept = |name: &str| new.iter().any(|g| g.nic_named(name).is_some());
    let still =
        |a: &HomedAddress| new.iter().any(|g| g.addresses.iter().any(|d| d.addr.address == a.addr.address));
    let mut rest = old.retired();
    rest.failed = false;
    rest.moves.clear();
    rest.condemned.extend(old.addresses.iter().filter(|a| a.declared).map(|a| a.addr));
    rest.addresses.retain(|a| !a.declared && !still(a) && !kept(old.nics[a.home].name()));
    rest.routes.retain(|r| !kept(old.nics[r.home].name()));
    for nic in &mut rest.nics {
        nic.instances.clear();
        let name = nic.settings.name.clone();
        let installed = std::mem::take(&mut nic.installed);
        if !kept(&name) {
            rest.condemned.extend(installed);
        }
    }
    // What is wanted still or again must not go. With another prefix length it is another address to the kernel.
    let tested = |g: &Group, a: &IfAddr| {
        let mut nics = g.nics.iter().filter(|n| old.nic_named(n.name()).is_some());
        nics.any(|n| n.is_test_address(&a.address))
    };
    let wanted = |g: &Group, a: &IfAddr| g.addresses.iter().any(|d| d.addr == *a) || tested(g, a);
    rest.condemned.retain(|a| !new.iter().any(|g| wanted(g, a)));
    rest.leaving = (0..rest.nics.len()).filter(|n| !kept(rest.nics[*n].name())).collect();
    let leaving = !rest.leaving.is_empty();
    (leaving || !rest.addresses.is_empty() || !rest.routes.is_empty() || !rest.condemned.is_empty())
        .then_some(rest)
}
