//! The engine's picture as `mpathctl status` shows it.

use crate::adopt;
use crate::group::{Group, NicId};
use crate::inventory::Inventory;
use crate::nic::Nic;
use crate::probe::confirm;
use crate::probe::instance::{Instance, Source};
use mpath_model::status::{self, *};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The whole picture.
pub fn snapshot(version: &str, groups: &[Group], inv: &Inventory) -> Status {
    let named = groups.iter().filter(|g| !g.anonymous && !g.retiring);
    let ungrouped = groups.iter().filter(|g| g.is_lone());
    Status {
        version: version.to_string(),
        unsaved: false,
        frozen: false,
        groups: named.map(|g| group(g, inv)).collect(),
        ungrouped: ungrouped.map(|g| interface(g, 0, inv)).collect(),
        laggs: groups.iter().filter(|g| !g.retiring).filter_map(|g| lagg(g, inv)).collect(),
        // The engine adds those of CARP.
        carps: Vec::new(),
        carp_counters: CarpCounters::default(),
    }
}

fn group(g: &Group, inv: &Inventory) -> status::Group {
    status::Group {
        name: g.settings.name.clone(),
        state: g.state(),
        failure_detection_time_ms: g.detection.current().as_millis() as u64,
        requested_failure_detection_time_ms: g.detection.requested().as_millis() as u64,
        failback: g.settings.failback,
        interfaces: (0..g.nics.len()).map(|n| interface(g, n, inv)).collect(),
        addresses: g.addresses.iter().map(|a| address(g, a, inv)).collect(),
    }
}

fn lagg(g: &Group, inv: &Inventory) -> Option<status::Lagg> {
    let lagg = g.lagg.as_ref()?;
    let ports: Vec<Port> = g.nics.iter().enumerate().map(|(n, nic)| port(n, nic, lagg.active, inv)).collect();
    let own = lagg.index.and_then(|index| inv.links.get(&index)).is_some_and(|l| l.up);
    let up = own && ports.iter().any(|p| p.link == LinkState::Up);
    Some(status::Lagg {
        name: lagg.settings.name.clone(),
        backend: lagg.backend.name().to_string(),
        link: if up { LinkState::Up } else { LinkState::Down },
        primary: lagg.settings.ports.first().cloned().unwrap_or_default(),
        active: lagg.active.map(|n| g.nics[n].name().to_string()),
        ports,
    })
}

fn port(n: NicId, nic: &Nic, active: Option<NicId>, inv: &Inventory) -> Port {
    let master = (n == 0).then(|| "MASTER".to_string());
    let active = (active == Some(n)).then(|| "ACTIVE".to_string());
    Port {
        name: nic.name().to_string(),
        flags: master.into_iter().chain(active).collect(),
        link: link_state(nic, inv),
        probe: probe_state(nic),
        state: state(nic),
    }
}

fn link_state(nic: &Nic, inv: &Inventory) -> LinkState {
    match nic.index.and_then(|i| inv.links.get(&i)) {
        None => LinkState::Unknown,
        Some(l) if l.running => LinkState::Up,
        Some(_) => LinkState::Down,
    }
}

fn address(g: &Group, a: &crate::group::HomedAddress, inv: &Inventory) -> DataAddress {
    let on = |n: &&Nic| n.index.is_some_and(|i| inv.addresses.contains_key(&(i, a.addr)));
    let host = Some(&g.nics[a.host]).filter(on).or_else(|| g.nics.iter().find(on));
    let up = host.is_some_and(|n| state(n) == InterfaceState::Ok);
    DataAddress {
        address: a.addr,
        home: g.nics[a.home].name().to_string(),
        interface: host.map(|n| n.name().to_string()),
        state: if up { AddressState::Up } else { AddressState::Down },
        adopted: !a.declared,
    }
}

fn state(n: &Nic) -> InterfaceState {
    match n {
        n if n.index.is_none() => InterfaceState::Unknown,
        n if n.offline => InterfaceState::Offline,
        n if n.failed => InterfaceState::Failed,
        _ => InterfaceState::Ok,
    }
}

fn interface(g: &Group, n: NicId, inv: &Inventory) -> Interface {
    let nic = &g.nics[n];
    let instances: Vec<status::Instance> = nic.instances.iter().map(|i| instance(g, i)).collect();
    let first = instances.first();
    Interface {
        name: nic.name().to_string(),
        state: state(nic),
        // Whoever loses a lot carries what nobody better can carry.
        active: nic.usable() && !g.inactive(n) && (nic.gray.is_none() || g.hosted(n).next().is_some()),
        degraded: nic.gray.is_some(),
        standby: nic.settings.standby,
        link: link_state(nic, inv),
        probe: probe_state(nic),
        mode: first.map_or(TargetMode::Disabled, |i| i.mode),
        test_addresses: instances.iter().filter_map(|i| i.test_address).collect(),
        targets: first.map(|i| i.targets.clone()).unwrap_or_default(),
        addresses: g
            .addresses
            .iter()
            .filter(|a| nic.index.is_some_and(|i| inv.addresses.contains_key(&(i, a.addr))))
            .map(|a| a.addr)
            .collect(),
        unmanaged: unmanaged(g, nic, inv),
        instances,
    }
}

fn probe_state(nic: &Nic) -> ProbeState {
    if !nic.probed() {
        ProbeState::Disabled
    } else if !nic.capable() {
        ProbeState::Unknown
    } else if nic.failed {
        ProbeState::Failed
    } else {
        ProbeState::Ok
    }
}

fn instance(g: &Group, i: &Instance) -> status::Instance {
    let source = match i.source {
        Source::Echo(a) => Some(a),
        Source::Arp | Source::Solicit => None,
    };
    let methods = i.methods(g.settings.confirm).into_iter().map(method);
    let watched = g.watch.running().then_some(Method::Beacon);
    status::Instance {
        family: i.family,
        methods: methods.chain(watched).collect(),
        mode: if i.targets.are_routers() { TargetMode::Routes } else { TargetMode::Multicast },
        test_address: source,
        targets: i.targets.active().map(|t| t.address).collect(),
    }
}

fn method(m: confirm::Method) -> Method {
    match m {
        confirm::Method::Echo => Method::Icmp,
        confirm::Method::Arp => Method::Arp,
        confirm::Method::Solicit => Method::Nd,
    }
}

fn unmanaged(g: &Group, nic: &Nic, inv: &Inventory) -> Vec<Unmanaged> {
    let Some(index) = nic.index else { return Vec::new() };
    let known: BTreeSet<IpAddr> = g.addresses.iter().map(|d| d.addr.address).collect();
    inv.on(index)
        .filter(|a| !known.contains(&a.addr.address) && !mpath_model::addr::is_link_local6(&a.addr.address))
        .filter_map(|a| adopt::judge(&g.settings, a).err().map(|r| (a.addr, r)))
        .filter(|(_, reason)| *reason != "test address")
        .map(|(address, reason)| Unmanaged { address, reason: reason.to_string() })
        .collect()
}
