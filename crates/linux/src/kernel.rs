//! The kernel as the daemon sees it: what is there, what changes, and what it is asked to do.
//!
//! Two netlink sockets: one hears notifications, the other asks. The first joins its groups before the
//! first dump, so that no change can fall between the two.

use crate::authors::Authors;
use crate::lagg::Laggs;
use crate::netlink::packet_core::DecodeError;
use crate::netlink::{Drained, Socket, decode, encode};
use crate::packet::Sender;
use crate::prepared::Committed;
use crate::{Error, sys, sysctl, virtual_mac};
use mpath_model::kernel::{Inventory, KernelOp, Rule, ifa, nud};
use mpath_model::{Address, Family, IfAddr, IfIndex, KernelEvent, Link, Mac, Neighbour};
use mpath_wire::{arp, ndisc};
use nix::errno::Errno;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// RTNLGRP_* (linux/rtnetlink.h): LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE,
/// IPV6_RULE.
const GROUPS: [u32; 8] = [1, 3, 5, 7, 8, 9, 11, 19];

/// The kernel of the network namespace in which this was opened.
#[derive(Debug)]
pub struct Kernel {
    events: Socket,
    requests: Socket,
    sender: Sender,
    laggs: Laggs,
    /// Interface names as last heard: an address's label is one only where it differs.
    names: HashMap<IfIndex, String>,
    /// MACs read during the present batch.
    macs: HashMap<IfIndex, Mac>,
    /// What was carried out before it was asked for.
    pub(crate) committed: Committed,
    authors: Authors,
}

impl Kernel {
    /// Opens the sockets. From now on changes are noted.
    pub fn open() -> Result<Kernel, Error> {
        let events = Socket::open()?;
        for group in GROUPS {
            events.join(group)?;
        }
        Ok(Kernel {
            events,
            requests: Socket::open()?,
            sender: Sender::open()?,
            laggs: Laggs::default(),
            names: HashMap::new(),
            macs: HashMap::new(),
            committed: Committed::default(),
            authors: Authors::default(),
        })
    }

    /// Becomes readable when events are there.
    pub fn event_fd(&self) -> RawFd {
        self.events.fd()
    }

    /// Waits until events are there, or `patience` is over. Whether there are.
    pub fn wait(&self, patience: Duration) -> bool {
        self.events.wait(patience)
    }

    /// The socket that hears notifications, for its counters and its buffer size.
    pub fn events(&self) -> &Socket {
        &self.events
    }

    /// The socket that asks, for its counters.
    pub fn requests(&self) -> &Socket {
        &self.requests
    }

    pub(crate) fn events_mut(&mut self) -> &mut Socket {
        &mut self.events
    }

    pub(crate) fn requests_mut(&mut self) -> &mut Socket {
        &mut self.requests
    }

    /// Takes all events that are there, without waiting; after [`Kernel::lost_carrier`] those that it has seen, so that none
    /// gets past it. True if the kernel had to drop some: then only a dump shows the truth.
    pub fn read_events(&mut self, out: &mut Vec<KernelEvent>) -> Result<bool, Error> {
        let mut into = Into { names: &mut self.names, authors: &mut self.authors, out };
        let drained =
            self.events.drain(|kind, flags, port, payload| into.take(kind, flags, port, payload))?;
        Ok(drained == Drained::Overflowed)
    }

    /// Takes the events that were read ahead (see [`Kernel::lost_carrier`]) and none that came after them.
    pub fn take_read_ahead(&mut self, out: &mut Vec<KernelEvent>) {
        let mut into = Into { names: &mut self.names, authors: &mut self.authors, out };
        self.events.hand_out(|kind, flags, port, payload| into.take(kind, flags, port, payload));
    }

    /// Everything the kernel shows.
    pub fn dump(&mut self) -> Result<Inventory, Error> {
        let mut found = Inventory {
            links: self.requests.dump_with(encode::get_links(), |_, payload| decode::link(payload))?,
            ..Inventory::default()
        };
        self.names = found.links.iter().map(|l| (l.index, l.name.clone())).collect();
        let mut own = BTreeSet::new();
        for family in Family::BOTH {
            found.addresses.extend(self.addresses(family, 0)?);
            let routes = encode::get_routes(family);
            let all = self.requests.dump_with(routes, |_, payload| {
                Ok(match decode::own_address(payload)? {
                    Some(address) => Some(Err(address)),
                    None => decode::route(payload)?.map(Ok),
                })
            })?;
            for one in all {
                match one {
                    Ok(route) => found.routes.push(route),
                    Err(address) => drop(own.insert(address)),
                }
            }
            found.rules.extend(self.rules(family)?);
            found.neighbours.extend(self.neighbours(family, 0)?);
        }
        mark_pending(&mut found, &own);
        for link in found.links.iter().filter(|l| !l.loopback) {
            let values = sysctl::all(&link.name).into_iter();
            found.sysctls.extend(values.map(|(key, value)| (link.name.clone(), key, value)));
        }
        found.steering = self.laggs.steering(&found.links);
        Ok(found)
    }

    /// One interface as it is now, live carrier included; none if it does not exist.
    pub fn link(&mut self, index: IfIndex) -> Result<Option<Link>, Error> {
        let asked = encode::get_link(index);
        match self.requests.query_with(asked, |_, payload| decode::link(payload)) {
            Err(error) if error.errno() == libc::ENODEV => Ok(None),
            result => result,
        }
    }

    /// Whether an interface is up and has a carrier now; none where its driver cannot tell. Costs a fraction of
    /// [`Kernel::link`], and finds the interface by the name that was last heard of: to act upon it takes a closer look.
    pub fn carrier(&self, index: IfIndex) -> Option<bool> {
        sys::has_carrier(self.requests.as_fd(), self.names.get(&index)?).ok()
    }

    /// Carries out the requests in order, each even if one before it failed. One errno for each, 0 for
    /// success. Neighbouring netlink requests share a system call. An address that could not be put on an
    /// interface is not announced there: that request ends in ECANCELED.
    pub fn apply(&mut self, ops: &[KernelOp]) -> Vec<i32> {
        self.macs.clear();
        let mut errors = Vec::with_capacity(ops.len());
        let mut rest = ops;
        let mut absent = Absent::default();
        let mut committed = std::mem::take(&mut self.committed);
        while let Some((first, others)) = rest.split_first().filter(|_| !committed.is_empty()) {
            let Some(errno) = committed.take(first) else { break };
            absent.note(first, errno);
            errors.push(errno);
            rest = others;
        }
        while let Some((first, others)) = rest.split_first() {
            let batch: Vec<_> = rest.iter().map_while(encode::request).collect();
            if batch.is_empty() {
                errors.push(self.perform_unless(&absent, first));
                rest = others;
            } else {
                let (done, left) = rest.split_at(batch.len());
                let mut results = self.requests.batch(batch);
                self.retry_peers(done, &mut results);
                done.iter().zip(&results).for_each(|(op, errno)| absent.note(op, *errno));
                errors.append(&mut results);
                rest = left;
            }
        }
        errors
    }

    /// As [`Kernel::perform`], but nothing is announced that could not be put on its interface.
    pub(crate) fn perform_unless(&mut self, absent: &Absent, op: &KernelOp) -> i32 {
        let result = if absent.makes_baseless(op) { Err(Errno::ECANCELED) } else { self.perform(op) };
        result.err().map_or(0, |e| e as i32)
    }

    /// MACs are read again from now on.
    pub(crate) fn forget_macs(&mut self) {
        self.macs.clear();
    }

    /// A request that is more, or something else, than one netlink message.
    fn perform(&mut self, op: &KernelOp) -> Result<(), Errno> {
        match op {
            KernelOp::FlushNeighbours(index) => self.flush_neighbours(*index),
            KernelOp::Announce { index, address, router } => {
                let mac = self.mac(*index)?;
                let frame = match address {
                    IpAddr::V4(address) => arp::gratuitous_frame(mac, *address),
                    IpAddr::V6(address) => ndisc::unsolicited_na_frame(mac, *address, *router),
                };
                self.sender.send(*index, &frame)
            }
            KernelOp::AnnounceTo { index, address, router, neighbour, mac: to } => {
                let mac = self.mac(*index)?;
                let frame = match (address, neighbour) {
                    (IpAddr::V4(address), _) => arp::gratuitous_frame_to(mac, *address, *to),
                    (IpAddr::V6(address), IpAddr::V6(neighbour)) => {
                        ndisc::unsolicited_na_frame_to(mac, *to, *neighbour, *address, *router)
                    }
                    _ => return Err(Errno::EAFNOSUPPORT),
                };
                self.sender.send(*index, &frame)
            }
            KernelOp::Solicit { index, source, target } => {
                let mac = self.mac(*index)?;
                let frame = match (source, target) {
                    (IpAddr::V4(source), IpAddr::V4(target)) => {
                        arp::request_frame(mac, Mac::BROADCAST, *source, *target)
                    }
                    (IpAddr::V6(source), IpAddr::V6(target)) => {
                        ndisc::solicitation_frame(mac, *source, *target)
                    }
                    _ => return Err(Errno::EAFNOSUPPORT),
                };
                self.sender.send(*index, &frame)
            }
            KernelOp::AddVirtual { name, parent, mac } => {
                virtual_mac::create(&mut self.requests, name, *parent, *mac)
            }
            KernelOp::SolicitRouters(index) => {
                let frame = ndisc::router_solicitation_frame(self.mac(*index)?);
                self.sender.send(*index, &frame)
            }
            KernelOp::Lagg(op) => self.laggs.perform(&mut self.requests, op),
            KernelOp::SetSysctl { interface, key, value } => sysctl::write(interface, *key, *value),
            KernelOp::AddAddress(_)
            | KernelOp::DelAddress { .. }
            | KernelOp::AddRoute(..)
            | KernelOp::DelNeighbour { .. }
            | KernelOp::DelLink(_)
            | KernelOp::SetLink { .. }
            | KernelOp::DelRoute(_)
            | KernelOp::AddRule(_)
            | KernelOp::DelRule(_) => Err(Errno::EINVAL),
        }
    }

    /// MAC of an interface, read once for each batch. EOPNOTSUPP if it has none to announce.
    fn mac(&mut self, index: IfIndex) -> Result<Mac, Errno> {
        if let Some(mac) = self.macs.get(&index) {
            return Ok(*mac);
        }
        let link = self.link(index).map_err(|e| Errno::from_raw(e.errno()))?;
        let mac = link.ok_or(Errno::ENODEV)?.mac.ok_or(Errno::EOPNOTSUPP)?;
        self.macs.insert(index, mac);
        Ok(mac)
    }

    /// Deletes what the interface has learnt of its neighbours; entries set by hand stay.
    fn flush_neighbours(&mut self, index: IfIndex) -> Result<(), Errno> {
        let mut requests = Vec::new();
        for family in Family::BOTH {
            let found = self.neighbours(family, index);
            let found = found.map_err(|e| Errno::from_raw(e.errno()))?;
            let learnt =
                found.iter().filter(|n| n.index == index && n.state & (nud::PERMANENT | nud::NOARP) == 0);
            requests.extend(learnt.map(encode::del_neighbour));
        }
        let results = self.requests.batch(requests);
        // An entry may have gone by itself meanwhile.
        match results.into_iter().find(|e| *e != 0 && *e != libc::ENOENT) {
            Some(errno) => Err(Errno::from_raw(errno)),
            None => Ok(()),
        }
    }

    /// IPv4 addresses with a peer are deleted by naming the peer, which the request does not know.
    fn retry_peers(&mut self, ops: &[KernelOp], results: &mut [i32]) {
        for (op, result) in ops.iter().zip(results) {
            if let (KernelOp::DelAddress { index, addr }, libc::EADDRNOTAVAIL) = (op, *result)
                && let Some(peer) = self.peer(*index, *addr)
            {
                let retry = vec![encode::del_address(*index, *addr, Some(peer))];
                *result = self.requests.batch(retry).first().copied().unwrap_or(*result);
            }
        }
    }

    fn peer(&mut self, index: IfIndex, addr: IfAddr) -> Option<IpAddr> {
        let found = self.addresses(addr.family(), index).ok()?;
        found.into_iter().find(|a| a.index == index && a.addr == addr).and_then(|a| a.peer)
    }

    /// Addresses of an interface, or of all for 0.
    fn addresses(&mut self, family: Family, index: IfIndex) -> Result<Vec<Address>, Error> {
        let asked = encode::get_addresses(family, index);
        let mut found = self.requests.dump_with(asked, |_, payload| decode::address(payload))?;
        for address in &mut found {
            normalise(&self.names, address);
        }
        Ok(found)
    }

    /// Our own policy rules. A kernel without policy routing has none.
    fn rules(&mut self, family: Family) -> Result<Vec<Rule>, Error> {
        match self.requests.dump_with(encode::get_rules(family), |_, payload| decode::rule(payload)) {
            Err(error) if error.errno() == libc::EOPNOTSUPP => Ok(Vec::new()),
            result => result,
        }
    }

    /// Neighbours on an interface, or on all for 0.
    fn neighbours(&mut self, family: Family, index: IfIndex) -> Result<Vec<Neighbour>, Error> {
        let asked = encode::get_neighbours(family, index);
        self.requests.dump_with(asked, |_, payload| decode::neighbour(payload))
    }
}

/// Addresses that could not be put on an interface.
#[derive(Debug, Default)]
pub(crate) struct Absent(BTreeSet<(IfIndex, IpAddr)>);

impl Absent {
    /// A request has ended.
    pub(crate) fn note(&mut self, op: &KernelOp, errno: i32) {
        if let (KernelOp::AddAddress(a), true) = (op, errno != 0) {
            self.0.insert((a.index, a.addr.address));
        }
    }

    /// Whether a request announces one of them.
    fn makes_baseless(&self, op: &KernelOp) -> bool {
        match op {
            KernelOp::Announce { index, address, .. } | KernelOp::AnnounceTo { index, address, .. } => {
                self.0.contains(&(*index, *address))
            }
            _ => false,
        }
    }
}

/// Where notifications go.
struct Into<'a> {
    names: &'a mut HashMap<IfIndex, String>,
    authors: &'a mut Authors,
    out: &'a mut Vec<KernelEvent>,
}

impl Into<'_> {
    /// Decodes a notification.
    fn take(&mut self, kind: u16, flags: u16, port: u32, payload: &[u8]) -> Result<(), DecodeError> {
        if let Some(mut event) = decode::event(kind, flags, payload)? {
            note(self.names, &mut event);
            if self.authors.matter(&event) {
                self.out.extend(self.authors.of(port).map(KernelEvent::Author));
            }
            self.out.push(event);
        }
        Ok(())
    }
}

/// Keeps the names up to date and drops labels that are none.
fn note(names: &mut HashMap<IfIndex, String>, event: &mut KernelEvent) {
    match event {
        KernelEvent::Link(link) => {
            names.insert(link.index, link.name.clone());
        }
        KernelEvent::LinkGone(index) => {
            names.remove(index);
        }
        KernelEvent::Address(address) | KernelEvent::AddressGone(address) => normalise(names, address),
        _ => {}
    }
}

fn normalise(names: &HashMap<IfIndex, String>, address: &mut Address) {
    if address.label.as_ref() == names.get(&address.index) {
        address.label = None;
    }
}

/// Linux lists an IPv6 address from the moment it was asked for, without duplicate detection even as if it were in
/// force. It is once it has its local route, which the kernel's work queue adds: a second and more later where all
/// processors are busy. Until then packets to it find nobody, so it is shown for what it is.
fn mark_pending(found: &mut Inventory, own: &BTreeSet<(IfIndex, IpAddr)>) {
    let running: BTreeSet<IfIndex> = found.links.iter().filter(|l| l.running).map(|l| l.index).collect();
    let loopback = found.links.iter().find(|l| l.loopback).map(|l| l.index);
    for a in found.addresses.iter_mut().filter(|a| a.addr.family() == Family::Inet6) {
        let at = [Some(a.index), loopback].into_iter().flatten();
        let in_force = at.into_iter().any(|index| own.contains(&(index, a.addr.address)));
        if running.contains(&a.index) && !in_force {
            a.flags |= ifa::TENTATIVE;
        }
    }
}
