//! What the kernel has to show for CARP, and what is to be asked of it: devices with a virtual MAC, and the addresses on
//! them, with lifetimes, while this host is master. Make before break: what is superfluous goes when nothing is missing.

use super::vhid::Vhid;
use crate::inventory::Inventory;
use mpath_model::kernel::{KernelOp, ifa};
use mpath_model::{Address, IfAddr, IfIndex, Link, PROTO_MPATHD};
use mpath_wire::carp::virtual_mac;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order: what is missing, and what must be silent at once.
    pub make: Vec<KernelOp>,
    /// What is superfluous.
    pub clean: Vec<KernelOp>,
    /// Addresses that `make` puts on an interface, to be announced there.
    pub placed: Vec<(IfIndex, IpAddr)>,
}

/// Name of the device with the virtual MAC of a vhid on an interface, given by its index: `carp1-2`. At most 15
/// characters for any index that a host reaches.
pub fn device_name(vhid: u8, parent: IfIndex) -> String {
    format!("carp{vhid}-{parent:x}")
}

/// Vhid and parent of a device of ours.
pub fn device(link: &Link) -> Option<(u8, IfIndex)> {
    let (vhid, parent) = link.name.strip_prefix("carp")?.split_once('-')?;
    let vhid: u8 = vhid.parse().ok()?;
    let ours = link.kind.as_deref() == Some("macvlan") && link.mac == Some(virtual_mac(vhid));
    ours.then_some((vhid, IfIndex::from_str_radix(parent, 16).ok()?))
}

/// Devices of ours that the kernel shows, by vhid and parent.
pub type Devices<'a> = BTreeMap<(u8, IfIndex), &'a Link>;

/// All devices of ours.
pub fn devices(inventory: &Inventory) -> Devices<'_> {
    inventory.links.values().filter_map(|l| device(l).map(|of| (of, l))).collect()
}

/// Interface that holds the addresses of a vhid while it is master, if it exists.
pub fn host(vhid: &Vhid, devices: &Devices<'_>) -> Option<IfIndex> {
    let active = vhid.place.active?;
    if vhid.settings.vmac {
        devices.get(&(vhid.settings.vhid, active)).map(|l| l.index)
    } else {
        Some(active)
    }
}

/// Compares all vhids with the kernel. Requests that `held` knows are left out.
pub fn plan(vhids: &[Vhid], inventory: &Inventory, held: &dyn Fn(&KernelOp) -> bool) -> Plan {
    let devices = devices(inventory);
    let mut plan = Plan::default();
    let mut wanted = BTreeSet::new();
    for v in vhids {
        let active = v.place.active.filter(|_| !v.retired);
        if let (true, Some(parent)) = (v.settings.vmac, active) {
            wanted.insert((v.settings.vhid, parent));
        }
        if v.retired && vhids.iter().any(|o| o.stands_beside(v) && o.serves() && !o.retired) {
            continue; // its device and addresses are another one's by now
        }
        if v.serves() && !v.retired {
            serve(v, inventory, &devices, &mut plan);
        } else {
            if let (true, Some(parent), None) = (v.settings.vmac, active, host(v, &devices)) {
                plan.make.push(make_device(v, parent));
            }
            silence(v, inventory, &devices, &mut plan);
        }
    }
    plan.make.retain(|op| !held(op));
    plan.placed.retain(|(index, address)| {
        let puts = |op: &KernelOp| matches!(op, KernelOp::AddAddress(a) if a.index == *index && a.addr.address == *address);
        plan.make.iter().any(puts)
    });
    let superfluous = devices.iter().filter(|(of, _)| !wanted.contains(of));
    plan.clean.extend(superfluous.map(|(_, l)| KernelOp::DelLink(l.index)));
    if plan.make.is_empty() {
        plan.clean.retain(|op| !held(op));
    } else {
        plan.clean.clear();
    }
    plan
}

/// A master's device is up and holds every address; copies elsewhere are superfluous.
fn serve(v: &Vhid, inventory: &Inventory, devices: &Devices<'_>, plan: &mut Plan) {
    let Some(parent) = v.place.active else { return };
    let Some(index) = host(v, devices) else {
        plan.make.push(make_device(v, parent));
        return;
    };
    let up = inventory.links.get(&index).is_some_and(|l| l.up);
    if !up {
        plan.make.push(KernelOp::SetLink { index, up: true });
    }
    for addr in &v.settings.addresses {
        let there = inventory.addresses.get(&(index, *addr));
        // IPv6 addresses go when a device goes down, which is not always told in order.
        if there.is_none() || !up {
            plan.make.push(KernelOp::AddAddress(address(v, inventory, index, *addr)));
            plan.placed.push((index, addr.address));
        }
    }
    plan.clean.extend(copies(v, inventory, devices, Some(index)));
}

fn make_device(v: &Vhid, parent: IfIndex) -> KernelOp {
    let vhid = v.settings.vhid;
    KernelOp::AddVirtual { name: device_name(vhid, parent), parent, mac: virtual_mac(vhid) }
}

/// Who is not master does not answer: its addresses go, which is quick, then its device goes down, which is less so.
fn silence(v: &Vhid, inventory: &Inventory, devices: &Devices<'_>, plan: &mut Plan) {
    let own = devices.iter().filter(|((vhid, parent), _)| {
        *vhid == v.settings.vhid && (Some(*parent) == v.place.active || v.place.listen.contains(parent))
    });
    plan.make.extend(withdrawals(v, inventory, devices));
    for (_, link) in own.filter(|(_, l)| l.up) {
        plan.make.push(KernelOp::SetLink { index: link.index, up: false });
    }
}

/// Deletes the addresses of a vhid wherever they are.
pub fn withdrawals(v: &Vhid, inventory: &Inventory, devices: &Devices<'_>) -> Vec<KernelOp> {
    copies(v, inventory, devices, None)
}

/// Deletes the addresses of a vhid from the interfaces that may hold them, except one.
fn copies(v: &Vhid, inventory: &Inventory, devices: &Devices<'_>, except: Option<IfIndex>) -> Vec<KernelOp> {
    let parents: BTreeSet<IfIndex> = v.place.listen.iter().copied().chain(v.place.active).collect();
    let mut places: Vec<IfIndex> = Vec::new();
    for parent in parents {
        places.push(parent);
        places.extend(devices.get(&(v.settings.vhid, parent)).map(|l| l.index));
    }
    places.retain(|i| Some(*i) != except);
    let all = places.into_iter().flat_map(|i| v.settings.addresses.iter().map(move |a| (i, *a)));
    all.filter(|key| inventory.addresses.get(key).is_some_and(is_ours))
        .map(|(index, addr)| KernelOp::DelAddress { index, addr })
        .collect()
}

/// Put there by CARP: with a lifetime, and nobody else's mark.
pub fn is_ours(a: &Address) -> bool {
    !a.has(ifa::PERMANENT) && (a.protocol == PROTO_MPATHD || a.protocol == 0)
}

/// A virtual address as it is installed. The network's route stays with the addresses that live here; without any, the
/// virtual address brings it along.
fn address(v: &Vhid, inventory: &Inventory, index: IfIndex, addr: IfAddr) -> Address {
    let resident = |a: &Address| !is_ours(a) && a.addr.contains(&addr.address) && !a.addr.is_host();
    let routed = inventory.addresses.values().any(resident);
    let lifetime = super::timing::lifetime(v.settings.advbase);
    Address {
        flags: ifa::NODAD | if routed { ifa::NOPREFIXROUTE } else { 0 },
        protocol: PROTO_MPATHD,
        valid_lft: lifetime,
        preferred_lft: lifetime,
        ..Address::plain(index, addr)
    }
}

/// Renews the lifetimes of what a master has in the kernel. What is missing there is the comparison's affair.
pub fn renewals(v: &Vhid, inventory: &Inventory, index: IfIndex) -> Vec<KernelOp> {
    let there = v.settings.addresses.iter().filter_map(|a| inventory.addresses.get(&(index, *a)));
    let lifetime = super::timing::lifetime(v.settings.advbase);
    let renewed = |a: &Address| Address { valid_lft: lifetime, preferred_lft: lifetime, ..a.clone() };
    there.filter(|a| is_ours(a)).map(|a| KernelOp::AddAddress(renewed(a))).collect()
}

/// Whether all addresses of a vhid are in the kernel as an earlier life of this daemon left them.
pub fn still_held(v: &Vhid, inventory: &Inventory, devices: &Devices<'_>) -> bool {
    host(v, devices).is_some_and(|index| {
        let up = inventory.links.get(&index).is_some_and(|l| l.up);
        let held = |a: &IfAddr| inventory.addresses.get(&(index, *a)).is_some_and(is_ours);
        up && v.settings.addresses.iter().all(held)
    })
}

#[cfg(test)]
mod tests;
