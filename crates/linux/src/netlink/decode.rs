//! Kernel messages into mpath-model's types, attribute by attribute.
//!
//! Attributes are read straight from the bytes, only the ones that matter: an attribute that is new, odd or
//! of no interest never hides an interface or an address, and the path of a link event stays short. What
//! mpathd must not touch gives `None`: bridge port messages, proxy neighbours, cached routes, routes that
//! are not unicast or lie in table local, and routes that the model could not put back exactly
//! (source-specific and encapsulating ones).

use mpath_model::kernel::{Hop, Rule};
use mpath_model::{Address, Family, IfAddr, IfIndex, KernelEvent, Link, Mac, Neighbour, PROTO_MPATHD, Route};
use netlink_packet_core::{DecodeError, NLM_F_APPEND, NLM_F_REPLACE, NlaBuffer, NlasIterator};
use std::net::IpAddr;

/// Message types (linux/rtnetlink.h).
mod rtm {
    pub(super) const NEWLINK: u16 = 16;
    pub(super) const DELLINK: u16 = 17;
    pub(super) const NEWADDR: u16 = 20;
    pub(super) const DELADDR: u16 = 21;
    pub(super) const NEWROUTE: u16 = 24;
    pub(super) const DELROUTE: u16 = 25;
    pub(super) const NEWNEIGH: u16 = 28;
    pub(super) const DELNEIGH: u16 = 29;
    pub(super) const NEWRULE: u16 = 32;
    pub(super) const DELRULE: u16 = 33;
}

/// IFLA_* (linux/if_link.h).
mod ifla {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const IFNAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const WIRELESS: u16 = 11;
    pub(super) const OPERSTATE: u16 = 16;
    pub(super) const LINKMODE: u16 = 17;
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const LINK_NETNSID: u16 = 37;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_SLAVE_KIND: u16 = 4;
    pub(super) const INFO_SLAVE_DATA: u16 = 5;
    pub(super) const BRPORT_STATE: u16 = 1;
    pub(super) const BOND_SLAVE_STATE: u16 = 1;
}

/// IFA_* (linux/if_addr.h).
mod ifa {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const LOCAL: u16 = 2;
    pub(super) const LABEL: u16 = 3;
    pub(super) const BROADCAST: u16 = 4;
    pub(super) const CACHEINFO: u16 = 6;
    pub(super) const FLAGS: u16 = 8;
    pub(super) const RT_PRIORITY: u16 = 9;
    pub(super) const PROTO: u16 = 11;
}

/// RTA_* (linux/rtnetlink.h).
mod rta {
    pub(super) const DST: u16 = 1;
    pub(super) const OIF: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const PREFSRC: u16 = 7;
    pub(super) const METRICS: u16 = 8;
    pub(super) const MULTIPATH: u16 = 9;
    pub(super) const CACHEINFO: u16 = 12;
    pub(super) const TABLE: u16 = 15;
    pub(super) const VIA: u16 = 18;
    pub(super) const PREF: u16 = 20;
    pub(super) const ENCAP: u16 = 22;
    pub(super) const NH_ID: u16 = 30;
    pub(super) const RTAX_CC_ALGO: u16 = 16;
}

/// FRA_* (linux/fib_rules.h).
mod fra {
    pub(super) const DST: u16 = 1;
    pub(super) const SRC: u16 = 2;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const SUPPRESS_PREFIXLEN: u16 = 14;
    pub(super) const TABLE: u16 = 15;
    pub(super) const PROTOCOL: u16 = 21;
}

/// NDA_* (linux/neighbour.h).
mod nda {
    pub(super) const DST: u16 = 1;
    pub(super) const LLADDR: u16 = 2;
}

const ARPHRD_ETHER: u16 = 1;
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_POINTOPOINT: u32 = 0x10;
const IFF_NOARP: u32 = 0x80;
const IFF_PROMISC: u32 = 0x100;
const IFF_MULTICAST: u32 = 0x1000;
const IFF_LOWER_UP: u32 = 0x10000;
const OPER_UNKNOWN: u8 = 0;
const OPER_DORMANT: u8 = 5;
const OPER_UP: u8 = 6;
const LINK_MODE_DORMANT: u8 = 1;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RT_TABLE_LOCAL: u32 = 255;
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_ONLINK: u8 = 4;
const NTF_PROXY: u8 = 0x08;
const NTF_ROUTER: u8 = 0x80;
/// Ticks of the kernel's clock_t in a second, on every architecture that mpathd runs on.
const USER_HZ: i32 = 100;
const BR_STATE_FORWARDING: u8 = 3;
const BOND_STATE_ACTIVE: u8 = 0;

/// What a notification of this message type with these NLM_F_* flags tells; `None` where it does not concern mpathd.
pub fn event(kind: u16, flags: u16, payload: &[u8]) -> Result<Option<KernelEvent>, DecodeError> {
    Ok(match kind {
        rtm::NEWLINK => link(payload)?.map(KernelEvent::Link),
        rtm::DELLINK => link(payload)?.map(|l| KernelEvent::LinkGone(l.index)),
        rtm::NEWADDR => address(payload)?.map(KernelEvent::Address),
        rtm::DELADDR => address(payload)?.map(KernelEvent::AddressGone),
        rtm::NEWROUTE => route(payload)?.map(|route| {
            // An IPv6 route that gained a way out is told of as a whole.
            let grown = flags & NLM_F_APPEND != 0 && route.family() == Family::Inet6 && route.hops.len() > 1;
            if flags & NLM_F_REPLACE != 0 || grown {
                KernelEvent::RouteReplaced(route)
            } else {
                KernelEvent::Route(route)
            }
        }),
        rtm::DELROUTE => route(payload)?.map(KernelEvent::RouteGone),
        rtm::NEWRULE => rule(payload)?.map(KernelEvent::Rule),
        rtm::DELRULE => rule(payload)?.map(KernelEvent::RuleGone),
        rtm::NEWNEIGH => neighbour(payload)?.map(KernelEvent::Neighbour),
        rtm::DELNEIGH => neighbour(payload)?.map(KernelEvent::NeighbourGone),
        _ => None,
    })
}

/// What the fixed part of a notification says of an interface's carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Of a neighbour, or of a bridge's view of its port.
    Irrelevant,
    /// Whether the interface is up and has a carrier.
    Link(IfIndex, bool),
}

/// Reads no attribute. `None` for anything but links and neighbours, and for links that are gone.
pub fn carrier(kind: u16, payload: &[u8]) -> Option<Carrier> {
    match kind {
        rtm::NEWNEIGH | rtm::DELNEIGH => Some(Carrier::Irrelevant),
        rtm::NEWLINK => {
            let head = payload.first_chunk::<16>()?;
            if head[0] != 0 {
                return Some(Carrier::Irrelevant);
            }
            let field = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let wanted = IFF_UP | IFF_LOWER_UP;
            Some(Carrier::Link(field(4), field(8) & wanted == wanted))
        }
        _ => None,
    }
}

/// struct ifinfomsg and its attributes.
pub fn link(payload: &[u8]) -> Result<Option<Link>, DecodeError> {
    let (head, attributes) = header::<16>(payload)?;
    if head[0] != 0 {
        // A bridge's or another family's view of the interface, not the interface itself.
        return Ok(None);
    }
    let ethernet = u16::from_ne_bytes([head[2], head[3]]) == ARPHRD_ETHER;
    let flags = word(&head[8..])?;
    let (mut operstate, mut mode) = (OPER_UNKNOWN, 0);
    let mut link = Link {
        index: word(&head[4..])?,
        name: String::new(),
        mac: None,
        up: flags & IFF_UP != 0,
        running: false,
        multicast: flags & IFF_MULTICAST != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        noarp: flags & IFF_NOARP != 0,
        point_to_point: flags & IFF_POINTOPOINT != 0,
        mtu: 0,
        master: None,
        kind: None,
        parent: None,
        promisc: flags & IFF_PROMISC != 0,
        passes: None,
    };
    let mut elsewhere = false;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            ifla::ADDRESS if ethernet => link.mac = mac(value),
            ifla::IFNAME => link.name = text(value)?,
            ifla::MTU => link.mtu = word(value)?,
            ifla::MASTER => link.master = Some(word(value)?),
            ifla::OPERSTATE => operstate = byte(value)?,
            ifla::LINKMODE => mode = byte(value)?,
            ifla::LINK => link.parent = Some(word(value)?).filter(|i| *i != 0 && *i != link.index),
            ifla::LINK_NETNSID => elsewhere = true,
            ifla::LINKINFO => (link.kind, link.passes) = link_info(value)?,
            // A message of a wireless driver that merely looks like a link's.
            ifla::WIRELESS => return Ok(None),
            _ => {}
        }
    }
    if link.name.is_empty() {
        return Err("link without a name".into());
    }
    link.parent = link.parent.filter(|_| !elsewhere);
    let dormant = mode == LINK_MODE_DORMANT;
    // A port of a bridge is kept dormant by whoever wants it closed: that is no fault of its link.
    let closed = dormant && operstate == OPER_DORMANT && link.passes.is_some();
    let operational = matches!(operstate, OPER_UP | OPER_UNKNOWN) || closed;
    link.running = link.up && flags & IFF_LOWER_UP != 0 && operational;
    if dormant && link.passes.is_none() {
        link.passes = Some(false);
    }
    Ok(Some(link))
}

/// IFLA_INFO_KIND, and whether frames pass through a port of a bridge or bond.
fn link_info(nested: &[u8]) -> Result<(Option<String>, Option<bool>), DecodeError> {
    let (mut kind, mut port_of, mut data) = (None, String::new(), Vec::new());
    for attribute in NlasIterator::new(nested) {
        let attribute = attribute?;
        match attribute.kind() {
            ifla::INFO_KIND => kind = Some(text(attribute.value())?),
            ifla::INFO_SLAVE_KIND => port_of = text(attribute.value())?,
            ifla::INFO_SLAVE_DATA => data = attribute.value().to_vec(),
            _ => {}
        }
    }
    let passes = match port_of.as_str() {
        "bridge" => state(&data, ifla::BRPORT_STATE)?.map(|s| s == BR_STATE_FORWARDING),
        "bond" => state(&data, ifla::BOND_SLAVE_STATE)?.map(|s| s == BOND_STATE_ACTIVE),
        _ => None,
    };
    Ok((kind, passes))
}

fn state(nested: &[u8], wanted: u16) -> Result<Option<u8>, DecodeError> {
    for attribute in NlasIterator::new(nested) {
        let attribute = attribute?;
        if attribute.kind() == wanted {
            return byte(attribute.value()).map(Some);
        }
    }
    Ok(None)
}

/// struct ifaddrmsg and its attributes. The label is kept as it came, also where it is the interface's name.
pub fn address(payload: &[u8]) -> Result<Option<Address>, DecodeError> {
    let (head, attributes) = header::<8>(payload)?;
    let Some(family) = family(head[0]) else {
        return Ok(None);
    };
    let (mut local, mut far) = (None, None);
    let placeholder = IfAddr::new(unspecified(family), head[1]);
    let mut address = Address::plain(word(&head[4..])?, placeholder);
    address.flags = u32::from(head[2]);
    address.scope = head[3];
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            ifa::ADDRESS => far = Some(ip(value)?),
            ifa::LOCAL => local = Some(ip(value)?),
            ifa::LABEL => address.label = Some(text(value)?),
            ifa::BROADCAST => address.broadcast = Some(ip(value)?),
            ifa::CACHEINFO => {
                address.preferred_lft = word(value)?;
                address.valid_lft = word(value.get(4..).unwrap_or(&[]))?;
            }
            ifa::FLAGS => address.flags = word(value)?,
            ifa::RT_PRIORITY => address.metric = Some(word(value)?),
            ifa::PROTO => address.protocol = byte(value)?,
            _ => {}
        }
    }
    let own = local.or(far).ok_or("address message without an address")?;
    address.addr = IfAddr::new(own, head[1]);
    address.peer = far.filter(|f| *f != own);
    Ok(Some(address))
}

/// The IPv6 address and the interface of a route by which the kernel takes the address for its own.
pub fn own_address(payload: &[u8]) -> Result<Option<(IfIndex, IpAddr)>, DecodeError> {
    let (head, attributes) = header::<12>(payload)?;
    if family(head[0]) != Some(Family::Inet6) || head[1] != 128 || head[7] != RTN_LOCAL {
        return Ok(None);
    }
    let (mut index, mut address) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            rta::DST => address = Some(ip(attribute.value())?),
            rta::OIF => index = Some(word(attribute.value())?),
            _ => {}
        }
    }
    Ok(index.zip(address))
}

/// struct rtmsg and its attributes.
pub fn route(payload: &[u8]) -> Result<Option<Route>, DecodeError> {
    let (head, attributes) = header::<12>(payload)?;
    let flags = word(&head[8..])?;
    let Some(family) = family(head[0]) else {
        return Ok(None);
    };
    if head[7] != RTN_UNICAST || head[2] != 0 || flags & RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let mut route = Route::onlink(IfAddr::new(unspecified(family), head[1]), 0, 0, head[5]);
    let mut hop = Hop { index: 0, gateway: None, onlink: flags & u32::from(RTNH_F_ONLINK) != 0, weight: 1 };
    route.hops.clear();
    route.scope = head[6];
    route.table = u32::from(head[4]);
    route.tos = head[3];
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            rta::DST => route.dst.address = ip(value)?,
            rta::OIF => hop.index = word(value)?,
            rta::GATEWAY | rta::VIA => hop.gateway = Some(gateway(&attribute)?),
            rta::PRIORITY => route.metric = word(value)?,
            rta::PREFSRC => route.prefsrc = Some(ip(value)?),
            rta::METRICS => route.metrics = metrics(value)?,
            rta::MULTIPATH => match hops(value)? {
                Some(hops) => route.hops = hops,
                None => return Ok(None),
            },
            rta::CACHEINFO => route.expires = expires(value),
            rta::TABLE => route.table = word(value)?,
            rta::PREF => route.pref = Some(byte(value)?),
            rta::NH_ID => route.nexthop_id = Some(word(value)?),
            rta::ENCAP => return Ok(None),
            _ => {}
        }
    }
    if hop.index != 0 && route.hops.is_empty() {
        route.hops.push(hop);
    }
    if family == Family::Inet6 {
        // The kernel shows them now in this order, now in that: only a fixed one compares.
        route.hops.sort_unstable();
    }
    Ok((route.table != RT_TABLE_LOCAL).then_some(route))
}

/// RTA_MULTIPATH: a row of struct rtnexthop, each with attributes. `None` if one of them encapsulates.
fn hops(mut bytes: &[u8]) -> Result<Option<Vec<Hop>>, DecodeError> {
    let mut hops = Vec::new();
    while !bytes.is_empty() {
        let (head, _) = header::<8>(bytes)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let attributes = bytes.get(8..length).ok_or("multipath hop of impossible length")?;
        let mut hop = Hop {
            index: word(&head[4..])?,
            gateway: None,
            onlink: head[2] & RTNH_F_ONLINK != 0,
            weight: u16::from(head[3]) + 1,
        };
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            match attribute.kind() {
                rta::GATEWAY | rta::VIA => hop.gateway = Some(gateway(&attribute)?),
                rta::ENCAP => return Ok(None),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(Some(hops))
}

/// RTA_GATEWAY is a bare address, RTA_VIA has its family (two bytes) in front.
fn gateway(attribute: &NlaBuffer<&[u8]>) -> Result<IpAddr, DecodeError> {
    let value = attribute.value();
    let skip = if attribute.kind() == rta::VIA { 2 } else { 0 };
    ip(value.get(skip..).unwrap_or(&[]))
}

/// RTA_METRICS, sorted. RTAX_CC_ALGO is a name and has no place in the model.
fn metrics(nested: &[u8]) -> Result<Vec<(u16, u32)>, DecodeError> {
    let mut metrics = Vec::new();
    for attribute in NlasIterator::new(nested) {
        let attribute = attribute?;
        if attribute.kind() != rta::RTAX_CC_ALGO {
            metrics.push((attribute.kind(), word(attribute.value())?));
        }
    }
    metrics.sort_unstable();
    Ok(metrics)
}

/// rta_expires of struct rta_cacheinfo, in whole seconds; at least one, because zero means never.
fn expires(value: &[u8]) -> Option<u32> {
    let ticks = word(value.get(8..)?).ok()?.cast_signed();
    (ticks != 0).then(|| (ticks.max(0) / USER_HZ).max(1).cast_unsigned())
}

/// struct fib_rule_hdr and its attributes. Rules without mpathd's mark are nobody's business here.
pub fn rule(payload: &[u8]) -> Result<Option<Rule>, DecodeError> {
    let (head, attributes) = header::<12>(payload)?;
    let Some(family) = family(head[0]) else {
        return Ok(None);
    };
    let mut ours = false;
    let table = u32::from(head[4]);
    let mut rule = Rule { family, priority: 0, from: None, to: None, table, suppress: None };
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            fra::DST => rule.to = Some(IfAddr::new(ip(value)?, head[1])),
            fra::SRC => rule.from = Some(IfAddr::new(ip(value)?, head[2])),
            fra::PRIORITY => rule.priority = word(value)?,
            // The kernel shows all ones where there is no limit.
            fra::SUPPRESS_PREFIXLEN => rule.suppress = Some(word(value)?).filter(|n| *n != u32::MAX),
            fra::TABLE => rule.table = word(value)?,
            fra::PROTOCOL => ours = byte(value)? == PROTO_MPATHD,
            _ => {}
        }
    }
    Ok(ours.then_some(rule))
}

/// struct ndmsg and its attributes.
pub fn neighbour(payload: &[u8]) -> Result<Option<Neighbour>, DecodeError> {
    let (head, attributes) = header::<12>(payload)?;
    if family(head[0]).is_none() || head[10] & NTF_PROXY != 0 {
        return Ok(None);
    }
    let mut address = None;
    let mut lladdr = None;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            nda::DST => address = Some(ip(attribute.value())?),
            nda::LLADDR => lladdr = mac(attribute.value()),
            _ => {}
        }
    }
    Ok(Some(Neighbour {
        index: word(&head[4..])?,
        address: address.ok_or("neighbour without an address")?,
        mac: lladdr,
        state: u16::from_ne_bytes([head[8], head[9]]),
        router: head[10] & NTF_ROUTER != 0,
    }))
}

fn header<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), DecodeError> {
    bytes.split_first_chunk::<N>().ok_or_else(|| DecodeError::buffer_too_small(bytes.len(), N))
}

fn family(af: u8) -> Option<Family> {
    Family::BOTH.into_iter().find(|f| f.af() == af)
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn byte(value: &[u8]) -> Result<u8, DecodeError> {
    value.first().copied().ok_or_else(|| DecodeError::invalid_number(1, 0))
}

fn word(value: &[u8]) -> Result<u32, DecodeError> {
    let bytes = value.first_chunk().ok_or_else(|| DecodeError::invalid_number(4, value.len()))?;
    Ok(u32::from_ne_bytes(*bytes))
}

fn ip(value: &[u8]) -> Result<IpAddr, DecodeError> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Ok(four.into());
    }
    <[u8; 16]>::try_from(value).map(IpAddr::from).map_err(|_| DecodeError::invalid_ip_address(value.len()))
}

fn mac(value: &[u8]) -> Option<Mac> {
    value.try_into().ok().map(Mac)
}

fn text(value: &[u8]) -> Result<String, DecodeError> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    Ok(String::from_utf8(value[..end].to_vec())?)
}

#[cfg(test)]
mod tests;
