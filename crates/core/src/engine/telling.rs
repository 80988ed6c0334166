//! Telling the neighbours where an address is now, and asking those whom the next packets will need: gateways.

use super::{Engine, GroupId};
use crate::plan::Plan;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{KernelOp, Sysctl};
use mpath_model::{IfIndex, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Copies of announcements to single neighbours in one round, at most.
const MAX_COPIES: usize = 1000;

impl Engine {
    /// How the neighbours are told of addresses that were put on an interface: a broadcast each, and copies for the
    /// neighbours in the table, gateways among them, as far as they are known.
    pub(super) fn announcements(&self, placed: &[(IfIndex, IpAddr)]) -> (Vec<KernelOp>, Vec<KernelOp>) {
        let mut first = Vec::new();
        let mut copies = Vec::new();
        let mut known = BTreeMap::new();
        for (index, address) in placed {
            let (index, address) = (*index, *address);
            let router = self.is_router(index);
            first.push(KernelOp::Announce { index, address, router });
            if copies.len() >= MAX_COPIES {
                continue;
            }
            let Some((g, _)) = self.nic_at(index) else { continue };
            let family = Family::of(&address);
            let told = known.entry((g, family)).or_insert_with(|| self.acquaintances(g, family)).iter();
            copies.extend(told.take(MAX_COPIES - copies.len()).map(|(neighbour, mac)| {
                KernelOp::AnnounceTo { index, address, router, neighbour: *neighbour, mac: *mac }
            }));
        }
        (first, copies)
    }

    /// Whether this host forwards IPv6 on an interface, or on the one below it, whose sysctls are known longer. An advertisement
    /// that says otherwise takes a router away from all its clients (RFC 4861 7.2.5).
    pub(super) fn is_router(&self, index: IfIndex) -> bool {
        let Some(link) = self.inventory.links.get(&index) else { return false };
        let below = link.parent.and_then(|parent| self.inventory.links.get(&parent));
        let forwards = |name: &str| {
            let key = (name.to_string(), Sysctl::Forwarding6);
            self.inventory.sysctls.get(&key).is_some_and(|v| *v != 0)
        };
        forwards(&link.name) || below.is_some_and(|l| forwards(&l.name))
    }

    /// Neighbours of a group with their link-layer addresses, gateways first.
    fn acquaintances(&self, g: GroupId, family: Family) -> Vec<(IpAddr, Mac)> {
        let group = &self.groups[g];
        let known = self.inventory.neighbours.values().filter(|n| Family::of(&n.address) == family);
        let known = known.filter(|n| group.nic_at(n.index).is_some() && !n.address.is_multicast());
        let mut found: Vec<(IpAddr, Mac)> = known.filter_map(|n| Some((n.address, n.mac?))).collect();
        let gateways: BTreeSet<IpAddr> =
            group.routes.iter().flat_map(|r| &r.route.hops).filter_map(|h| h.gateway).collect();
        found.sort_by_key(|(a, m)| (!gateways.contains(a), *a, *m));
        found.dedup();
        found
    }

    /// Entries of gateways without a MAC, on the NICs that routes are about to lead through: an unresolved one makes packets
    /// wait for a retransmit timer of a second. The kernel tells nobody of entries that are not resolved yet, so this asks
    /// for the deletion of whatever is not known to be resolved; that there is none is no error.
    pub(super) fn stuck_gateways(&self, plan: &Plan) -> Vec<KernelOp> {
        let hops = plan.make.iter().filter_map(|op| match op {
            KernelOp::AddRoute(r, _) => Some(&r.hops),
            _ => None,
        });
        hops.flatten()
            .filter_map(|h| h.gateway.map(|address| (h.index, address)))
            .filter(|(index, address)| self.inventory.neighbour_mac(*index, address).is_none())
            .map(|(index, address)| KernelOp::DelNeighbour { index, address })
            .collect()
    }

    /// The gateways of the networks that addresses were put on a NIC for are asked for their MAC at once, so that the first
    /// packet need not wait (linux-failover.md, pitfall 14).
    pub(super) fn solicitations(&self, g: GroupId, placed: &[(IfIndex, IpAddr)]) -> Vec<KernelOp> {
        let group = &self.groups[g];
        let mut asked = BTreeSet::new();
        let mut ops = Vec::new();
        if placed.is_empty() {
            return ops;
        }
        for target in group.routes.iter().flat_map(|r| &r.route.hops).filter_map(|h| h.gateway) {
            // An address of the gateway's network asks; else, with addresses of their own alone, any of the family.
            let near = |a: &IpAddr| {
                group.addresses.iter().any(|d| d.addr.address == *a && d.addr.contains(&target))
                    || (is_link_local6(&target) && a.is_ipv6())
            };
            let mut asking: Vec<_> =
                placed.iter().filter(|(_, a)| Family::of(a) == Family::of(&target)).collect();
            asking.sort_by_key(|(_, a)| !near(a));
            for (index, source) in asking {
                if asked.insert((*index, target)) {
                    ops.push(KernelOp::Solicit { index: *index, source: *source, target });
                }
            }
        }
        ops
    }
}
