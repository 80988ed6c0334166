//! What the kernel shows, kept current by its events. The kernel takes some things away without saying
//! so; those rules (linux-failover.md, pitfall 7) live here too.

use crate::marks::Marks;
use mpath_model::addr::Family;
use mpath_model::kernel::{
    Address, Inventory as Dump, KernelEvent, Link, Neighbour, Route, Rule, Steering, Sysctl, ifa,
};
use mpath_model::{IfAddr, IfIndex, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Identity of a route for the kernel: what RTM_DELROUTE needs to name it.
type RouteKey = (IfAddr, u32, u8, u32, Vec<mpath_model::kernel::Hop>, u8, Option<IpAddr>);

fn route_key(r: &Route) -> RouteKey {
    (r.dst, r.table, r.tos, r.metric, r.hops.clone(), r.protocol, r.prefsrc)
}

/// The kernel's state as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Links by index.
    pub links: BTreeMap<IfIndex, Link>,
    /// Addresses by interface and address.
    pub addresses: BTreeMap<(IfIndex, IfAddr), Address>,
    routes: BTreeMap<RouteKey, Route>,
    /// Our own policy rules.
    pub rules: BTreeSet<Rule>,
    /// Neighbours by interface and address.
    pub neighbours: BTreeMap<(IfIndex, IpAddr), Neighbour>,
    /// Sysctls by interface name and key.
    pub sysctls: BTreeMap<(String, Sysctl), i32>,
    /// What stands in for IFA_PROTO where the kernel has none.
    pub marks: Marks,
    /// Where the frames of redirecting laggs go, by name.
    pub steering: BTreeMap<String, Steering>,
}

impl Inventory {
    /// Takes a complete dump in place of everything known.
    pub fn replace(&mut self, dump: Dump) {
        self.links = dump.links.into_iter().map(|l| (l.index, l)).collect();
        let marks = &mut self.marks;
        let marked = dump.addresses.into_iter().map(|a| marks.restored(a));
        self.addresses = marked.map(|a| ((a.index, a.addr), a)).collect();
        self.routes = dump.routes.into_iter().map(|r| (route_key(&r), r)).collect();
        self.rules = dump.rules.into_iter().collect();
        self.neighbours = dump.neighbours.into_iter().map(|n| ((n.index, n.address), n)).collect();
        self.steering = dump.steering.into_iter().collect();
        self.sysctls = dump.sysctls.into_iter().map(|(i, k, v)| ((i, k), v)).collect();
    }

    /// Takes over notes of whose the addresses are.
    pub fn recall(&mut self, ours: &[(IfIndex, IfAddr)]) {
        self.marks.recall(ours);
        for a in self.addresses.values_mut() {
            *a = self.marks.restored(a.clone());
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &KernelEvent) {
        match event {
            KernelEvent::Link(link) => {
                self.links.insert(link.index, link.clone());
                if !link.up {
                    self.drop_routes(|r| r.uses(link.index));
                }
            }
            KernelEvent::LinkGone(index) => {
                if let Some(link) = self.links.remove(index) {
                    self.sysctls.retain(|(name, _), _| *name != link.name);
                }
                self.addresses.retain(|(i, _), _| i != index);
                self.marks.link_gone(*index);
                self.neighbours.retain(|(i, _), _| i != index);
                self.drop_routes(|r| r.uses(*index));
            }
            KernelEvent::Address(a) => {
                self.addresses.insert((a.index, a.addr), self.marks.restored(a.clone()));
            }
            KernelEvent::AddressGone(a) => self.address_gone(a.index, a.addr),
            KernelEvent::Route(r) => {
                self.routes.insert(route_key(r), r.clone());
            }
            KernelEvent::RouteReplaced(r) => {
                let equal = |o: &Route| {
                    o.dst == r.dst && o.table == r.table && o.tos == r.tos && o.metric == r.metric
                };
                // IPv4 replaces one of the equals and does not say which. Where there is only one it is clear;
                // otherwise the next full comparison tells.
                if self.routes.values().filter(|o| equal(o)).count() == 1 || r.family() == Family::Inet6 {
                    self.drop_routes(equal);
                }
                self.routes.insert(route_key(r), r.clone());
            }
            KernelEvent::RouteGone(r) => self.route_gone(r),
            KernelEvent::Rule(r) => {
                self.rules.insert(*r);
            }
            KernelEvent::RuleGone(r) => {
                self.rules.remove(r);
            }
            KernelEvent::Neighbour(n) => {
                self.neighbours.insert((n.index, n.address), n.clone());
            }
            KernelEvent::Sysctl(interface, key, value) => {
                self.sysctls.insert((interface.clone(), *key), *value);
            }
            KernelEvent::Author(_) => {}
            KernelEvent::NeighbourGone(n) => {
                self.neighbours.remove(&(n.index, n.address));
            }
        }
    }

    /// A way out of an IPv6 multipath route goes as if it were a route of its own.
    fn route_gone(&mut self, gone: &Route) {
        let [hop] = gone.hops.as_slice() else {
            self.routes.remove(&route_key(gone));
            return;
        };
        if self.routes.remove(&route_key(gone)).is_some() || gone.family() == Family::Inet {
            return;
        }
        let head = |r: &Route| (r.dst, r.table, r.metric, r.protocol);
        let one = |r: &Route| head(r) == head(gone) && r.hops.len() > 1;
        let Some(key) =
            self.routes.iter().find(|(_, r)| one(r) && r.hops.contains(hop)).map(|(k, _)| k.clone())
        else {
            return;
        };
        let mut rest = self.routes.remove(&key).expect("it has just been found");
        rest.hops.retain(|h| h != hop);
        self.routes.insert(route_key(&rest), rest);
    }

    /// Deleting the last IPv4 address of a NIC takes all its IPv4 routes, and deleting an address takes
    /// the IPv4 routes that prefer it as source: both without an event.
    fn address_gone(&mut self, index: IfIndex, addr: IfAddr) {
        self.addresses.remove(&(index, addr));
        self.marks.gone(index, &addr);
        if addr.family() != Family::Inet {
            return;
        }
        if !self.on(index).any(|a| a.addr.family() == Family::Inet) {
            self.drop_routes(|r| r.family() == Family::Inet && r.uses(index));
        }
        if !self.is_own(&addr.address) {
            self.drop_routes(|r| r.prefsrc == Some(addr.address));
        }
    }

    fn drop_routes(&mut self, gone: impl Fn(&Route) -> bool) {
        self.routes.retain(|_, r| !gone(r));
    }

    /// The link with this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|l| l.name == name)
    }

    /// Addresses on an interface.
    pub fn on(&self, index: IfIndex) -> impl Iterator<Item = &Address> {
        let first = IfAddr { address: IpAddr::V4(0.into()), prefix_len: 0 };
        self.addresses.range((index, first)..).take_while(move |((i, _), _)| *i == index).map(|(_, a)| a)
    }

    /// Whether any interface has the address.
    pub fn is_own(&self, address: &IpAddr) -> bool {
        self.addresses.keys().any(|(_, a)| a.address == *address)
    }

    /// Whether an interface that is up has the address: one that is down may legitimately be another host's.
    pub fn is_own_and_up(&self, address: &IpAddr) -> bool {
        let up = |i: &IfIndex| self.links.get(i).is_some_and(|l| l.up);
        self.addresses.keys().any(|(i, a)| a.address == *address && up(i))
    }

    /// Whether an interface of this host has that link-layer address.
    pub fn is_own_mac(&self, mac: Mac) -> bool {
        self.links.values().any(|l| l.mac == Some(mac))
    }

    /// All routes.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values()
    }

    /// All routes to a destination.
    pub fn routes_to(&self, dst: &IfAddr) -> impl Iterator<Item = &Route> + use<'_> {
        let dst = *dst;
        let first = (dst, 0, 0, 0, Vec::new(), 0, None);
        self.routes.range(first..).map(|(_, r)| r).take_while(move |r| r.dst == dst)
    }

    /// All routes with a way out through an interface.
    pub fn routes_through(&self, index: IfIndex) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(move |r| r.uses(index))
    }

    /// A usable link-local address of the interface: not tentative, not failed.
    pub fn link_local(&self, index: IfIndex) -> Option<IpAddr> {
        self.on(index)
            .filter(|a| mpath_model::addr::is_link_local6(&a.addr.address) && usable(a))
            .map(|a| a.addr.address)
            .next()
    }

    /// Whether a dump has been made since the interface appeared under this name: sysctls make no events.
    pub fn knows_sysctls_of(&self, interface: &str) -> bool {
        self.sysctls.keys().any(|(name, _)| name == interface)
    }

    /// Whether a NIC can hold addresses of a family at all (disable_ipv6).
    pub fn has_family(&self, interface: &str, family: Family) -> bool {
        let key = (interface.to_string(), Sysctl::DisableIpv6);
        family == Family::Inet || self.sysctls.get(&key) != Some(&1)
    }

    /// Link-layer address of a neighbour on an interface.
    pub fn neighbour_mac(&self, index: IfIndex, address: &IpAddr) -> Option<mpath_model::Mac> {
        self.neighbours.get(&(index, *address)).and_then(|n| n.mac)
    }
}

/// Neither tentative nor lost to another owner: packets may carry it as their source.
pub fn usable(a: &Address) -> bool {
    a.flags & (ifa::TENTATIVE | ifa::DADFAILED) == 0
}
