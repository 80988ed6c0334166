//! The veth back-end: the lagg is one end of a veth pair; nf_tables forwards what comes out of the hidden end to the active
//! port, and what comes in by the active port to the hidden end. No frame passes through user space, and a switch is one
//! transaction: each frame sees the state before or the state after, never something between.
//!
//! ```text
//!   lagg0 ==veth== lagg0-p --fwd--> em0 (active)     em1 (blocked): all that comes in is dropped,
//!                     ^----fwd-------'                and nothing with the lagg's address goes out
//! ```
//!
//! The table belongs to mpathd's socket where the kernel knows how (Linux 6.9), so that `flush ruleset` does not cut the
//! host off, and outlives it. What comes in on a port can be heard by packet sockets before it is dropped: probes rely on it.

use super::{Backend, Target, errno, index_of};
use crate::netfilter::Netfilter;
use crate::netfilter::message::{Deed, Hook, Message, Rule, Side, parse_rule};
use crate::netlink::create::End;
use crate::netlink::{Socket, create, ports};
use crate::sysctl;
use mpath_model::kernel::{Steering, Sysctl, inner_name};
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap};

/// Tables are called so, and then like their lagg.
const PREFIX: &str = "mpathd-";
/// Behind the filters that an administrator has on a port.
const PRIORITY: i32 = 500;
/// NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST
const OWNED: u32 = 2 | 4;

/// What the rules of a table are, by chain.
type Chains = BTreeMap<Chain, Vec<Rule>>;

/// A chain is named for what it is and for the index of its device, so that a device that comes back under the same name gets
/// one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chain {
    /// What comes out of the hidden end.
    Inner(IfIndex),
    /// What comes in by a port.
    Port(IfIndex),
    /// What goes out by a port that is not active.
    Guard(IfIndex),
}

impl Chain {
    fn name(self) -> String {
        match self {
            Chain::Inner(index) => format!("inner-{index}"),
            Chain::Port(index) => format!("port-{index}"),
            Chain::Guard(index) => format!("guard-{index}"),
        }
    }

    fn parse(name: &str) -> Option<Chain> {
        let (kind, index) = name.split_once('-')?;
        let index = index.parse().ok()?;
        match kind {
            "inner" => Some(Chain::Inner(index)),
            "port" => Some(Chain::Port(index)),
            "guard" => Some(Chain::Guard(index)),
            _ => None,
        }
    }

    fn device(self) -> IfIndex {
        let (Chain::Inner(index) | Chain::Port(index) | Chain::Guard(index)) = self;
        index
    }
}

/// The back-end with what it knows of the kernel's tables.
#[derive(Debug)]
pub struct Redirect {
    socket: Option<Netfilter>,
    /// Flags for new tables, as far as this kernel knows them.
    flags: u32,
    /// Whether this kernel has the egress hook (Linux 5.16).
    egress: bool,
    known: HashMap<String, Chains>,
}

impl Default for Redirect {
    fn default() -> Redirect {
        Redirect { socket: None, flags: OWNED, egress: true, known: HashMap::new() }
    }
}

impl Backend for Redirect {
    fn create(&mut self, socket: &mut Socket, name: &str, mac: Mac, mtu: u32) -> Result<(), Errno> {
        // Asked for first: without nf_tables the veth pair is of no use.
        self.socket()?;
        let inner = inner_name(name);
        let end = |name: &str, mac| End { name: name.to_owned(), mac, ..End::default() };
        match errno(create::veth(socket, &end(name, Some(mac)), &end(&inner, None))) {
            Err(Errno::EEXIST) if index_of(&inner).is_ok() => {}
            result => result?,
        }
        // The hidden end is nobody: it must not speak for itself.
        for (key, value) in [(Sysctl::DisableIpv6, 1), (Sysctl::ArpIgnore, 8)] {
            match sysctl::write(&inner, key, value) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        for name in [name, &inner] {
            errno(ports::set_mtu(socket, index_of(name)?, mtu))?;
        }
        // Tells a kernel that cannot redirect before anything relies on it.
        let to = Target { name, index: index_of(name)?, mac };
        if let Err(error) = self.steer(socket, to, &Steering::default()) {
            super::delete(socket, name)?;
            return Err(error);
        }
        Ok(())
    }

    fn destroy(&mut self, socket: &mut Socket, name: &str) -> Result<(), Errno> {
        let table = table(name);
        self.known.remove(name);
        let flags = self.flags;
        match self.socket()?.commit(&[Message::new_table(&table, flags), Message::del_table(&table)]) {
            Ok(()) | Err(Errno::ENOENT) => {}
            // Made by a version that did not own it.
            Err(_) => self.socket()?.commit(&[Message::del_table(&table)])?,
        }
        super::delete(socket, name)
    }

    fn attach(&mut self, _: &mut Socket, _: IfIndex, _: IfIndex) -> Result<(), Errno> {
        Ok(()) // steering names every port
    }

    fn detach(&mut self, _: &mut Socket, _: IfIndex) -> Result<(), Errno> {
        Ok(())
    }

    fn steer(&mut self, _: &mut Socket, to: Target<'_>, steering: &Steering) -> Result<(), Errno> {
        let inner = index_of(&inner_name(to.name))?;
        let wanted = chains(inner, to.mac, steering, self.egress);
        if let Some(known) = self.known.get(to.name).filter(|k| k.keys().eq(wanted.keys())) {
            let changed = changes(to.name, known, &wanted);
            if self.socket()?.commit(&changed).is_ok() {
                self.known.insert(to.name.to_owned(), wanted);
                return Ok(());
            }
        }
        self.known.remove(to.name);
        self.replace(to, inner, steering)
    }
}

impl Redirect {
    fn socket(&mut self) -> Result<&mut Netfilter, Errno> {
        if self.socket.is_none() {
            self.socket = Some(errno(Netfilter::open())?);
        }
        Ok(self.socket.as_mut().expect("opened just above"))
    }

    /// Puts a table in place of whatever has its name, with fewer refinements if the kernel lacks them.
    fn replace(&mut self, to: Target<'_>, inner: IfIndex, steering: &Steering) -> Result<(), Errno> {
        let mut tries = vec![(self.flags, self.egress)];
        tries.extend([(OWNED, false), (0, true), (0, false)]);
        let mut result = Err(Errno::EOPNOTSUPP);
        for (flags, egress) in tries {
            let wanted = chains(inner, to.mac, steering, egress);
            let messages = table_messages(to.name, flags, &wanted)?;
            result = self.socket()?.commit(&messages);
            match result {
                Ok(()) => {
                    (self.flags, self.egress) = (flags, egress);
                    self.known.insert(to.name.to_owned(), wanted);
                    return Ok(());
                }
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EPERM) => {}
                Err(_) => break,
            }
        }
        result
    }

    /// Where the frames of these laggs go, as the kernel shows it. Where none is redirected nf_tables is left alone: asking
    /// would load it.
    pub fn shown(&mut self, laggs: &[&str]) -> Vec<(String, Steering)> {
        self.known.retain(|name, _| laggs.contains(&name.as_str()));
        laggs.iter().filter_map(|lagg| Some(((*lagg).to_owned(), self.shown_of(lagg)?))).collect()
    }

    fn shown_of(&mut self, lagg: &str) -> Option<Steering> {
        let request = Message::get_rules(&table(lagg));
        match self.socket().and_then(|socket| socket.dump(&request)) {
            Ok(rules) => {
                self.known.remove(lagg);
                let chains = chains_of(lagg, &rules)?;
                self.known.insert(lagg.to_owned(), chains);
            }
            Err(Errno::ENOENT) => drop(self.known.remove(lagg)),
            // The kernel has no time, or no room, for an answer: nobody has had a hand in it for that.
            Err(_) => {}
        }
        read_back(self.known.get(lagg)?)
    }
}

/// The chains of a lagg's table; none where there are none, or somebody has had a hand in it, so that the table is made afresh.
fn chains_of(lagg: &str, rules: &[Vec<u8>]) -> Option<Chains> {
    let table = table(lagg);
    let mut chains = Chains::new();
    for (_, chain, rule) in rules.iter().filter_map(|r| parse_rule(r)).filter(|(of, ..)| *of == table) {
        chains.entry(Chain::parse(&chain)?).or_default().push(rule?);
    }
    (!chains.is_empty()).then_some(chains)
}

fn table(lagg: &str) -> String {
    format!("{PREFIX}{lagg}")
}

/// The rules that make a steering true.
fn chains(inner: IfIndex, mac: Mac, steering: &Steering, egress: bool) -> Chains {
    let all = |deed| Rule { only: None, deed };
    let to_lagg = Rule { only: Some((Side::To, mac)), deed: Deed::Forward(inner) };
    let from_lagg = Rule { only: Some((Side::From, mac)), deed: Deed::Drop };
    let mut chains = Chains::new();
    chains.insert(Chain::Inner(inner), vec![all(steering.active.map_or(Deed::Drop, Deed::Forward))]);
    if let Some(port) = steering.active {
        chains.insert(Chain::Port(port), vec![all(Deed::Forward(inner))]);
        if egress {
            // Lets everything pass, and is there so that a switch need not make a chain.
            let nothing = Rule { only: Some((Side::From, Mac([0; 6]))), deed: Deed::Drop };
            chains.insert(Chain::Guard(port), vec![nothing]);
        }
    }
    for port in &steering.draining {
        chains.insert(Chain::Port(*port), vec![to_lagg, all(Deed::Drop)]);
    }
    for port in &steering.blocked {
        chains.insert(Chain::Port(*port), vec![all(Deed::Drop)]);
    }
    if egress {
        let quiet = steering.draining.iter().chain(&steering.blocked);
        chains.extend(quiet.map(|port| (Chain::Guard(*port), vec![from_lagg])));
    }
    chains
}

/// The steering that such rules make true; none where they contradict each other.
fn read_back(chains: &Chains) -> Option<Steering> {
    let mut steering = Steering::default();
    let (mut sends, mut inner) = (None, None);
    for (chain, rules) in chains {
        if let Chain::Inner(index) = chain {
            inner = Some(*index);
            sends = match rules.as_slice() {
                [Rule { only: None, deed: Deed::Forward(port) }] => Some(*port),
                [Rule { only: None, deed: Deed::Drop }] => None,
                _ => return None,
            };
        }
    }
    for (chain, rules) in chains {
        let Chain::Port(port) = chain else { continue };
        match rules.as_slice() {
            [Rule { only: None, deed: Deed::Drop }] => steering.blocked.push(*port),
            [Rule { only: None, deed: Deed::Forward(to) }] if Some(*to) == inner && sends == Some(*port) => {
                steering.active = sends;
            }
            [
                Rule { only: Some((Side::To, _)), deed: Deed::Forward(to) },
                Rule { only: None, deed: Deed::Drop },
            ] if Some(*to) == inner => steering.draining.push(*port),
            _ => return None,
        }
    }
    (inner.is_some() && steering.active == sends).then_some(steering)
}

/// Rules in place of others, in chains that stay.
fn changes(lagg: &str, known: &Chains, wanted: &Chains) -> Vec<Message> {
    let table = table(lagg);
    let mut messages = Vec::new();
    for (chain, rules) in wanted.iter().filter(|(chain, rules)| known.get(chain) != Some(rules)) {
        messages.push(Message::flush_chain(&table, &chain.name()));
        messages.extend(rules.iter().map(|rule| Message::new_rule(&table, &chain.name(), rule)));
    }
    messages
}

/// A whole table in place of whatever has its name.
fn table_messages(lagg: &str, flags: u32, wanted: &Chains) -> Result<Vec<Message>, Errno> {
    let table = table(lagg);
    let mut messages = vec![
        Message::new_table(&table, flags),
        Message::del_table(&table),
        Message::new_table(&table, flags),
    ];
    for (chain, rules) in wanted {
        let device = nix::net::if_::if_indextoname(chain.device())?;
        let device = device.to_str().map_err(|_| Errno::EINVAL)?;
        let hook = if matches!(chain, Chain::Guard(_)) { Hook::Egress } else { Hook::Ingress };
        messages.push(Message::new_chain(&table, &chain.name(), hook, PRIORITY, device));
        messages.extend(rules.iter().map(|rule| Message::new_rule(&table, &chain.name(), rule)));
    }
    Ok(messages)
}

#[cfg(test)]
mod tests;
