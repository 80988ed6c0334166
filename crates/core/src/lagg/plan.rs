//! What has to be asked of the kernel for a lagg: should-be minus is, in the order in which it is to be done. Frames come
//! first, looks last.

use super::{Lagg, steering};
use crate::inventory::Inventory;
use crate::nic::Nic;
use mpath_model::addr::Family;
use mpath_model::kernel::{Address, KernelOp, LaggBackend, LaggOp, Link, Sysctl};
use mpath_model::{IfAddr, IfIndex, Mac, PROTO_MPATHD};

/// What a port needs, so that it never speaks for itself (lagg-carp.md C.5).
const PORT_SYSCTLS: [(Sysctl, i32); 2] = [(Sysctl::DisableIpv6, 1), (Sysctl::ArpIgnore, 8)];

/// Standard Ethernet, for a lagg that has no port to take its MTU from.
const MTU: u32 = 1500;

/// A lagg that is in the configuration.
pub(crate) fn plan(lagg: &mut Lagg, nics: &[Nic], inv: &Inventory) -> Vec<KernelOp> {
    let name = lagg.settings.name.clone();
    let link = match lagg.link(inv) {
        Ok(Some(link)) => link.clone(),
        Ok(None) => return create(lagg, nics, inv),
        // Made in another way, by us: it is made anew.
        Err(other) if lagg.ours => {
            let backend = other.kind.as_deref().and_then(backend_of).unwrap_or(lagg.backend);
            return vec![KernelOp::Lagg(LaggOp::Destroy { name, backend })];
        }
        Err(_) => return Vec::new(),
    };
    lagg.ours = true;
    lagg.index = Some(link.index);
    let there: Vec<(&Nic, &Link)> =
        nics.iter().filter_map(|n| Some((n, inv.links.get(&n.index?)?))).collect();
    if let (None, Some((_, port))) = (&lagg.primary, there.first()) {
        lagg.primary = Some(port.name.clone());
        lagg.mac = lagg.found(&port.name, port.index).map(|m| m.mac);
    }
    let Some(mac) = lagg.mac.or(link.mac) else { return Vec::new() };
    let mut ops = attach(lagg, &link, &there);
    ops.extend(steer(lagg, &link, mac, nics, inv));
    if link.mac != Some(mac) {
        ops.push(LaggOp::SetMac { index: link.index, mac });
    } else {
        lagg.mac = None;
    }
    for (_, port) in &there {
        ops.extend(dress(lagg.backend, port, mac, link.mtu));
    }
    ops.extend(left(lagg, nics, inv));
    if let Some(inner) = lagg.inner(inv) {
        let up = there.iter().any(|(_, port)| port.running);
        if inner.mtu != link.mtu {
            ops.push(LaggOp::SetMtu { index: inner.index, mtu: link.mtu });
        }
        if inner.up != up {
            ops.push(LaggOp::SetUp { index: inner.index, up });
        }
    }
    if link.up {
        lagg.fresh = false;
    } else if lagg.fresh {
        ops.push(LaggOp::SetUp { index: link.index, up: true });
    }
    let mut ops: Vec<KernelOp> = ops.into_iter().map(KernelOp::Lagg).collect();
    ops.extend(addresses(lagg, &link, inv));
    ops
}

/// Interface sysctls of ports, beside what they must be.
pub(crate) fn port_sysctls(backend: LaggBackend) -> &'static [(Sysctl, i32)] {
    // The bonding driver sees to it.
    if backend == LaggBackend::Bond { &[] } else { &PORT_SYSCTLS }
}

fn backend_of(kind: &str) -> Option<LaggBackend> {
    match kind {
        "veth" => Some(LaggBackend::Redirect),
        "bridge" => Some(LaggBackend::Bridge),
        "bond" => Some(LaggBackend::Bond),
        _ => None,
    }
}

/// The lagg looks like its primary (lagg-carp.md A.5, A.8).
fn create(lagg: &mut Lagg, nics: &[Nic], inv: &Inventory) -> Vec<KernelOp> {
    lagg.index = None;
    let name = lagg.settings.name.clone();
    let port = nics.iter().find_map(|n| inv.links.get(&n.index?).filter(|l| l.mac.is_some()));
    // Ports whose driver is late are waited for: addresses belong to an interface with a link-layer address that lasts.
    if port.is_none() && !nics.is_empty() {
        return Vec::new();
    }
    let found = port.and_then(|l| lagg.found(&l.name, l.index));
    let mac = found.map(|m| m.mac).or(port.and_then(|l| l.mac)).unwrap_or_else(|| made_up(&name));
    let mtu = found.map_or(port.map_or(MTU, |l| l.mtu), |m| m.mtu);
    lagg.primary = port.map(|l| l.name.clone());
    (lagg.ours, lagg.fresh, lagg.mac) = (true, true, None);
    vec![KernelOp::Lagg(LaggOp::Create { name, backend: lagg.backend, mac, mtu })]
}

/// A locally administered address for a lagg without ports.
fn made_up(name: &str) -> Mac {
    // FNV-1a
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let b = hash.to_be_bytes();
    Mac([0x02, b[1], b[2], b[3], b[4], b[5]])
}

fn attach(lagg: &Lagg, link: &Link, there: &[(&Nic, &Link)]) -> Vec<LaggOp> {
    if lagg.backend == LaggBackend::Redirect {
        return Vec::new(); // steering names every port
    }
    let outside = there.iter().filter(|(_, port)| port.master.is_none());
    outside
        .map(|(_, port)| LaggOp::Attach { lagg: link.index, backend: lagg.backend, port: port.index })
        .collect()
}

fn steer(lagg: &mut Lagg, link: &Link, mac: Mac, nics: &[Nic], inv: &Inventory) -> Option<LaggOp> {
    let ports: Vec<IfIndex> = nics.iter().filter_map(|n| n.index).collect();
    let at = |n: usize| nics.get(n).and_then(|n| n.index);
    let wanted = steering(&ports, lagg.active.and_then(at), lagg.draining.and_then(|(n, _)| at(n)));
    let shown = lagg.shown(inv, &ports);
    let same = match (&shown, lagg.backend) {
        (None, _) => false,
        (Some(shown), LaggBackend::Redirect) => *shown == wanted && lagg.guarded == Some(mac),
        // The others take from the active port alone. Without any, the kernel has closed all by itself.
        (Some(shown), _) => shown.active == wanted.active || wanted.active.is_none(),
    };
    lagg.guarded = Some(mac);
    let whole = wanted.active.is_some() || lagg.backend == LaggBackend::Redirect;
    (!same && whole).then(|| LaggOp::Steer {
        name: lagg.settings.name.clone(),
        backend: lagg.backend,
        lagg: link.index,
        mac,
        steering: wanted,
    })
}

/// What a port has to look like.
fn dress(backend: LaggBackend, port: &Link, mac: Mac, mtu: u32) -> Vec<LaggOp> {
    let index = port.index;
    let mut ops = Vec::new();
    if port.mtu != mtu {
        ops.push(LaggOp::SetMtu { index, mtu });
    }
    if backend == LaggBackend::Redirect {
        if port.mac != Some(mac) {
            ops.push(LaggOp::SetMac { index, mac });
        }
        // Multicast groups, VLANs and other addresses of whatever lies on the lagg: none of that is in the port's filters.
        if !port.promisc {
            ops.push(LaggOp::SetPromisc { index, on: true });
        }
    }
    ops
}

/// Ports that have left the lagg look as they did before.
fn left(lagg: &mut Lagg, nics: &[Nic], inv: &Inventory) -> Vec<LaggOp> {
    let mut ops = Vec::new();
    let index = lagg.index;
    let backend = lagg.backend;
    lagg.found.retain(|m| {
        if nics.iter().any(|n| n.name() == m.name) {
            return true;
        }
        let undo = undress(m, backend, index, inv);
        let unfinished = !undo.is_empty();
        ops.extend(undo);
        unfinished
    });
    ops
}

fn undress(
    m: &crate::persist::PortMemory,
    backend: LaggBackend,
    lagg: Option<IfIndex>,
    inv: &Inventory,
) -> Vec<LaggOp> {
    let Some(link) = inv.links.get(&m.index) else { return Vec::new() };
    let index = m.index;
    let mut ops = Vec::new();
    // Somebody else took the bridge away, and its port is still kept dormant.
    let kept = backend == LaggBackend::Bridge && link.master.is_none() && link.passes == Some(false);
    if kept || (link.master.is_some() && link.master == lagg) {
        ops.push(LaggOp::Detach { backend, port: index });
    }
    if link.mac != Some(m.mac) {
        ops.push(LaggOp::SetMac { index, mac: m.mac });
    }
    if link.mtu != m.mtu {
        ops.push(LaggOp::SetMtu { index, mtu: m.mtu });
    }
    if link.promisc != m.promisc {
        ops.push(LaggOp::SetPromisc { index, on: m.promisc });
    }
    ops
}

/// Addresses of the configuration, and those that have left it.
fn addresses(lagg: &mut Lagg, link: &Link, inv: &Inventory) -> Vec<KernelOp> {
    let mut ops = Vec::new();
    let wanted = lagg.settings.addresses.clone();
    for addr in &wanted {
        let there = inv.at(link.index, &addr.address).next().is_some();
        // IPv6 takes addresses only while the interface is up.
        if !there && (link.up || addr.family() == Family::Inet) {
            if !lagg.installed.contains(addr) {
                lagg.installed.push(*addr);
            }
            ops.push(KernelOp::AddAddress(address(link.index, *addr)));
        }
    }
    let stale: Vec<IfAddr> = lagg.installed.iter().filter(|a| !wanted.contains(a)).copied().collect();
    for addr in stale {
        if inv.addresses.contains_key(&(link.index, addr)) {
            ops.push(KernelOp::DelAddress { index: link.index, addr });
        } else {
            lagg.installed.retain(|a| *a != addr);
        }
    }
    ops
}

fn address(index: IfIndex, addr: IfAddr) -> Address {
    Address { protocol: PROTO_MPATHD, ..Address::plain(index, addr) }
}

/// A lagg that has left the configuration: everything as it was. Empty once it is.
pub(crate) fn release(lagg: &mut Lagg, inv: &Inventory) -> Vec<KernelOp> {
    if !lagg.ours {
        return Vec::new();
    }
    let mut ops = Vec::new();
    let link = inv.link_named(&lagg.settings.name);
    let index = link.map(|l| l.index);
    if let Some(link) = link {
        let backend = link.kind.as_deref().and_then(backend_of).unwrap_or(lagg.backend);
        let name = lagg.settings.name.clone();
        let ports = inv.links.values().filter(|l| l.master == index);
        ops.extend(ports.map(|l| LaggOp::Detach { backend, port: l.index }));
        ops.push(LaggOp::Destroy { name, backend });
    }
    let backend = lagg.backend;
    lagg.found.retain(|m| {
        let undo: Vec<LaggOp> =
            undress(m, backend, index, inv).into_iter().filter(|op| !ops.contains(op)).collect();
        let unfinished = !undo.is_empty();
        ops.extend(undo);
        unfinished
    });
    ops.into_iter().map(KernelOp::Lagg).collect()
}

#[cfg(test)]
mod tests;
