//! What the kernel shows, kept current by its events. The kernel takes some things away without saying
//! so; those rules (linux-failover.md, pitfall 7) live here too.

mod routes;

pub use routes::is_daemons;

use crate::marks::Marks;
use mpath_model::addr::Family;
use mpath_model::kernel::{
    Address, Inventory as Dump, KernelEvent, Link, Neighbour, Route, Rule, Steering, Sysctl, ifa,
};
use mpath_model::{IfAddr, IfIndex, Mac};
use routes::Routes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The kernel's state as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Links by index.
    pub links: BTreeMap<IfIndex, Link>,
    /// Addresses by interface and address. A copy of the picture shares what there can be much of.
    pub addresses: Arc<BTreeMap<(IfIndex, IfAddr), Address>>,
    /// The same addresses the other way round: where each one is, with its prefix length.
    places: Arc<BTreeSet<(IpAddr, IfIndex, u8)>>,
    routes: Arc<Routes>,
    /// Our own policy rules.
    pub rules: BTreeSet<Rule>,
    /// Neighbours by interface and address.
    pub neighbours: Arc<BTreeMap<(IfIndex, IpAddr), Neighbour>>,
    /// Sysctls by interface name and key.
    pub sysctls: Arc<BTreeMap<(String, Sysctl), i32>>,
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
        self.addresses = Arc::new(marked.map(|a| ((a.index, a.addr), a)).collect());
        self.places = Arc::new(self.addresses.keys().map(place).collect());
        let mut routes = Routes::default();
        dump.routes.into_iter().for_each(|r| routes.insert(r));
        self.routes = Arc::new(routes);
        self.rules = dump.rules.into_iter().collect();
        let neighbours = dump.neighbours.into_iter().map(|n| ((n.index, n.address), n));
        self.neighbours = Arc::new(neighbours.collect());
        self.steering = dump.steering.into_iter().collect();
        self.sysctls = Arc::new(dump.sysctls.into_iter().map(|(i, k, v)| ((i, k), v)).collect());
    }

    /// Takes over notes of whose the addresses are.
    pub fn recall(&mut self, ours: &[(IfIndex, IfAddr)]) {
        self.marks.recall(ours);
        for a in Arc::make_mut(&mut self.addresses).values_mut() {
            *a = self.marks.restored(a.clone());
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &KernelEvent) {
        match event {
            KernelEvent::Link(link) => {
                self.links.insert(link.index, link.clone());
                if !link.up {
                    self.routes_mut().drop_through(link.index, None);
                }
            }
            KernelEvent::LinkGone(index) => {
                if let Some(link) = self.links.remove(index) {
                    Arc::make_mut(&mut self.sysctls).retain(|(name, _), _| *name != link.name);
                }
                Arc::make_mut(&mut self.addresses).retain(|(i, _), _| i != index);
                Arc::make_mut(&mut self.places).retain(|(_, i, _)| i != index);
                self.marks.link_gone(*index);
                Arc::make_mut(&mut self.neighbours).retain(|(i, _), _| i != index);
                self.routes_mut().drop_through(*index, None);
            }
            KernelEvent::Address(a) => {
                let a = self.marks.restored(a.clone());
                Arc::make_mut(&mut self.places).insert(place(&(a.index, a.addr)));
                Arc::make_mut(&mut self.addresses).insert((a.index, a.addr), a);
            }
            KernelEvent::AddressGone(a) => self.address_gone(a.index, a.addr),
            KernelEvent::Route(r) => self.routes_mut().insert(r.clone()),
            KernelEvent::RouteReplaced(r) => self.route_replaced(r),
            KernelEvent::RouteGone(r) => self.route_gone(r),
            KernelEvent::Rule(r) => {
                self.rules.insert(*r);
            }
            KernelEvent::RuleGone(r) => {
                self.rules.remove(r);
            }
            KernelEvent::Neighbour(n) => {
                Arc::make_mut(&mut self.neighbours).insert((n.index, n.address), n.clone());
            }
            KernelEvent::Sysctl(interface, key, value) => {
                self.note_sysctl(interface.clone(), *key, *value);
            }
            KernelEvent::Author(_) => {}
            KernelEvent::NeighbourGone(n) => {
                Arc::make_mut(&mut self.neighbours).remove(&(n.index, n.address));
            }
        }
    }

    /// A sysctl has this value now.
    pub fn note_sysctl(&mut self, interface: String, key: Sysctl, value: i32) {
        Arc::make_mut(&mut self.sysctls).insert((interface, key), value);
    }

    fn routes_mut(&mut self) -> &mut Routes {
        Arc::make_mut(&mut self.routes)
    }

    /// IPv4 replaces one of the equals and does not say which. Where there is only one it is clear; otherwise the next full
    /// comparison tells.
    fn route_replaced(&mut self, r: &Route) {
        let equal = |o: &&Route| (o.table, o.tos, o.metric) == (r.table, r.tos, r.metric);
        let equals: Vec<Route> = self.routes_to(&r.dst).filter(equal).cloned().collect();
        if equals.len() == 1 || r.family() == Family::Inet6 {
            for equal in equals {
                self.routes_mut().remove(&equal);
            }
        }
        self.routes_mut().insert(r.clone());
    }

    /// A way out of an IPv6 multipath route goes as if it were a route of its own.
    fn route_gone(&mut self, gone: &Route) {
        let [hop] = gone.hops.as_slice() else {
            self.routes_mut().remove(gone);
            return;
        };
        if self.routes_mut().remove(gone) || gone.family() == Family::Inet {
            return;
        }
        let head = |r: &Route| (r.dst, r.table, r.metric, r.protocol);
        let one = |r: &Route| head(r) == head(gone) && r.hops.len() > 1;
        let Some(mut rest) = self.routes_to(&gone.dst).find(|r| one(r) && r.hops.contains(hop)).cloned()
        else {
            return;
        };
        self.routes_mut().remove(&rest);
        rest.hops.retain(|h| h != hop);
        self.routes_mut().insert(rest);
    }

    /// Deleting the last IPv4 address of a NIC takes all its IPv4 routes, and deleting an address takes
    /// the IPv4 routes that prefer it as source: both without an event.
    fn address_gone(&mut self, index: IfIndex, addr: IfAddr) {
        Arc::make_mut(&mut self.addresses).remove(&(index, addr));
        Arc::make_mut(&mut self.places).remove(&place(&(index, addr)));
        self.marks.gone(index, &addr);
        if addr.family() != Family::Inet {
            return;
        }
        if !self.on(index).any(|a| a.addr.family() == Family::Inet) {
            self.routes_mut().drop_through(index, Some(Family::Inet));
        }
        if !self.is_own(&addr.address) {
            self.routes_mut().drop_from(addr.address);
        }
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

    /// An address on an interface, whatever its prefix length.
    pub fn at(&self, index: IfIndex, address: &IpAddr) -> impl Iterator<Item = &Address> {
        let bound = |prefix_len| (index, IfAddr { address: *address, prefix_len });
        self.addresses.range(bound(0)..=bound(u8::MAX)).map(|(_, a)| a)
    }

    /// Interfaces that have the address.
    fn holders(&self, address: &IpAddr) -> impl Iterator<Item = &Link> {
        let all = self.places.range((*address, 0, 0)..=(*address, IfIndex::MAX, u8::MAX));
        all.filter_map(|(_, index, _)| self.links.get(index))
    }

    /// Whether any interface has the address.
    pub fn is_own(&self, address: &IpAddr) -> bool {
        self.holders(address).next().is_some()
    }

    /// Whether an interface other than this one has the address.
    pub fn is_elsewhere(&self, address: &IpAddr, than: Option<IfIndex>) -> bool {
        self.holders(address).any(|l| Some(l.index) != than)
    }

    /// Whether an interface that is up has the address: one that is down may legitimately be another host's.
    pub fn is_own_and_up(&self, address: &IpAddr) -> bool {
        self.holders(address).any(|l| l.up)
    }

    /// Whether an interface of this host has that link-layer address.
    pub fn is_own_mac(&self, mac: Mac) -> bool {
        self.links.values().any(|l| l.mac == Some(mac))
    }

    /// All routes to a destination.
    pub fn routes_to(&self, dst: &IfAddr) -> impl Iterator<Item = &Route> + use<'_> {
        self.routes.to(*dst)
    }

    /// Routes to parts of a network, of any table.
    pub fn routes_within(&self, network: &IfAddr) -> impl Iterator<Item = &Route> + use<'_> {
        self.routes.within(*network)
    }

    /// Routes through an interface, those of routing daemons aside.
    pub fn routes_through(&self, index: IfIndex) -> impl Iterator<Item = &Route> + use<'_> {
        self.routes.through(index)
    }

    /// Next hops of all unicast routes, each once.
    pub fn gateways(&self) -> impl Iterator<Item = (IfIndex, IpAddr)> + use<'_> {
        self.routes.gateways()
    }

    /// A usable link-local address of the interface: not tentative, not failed.
    pub fn link_local(&self, index: IfIndex) -> Option<IpAddr> {
        let first = IfAddr { address: IpAddr::V6([0xfe80, 0, 0, 0, 0, 0, 0, 0].into()), prefix_len: 0 };
        let here = self
            .addresses
            .range((index, first)..)
            .take_while(|((i, a), _)| *i == index && mpath_model::addr::is_link_local6(&a.address));
        here.map(|(_, a)| a).find(|a| usable(a)).map(|a| a.addr.address)
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

fn place((index, addr): &(IfIndex, IfAddr)) -> (IpAddr, IfIndex, u8) {
    (addr.address, *index, addr.prefix_len)
}

/// Neither tentative nor lost to another owner: packets may carry it as their source.
pub fn usable(a: &Address) -> bool {
    a.flags & (ifa::TENTATIVE | ifa::DADFAILED) == 0
}
