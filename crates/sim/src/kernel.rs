//! The virtual kernel of the host under test: links, addresses, routes, neighbours and sysctls with the
//! semantics of Linux that matter for moving addresses (linux-failover.md). It applies requests, changes by
//! itself when a NIC goes down or away, and collects the events a netlink socket would deliver.
//! What refuses requests at random, delays or loses events is not here but in [`crate::world`].

mod address;
mod lagg;
mod route;
#[cfg(test)]
mod tests;

use mpath_model::kernel::{Inventory, KernelEvent, KernelOp, Neighbour, Rule, Sysctl, nud};
use mpath_model::{Address, IfIndex, Link, Mac, Route};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Raw errno values, as the kernel reports them.
#[allow(missing_docs, reason = "the names are the documentation")]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ENOENT: i32 = 2;
    pub const ESRCH: i32 = 3;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const EADDRNOTAVAIL: i32 = 99;
    pub const ENETDOWN: i32 = 100;
    pub const ENETUNREACH: i32 = 101;
    pub const ENOBUFS: i32 = 105;
    pub const EHOSTUNREACH: i32 = 113;
}

/// The virtual kernel.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    links: BTreeMap<IfIndex, Link>,
    carrier: BTreeMap<IfIndex, bool>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    neighbours: Vec<Neighbour>,
    sysctls: BTreeMap<(String, Sysctl), i32>,
    events: Vec<KernelEvent>,
    dad: Vec<(IfIndex, IpAddr)>,
    next_index: IfIndex,
    /// IPv6 routes vanish without events on admin down (net.ipv6.route.skip_notify_on_dev_down).
    pub silent6: bool,
    /// Addresses have no IFA_PROTO (before Linux 5.18).
    pub no_marks: bool,
}

/// Prefix of the link-local networks.
const LINK_LOCAL: u128 = 0xfe80 << 112;

impl Kernel {
    /// A kernel with nothing but `lo` (index 1).
    pub fn new() -> Kernel {
        let mut kernel = Kernel { next_index: 1, ..Kernel::default() };
        let lo = kernel.create_link("lo", Mac::default());
        if let Some(link) = kernel.links.get_mut(&lo) {
            link.loopback = true;
            link.multicast = false;
            link.mac = None;
            link.up = true;
            link.running = true;
        }
        for text in ["127.0.0.1/8", "::1/128"] {
            let mut a = Address::plain(lo, text.parse().expect("a valid constant"));
            a.scope = 254;
            kernel.addresses.push(a);
        }
        kernel.events.clear();
        kernel
    }

    /// A new link, admin down, with carrier.
    pub fn create_link(&mut self, name: &str, mac: Mac) -> IfIndex {
        let index = self.next_index;
        self.next_index += 1;
        let link = Link { up: false, running: false, ..Link::ethernet(index, name, mac) };
        for key in Sysctl::ALL {
            self.sysctls.insert((name.to_string(), key), 0);
        }
        self.events.push(KernelEvent::Link(link.clone()));
        self.links.insert(index, link);
        self.carrier.insert(index, true);
        index
    }

    /// The device is gone: down, addresses lost, link lost.
    pub fn remove_link(&mut self, index: IfIndex) {
        self.set_admin(index, false);
        let gone: Vec<Address> = self.on(index).cloned().collect();
        for a in gone {
            self.drop_address(index, &a.addr);
        }
        if let Some(link) = self.links.remove(&index) {
            self.carrier.remove(&index);
            self.sysctls.retain(|(name, _), _| *name != link.name);
            self.events.push(KernelEvent::LinkGone(index));
        }
    }

    /// `ip link set IF up|down`.
    pub fn set_admin(&mut self, index: IfIndex, up: bool) {
        let carrier = self.carrier.get(&index).copied().unwrap_or(false);
        let Some(link) = self.links.get_mut(&index) else {
            return;
        };
        if link.up == up {
            return;
        }
        link.up = up;
        link.running = up && carrier;
        self.events.push(KernelEvent::Link(link.clone()));
        if up {
            self.addresses_up(index);
        } else {
            self.flush_neighbours(index);
            self.routes_down(index);
            self.addresses_down(index);
        }
    }

    /// Carrier comes or goes. Tells nobody: the event is due when [`Kernel::link_event`] is called, because
    /// the kernel's link watch may be late (linux-failover.md, pitfall 23).
    pub fn set_carrier(&mut self, index: IfIndex, carrier: bool) {
        let Some(link) = self.links.get_mut(&index) else {
            return;
        };
        self.carrier.insert(index, carrier);
        link.running = link.up && carrier;
        if link.running {
            self.start_dad(index);
        } else {
            self.flush_neighbours(index);
        }
    }

    /// Tells of the link as it is now.
    pub fn link_event(&mut self, index: IfIndex) {
        if let Some(link) = self.links.get(&index) {
            self.events.push(KernelEvent::Link(link.clone()));
        }
    }

    /// A link by index.
    pub fn link(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Index of a link by name.
    pub fn index_of(&self, name: &str) -> Option<IfIndex> {
        self.links.values().find(|l| l.name == name).map(|l| l.index)
    }

    /// All addresses, in the order of a dump.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// All routes; those with equal key in the order of the table.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// An interface sysctl.
    pub fn sysctl(&self, name: &str, key: Sysctl) -> i32 {
        self.sysctls.get(&(name.to_string(), key)).copied().unwrap_or(0)
    }

    /// Sets an interface sysctl without anybody asking, as a boot script would.
    pub fn set_sysctl(&mut self, name: &str, key: Sysctl, value: i32) {
        self.sysctls.insert((name.to_string(), key), value);
    }

    /// A neighbour is learnt or confirmed.
    pub fn learn(&mut self, neighbour: Neighbour) {
        if self.neighbours.contains(&neighbour) {
            return;
        }
        let same = |n: &Neighbour| n.index == neighbour.index && n.address == neighbour.address;
        self.neighbours.retain(|n| !same(n));
        self.events.push(KernelEvent::Neighbour(neighbour.clone()));
        self.neighbours.push(neighbour);
    }

    /// The events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<KernelEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether events wait to be taken.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Duplicate address detections that began since the last call.
    pub fn take_dad(&mut self) -> Vec<(IfIndex, IpAddr)> {
        std::mem::take(&mut self.dad)
    }

    /// Everything, as a dump shows it.
    pub fn inventory(&self) -> Inventory {
        Inventory {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses.clone(),
            routes: self.routes.clone(),
            rules: self.rules.clone(),
            neighbours: self.neighbours.clone(),
            sysctls: self
                .sysctls
                .iter()
                .filter(|((name, _), _)| name != "lo")
                .map(|((name, key), value)| (name.clone(), *key, *value))
                .collect(),
            steering: Vec::new(),
        }
    }

    /// Carries out one request; the errno, 0 for success. Packets of announcements and solicitations
    /// are not modelled here.
    pub fn apply(&mut self, op: &KernelOp) -> i32 {
        match op {
            KernelOp::AddAddress(a) => self.add_address(a),
            KernelOp::DelAddress { index, addr } => self.del_address(*index, addr),
            KernelOp::AddRoute(r, placing) => self.add_route(r, *placing),
            KernelOp::DelRoute(r) => self.del_route(r),
            KernelOp::AddRule(r) => self.add_rule(r),
            KernelOp::DelRule(r) => self.del_rule(r),
            KernelOp::SolicitRouters(_) => 0,
            KernelOp::FlushNeighbours(index) => {
                if !self.links.contains_key(index) {
                    return errno::ENODEV;
                }
                self.flush_neighbours(*index);
                0
            }
            KernelOp::DelNeighbour { index, address } => self.del_neighbour(*index, *address),
            KernelOp::Announce { index, .. }
            | KernelOp::AnnounceTo { index, .. }
            | KernelOp::Solicit { index, .. } => match self.links.get(index) {
                None => errno::ENODEV,
                Some(link) if !link.up => errno::ENETDOWN,
                Some(_) => 0,
            },
            KernelOp::Lagg(op) => self.lagg(op),
            KernelOp::AddVirtual { name, parent, mac } => self.add_virtual(name, *parent, *mac),
            KernelOp::DelLink(index) | KernelOp::SetLink { index, .. } if !self.links.contains_key(index) => {
                errno::ENODEV
            }
            KernelOp::DelLink(index) => {
                self.remove_link(*index);
                0
            }
            KernelOp::SetLink { index, up } => {
                self.set_admin(*index, *up);
                0
            }
            KernelOp::SetSysctl { interface, key, value } => {
                if key.is_fixed() {
                    return errno::EPERM;
                }
                match self.sysctls.get_mut(&(interface.clone(), *key)) {
                    None => errno::ENOENT,
                    Some(slot) => {
                        *slot = *value;
                        0
                    }
                }
            }
        }
    }

    /// A device with a virtual MAC. Its carrier is always there.
    fn add_virtual(&mut self, name: &str, parent: IfIndex, mac: Mac) -> i32 {
        if !self.links.contains_key(&parent) {
            return errno::ENODEV;
        }
        if self.links.values().any(|l| l.name == name) {
            return errno::EEXIST;
        }
        let index = self.create_link(name, mac);
        if let Some(link) = self.links.get_mut(&index) {
            link.kind = Some("macvlan".to_string());
            self.events.push(KernelEvent::Link(link.clone()));
        }
        0
    }

    fn flush_neighbours(&mut self, index: IfIndex) {
        let keep = |n: &Neighbour| n.index != index || n.state & nud::PERMANENT != 0;
        for n in self.neighbours.iter().filter(|n| !keep(n)) {
            self.events.push(KernelEvent::NeighbourGone(n.clone()));
        }
        self.neighbours.retain(keep);
    }

    fn del_neighbour(&mut self, index: IfIndex, address: std::net::IpAddr) -> i32 {
        let Some(at) = self.neighbours.iter().position(|n| (n.index, n.address) == (index, address)) else {
            return errno::ENOENT;
        };
        self.events.push(KernelEvent::NeighbourGone(self.neighbours.remove(at)));
        0
    }

    fn name_of(&self, index: IfIndex) -> String {
        self.links.get(&index).map(|l| l.name.clone()).unwrap_or_default()
    }

    fn is_up(&self, index: IfIndex) -> bool {
        self.links.get(&index).is_some_and(|l| l.up)
    }
}
