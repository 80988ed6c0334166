//! Making and changing interfaces: veth pairs, bridges and their ports, macvlans, and the plain addresses and routes
//! of a host that is set up from nothing. For the test kit and the demo; the daemon moves addresses and
//! routes through the model's types instead.
//!
//! Every function is one request on the socket's network namespace.

use super::socket::Socket;
use crate::Error;
use mpath_model::{Family, IfAddr, IfIndex, Mac};
use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoMacVlan,
    InfoPortData, InfoPortKind, InfoVeth, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    LinkProtoInfoBridge, MacVlanMode,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;
use std::os::fd::RawFd;

/// Attributes of a bridge port (linux/if_link.h).
const IFLA_BRPORT_STATE: u16 = 1;
/// Whether it learns addresses.
const IFLA_BRPORT_LEARNING: u16 = 8;
/// Forgets what it has learnt.
const IFLA_BRPORT_FLUSH: u16 = 24;
/// Lets only known senders in.
const IFLA_BRPORT_LOCKED: u16 = 39;

/// Options of a queueing discipline (linux/rtnetlink.h), and the frames that one of netem holds.
const TCA_OPTIONS: u16 = 2;
const NETEM_LIMIT: u32 = 10_000;

/// One end of a veth pair, or any interface that is to be made.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Interface name.
    pub name: String,
    /// Link-layer address; the kernel picks one if none.
    pub mac: Option<Mac>,
    /// Interface index; the kernel picks one if none.
    pub index: Option<IfIndex>,
    /// Network namespace it goes to; the socket's own if none.
    pub namespace: Option<RawFd>,
}

impl End {
    pub(super) fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = self.index.unwrap_or(0);
        message.attributes.push(LinkAttribute::IfName(self.name.clone()));
        if let Some(mac) = self.mac {
            message.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        }
        if let Some(fd) = self.namespace {
            message.attributes.push(LinkAttribute::NetNsFd(fd));
        }
        message
    }
}

/// State of a bridge port that an operator sets where no spanning tree runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Drops every frame, both ways; the carrier stays.
    Disabled,
    /// Passes frames.
    Forwarding,
}

/// Makes a veth pair.
pub fn veth(socket: &mut Socket, one: &End, other: &End) -> Result<(), Error> {
    let peer = InfoVeth::Peer(other.message());
    new_link(socket, one, InfoKind::Veth, Some(InfoData::Veth(peer)))
}

/// Makes a bridge without spanning tree and without multicast snooping: a plain switch.
pub fn bridge(socket: &mut Socket, end: &End) -> Result<(), Error> {
    let data = vec![InfoBridge::StpState(BridgeStpState::Disabled), InfoBridge::MulticastSnooping(false)];
    new_link(socket, end, InfoKind::Bridge, Some(InfoData::Bridge(data)))
}

/// Makes a macvlan in bridge mode on top of `parent`.
pub fn macvlan(socket: &mut Socket, end: &End, parent: IfIndex) -> Result<(), Error> {
    let mut message = end.message();
    message.attributes.push(LinkAttribute::Link(parent));
    let data = InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)]);
    create(socket, message, InfoKind::MacVlan, Some(data))
}

/// Makes a VLAN (802.1Q) on top of `parent`.
pub fn vlan(socket: &mut Socket, end: &End, parent: IfIndex, id: u16) -> Result<(), Error> {
    let mut message = end.message();
    message.attributes.push(LinkAttribute::Link(parent));
    create(socket, message, InfoKind::Vlan, Some(InfoData::Vlan(vec![InfoVlan::Id(id)])))
}

/// Makes a dummy interface.
pub fn dummy(socket: &mut Socket, end: &End) -> Result<(), Error> {
    new_link(socket, end, InfoKind::Dummy, None)
}

/// Makes a team without ports.
pub fn team(socket: &mut Socket, end: &End) -> Result<(), Error> {
    new_link(socket, end, InfoKind::Team, None)
}

fn new_link(socket: &mut Socket, end: &End, kind: InfoKind, data: Option<InfoData>) -> Result<(), Error> {
    create(socket, end.message(), kind, data)
}

fn create(
    socket: &mut Socket,
    mut message: LinkMessage,
    kind: InfoKind,
    data: Option<InfoData>,
) -> Result<(), Error> {
    let mut info = vec![LinkInfo::Kind(kind)];
    info.extend(data.map(LinkInfo::Data));
    message.attributes.push(LinkAttribute::LinkInfo(info));
    socket.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Lets the queue of an interface lose so many of a thousand frames that leave by it, each by chance (netem).
pub fn lossy(socket: &mut Socket, index: IfIndex, permille: u32) -> Result<(), Error> {
    socket.request(lossy_message(index, permille), NLM_F_CREATE | NLM_F_REPLACE)
}

fn lossy_message(index: IfIndex, permille: u32) -> RouteNetlinkMessage {
    let mut message = TcMessage::default();
    message.header.index = i32::try_from(index).unwrap_or(0); // of no interface: the kernel refuses
    message.header.parent = TcHandle::ROOT;
    let chance = (u64::from(u32::MAX) * u64::from(permille.min(1000)) / 1000) as u32;
    // struct tc_netem_qopt (linux/pkt_sched.h): latency, limit, loss, gap, duplicate, jitter
    let options = [0, NETEM_LIMIT, chance, 0, 0, 0].map(u32::to_ne_bytes).concat();
    message.attributes.push(TcAttribute::Kind("netem".to_owned()));
    message.attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)));
    RouteNetlinkMessage::NewQueueDiscipline(message)
}

/// Makes `port` a port of the bridge `master`.
pub fn set_master(socket: &mut Socket, port: IfIndex, master: IfIndex) -> Result<(), Error> {
    change(socket, port, LinkAttribute::Controller(master))
}

/// Sets a bridge port's state. The port must be up with carrier.
///
/// This goes through the bridge's own request (`AF_BRIDGE`): the kernel ends an `IFLA_INFO_SLAVE_DATA` change with a
/// carrier check that enables a disabled port again.
pub fn set_port_state(socket: &mut Socket, port: IfIndex, state: PortState) -> Result<(), Error> {
    let state = match state {
        PortState::Disabled => BridgePortState::Disabled,
        PortState::Forwarding => BridgePortState::Forwarding,
    };
    bridge_request(socket, port, &[(IFLA_BRPORT_STATE, &[u8::from(state)])])
}

/// Locks a bridge port: frames that come in by it are dropped, frames that go out pass. What it has learnt is
/// forgotten, because senders it knows would still be let in. Linux 5.18 on.
pub fn set_port_locked(socket: &mut Socket, port: IfIndex, locked: bool) -> Result<(), Error> {
    let learning = (IFLA_BRPORT_LEARNING, &[u8::from(!locked)][..]);
    let lock = (IFLA_BRPORT_LOCKED, &[u8::from(locked)][..]);
    bridge_request(socket, port, &[learning, lock, (IFLA_BRPORT_FLUSH, &[])])
}

fn bridge_request(socket: &mut Socket, port: IfIndex, options: &[(u16, &[u8])]) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = port;
    let options = options
        .iter()
        .map(|(kind, value)| LinkProtoInfoBridge::Other(DefaultNla::new(*kind, value.to_vec())));
    message.attributes.push(LinkAttribute::ProtoInfoBridge(options.collect()));
    socket.request(RouteNetlinkMessage::SetLink(message), 0)
}

/// Isolates a bridge port: it exchanges frames with ports that are not isolated only.
pub fn set_port_isolated(socket: &mut Socket, port: IfIndex, isolated: bool) -> Result<(), Error> {
    set_port(socket, port, InfoBridgePort::Isolated(isolated))
}

pub(super) fn set_port(socket: &mut Socket, port: IfIndex, option: InfoBridgePort) -> Result<(), Error> {
    let info = vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![option])),
    ];
    change(socket, port, LinkAttribute::LinkInfo(info))
}

/// Administratively up or down.
pub fn set_admin_state(socket: &mut Socket, index: IfIndex, up: bool) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    if up {
        message.header.flags = LinkFlags::Up;
    }
    socket.request(RouteNetlinkMessage::NewLink(message), 0)
}

/// Renames an interface.
pub fn rename(socket: &mut Socket, index: IfIndex, name: &str) -> Result<(), Error> {
    change(socket, index, LinkAttribute::IfName(name.to_owned()))
}

/// Moves an interface to the network namespace of this descriptor.
pub fn give(socket: &mut Socket, index: IfIndex, namespace: i32) -> Result<(), Error> {
    change(socket, index, LinkAttribute::NetNsFd(namespace))
}

/// Sets the link-layer address.
pub fn set_mac(socket: &mut Socket, index: IfIndex, mac: Mac) -> Result<(), Error> {
    change(socket, index, LinkAttribute::Address(mac.0.to_vec()))
}

/// Sets the MTU, bytes. Below 1280 the interface has no IPv6 (RFC 8200, section 5).
pub fn set_mtu(socket: &mut Socket, index: IfIndex, mtu: u32) -> Result<(), Error> {
    change(socket, index, LinkAttribute::Mtu(mtu))
}

pub(super) fn change(socket: &mut Socket, index: IfIndex, attribute: LinkAttribute) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(attribute);
    socket.request(RouteNetlinkMessage::NewLink(message), 0)
}

/// Deletes an interface; the other end of a veth pair goes with it.
pub fn delete(socket: &mut Socket, index: IfIndex) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    socket.request(RouteNetlinkMessage::DelLink(message), 0)
}

/// Adds an address as an administrator would, without duplicate address detection.
pub fn add_address(socket: &mut Socket, index: IfIndex, addr: IfAddr) -> Result<(), Error> {
    let mut message = address(index, addr);
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Permanent));
    if let (IpAddr::V4(ip), 0..=30) = (addr.address, addr.prefix_len) {
        let broadcast = ip.to_bits() | u32::MAX >> addr.prefix_len;
        message.attributes.push(AddressAttribute::Broadcast(broadcast.into()));
    }
    socket.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Deletes an address.
pub fn del_address(socket: &mut Socket, index: IfIndex, addr: IfAddr) -> Result<(), Error> {
    socket.request(RouteNetlinkMessage::DelAddress(address(index, addr)), 0)
}

fn address(index: IfIndex, addr: IfAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(addr.family());
    message.header.prefix_len = addr.prefix_len;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(addr.address));
    message.attributes.push(AddressAttribute::Address(addr.address));
    message
}

/// Every policy rule of a family, whoever made it, as the kernel tells it.
pub fn rules(socket: &mut Socket, family: Family) -> Result<Vec<Vec<u8>>, Error> {
    socket.dump_with(super::encode::get_rules(family), |_, payload| Ok(Some(payload.to_vec())))
}

/// Adds a route of protocol static to `dst` through `gateway`, in table main.
pub fn add_route(socket: &mut Socket, index: IfIndex, dst: IfAddr, gateway: IpAddr) -> Result<(), Error> {
    let message = route(index, dst, gateway);
    socket.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Deletes such a route.
pub fn del_route(socket: &mut Socket, index: IfIndex, dst: IfAddr, gateway: IpAddr) -> Result<(), Error> {
    socket.request(RouteNetlinkMessage::DelRoute(route(index, dst, gateway)), 0)
}

fn route(index: IfIndex, dst: IfAddr, gateway: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(dst.family()),
        destination_prefix_length: dst.prefix_len,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        flags: RouteFlags::empty(),
        ..RouteHeader::default()
    };
    let dst = dst.network().address;
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::from(dst)),
        RouteAttribute::Gateway(RouteAddress::from(gateway)),
        RouteAttribute::Oif(index),
    ];
    message
}

fn family(family: Family) -> AddressFamily {
    match family {
        Family::Inet => AddressFamily::Inet,
        Family::Inet6 => AddressFamily::Inet6,
    }
}
