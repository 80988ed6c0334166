//! A fake kernel: applies requests to what an inventory shows and collects the events that a netlink socket
//! would deliver. No more of Linux than the tests need; `crates/sim` has the demanding one.

use mpath_model::addr::is_link_local6;
use mpath_model::kernel::{Inventory, KernelEvent, KernelOp, Neighbour, Rule, Sysctl, ifa, nud};
use mpath_model::{Address, Family, IfAddr, IfIndex, Link, Mac, Route};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Requests that are refused, and with which errno.
pub type Refusal = (fn(&KernelOp) -> bool, i32);

/// The fake kernel.
#[derive(Clone, Default)]
pub struct Kernel {
    pub links: BTreeMap<IfIndex, Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub neighbours: Vec<Neighbour>,
    pub sysctls: BTreeMap<(String, Sysctl), i32>,
    pub refuse: Vec<Refusal>,
    /// Addresses have no IFA_PROTO (before Linux 5.18).
    pub no_marks: bool,
    /// A new IPv6 address without NODAD meets another owner.
    pub conflict: bool,
    /// So does this one, at another host.
    pub taken: Option<IpAddr>,
    /// IPv6 addresses that are put on a NIC are not in force yet, and told of only if they are put there again.
    pub sluggish: bool,
    events: Vec<KernelEvent>,
}

/// A MAC for an interface.
pub fn mac(index: IfIndex) -> Mac {
    Mac([2, 0, 0, 0, 0, index as u8])
}

impl Kernel {
    /// `lo` alone.
    pub fn new() -> Kernel {
        let mut k = Kernel::default();
        k.add_link(1, "lo");
        let lo = k.links.get_mut(&1).unwrap();
        (lo.loopback, lo.multicast, lo.mac) = (true, false, None);
        k
    }

    pub fn add_link(&mut self, index: IfIndex, name: &str) {
        let link = Link::ethernet(index, name, mac(index));
        for key in Sysctl::ALL {
            self.sysctls.insert((name.to_string(), key), 0);
        }
        self.events.push(KernelEvent::Link(link.clone()));
        self.links.insert(index, link);
    }

    fn add_virtual(&mut self, name: &str, parent: IfIndex, mac: Mac) {
        let index = 100 + self.links.keys().max().copied().unwrap_or(0).max(parent);
        self.add_link(index, name);
        self.change_link(index, |l| {
            (l.mac, l.up, l.running, l.kind) = (Some(mac), false, false, Some("macvlan".to_string()));
            l.parent = Some(parent);
        });
    }

    pub fn remove_link(&mut self, index: IfIndex) {
        let gone: Vec<IfAddr> = self.on(index).map(|a| a.addr).collect();
        gone.iter().for_each(|a| self.drop_address(index, a));
        self.routes.retain(|r| !r.uses(index));
        self.neighbours.retain(|n| n.index != index);
        if let Some(link) = self.links.remove(&index) {
            self.sysctls.retain(|(name, _), _| *name != link.name);
            self.events.push(KernelEvent::LinkGone(index));
        }
    }

    /// Changes a link and tells of it.
    pub fn change_link(&mut self, index: IfIndex, change: impl FnOnce(&mut Link)) {
        let link = self.links.get_mut(&index).unwrap();
        change(link);
        self.events.push(KernelEvent::Link(link.clone()));
    }

    /// `ip link set IF up|down`: routes go silently, IPv6 addresses with events.
    pub fn admin(&mut self, index: IfIndex, up: bool) {
        self.change_link(index, |l| (l.up, l.running) = (up, up));
        if !up {
            self.routes.retain(|r| !r.uses(index));
            let six = |a: &&Address| a.addr.family() == Family::Inet6;
            let gone: Vec<IfAddr> = self.on(index).filter(six).map(|a| a.addr).collect();
            gone.iter().for_each(|a| self.drop_address(index, a));
        }
    }

    pub fn on(&self, index: IfIndex) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |a| a.index == index)
    }

    pub fn take_events(&mut self) -> Vec<KernelEvent> {
        std::mem::take(&mut self.events)
    }

    pub fn inventory(&self) -> Inventory {
        Inventory {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses.clone(),
            routes: self.routes.clone(),
            rules: self.rules.clone(),
            neighbours: self.neighbours.clone(),
            sysctls: self.sysctls.iter().map(|((n, k), v)| (n.clone(), *k, *v)).collect(),
            steering: Vec::new(),
        }
    }

    pub fn learn(&mut self, index: IfIndex, address: IpAddr) {
        let n = Neighbour { index, address, mac: Some(mac(200)), state: nud::REACHABLE, router: false };
        self.neighbours.retain(|o| (o.index, o.address) != (index, address));
        self.neighbours.push(n.clone());
        self.events.push(KernelEvent::Neighbour(n));
    }

    /// Puts an address on an interface, as somebody else would.
    pub fn put(&mut self, index: IfIndex, addr: &str) {
        let mut a = Address::plain(index, addr.parse().unwrap());
        if is_link_local6(&a.addr.address) {
            a.scope = 253;
        }
        self.add_address(&a);
    }

    /// Carries out a request; returns the errno.
    pub fn apply(&mut self, op: &KernelOp) -> i32 {
        if let Some((_, errno)) = self.refuse.iter().find(|(which, _)| which(op)) {
            return *errno;
        }
        if op.index().is_some_and(|i| !self.links.contains_key(&i)) {
            return 19;
        }
        match op {
            KernelOp::AddAddress(a) => self.add_address(a),
            KernelOp::DelAddress { index, addr } => {
                if !self.on(*index).any(|a| a.addr == *addr) {
                    return 99;
                }
                self.drop_address(*index, addr);
            }
            KernelOp::AddRoute(r, _) => {
                if self.routes.contains(r) {
                    return 17;
                }
                self.add_route(r.clone());
            }
            KernelOp::DelRoute(r) => {
                let Some(at) = self.routes.iter().position(|x| x == r) else { return 3 };
                self.routes.remove(at);
                self.events.push(KernelEvent::RouteGone(r.clone()));
            }
            KernelOp::AddRule(r) => {
                self.rules.push(*r);
                self.events.push(KernelEvent::Rule(*r));
            }
            KernelOp::DelRule(r) => {
                self.rules.retain(|x| x != r);
                self.events.push(KernelEvent::RuleGone(*r));
            }
            KernelOp::SetSysctl { interface, key, value } => {
                self.sysctls.insert((interface.clone(), *key), *value);
            }
            KernelOp::Lagg(_) => return 95,
            KernelOp::FlushNeighbours(index) => self.neighbours.retain(|n| n.index != *index),
            KernelOp::AddVirtual { name, parent, mac } => {
                if self.links.values().any(|l| l.name == *name) {
                    return 17;
                }
                self.add_virtual(name, *parent, *mac);
            }
            KernelOp::DelLink(index) => self.remove_link(*index),
            KernelOp::SetLink { index, up } => self.admin(*index, *up),
            KernelOp::DelNeighbour { .. }
            | KernelOp::Announce { .. }
            | KernelOp::AnnounceTo { .. }
            | KernelOp::Solicit { .. }
            | KernelOp::SolicitRouters(_) => {}
        }
        0
    }

    pub fn add_address(&mut self, wanted: &Address) {
        let mut a = wanted.clone();
        a.protocol *= u8::from(!self.no_marks);
        let met = self.conflict || self.taken == Some(a.addr.address);
        if a.addr.family() == Family::Inet6 && met && !a.has(ifa::NODAD) {
            a.flags |= ifa::TENTATIVE | ifa::DADFAILED;
        } else {
            a.flags &= !ifa::TENTATIVE;
        }
        let again = self.on(a.index).any(|o| o.addr == a.addr);
        let waits = self.sluggish && a.addr.family() == Family::Inet6;
        self.addresses.retain(|o| (o.index, o.addr) != (a.index, a.addr));
        let flags = a.flags | if waits { ifa::TENTATIVE } else { 0 };
        self.addresses.push(Address { flags, ..a.clone() });
        if again || !waits {
            self.events.push(KernelEvent::Address(a.clone()));
        }
        let prefix = prefix_route(&a);
        if !a.has(ifa::NOPREFIXROUTE) && !a.addr.is_host() && !self.routes.contains(&prefix) {
            self.add_route(prefix);
        }
    }

    /// The work queue gets the processor: what waited is in force, and told.
    pub fn put_in_force(&mut self) {
        self.sluggish = false;
        for a in self.addresses.iter_mut().filter(|a| a.has(ifa::TENTATIVE)) {
            a.flags &= !ifa::TENTATIVE;
            self.events.push(KernelEvent::Address(a.clone()));
        }
    }

    pub fn drop_address(&mut self, index: IfIndex, addr: &IfAddr) {
        let Some(at) = self.addresses.iter().position(|a| (a.index, a.addr) == (index, *addr)) else {
            return;
        };
        let gone = self.addresses.remove(at);
        let prefix = prefix_route(&gone);
        if let Some(at) = self.routes.iter().position(|r| *r == prefix) {
            self.routes.remove(at);
            self.events.push(KernelEvent::RouteGone(prefix));
        }
        let four = |f: Family| f == Family::Inet;
        if four(addr.family()) && !self.on(index).any(|a| four(a.addr.family())) {
            self.routes.retain(|r| !(r.uses(index) && four(r.family())));
        }
        // Nor is anything said of the routes that named it as their source.
        let elsewhere = self.addresses.iter().any(|a| a.addr.address == addr.address);
        self.routes.retain(|r| elsewhere || !four(r.family()) || r.prefsrc != Some(addr.address));
        self.events.push(KernelEvent::AddressGone(gone));
    }

    pub fn add_route(&mut self, route: Route) {
        self.events.push(KernelEvent::Route(route.clone()));
        self.routes.push(route);
    }

    pub fn del_routes(&mut self, which: impl Fn(&Route) -> bool) {
        let gone: Vec<Route> = self.routes.iter().filter(|r| which(r)).cloned().collect();
        self.routes.retain(|r| !which(r));
        self.events.extend(gone.into_iter().map(KernelEvent::RouteGone));
    }
}

/// A static route through a gateway.
pub fn via(dst: &str, gateway: &str, index: IfIndex) -> Route {
    let mut r = Route::onlink(dst.parse().unwrap(), index, 0, 4);
    r.scope = 0;
    r.metric = if r.family() == Family::Inet6 { 1024 } else { 0 };
    r.hops[0].gateway = Some(gateway.parse().unwrap());
    r
}

fn prefix_route(a: &Address) -> Route {
    let four = a.addr.family() == Family::Inet;
    let mut r = Route::onlink(a.addr.network(), a.index, if four { 0 } else { 256 }, 2);
    r.prefsrc = four.then_some(a.addr.address);
    r
}
