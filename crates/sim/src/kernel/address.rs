//! Addresses of the virtual kernel: adding, deleting, secondaries, duplicate address detection, and what
//! admin down and up do to them.

use super::{Kernel, LINK_LOCAL, errno};
use mpath_model::addr::is_link_local6;
use mpath_model::kernel::{KernelEvent, Sysctl, ifa};
use mpath_model::{Address, Family, IfAddr, IfIndex, Mac, Route};
use std::net::{IpAddr, Ipv6Addr};

/// The link-local address the kernel derives from a MAC (modified EUI-64).
pub(super) fn link_local_of(mac: Mac) -> IpAddr {
    let [a, b, c, d, e, f] = mac.0;
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    IpAddr::V6(Ipv6Addr::from(LINK_LOCAL | u128::from(id)))
}

impl Kernel {
    /// Addresses of one interface.
    pub fn on(&self, index: IfIndex) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |a| a.index == index)
    }

    /// Whether the host holds the address anywhere.
    pub fn holds(&self, address: &IpAddr) -> bool {
        self.addresses.iter().any(|a| a.addr.address == *address)
    }

    pub(super) fn add_address(&mut self, wanted: &Address) -> i32 {
        if !self.links.contains_key(&wanted.index) {
            return errno::ENODEV;
        }
        let six = wanted.addr.family() == Family::Inet6;
        if six && self.sysctl(&self.name_of(wanted.index), Sysctl::DisableIpv6) != 0 {
            return errno::EACCES;
        }
        if let Some(old) =
            self.addresses.iter().position(|a| a.index == wanted.index && same_address(&a.addr, &wanted.addr))
        {
            self.change_address(old, wanted);
            return 0;
        }
        let mut a = wanted.clone();
        a.protocol *= u8::from(!self.no_marks);
        a.flags &= !(ifa::SECONDARY | ifa::DADFAILED);
        if six {
            if a.has(ifa::NODAD) {
                a.flags &= !ifa::TENTATIVE;
            } else {
                a.flags |= ifa::TENTATIVE;
            }
        } else if self.on(a.index).any(|o| same_subnet(o, &a) && !o.has(ifa::SECONDARY)) {
            a.flags |= ifa::SECONDARY;
        }
        self.addresses.push(a.clone());
        self.events.push(KernelEvent::Address(a.clone()));
        self.add_prefix_route(&a);
        if six {
            self.start_dad(a.index);
        }
        0
    }

    /// NLM_F_REPLACE of an existing address: lifetimes, metric and protocol change; for IPv4
    /// NOPREFIXROUTE does not (linux-failover.md, "Numbers to know").
    fn change_address(&mut self, at: usize, wanted: &Address) {
        let old = self.addresses[at].clone();
        let fixed = if old.addr.family() == Family::Inet {
            ifa::SECONDARY | ifa::NOPREFIXROUTE
        } else {
            ifa::TENTATIVE | ifa::DADFAILED
        };
        let mut new = wanted.clone();
        new.addr = old.addr;
        new.protocol *= u8::from(!self.no_marks);
        new.flags = (wanted.flags & !fixed) | (old.flags & fixed);
        self.addresses[at] = new.clone();
        self.events.push(KernelEvent::Address(new.clone()));
        if old.addr.family() == Family::Inet6
            && old.flags & ifa::NOPREFIXROUTE != new.flags & ifa::NOPREFIXROUTE
        {
            if new.has(ifa::NOPREFIXROUTE) {
                self.del_prefix_route(&old);
            } else {
                self.add_prefix_route(&new);
            }
        }
    }

    pub(super) fn del_address(&mut self, index: IfIndex, addr: &IfAddr) -> i32 {
        if !self.links.contains_key(&index) {
            return errno::ENODEV;
        }
        if self.on(index).any(|a| a.addr == *addr) {
            self.drop_address(index, addr);
            0
        } else {
            errno::EADDRNOTAVAIL
        }
    }

    /// Removes the address with all that goes with it.
    pub(crate) fn drop_address(&mut self, index: IfIndex, addr: &IfAddr) {
        let Some(at) = self.addresses.iter().position(|a| a.index == index && a.addr == *addr) else {
            return;
        };
        let gone = self.addresses.remove(at);
        if addr.family() == Family::Inet && !gone.has(ifa::SECONDARY) {
            self.primary_gone(&gone);
        }
        self.events.push(KernelEvent::AddressGone(gone.clone()));
        self.del_prefix_route(&gone);
        if !self.holds(&addr.address) {
            self.prefsrc_gone(&addr.address);
        }
        if addr.family() == Family::Inet {
            self.promote(&gone);
            if !self.on(index).any(|a| a.addr.family() == Family::Inet) {
                self.drop_routes(|r| r.family() == Family::Inet && r.uses(index), true);
            }
        }
    }

    /// Without promote_secondaries the secondaries go with their primary.
    fn primary_gone(&mut self, primary: &Address) {
        if self.sysctl(&self.name_of(primary.index), Sysctl::PromoteSecondaries) != 0 {
            return;
        }
        let lost: Vec<Address> = self
            .on(primary.index)
            .filter(|a| a.has(ifa::SECONDARY) && same_subnet(a, primary))
            .cloned()
            .collect();
        for a in lost {
            self.drop_address(a.index, &a.addr);
        }
    }

    /// The first secondary takes the place of a primary that is gone.
    fn promote(&mut self, gone: &Address) {
        if gone.has(ifa::SECONDARY) {
            return;
        }
        let Some(heir) = self
            .addresses
            .iter_mut()
            .find(|a| a.index == gone.index && a.has(ifa::SECONDARY) && same_subnet(a, gone))
        else {
            return;
        };
        heir.flags &= !ifa::SECONDARY;
        let heir = heir.clone();
        self.events.push(KernelEvent::Address(heir.clone()));
        self.add_prefix_route(&heir);
    }

    /// Admin down: IPv4 addresses stay; IPv6 ones vanish, unless keep_addr_on_down keeps permanent
    /// global ones (linux-failover.md, pitfall 20).
    pub(super) fn addresses_down(&mut self, index: IfIndex) {
        let keep = self.sysctl(&self.name_of(index), Sysctl::KeepAddrOnDown) != 0;
        let lost: Vec<IfAddr> = self
            .on(index)
            .filter(|a| a.addr.family() == Family::Inet6)
            .filter(|a| !(keep && a.has(ifa::PERMANENT) && !is_link_local6(&a.addr.address)))
            .map(|a| a.addr)
            .collect();
        for addr in lost {
            self.drop_address(index, &addr);
        }
    }

    /// Admin up: prefix routes are back, a link-local address is made, kept IPv6 addresses are tentative
    /// again unless NODAD.
    pub(super) fn addresses_up(&mut self, index: IfIndex) {
        let Some(link) = self.links.get(&index) else {
            return;
        };
        let (name, mac) = (link.name.clone(), link.mac);
        for a in self.addresses.iter_mut().filter(|a| a.index == index) {
            if a.addr.family() == Family::Inet6 && !a.has(ifa::NODAD) {
                a.flags |= ifa::TENTATIVE;
                self.events.push(KernelEvent::Address(a.clone()));
            }
        }
        let here: Vec<Address> = self.on(index).cloned().collect();
        for a in &here {
            self.add_prefix_route(a);
        }
        if let (Some(mac), 0) = (mac, self.sysctl(&name, Sysctl::DisableIpv6)) {
            let addr = IfAddr::new(link_local_of(mac), 64);
            if !here.iter().any(|a| is_link_local6(&a.addr.address)) {
                let mut a = Address::plain(index, addr);
                a.scope = 253;
                a.flags |= ifa::TENTATIVE;
                a.protocol = 2;
                self.addresses.push(a.clone());
                self.events.push(KernelEvent::Address(a.clone()));
                self.add_prefix_route(&a);
            }
        }
        self.start_dad(index);
    }

    /// Begins duplicate address detection where one is due; it needs a running link.
    pub(super) fn start_dad(&mut self, index: IfIndex) {
        if !self.links.get(&index).is_some_and(|l| l.running) {
            return;
        }
        for a in self.addresses.iter().filter(|a| a.index == index) {
            let begun = self.dad.contains(&(index, a.addr.address));
            if a.has(ifa::TENTATIVE) && !a.has(ifa::DADFAILED) && !begun {
                self.dad.push((index, a.addr.address));
            }
        }
    }

    /// Duplicate address detection ends: the address is usable, or a copy on another running NIC of
    /// this host has answered (linux-failover.md, pitfall 11).
    pub fn finish_dad(&mut self, index: IfIndex, address: IpAddr, reached: impl Fn(IfIndex) -> bool) {
        if !self.links.get(&index).is_some_and(|l| l.running) {
            return;
        }
        let taken = self.addresses.iter().any(|a| {
            a.index != index && a.addr.address == address && !a.has(ifa::TENTATIVE) && reached(a.index)
        });
        if let Some(a) = self
            .addresses
            .iter_mut()
            .find(|a| a.index == index && a.addr.address == address && a.has(ifa::TENTATIVE))
        {
            if taken {
                a.flags |= ifa::DADFAILED;
            } else {
                a.flags &= !ifa::TENTATIVE;
            }
            self.events.push(KernelEvent::Address(a.clone()));
        }
    }

    fn add_prefix_route(&mut self, a: &Address) {
        if a.has(ifa::NOPREFIXROUTE) || a.has(ifa::SECONDARY) || a.addr.is_host() || !self.is_up(a.index) {
            return;
        }
        let route = prefix_route(a);
        if !self.routes.contains(&route) {
            self.insert_route(route, true);
        }
    }

    fn del_prefix_route(&mut self, a: &Address) {
        if a.has(ifa::NOPREFIXROUTE) || a.has(ifa::SECONDARY) || a.addr.is_host() {
            return;
        }
        let route = prefix_route(a);
        let shared = self
            .on(a.index)
            .any(|o| !o.has(ifa::NOPREFIXROUTE) && !o.has(ifa::SECONDARY) && prefix_route(o) == route);
        if !shared {
            self.drop_routes(|r| *r == route, false);
        }
    }
}

/// The route the kernel makes for an address: IPv4 with metric 0 and the address as source, IPv6 with
/// metric 256.
fn prefix_route(a: &Address) -> Route {
    let four = a.addr.family() == Family::Inet;
    let metric = a.metric.unwrap_or(if four { 0 } else { 256 });
    let mut route = Route::onlink(a.addr.network(), a.index, metric, 2);
    if four {
        route.prefsrc = Some(a.addr.address);
    }
    route
}

fn same_subnet(a: &Address, b: &Address) -> bool {
    a.addr.prefix_len == b.addr.prefix_len && a.addr.network() == b.addr.network()
}

/// IPv4 knows an address by address and prefix length, IPv6 by the address alone.
fn same_address(a: &IfAddr, b: &IfAddr) -> bool {
    a.address == b.address && (a.family() == Family::Inet6 || a.prefix_len == b.prefix_len)
}
