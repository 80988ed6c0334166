//! Source routing, where several NICs of a group carry data: traffic from a data address leaves by the NIC that hosts
//! it. With one active NIC there is nothing to choose and no rule at all.
//!
//! ```text
//! 7705  from PREFIX to PART lookup main    what main reaches in another way than the rest of PREFIX: a container in it, say
//! 7710  from A to PREFIX lookup T          A's own link, through the NIC that hosts A
//! 7720  lookup main suppress_prefixlength 0    containers, tunnels, ungrouped NICs: whatever main knows in particular
//! 7730  from A lookup T                    the rest of the world
//! ```
//!
//! T is a table for each member, numbered from 7700 in the order of the configuration. Without the rule in the middle,
//! whoever is not reached through the default route loses the data address (linux-failover.md, numbers).

use super::link;
use crate::group::{Group, NicId};
use crate::inventory::Inventory;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{Hop, Route, Rule, TABLES};
use mpath_model::{IfAddr, IfIndex, PROTO_MPATHD};
use std::collections::BTreeSet;

/// See the module.
const PART: u32 = 7705;
const ON_LINK: u32 = 7710;
const PARTICULAR: u32 = 7720;
const WORLD: u32 = 7730;
/// RT_TABLE_MAIN.
const MAIN: u32 = 254;
/// Parts of one prefix that are looked for, at most.
const MAX_PARTS: usize = 256;
/// Metric of the routes in our own IPv6 tables: 0 would become 1024.
const METRIC6: u32 = 128;

/// The table of a member; none for those beyond the range.
fn table(group: &Group, nic: NicId) -> Option<u32> {
    let place = u32::try_from(group.before + nic).ok()?;
    Some(TABLES.start() + place).filter(|t| TABLES.contains(t))
}

/// Members that host data addresses of a family, if they are several.
fn several(group: &Group, inv: &Inventory, family: Family) -> BTreeSet<NicId> {
    let of = group.addresses.iter().filter(|a| a.addr.family() == family).map(|a| a.host);
    let hosts: BTreeSet<NicId> = of.filter(|n| link(group, inv, *n).is_some_and(|l| l.up)).collect();
    let chooses = hosts.len() > 1 && !group.retiring && !group.anonymous;
    if chooses { hosts } else { BTreeSet::new() }
}

/// The rules that all groups together need.
pub fn rules<'a>(groups: impl Iterator<Item = &'a Group> + Clone, inv: &Inventory) -> BTreeSet<Rule> {
    let mut wanted = BTreeSet::new();
    for group in groups {
        for family in Family::BOTH {
            let hosts = several(group, inv, family);
            let rule = |priority, from, to, table| Rule { family, priority, from, to, table, suppress: None };
            let of = |a: &&crate::group::HomedAddress| a.addr.family() == family && hosts.contains(&a.host);
            for a in group.addresses.iter().filter(of) {
                let Some(table) = table(group, a.host) else { continue };
                let from = Some(IfAddr::new(a.addr.address, family.bits()));
                if !a.addr.is_host() {
                    let prefix = a.addr.network();
                    if wanted.insert(rule(ON_LINK, from, Some(prefix), table)) {
                        let parts = parts(group, inv, &prefix);
                        wanted.extend(parts.map(|part| rule(PART, Some(prefix), Some(part), MAIN)));
                    }
                }
                wanted.insert(rule(WORLD, from, None, table));
                wanted.insert(Rule { suppress: Some(0), ..rule(PARTICULAR, None, None, MAIN) });
            }
        }
    }
    wanted
}

/// Parts of a prefix that main's routes lead elsewhere than onto the link of the group.
fn parts<'a>(
    group: &'a Group,
    inv: &'a Inventory,
    prefix: &IfAddr,
) -> impl Iterator<Item = IfAddr> + use<'a> {
    let on_link = |r: &Route| {
        let member = |h: &Hop| h.gateway.is_none() && group.nic_at(h.index).is_some();
        !r.hops.is_empty() && r.hops.iter().all(member)
    };
    let main = inv.routes_within(prefix).filter(|r| r.table == MAIN).take(MAX_PARTS);
    main.filter(move |r| !on_link(r) && !inv.is_own(&r.dst.address)).map(|r| r.dst)
}

/// The routes in the tables of the members of a group.
pub(super) fn routes(group: &Group, inv: &Inventory) -> Vec<Route> {
    let mut wanted: Vec<Route> = Vec::new();
    for family in Family::BOTH {
        for nic in several(group, inv, family) {
            let (Some(table), Some(l)) = (table(group, nic), link(group, inv, nic)) else { continue };
            let metric = if family == Family::Inet { 0 } else { METRIC6 };
            let networks: BTreeSet<IfAddr> = group
                .hosted(nic)
                .map(|a| a.addr)
                .filter(|a| a.family() == family && !a.is_host())
                .map(|a| a.network())
                .collect();
            let on_link = networks.into_iter().map(|n| Route::onlink(n, l.index, metric, PROTO_MPATHD));
            wanted.extend(
                on_link
                    .chain(default_route(group, inv, family, l.index, metric))
                    .map(|r| Route { table, ..r }),
            );
        }
    }
    wanted
}

/// A default route through this NIC, over the gateway of its own default route, else of one that belongs to the group.
fn default_route(
    group: &Group,
    inv: &Inventory,
    family: Family,
    index: IfIndex,
    metric: u32,
) -> Option<Route> {
    let usual =
        |r: &&Route| r.is_default() && r.family() == family && r.table == MAIN && r.nexthop_id.is_none();
    let through = |r: &Route| r.hops.iter().find(|h| h.index == index).and_then(|h| h.gateway);
    let any = IfAddr { address: unspecified(family), prefix_len: 0 };
    let mut own: Vec<&Route> = inv.routes_to(&any).filter(usual).collect();
    own.sort_by_key(|r| r.metric);
    let own = own.into_iter().find_map(through);
    let homed = || {
        let mut all: Vec<&Route> = group.routes.iter().map(|h| &h.route).filter(usual).collect();
        all.sort_by_key(|r| r.metric);
        all.into_iter().find_map(|r| r.hops.first()?.gateway)
    };
    let gateway = own.or_else(homed)?;
    let mut route = Route::onlink(any, index, metric, PROTO_MPATHD);
    route.scope = 0;
    route.hops = vec![Hop { index, gateway: Some(gateway), onlink: !is_link_local6(&gateway), weight: 1 }];
    Some(route)
}

fn unspecified(family: Family) -> std::net::IpAddr {
    match family {
        Family::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
