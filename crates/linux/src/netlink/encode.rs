//! mpath-model's requests into netlink messages. A request that names an existing object names all of it,
//! so that nothing but that object is hit.

use mpath_model::kernel::{Hop, KernelOp, Placing, Rule};
use mpath_model::{Address, Family, IfAddr, IfIndex, Neighbour, PROTO_MPATHD, Route, kernel};
use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;

/// RTA_PREF (linux/rtnetlink.h).
const RTA_PREF: u16 = 20;
/// Flags of an address that the kernel alone sets: SECONDARY, OPTIMISTIC, DADFAILED, DEPRECATED, TENTATIVE,
/// PERMANENT, STABLE_PRIVACY.
const KERNEL_FLAGS: u32 = kernel::ifa::SECONDARY
    | 0x04
    | kernel::ifa::DADFAILED
    | kernel::ifa::DEPRECATED
    | kernel::ifa::TENTATIVE
    | kernel::ifa::PERMANENT
    | kernel::ifa::STABLE_PRIVACY;

/// A message with its NLM_F_* flags.
pub type Request = (RouteNetlinkMessage, u16);

/// The message for a request that is one message; `None` for the others.
pub fn request(op: &KernelOp) -> Option<Request> {
    Some(match op {
        KernelOp::AddAddress(address) => add_address(address),
        KernelOp::DelAddress { index, addr } => del_address(*index, *addr, None),
        KernelOp::AddRoute(route, placing) => add_route(route, *placing),
        KernelOp::DelRoute(route) => del_route(route),
        KernelOp::AddRule(rule) => {
            (RouteNetlinkMessage::NewRule(rule_message(rule)), NLM_F_CREATE | NLM_F_EXCL)
        }
        KernelOp::DelRule(rule) => (RouteNetlinkMessage::DelRule(rule_message(rule)), 0),
        KernelOp::DelNeighbour { index, address } => {
            let (index, address) = (*index, *address);
            del_neighbour(&Neighbour { index, address, mac: None, state: 0, router: false })
        }
        KernelOp::DelLink(index) => del_link(*index),
        KernelOp::SetLink { index, up } => set_link(*index, *up),
        KernelOp::FlushNeighbours(_)
        | KernelOp::AddVirtual { .. }
        | KernelOp::Announce { .. }
        | KernelOp::AnnounceTo { .. }
        | KernelOp::Solicit { .. }
        | KernelOp::Lagg(_)
        | KernelOp::SolicitRouters(_)
        | KernelOp::SetSysctl { .. } => return None,
    })
}

/// RTM_NEWADDR, creating or changing.
pub fn add_address(address: &Address) -> Request {
    let mut message = address_message(address.index, address.addr, address.peer);
    let flags = AddressFlags::from_bits_retain(address.flags & !KERNEL_FLAGS);
    message.header.scope = address.scope.into();
    message.header.flags = AddressHeaderFlags::from_bits_retain(flags.bits() as u8);
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Flags(flags));
    if let Some(IpAddr::V4(broadcast)) = address.broadcast {
        attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    if let Some(label) = &address.label {
        attributes.push(AddressAttribute::Label(label.clone()));
    }
    if address.protocol != 0 {
        attributes.push(AddressAttribute::Protocol(AddressProtocol::from(address.protocol)));
    }
    if let Some(metric) = address.metric {
        attributes.push(AddressAttribute::RoutePriority(metric));
    }
    let mut lifetimes = CacheInfo::default();
    lifetimes.ifa_valid = address.valid_lft;
    lifetimes.ifa_preferred = address.preferred_lft;
    attributes.push(AddressAttribute::CacheInfo(lifetimes));
    (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// RTM_DELADDR. An IPv4 address with a peer is only found if the peer is named.
pub fn del_address(index: IfIndex, addr: IfAddr, peer: Option<IpAddr>) -> Request {
    (RouteNetlinkMessage::DelAddress(address_message(index, addr, peer)), 0)
}

fn address_message(index: IfIndex, addr: IfAddr, peer: Option<IpAddr>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(addr.family());
    message.header.prefix_len = addr.prefix_len;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(addr.address));
    message.attributes.push(AddressAttribute::Address(peer.unwrap_or(addr.address)));
    message
}

/// RTM_NEWROUTE.
pub fn add_route(route: &Route, placing: Placing) -> Request {
    let mut message = route_message(route);
    if let Some(pref) = route.pref {
        let pref = DefaultNla::new(RTA_PREF, vec![pref]);
        message.attributes.push(RouteAttribute::Other(pref));
    }
    if let Some(seconds) = route.expires {
        message.attributes.push(RouteAttribute::Expires(seconds));
    }
    let flags = match placing {
        Placing::Before => NLM_F_CREATE,
        Placing::Replace => NLM_F_CREATE | NLM_F_REPLACE,
        Placing::After => NLM_F_CREATE | NLM_F_APPEND,
    };
    (RouteNetlinkMessage::NewRoute(message), flags)
}

/// RTM_DELROUTE of this route.
///
/// The kernel takes what is absent for "any": an IPv4 metric of 0, no preferred source, no gateway. While
/// the route exists it is the one that goes, as long as equals of the same metric, interface and protocol
/// do not differ in just these; once it is gone, the same request can hit its like with another metric.
pub fn del_route(route: &Route) -> Request {
    (RouteNetlinkMessage::DelRoute(route_message(route)), 0)
}

fn route_message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(route.family()),
        destination_prefix_length: route.dst.prefix_len,
        source_prefix_length: 0,
        tos: route.tos,
        table: u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        protocol: route.protocol.into(),
        scope: route.scope.into(),
        kind: route.kind.into(),
        flags: RouteFlags::empty(),
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if route.dst.prefix_len > 0 {
        let network = route.dst.network().address;
        attributes.push(RouteAttribute::Destination(RouteAddress::from(network)));
    }
    if route.metric != 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    if let Some(source) = route.prefsrc {
        attributes.push(RouteAttribute::PrefSource(RouteAddress::from(source)));
    }
    if !route.metrics.is_empty() {
        let metric = |(kind, value): &(u16, u32)| {
            RouteMetric::Other(DefaultNla::new(*kind, value.to_ne_bytes().to_vec()))
        };
        attributes.push(RouteAttribute::Metrics(route.metrics.iter().map(metric).collect()));
    }
    match (route.nexthop_id, route.hops.as_slice()) {
        (Some(id), _) => attributes.push(RouteAttribute::NhId(id)),
        (None, []) => {}
        (None, [hop]) => {
            attributes.push(RouteAttribute::Oif(hop.index));
            attributes.extend(gateway(route.family(), hop));
            if hop.onlink {
                message.header.flags = RouteFlags::Onlink;
            }
        }
        (None, hops) => {
            let hops = hops.iter().map(|hop| next_hop(route.family(), hop)).collect();
            attributes.push(RouteAttribute::MultiPath(hops));
        }
    }
    message
}

fn next_hop(family: Family, hop: &Hop) -> RouteNextHop {
    let mut next = RouteNextHop::default();
    next.interface_index = hop.index;
    next.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    if hop.onlink {
        next.flags = RouteNextHopFlags::Onlink;
    }
    next.attributes.extend(gateway(family, hop));
    next
}

fn gateway(family: Family, hop: &Hop) -> Option<RouteAttribute> {
    let gateway = hop.gateway?;
    Some(if Family::of(&gateway) == family {
        RouteAttribute::Gateway(RouteAddress::from(gateway))
    } else {
        RouteAttribute::Via(RouteVia::from(gateway))
    })
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header = RuleHeader {
        family: family(rule.family),
        dst_len: rule.to.map_or(0, |a| a.prefix_len),
        src_len: rule.from.map_or(0, |a| a.prefix_len),
        table: u8::try_from(rule.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        action: RuleAction::ToTable,
        ..RuleHeader::default()
    };
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.extend(rule.from.map(|a| RuleAttribute::Source(a.network().address)));
    attributes.extend(rule.to.map(|a| RuleAttribute::Destination(a.network().address)));
    attributes.extend(rule.suppress.map(RuleAttribute::SuppressPrefixLen));
    attributes.push(RuleAttribute::Protocol(PROTO_MPATHD.into()));
    message
}

/// RTM_GETRULE of all rules of a family.
pub fn get_rules(wanted: Family) -> RouteNetlinkMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(wanted);
    RouteNetlinkMessage::GetRule(message)
}

/// RTM_DELNEIGH.
pub fn del_neighbour(neighbour: &Neighbour) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = family(Family::of(&neighbour.address));
    message.header.ifindex = neighbour.index;
    let destination = NeighbourAddress::from(neighbour.address);
    message.attributes.push(NeighbourAttribute::Destination(destination));
    (RouteNetlinkMessage::DelNeighbour(message), 0)
}

/// RTM_DELLINK.
fn del_link(index: IfIndex) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    (RouteNetlinkMessage::DelLink(message), 0)
}

/// RTM_NEWLINK that changes IFF_UP alone.
fn set_link(index: IfIndex, up: bool) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    (RouteNetlinkMessage::NewLink(message), 0)
}

/// RTM_GETLINK of all interfaces.
pub fn get_links() -> RouteNetlinkMessage {
    get_link(0)
}

/// RTM_GETLINK of one interface, without its counters.
pub fn get_link(index: IfIndex) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let mask = vec![LinkExtentMask::SkipStats];
    message.attributes.push(LinkAttribute::ExtMask(mask));
    RouteNetlinkMessage::GetLink(message)
}

/// RTM_GETADDR of one interface, or of all for 0.
pub fn get_addresses(wanted: Family, index: IfIndex) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(wanted);
    message.header.index = index;
    RouteNetlinkMessage::GetAddress(message)
}

/// RTM_GETROUTE of all routes of a family.
pub fn get_routes(wanted: Family) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(wanted);
    RouteNetlinkMessage::GetRoute(message)
}

/// RTM_GETNEIGH of one interface, or of all for 0.
pub fn get_neighbours(wanted: Family, index: IfIndex) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(wanted);
    if index != 0 {
        message.attributes.push(NeighbourAttribute::IfIndex(index));
    }
    RouteNetlinkMessage::GetNeighbour(message)
}

fn family(family: Family) -> AddressFamily {
    match family {
        Family::Inet => AddressFamily::Inet,
        Family::Inet6 => AddressFamily::Inet6,
    }
}
