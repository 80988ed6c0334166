//! Should-be minus is: the ordered requests that bring the kernel to what placement wants. Everything new
//! is made before anything old is taken away, and nothing is taken away whose successor is not there yet.

use crate::group::{Group, HomedAddress, NicId};
use crate::inventory::Inventory;
use mpath_model::addr::Family;
use mpath_model::kernel::{Address, KernelOp, Link, Route, Rule, Sysctl, ifa};
use mpath_model::{IfAddr, IfIndex, PROTO_MPATHD};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub mod advertised;
mod routes;
mod tables;

pub use routes::{at_home, bare_networks, follows, is_rest_of, records};
pub use tables::rules;

/// Requests in order, and the addresses they put on a NIC.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Adds; to be carried out first.
    pub make: Vec<KernelOp>,
    /// Deletes of what has a successor already.
    pub clean: Vec<KernelOp>,
    /// Data addresses that are put on an interface.
    pub placed: Vec<(IfIndex, IpAddr)>,
    /// Adds that are needed but held back.
    pub held: usize,
    /// What is in `clean`.
    cleaned: BTreeSet<KernelOp>,
}

impl Plan {
    /// Adds a request of the making kind; false if it is held back.
    fn make(&mut self, op: KernelOp, hold: Hold<'_>) -> bool {
        let held = hold(&op);
        if held {
            self.held += 1
        } else {
            self.make.push(op)
        }
        !held
    }

    /// Whether an address is about to be put on an interface.
    fn puts(&self, index: IfIndex, address: &IpAddr) -> bool {
        let put = |a: &Address| a.index == index && a.addr.address == *address;
        self.make.iter().any(|op| matches!(op, KernelOp::AddAddress(a) if put(a)))
    }

    /// Whether an address is about to be put on some interface.
    fn puts_anywhere(&self, address: &IpAddr) -> bool {
        self.make.iter().any(|op| matches!(op, KernelOp::AddAddress(a) if a.addr.address == *address))
    }

    /// Adds a request that takes an address off an interface, unless others would go with it.
    fn take_off(&mut self, a: &Address, inv: &Inventory, hold: Hold<'_>) {
        if !takes_others_along(a, inv) {
            self.clean(KernelOp::DelAddress { index: a.index, addr: a.addr }, hold);
        }
    }

    fn clean(&mut self, op: KernelOp, hold: Hold<'_>) {
        if !hold(&op) && self.cleaned.insert(op.clone()) {
            self.clean.push(op);
        }
    }
}

/// Tells which requests must wait.
type Hold<'a> = &'a dyn Fn(&KernelOp) -> bool;

/// Compares a group with the kernel. `hold` suppresses requests that were refused a moment ago.
pub fn plan(group: &Group, inv: &Inventory, hold: Hold<'_>) -> Plan {
    let mut plan = Plan::default();
    test_addresses(group, inv, &mut plan, hold);
    data_addresses(group, inv, &mut plan, hold);
    routes::plan(group, inv, &mut plan, hold);
    stray_addresses(group, inv, &mut plan, hold);
    condemned(group, inv, &mut plan, hold);
    plan
}

/// Without promote_secondaries the kernel deletes the secondaries of a subnet with their primary (linux-failover.md,
/// pitfall 8). The sysctl is set on every member; if that was refused, the address has to wait for it.
fn takes_others_along(a: &Address, inv: &Inventory) -> bool {
    let primary = a.addr.family() == Family::Inet && !a.has(ifa::SECONDARY);
    let subnet = |o: &&Address| o.addr != a.addr && o.addr.network() == a.addr.network();
    let name = inv.links.get(&a.index).map(|l| l.name.clone()).unwrap_or_default();
    let promotes = inv.sysctls.get(&(name, Sysctl::PromoteSecondaries)) == Some(&1);
    primary && !promotes && inv.on(a.index).filter(subnet).count() > 0
}

/// A data address as it should look on its host: as found at home, else tagged as ours and without a prefix
/// route of the kernel's (linux-failover.md, pitfalls 5 and 10).
pub fn address_on_host(a: &HomedAddress, index: IfIndex) -> Address {
    let transient = ifa::TENTATIVE | ifa::DADFAILED | ifa::SECONDARY;
    let nodad = if a.addr.family() == Family::Inet6 && a.known { ifa::NODAD } else { 0 };
    match &a.found {
        Some(found) if a.host == a.home => {
            Address { index, flags: (found.flags & !transient) | nodad, ..found.clone() }
        }
        found => {
            let base = found.clone().unwrap_or_else(|| Address::plain(index, a.addr));
            Address {
                index,
                label: None,
                metric: None,
                protocol: PROTO_MPATHD,
                flags: (base.flags & !transient) | ifa::NOPREFIXROUTE | nodad,
                ..base
            }
        }
    }
}

/// Whether the address brings no prefix route of its own, so that mpathd provides one.
fn needs_prefix_route(a: &HomedAddress) -> bool {
    // Found with our mark on it: a run of which nothing is remembered had put it there, without a route of the kernel's.
    let marked = |f: &Address| f.protocol == PROTO_MPATHD && f.has(ifa::NOPREFIXROUTE);
    !a.addr.is_host() && (a.host != a.home || a.found.as_ref().is_none_or(marked))
}

/// Members, and former members that still exist.
fn interfaces(group: &Group) -> impl Iterator<Item = IfIndex> {
    group.nics.iter().filter_map(|n| n.index).chain(group.former.iter().copied())
}

fn link<'a>(group: &Group, inv: &'a Inventory, nic: NicId) -> Option<&'a Link> {
    group.nics[nic].index.and_then(|i| inv.links.get(&i))
}

/// Whether something that leaves is not as it was found, be it that nothing can be done about it now: its NIC is down or away,
/// or the old copy cannot be taken off yet. Whoever forgot its home then would leave it where it does not belong.
pub fn unfinished(group: &Group, inv: &Inventory) -> bool {
    let elsewhere = |home: Option<IfIndex>, address: &IpAddr| {
        let mut others = interfaces(group).chain(group.lenders.iter().copied()).filter(|i| Some(*i) != home);
        others.any(|i| inv.at(i, address).next().is_some())
    };
    group.addresses.iter().any(|a| {
        let home = group.nics[a.home].index;
        let there = home.is_some_and(|i| inv.addresses.contains_key(&(i, a.addr)));
        !there || elsewhere(home, &a.addr.address)
    })
}

/// IPv6 addresses cannot be put on a NIC that is administratively down.
fn accepts(link: &Link, family: Family) -> bool {
    link.up || family == Family::Inet
}

fn data_addresses(group: &Group, inv: &Inventory, plan: &mut Plan, hold: Hold<'_>) {
    for a in group.addresses.iter().filter(|a| a.missing.is_none()) {
        let Some(link) = link(group, inv, a.host) else {
            continue;
        };
        let there = inv.addresses.get(&(link.index, a.addr));
        if let Some(as_found) = there.and_then(|t| without_our_haste(a, t)) {
            plan.clean(KernelOp::AddAddress(as_found), hold);
        }
        let refused = there.is_some_and(|t| t.has(ifa::DADFAILED));
        // It is here already, and the neighbours believe it to be elsewhere, or may do so.
        if a.told.is_some_and(|at| at != link.index) && there.is_some_and(serves) {
            plan.placed.push((link.index, a.addr.address));
        }
        if (there.is_some() && !refused) || !accepts(link, a.addr.family()) {
            continue;
        }
        if refused {
            // If detection met our own copy on another member, the address is put there without. If it was somebody else's,
            // `hold` knows when to ask again.
            plan.make(KernelOp::DelAddress { index: link.index, addr: a.addr }, hold);
        }
        let op = KernelOp::AddAddress(address_on_host(a, link.index));
        if plan.make(op, hold) {
            plan.placed.push((link.index, a.addr.address));
        }
    }
}

/// An adopted address is put back home without duplicate detection, so that it works at once. That leaves a flag, which it
/// loses again if it was found without.
fn without_our_haste(a: &HomedAddress, there: &Address) -> Option<Address> {
    let found = a.found.as_ref().filter(|f| a.host == a.home && !f.has(ifa::NODAD))?;
    let transient = ifa::TENTATIVE | ifa::DADFAILED;
    let ours = there.has(ifa::NODAD) && there.flags & transient == 0 && there.protocol == found.protocol;
    ours.then(|| Address { flags: there.flags & !ifa::NODAD, ..there.clone() })
}

/// In force, or about to be once duplicate detection ends, for which the other copies must be gone. Without detection
/// a tentative address is one that the kernel does not receive for yet.
fn serves(a: &Address) -> bool {
    !a.has(ifa::DADFAILED) && !a.has(ifa::TENTATIVE | ifa::NODAD)
}

/// Copies of a data address on other members go once the address is in force on its host. Last added first: the
/// kernel's cost of deleting in adding order is quadratic (linux-failover.md, numbers).
fn stray_addresses(group: &Group, inv: &Inventory, plan: &mut Plan, hold: Hold<'_>) {
    for a in group.addresses.iter().rev() {
        let Some(host) = group.nics[a.host].index else {
            continue;
        };
        if !inv.addresses.get(&(host, a.addr)).is_some_and(serves) {
            continue;
        }
        for nic in interfaces(group).chain(group.lenders.iter().copied()).filter(|i| *i != host) {
            for copy in inv.at(nic, &a.addr.address) {
                plan.take_off(copy, inv, hold);
            }
        }
    }
}

/// What mpathd installed and is not configured any more goes; so does a copy on another NIC of what has become a test
/// address.
fn condemned(group: &Group, inv: &Inventory, plan: &mut Plan, hold: Hold<'_>) {
    let tests = group.nics.iter().flat_map(|n| n.test_addresses().map(move |t| (n.index, t.address)));
    let tests: Vec<_> = tests.collect();
    let members = interfaces(group).chain(group.lenders.iter().copied());
    for index in members.filter(|i| !group.retiring || group.former.contains(i)) {
        let belongs = |a: &Address| tests.contains(&(Some(index), a.addr.address));
        let test = |a: &Address| tests.iter().any(|(_, t)| *t == a.addr.address) && !belongs(a);
        for a in inv.on(index).filter(|a| a.protocol == PROTO_MPATHD && test(a)) {
            plan.take_off(a, inv, hold);
        }
    }
    for index in interfaces(group) {
        for a in inv.on(index).filter(|a| group.condemned.contains(&a.addr) && a.protocol == PROTO_MPATHD) {
            plan.take_off(a, inv, hold);
        }
    }
}

/// A test address as mpathd installs it. IPv4: /32 and of scope link, which keeps the kernel from choosing it as source
/// for the world and the data addresses of its subnet from becoming its secondaries (linux-failover.md, pitfalls 8
/// and 18); a /24 of scope link beside data addresses of global scope is refused with EINVAL.
pub fn test_address(index: IfIndex, addr: IfAddr) -> Address {
    let mut a = Address { protocol: PROTO_MPATHD, ..Address::plain(index, installed_form(addr)) };
    if addr.family() == Family::Inet {
        a.scope = 253;
        a.flags |= ifa::NOPREFIXROUTE;
    }
    a
}

/// Prefix length with which a test address is installed.
fn installed_form(addr: IfAddr) -> IfAddr {
    match addr.family() {
        Family::Inet => IfAddr::new(addr.address, 32),
        Family::Inet6 => addr,
    }
}

fn test_addresses(group: &Group, inv: &Inventory, plan: &mut Plan, hold: Hold<'_>) {
    if group.retiring {
        return; // those of NICs that leave are condemned, the others are another group's by now
    }
    for (id, nic) in group.nics.iter().enumerate() {
        let Some(link) = link(group, inv, id) else {
            continue;
        };
        let wanted: Vec<IfAddr> = nic.test_addresses().filter(|_| !nic.offline).collect();
        for addr in &wanted {
            let free = !inv.is_own(&addr.address) || mpath_model::addr::is_link_local6(&addr.address);
            let there = inv.at(link.index, &addr.address).next().is_some();
            let op = KernelOp::AddAddress(test_address(link.index, *addr));
            if free && !there && accepts(link, addr.family()) {
                plan.make(op, hold);
            }
        }
        // Taking the last address off a NIC takes its routes too: data goes first.
        let busy = group.hosted(id).next().is_some() || has_data_copy(group, inv, link.index);
        let going = |a: &Address| {
            let named = nic.is_test_address(&a.addr.address);
            if nic.offline {
                named && !busy
            } else {
                nic.installed.contains(&a.addr) && !wanted.iter().any(|w| w.address == a.addr.address)
            }
        };
        for a in inv.on(link.index).filter(|a| going(a)) {
            plan.take_off(a, inv, hold);
        }
    }
}

fn has_data_copy(group: &Group, inv: &Inventory, index: IfIndex) -> bool {
    group.addresses.iter().any(|a| inv.at(index, &a.addr.address).next().is_some())
}

/// What a request is about, for messages: `RTM_NEWADDR 192.0.2.10/24 on eth1`.
pub fn describe(op: &KernelOp, name: &dyn Fn(IfIndex) -> String) -> String {
    let via = |r: &Route| r.hops.iter().map(|h| name(h.index)).collect::<Vec<_>>().join(",");
    match op {
        KernelOp::AddAddress(a) => format!("RTM_NEWADDR {} on {}", a.addr, name(a.index)),
        KernelOp::DelAddress { index, addr } => format!("RTM_DELADDR {addr} on {}", name(*index)),
        KernelOp::AddRoute(r, _) => format!("RTM_NEWROUTE {} dev {} metric {}", r.dst, via(r), r.metric),
        KernelOp::DelRoute(r) => format!("RTM_DELROUTE {} dev {} metric {}", r.dst, via(r), r.metric),
        KernelOp::AddRule(r) => format!("RTM_NEWRULE {}", words(r)),
        KernelOp::DelRule(r) => format!("RTM_DELRULE {}", words(r)),
        KernelOp::SolicitRouters(i) => format!("soliciting routers on {}", name(*i)),
        KernelOp::FlushNeighbours(i) => format!("RTM_DELNEIGH on {}", name(*i)),
        KernelOp::DelNeighbour { index, address } => format!("RTM_DELNEIGH {address} on {}", name(*index)),
        KernelOp::Announce { index, address, .. } => format!("announcing {address} on {}", name(*index)),
        KernelOp::AnnounceTo { index, address, neighbour, .. } => {
            format!("announcing {address} on {} to {neighbour}", name(*index))
        }
        KernelOp::Solicit { index, target, .. } => format!("soliciting {target} on {}", name(*index)),
        KernelOp::Lagg(op) => crate::lagg::describe(op, name),
        KernelOp::AddVirtual { name: device, parent, .. } => {
            format!("RTM_NEWLINK {device} on {}", name(*parent))
        }
        KernelOp::DelLink(index) => format!("RTM_DELLINK {}", name(*index)),
        KernelOp::SetLink { index, up } => {
            format!("setting {} {}", name(*index), if *up { "up" } else { "down" })
        }
        KernelOp::SetSysctl { interface, key, value } => {
            format!("{}/conf/{interface}/{} = {value}", key.path().0, key.path().1)
        }
    }
}

/// A rule as ip-rule(8) writes it.
fn words(r: &Rule) -> String {
    let part = |key: &str, a: Option<IfAddr>| a.map(|a| format!(" {key} {a}")).unwrap_or_default();
    let limit = r.suppress.map(|n| format!(" suppress_prefixlength {n}")).unwrap_or_default();
    format!("{}:{}{} lookup {}{limit}", r.priority, part("from", r.from), part("to", r.to), r.table)
}
