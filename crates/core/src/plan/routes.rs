//! Routes of a group: the prefix routes that mpathd owns, and the routes of others that follow their NIC
//! (linux-failover.md, pitfalls 5 to 9).
//!
//! For each network P of the managed addresses: every NIC that has one of them gets `P dev NIC` at a metric
//! of its own from 7700 up, so that lookups bound to the NIC work; the NIC that hosts the first data address
//! of P gets `P dev NIC src ADDRESS` at the best metric.

use super::{Hold, Plan, link, needs_prefix_route, tables};
use crate::group::{Group, HomedAddress, HomedRoute, NicId};
use crate::inventory::{Inventory, is_daemons};
use crate::nic::Nic;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{Address, Hop, KernelOp, Placing, Route, ifa};
use mpath_model::{IfAddr, IfIndex, PROTO_MPATHD};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// RTPROT_KERNEL.
const RTPROT_KERNEL: u8 = 2;
/// Metric of the worst prefix routes; the NIC's position in the group is added.
const LAST_METRIC: u32 = 7700;
/// Metric of the best IPv6 prefix route: the kernel's own have 256. IPv4's have 0, which cannot be beaten,
/// but a route can be put in front of its equals.
const BEST_METRIC6: u32 = 128;

/// Whether a route found on a member follows that member: an ordinary unicast route through it, put there by an
/// administrator or a network manager. `bare` are the member's [`bare_networks`].
pub fn follows(r: &Route, index: IfIndex, bare: &BTreeSet<IfAddr>) -> bool {
    let ordinary = r.kind == 1 && r.nexthop_id.is_none() && r.expires.is_none() && r.table != 255;
    // 1 redirect, 9 router advertisement.
    let stays = [1, 9, PROTO_MPATHD].contains(&r.protocol) || is_daemons(r);
    let kernels = r.protocol == RTPROT_KERNEL && !bare.contains(&r.dst);
    let local = is_link_local6(&r.dst.address) || r.dst.address.is_multicast();
    ordinary && r.uses(index) && !stays && !kernels && !local
}

/// Networks of a member for which the kernel makes no route, because all addresses say so: NetworkManager makes the routes
/// itself, in the kernel's name, and the kernel takes them away with the address but does not bring them back.
pub fn bare_networks(group: &Group, nic: NicId) -> BTreeSet<IfAddr> {
    let found = || group.addresses.iter().filter(|a| a.home == nic).filter_map(|a| a.found.as_ref());
    let bare = |a: &&Address| a.has(ifa::NOPREFIXROUTE);
    let mut networks: BTreeSet<IfAddr> = found().filter(bare).map(|a| a.addr.network()).collect();
    if !networks.is_empty() {
        let made: BTreeSet<IfAddr> = found().filter(|a| !bare(a)).map(|a| a.addr.network()).collect();
        networks.retain(|n| !made.contains(n));
    }
    networks
}

/// All records of the route that this record is about: one for each member that it leads through.
pub fn records<'a>(group: &'a Group, h: &'a HomedRoute) -> impl Iterator<Item = &'a HomedRoute> {
    let several = if h.route.hops.len() == 1 { &[] } else { group.routes.as_slice() };
    let others = several.iter().filter(move |o| !std::ptr::eq(*o, h) && o.route == h.route);
    std::iter::once(h).chain(others)
}

/// Some way out of the route leads elsewhere for the time being.
fn away(group: &Group, h: &HomedRoute) -> bool {
    records(group, h).any(|o| o.host != o.home)
}

/// A route that is on loan to another NIC; none if no way out is left.
fn moved(group: &Group, inv: &Inventory, h: &HomedRoute) -> Option<Route> {
    let mut route = h.route.clone();
    route.protocol = PROTO_MPATHD;
    // Where the original cannot be, its owner must be able to put it back: two routes of one metric do not go together.
    let vacant = link(group, inv, h.home).is_none_or(|l| !l.up) || group.nics[h.home].raised.is_some();
    let beside = |o: &HomedRoute| {
        (o.route.dst, o.route.table) == (route.dst, route.table) && o.route.metric == route.metric + 1
    };
    if vacant && h.host != h.home && route.metric < u32::MAX && !group.routes.iter().any(beside) {
        route.metric += 1;
    }
    let mut hops: Vec<Hop> = Vec::new();
    for hop in &h.route.hops {
        let mut hop = hop.clone();
        if let Some(o) = records(group, h).find(|o| o.index == hop.index) {
            let Some(l) = link(group, inv, o.host).filter(|l| l.up) else { continue };
            hop.index = l.index;
            if let Some(gateway) = hop.gateway.filter(|_| o.host != o.home) {
                hop.onlink |= !reachable(group, inv, o.host, l.index, &gateway);
            }
        }
        match hops.iter_mut().find(|x| (x.index, x.gateway) == (hop.index, hop.gateway)) {
            Some(twin) => twin.weight = twin.weight.saturating_add(hop.weight).min(256),
            None => hops.push(hop),
        }
    }
    if route.family() == Family::Inet6 {
        hops.sort_unstable(); // as the inventory has them
    }
    route.hops = hops;
    if route.family() == Family::Inet {
        let data = |a: &IpAddr| group.addresses.iter().any(|d| d.addr.address == *a);
        route.prefsrc = route.prefsrc.filter(data).or_else(|| source(group, h.host, &route));
    }
    (!route.hops.is_empty()).then_some(route)
}

/// The data address that unbound traffic over a moved route shall carry: one in the gateway's network.
fn source(group: &Group, host: NicId, route: &Route) -> Option<IpAddr> {
    let gateway = route.hops.first().and_then(|h| h.gateway);
    let fits = |a: &IfAddr| gateway.is_some_and(|g| a.contains(&g));
    let family = |a: &&IfAddr| a.family() == Family::Inet;
    let hosted: Vec<&IfAddr> = group.hosted(host).map(|a| &a.addr).filter(family).collect();
    hosted.iter().find(|a| fits(a)).or(hosted.first()).map(|a| a.address)
}

/// Whether the kernel has a way to a gateway over this NIC, or is about to get one. An address that brings none, and that
/// nobody knows to be ours, as when a journal was lost, does not count.
fn reachable(group: &Group, inv: &Inventory, host: NicId, index: IfIndex, gateway: &IpAddr) -> bool {
    let nic = &group.nics[host];
    let bare = |a: &HomedAddress| {
        !needs_prefix_route(a) && a.found.as_ref().is_some_and(|f| f.has(ifa::NOPREFIXROUTE))
    };
    is_link_local6(gateway)
        || group.hosted(host).any(|a| a.addr.contains(gateway) && !bare(a))
        || nic.test_addresses().any(|a| a.contains(gateway) && ours(nic, inv, index, &a.address))
        || inv.on(index).any(|a| a.addr.contains(gateway) && !a.has(ifa::NOPREFIXROUTE))
        || inv.routes_through(index).any(|r| r.hops[0].gateway.is_none() && r.dst.contains(gateway))
}

/// Adds what is missing, takes away what is superfluous.
pub(super) fn plan(group: &Group, inv: &Inventory, plan: &mut Plan, hold: Hold<'_>) {
    let mut wanted = prefix_routes(group, inv, plan);
    let mut missing_at_home = Vec::new();
    for (i, r) in group.routes.iter().enumerate() {
        let repeated = r.route.hops.len() > 1 && group.routes[..i].iter().any(|o| o.route == r.route);
        if repeated || records(group, r).all(|o| o.missing.is_some()) {
            continue;
        }
        if away(group, r) {
            // Networks of data addresses have routes of our own.
            let copy = moved(group, inv, r).filter(|_| r.route.protocol != RTPROT_KERNEL);
            wanted.extend(copy);
        } else if link(group, inv, r.host).is_some_and(|l| l.up) {
            let route = home_route(group, r);
            if (group.retiring || group.nics[r.home].usable()) && !there(inv, &route) {
                missing_at_home.push(route);
            }
        }
    }
    wanted.extend(tables::routes(group, inv));
    wanted.extend(super::advertised::demoted(group, inv));
    let missing: Vec<Route> = wanted.iter().filter(|w| !there(inv, w)).cloned().collect();
    // Networks before gateways: a gateway must be reachable when its route comes.
    let mut adds: Vec<&Route> = missing.iter().chain(&missing_at_home).collect();
    adds.sort_by_key(|r| r.hops[0].gateway.is_some());
    // A source that is not there yet, because it is asked for first, would be refused.
    adds.retain(|r| r.prefsrc.is_none_or(|s| inv.is_own(&s) || plan.puts_anywhere(&s)));
    for r in &adds {
        let op = KernelOp::AddRoute((*r).clone(), placing(group, inv, r));
        plan.make(op, hold);
    }
    surplus(group, inv, &wanted, &adds, plan, hold);
}

fn there(inv: &Inventory, route: &Route) -> bool {
    inv.routes_to(&route.dst).any(|r| same(r, route))
}

/// Our own routes that are not wanted any more, and found routes whose copy is in force, go as soon as nothing is
/// missing for their destination.
fn surplus(
    group: &Group,
    inv: &Inventory,
    wanted: &[Route],
    adds: &[&Route],
    plan: &mut Plan,
    hold: Hold<'_>,
) {
    let homed = by_destination(group.routes.iter().map(|h| (h.route.dst, h)));
    let wanted = by_destination(wanted.iter().map(|w| (w.dst, w)));
    let awaited: BTreeSet<(IfAddr, u32)> = adds.iter().map(|a| (a.dst, a.table)).collect();
    // What is left of a retiring group answers only for the NICs that nobody else has taken over.
    let answers: Vec<IfIndex> = if group.retiring {
        group.leaving.iter().filter_map(|n| group.nics[*n].index).collect()
    } else {
        super::interfaces(group).collect()
    };
    let all = answers.into_iter().flat_map(|i| inv.routes_through(i));
    for r in all.filter(|r| !awaited.contains(&(r.dst, r.table))) {
        let records = || homed.get(&r.dst).into_iter().flatten().filter(|h| at_home(group, r, h));
        let successors = || wanted.get(&r.dst).into_iter().flatten();
        // Without a journal routes of ours are claimed: what one has lent may be what another one wants.
        if successors().any(|w| same(w, r)) {
            continue;
        }
        let ours = r.protocol == PROTO_MPATHD && !records().any(|h| !away(group, h));
        let lent = records().any(|h| away(group, h) && link(group, inv, h.host).is_some());
        let demoted = successors().any(|w| super::advertised::is_original_of(r, w));
        if ours || lent || demoted {
            plan.clean(KernelOp::DelRoute(r.clone()), hold);
        }
    }
}

fn by_destination<T>(all: impl Iterator<Item = (IfAddr, T)>) -> BTreeMap<IfAddr, Vec<T>> {
    let mut found: BTreeMap<IfAddr, Vec<T>> = BTreeMap::new();
    all.for_each(|(dst, one)| found.entry(dst).or_default().push(one));
    found
}

/// A homed route as it is at home, under the present indices of its NICs.
fn home_route(group: &Group, h: &HomedRoute) -> Route {
    let mut route = h.route.clone();
    for (hop, found) in route.hops.iter_mut().zip(&h.route.hops) {
        let record = records(group, h).find(|o| o.index == found.index);
        hop.index = record.and_then(|o| group.nics[o.home].index).unwrap_or(hop.index);
    }
    route
}

/// Whether a route is the record's own, at home under the present indices of its NICs.
pub fn at_home(group: &Group, r: &Route, h: &HomedRoute) -> bool {
    head(r) == head(&h.route) && same(r, &home_route(group, h))
}

/// Whether a route is what is left of a route with several ways out: IPv6 loses them one by one.
pub fn is_rest_of(group: &Group, r: &Route, h: &HomedRoute) -> bool {
    let head = |r: &Route| (r.dst, r.table, r.metric, r.protocol);
    let several = h.route.hops.len() > r.hops.len();
    let hops = |r: &Route| r.hops.iter().map(|h| (h.index, h.gateway)).collect::<Vec<_>>();
    several && head(r) == head(&h.route) && {
        let all = hops(&home_route(group, h));
        hops(r).iter().all(|hop| all.contains(hop))
    }
}

/// IPv4 routes go in front of their equals. IPv6 has no order among equals: there the route replaces them, if
/// they all lead through members.
fn placing(group: &Group, inv: &Inventory, r: &Route) -> Placing {
    let equal = |o: &&Route| o.table == r.table && o.metric == r.metric;
    let known = |o: &Route| group.routes.iter().any(|h| at_home(group, o, h) || is_rest_of(group, o, h));
    let members = |o: &Route| o.hops.iter().all(|h| group.nic_at(h.index).is_some()) || known(o);
    if r.family() == Family::Inet6 && inv.routes_to(&r.dst).filter(equal).all(members) {
        Placing::Replace
    } else {
        Placing::Before
    }
}

/// Whether two routes are the same for our purposes.
fn same(a: &Route, b: &Route) -> bool {
    let ways = |r: &Route| r.hops.len();
    let hops = || a.hops.iter().zip(&b.hops).all(|(a, b)| (a.index, a.gateway) == (b.index, b.gateway));
    let source = a.family() == Family::Inet6 || a.prefsrc == b.prefsrc;
    head(a) == head(b) && ways(a) == ways(b) && hops() && source
}

/// What of a route stays wherever it leads.
fn head(r: &Route) -> (IfAddr, u32, u8, u32, u8) {
    (r.dst, r.table, r.tos, r.metric, r.protocol)
}

/// The prefix routes that should exist for the managed addresses of the group.
fn prefix_routes(group: &Group, inv: &Inventory, plan: &Plan) -> Vec<Route> {
    if group.retiring {
        return Vec::new();
    }
    let mut routes = Vec::new();
    for (id, nic) in group.nics.iter().enumerate() {
        let Some(l) = link(group, inv, id).filter(|l| l.up) else {
            continue;
        };
        let data = group.hosted(id).filter(|a| needs_prefix_route(a)).map(|a| a.addr);
        let there = |t: &IfAddr| ours(nic, inv, l.index, &t.address) || plan.puts(l.index, &t.address);
        let tests = nic.test_addresses().filter(|t| !nic.offline && there(t));
        let of_a_network = |a: &IfAddr| !a.is_host() && !is_link_local6(&a.address);
        let mut sources: Vec<IfAddr> = data.chain(tests).filter(of_a_network).collect();
        sources.sort_by_key(|a| !comes_from(inv, plan, l.index, a));
        let mut done: BTreeSet<IfAddr> = BTreeSet::new();
        for addr in sources {
            if done.insert(addr.network()) {
                routes.push(prefix_route(addr, l.index, LAST_METRIC + id as u32));
            }
        }
    }
    let homed = by_destination(group.addresses.iter().map(|a| (a.addr.network(), a)));
    for network in networks(group, inv) {
        let hosted = homed.get(&network).cloned().unwrap_or_default();
        if let Some((addr, index)) = best_host(group, inv, plan, &network, hosted) {
            let metric = if addr.family() == Family::Inet { 0 } else { BEST_METRIC6 };
            routes.push(prefix_route(addr, index, metric));
        }
    }
    routes
}

/// Whether a route can lead from an address: it is there, or is about to be. One that is left to somebody else, who takes it
/// away again and again, is not.
fn comes_from(inv: &Inventory, plan: &Plan, index: IfIndex, addr: &IfAddr) -> bool {
    inv.at(index, &addr.address).next().is_some() || plan.puts(index, &addr.address)
}

/// Whether an address is there and was installed by mpathd, so that the kernel has no prefix route for it.
fn ours(nic: &Nic, inv: &Inventory, index: IfIndex, address: &IpAddr) -> bool {
    inv.at(index, address).any(|a| a.protocol == PROTO_MPATHD || nic.installed.contains(&a.addr))
}

/// Networks that need a route at the best metric: those of the addresses without a kernel route, and those
/// whose kernel route leads into a NIC that cannot serve, where it may come first.
fn networks(group: &Group, inv: &Inventory) -> Vec<IfAddr> {
    let managed = group.addresses.iter().filter(|a| needs_prefix_route(a)).map(|a| a.addr.network());
    let broken = group.nics.iter().filter(|n| !n.usable()).filter_map(|n| n.index);
    let kernels = |r: &&Route| {
        r.protocol == RTPROT_KERNEL
            && r.kind == 1
            && r.table == 254
            && !is_link_local6(&r.dst.address)
            && !r.dst.is_host()
    };
    let into = |r: &&Route| r.hops.len() == 1 && !r.dst.address.is_multicast();
    let blind = broken.flat_map(|i| inv.routes_through(i)).filter(kernels).filter(into).map(|r| r.dst);
    let mut nets: Vec<IfAddr> = managed.chain(blind).collect();
    nets.sort();
    nets.dedup();
    nets
}

/// The NIC that hosts the first data address of the network, a usable one first; else the first usable NIC
/// with any address in it. A route of IPv4 names its source, which has to be there.
fn best_host(
    group: &Group,
    inv: &Inventory,
    plan: &Plan,
    network: &IfAddr,
    mut hosted: Vec<&HomedAddress>,
) -> Option<(IfAddr, IfIndex)> {
    let up = |n: NicId| link(group, inv, n).filter(|l| l.up).map(|l| l.index);
    let here = |a: &HomedAddress| up(a.host).is_some_and(|i| comes_from(inv, plan, i, &a.addr));
    hosted.sort_by_key(|a| (!group.nics[a.host].usable(), !here(a)));
    let possible = |a: &&&HomedAddress| network.family() == Family::Inet6 || here(a);
    let data = hosted.iter().filter(possible).find_map(|a| up(a.host).map(|i| (a.addr, i)));
    let needed = hosted.iter().any(|a| needs_prefix_route(a));
    let usable = |index: &IfIndex| group.nic_at(*index).is_some_and(|n| group.nics[n].usable());
    data.filter(|(_, index)| needed || usable(index)).or_else(|| {
        let nics = (0..group.nics.len()).filter(|n| group.nics[*n].usable());
        nics.filter_map(|n| Some((n, up(n)?))).find_map(|(n, index)| {
            let found = inv.on(index).map(|a| a.addr).filter(|a| a.network() == *network);
            let tests = group.nics[n].test_addresses().filter(|t| t.network() == *network);
            found.chain(tests).next().map(|a| (a, index))
        })
    })
}

fn prefix_route(addr: IfAddr, index: IfIndex, metric: u32) -> Route {
    let mut route = Route::onlink(addr.network(), index, metric, PROTO_MPATHD);
    // IPv6 refuses a preferred source that is still tentative, and chooses well by itself (RFC 6724).
    route.prefsrc = (addr.family() == Family::Inet).then_some(addr.address);
    route
}
