//! What laggs need beyond making and changing interfaces: bonds, and the options of ports.

use super::create::{self, End};
use super::{Socket, decode, encode};
use crate::Error;
use mpath_model::IfIndex;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_core::NLM_F_EXCL;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondArpValidate, BondFailOverMac, BondMode, BondPrimaryReselect, InfoBond, InfoBridgePort, InfoData,
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkMode, State,
};
use std::net::Ipv4Addr;

/// How often the bonding driver looks at the links, in milliseconds.
const MIIMON: u32 = 100;

/// How the bonding driver finds out that a port is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondWatch {
    /// It looks at the links every so many milliseconds.
    Link(u32),
    /// It asks a target by ARP every so many milliseconds.
    Arp {
        /// Milliseconds from one question to the next.
        every: u32,
        /// Who is asked.
        target: Ipv4Addr,
        /// Only ARP counts as a sign of life (`arp_validate=all`), not any frame.
        validate: bool,
    },
}

impl BondWatch {
    fn options(self) -> Vec<InfoBond> {
        match self {
            BondWatch::Link(every) => vec![InfoBond::MiiMon(every)],
            BondWatch::Arp { every, target, validate } => {
                let validate = if validate { BondArpValidate::All } else { BondArpValidate::None };
                vec![
                    InfoBond::ArpInterval(every),
                    InfoBond::ArpIpTarget(vec![target]),
                    InfoBond::ArpValidate(validate),
                ]
            }
        }
    }
}

/// Makes an active-backup bond whose active port changes when its link dies or when told to, never to go back.
pub fn bond(socket: &mut Socket, end: &End) -> Result<(), Error> {
    let watch = BondWatch::Link(MIIMON);
    socket.request(bond_message(end, watch, BondPrimaryReselect::Failure), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes an active-backup bond that looks after itself, and goes back to its primary port whenever that lives.
pub fn watchful_bond(socket: &mut Socket, end: &End, watch: BondWatch) -> Result<(), Error> {
    socket.request(bond_message(end, watch, BondPrimaryReselect::Always), NLM_F_CREATE | NLM_F_EXCL)
}

fn bond_message(end: &End, watch: BondWatch, reselect: BondPrimaryReselect) -> RouteNetlinkMessage {
    let mut options = vec![InfoBond::Mode(BondMode::ActiveBackup)];
    options.extend(watch.options());
    options.extend([InfoBond::PrimaryReselect(reselect), InfoBond::FailOverMac(BondFailOverMac::None)]);
    let mut message = end.message();
    let info = vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(InfoData::Bond(options))];
    message.attributes.push(LinkAttribute::LinkInfo(info));
    RouteNetlinkMessage::NewLink(message)
}

/// Makes a port of a bond the active one.
pub fn activate(socket: &mut Socket, bond: IfIndex, port: IfIndex) -> Result<(), Error> {
    socket.request(option_message(bond, InfoBond::ActivePort(port)), 0)
}

/// Makes a port of a bond the one it prefers.
pub fn prefer(socket: &mut Socket, bond: IfIndex, port: IfIndex) -> Result<(), Error> {
    socket.request(option_message(bond, InfoBond::Primary(port)), 0)
}

fn option_message(bond: IfIndex, option: InfoBond) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = bond;
    let options = InfoData::Bond(vec![option]);
    let info = vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(options)];
    message.attributes.push(LinkAttribute::LinkInfo(info));
    RouteNetlinkMessage::NewLink(message)
}

/// Sets the MTU in bytes.
pub fn set_mtu(socket: &mut Socket, index: IfIndex, mtu: u32) -> Result<(), Error> {
    create::change(socket, index, LinkAttribute::Mtu(mtu))
}

/// Whether an interface takes every frame.
pub fn set_promisc(socket: &mut Socket, index: IfIndex, on: bool) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Promisc;
    if on {
        message.header.flags = LinkFlags::Promisc;
    }
    socket.request(RouteNetlinkMessage::NewLink(message), 0)
}

/// Whether a bridge port learns addresses.
pub fn set_port_learning(socket: &mut Socket, port: IfIndex, learning: bool) -> Result<(), Error> {
    create::set_port(socket, port, InfoBridgePort::Learning(learning))
}

/// Opens one port of a bridge, then closes others, with one system call. A closed port is dormant until it is opened; one that
/// has no carrier is open or closed when it gets one. An errno for each, 0 where it went well.
pub fn open_and_close(socket: &mut Socket, open: Option<IfIndex>, close: &[IfIndex]) -> Vec<i32> {
    let open = open.into_iter().map(|port| operational(port, true));
    let close = close.iter().map(|port| operational(*port, false));
    socket.batch(open.chain(close).map(|message| (message, 0)).collect())
}

/// Takes a port from its bridge and makes it an interface as any other. An errno for each step, 0 where it went well.
pub fn free(socket: &mut Socket, port: IfIndex) -> Vec<i32> {
    let mut leave = LinkMessage::default();
    leave.header.index = port;
    leave.attributes.push(LinkAttribute::Controller(0));
    let leave = RouteNetlinkMessage::NewLink(leave);
    socket.batch(vec![(leave, 0), (operational(port, true), 0)])
}

/// IFLA_OPERSTATE holds at once, IFLA_LINKMODE whenever the carrier changes.
fn operational(index: IfIndex, up: bool) -> RouteNetlinkMessage {
    let (state, mode) = if up { (State::Up, LinkMode::Default) } else { (State::Dormant, LinkMode::Dormant) };
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.extend([LinkAttribute::OperState(state), LinkAttribute::Mode(mode)]);
    RouteNetlinkMessage::NewLink(message)
}

/// Whether an interface is administratively up. One that does not exist is not.
pub fn is_up(socket: &mut Socket, index: IfIndex) -> Result<bool, Error> {
    let link = socket.query_with(encode::get_link(index), |_, payload| decode::link(payload))?;
    Ok(link.is_some_and(|l| l.up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::Mac;
    use netlink_packet_core::Emitable;

    fn bytes(message: &RouteNetlinkMessage) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    /// struct ifinfomsg for an interface index, nothing else set.
    fn head(index: u32) -> Vec<u8> {
        let mut head = vec![0; 16];
        head[4..8].copy_from_slice(&index.to_ne_bytes());
        head
    }

    /// Attribute: length, type, value, padding.
    fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(((4 + value.len()) as u16).to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    /// lagg-carp.md C.3: IFLA_LINKINFO 18, IFLA_INFO_KIND 1, IFLA_INFO_DATA 2, IFLA_BOND_*.
    fn bond_info(options: &[Vec<u8>]) -> Vec<u8> {
        let inside = [nla(1, b"bond\0"), nla(2, &options.concat())];
        nla(18, &inside.concat())
    }

    #[test]
    fn a_bond_byte_for_byte() {
        let mac = Mac([2, 0, 0, 0, 1, 0]);
        let end = End { name: "lagg0".into(), mac: Some(mac), ..End::default() };
        let options = [
            nla(1, &[1]),                  // MODE active-backup
            nla(3, &100u32.to_ne_bytes()), // MIIMON
            nla(12, &[2]),                 // PRIMARY_RESELECT failure
            nla(13, &[0]),                 // FAIL_OVER_MAC none
        ];
        let expected = [head(0), nla(3, b"lagg0\0"), nla(1, &mac.0), bond_info(&options)].concat();
        let message = bond_message(&end, BondWatch::Link(MIIMON), BondPrimaryReselect::Failure);
        assert_eq!(bytes(&message), expected);
    }

    #[test]
    fn a_bond_that_asks_byte_for_byte() {
        let end = End { name: "bond0".into(), ..End::default() };
        let watch = BondWatch::Arp { every: 20, target: Ipv4Addr::new(192, 0, 2, 1), validate: true };
        let options = [
            nla(1, &[1]),                     // MODE active-backup
            nla(7, &20u32.to_ne_bytes()),     // ARP_INTERVAL
            nla(8, &nla(0, &[192, 0, 2, 1])), // ARP_IP_TARGET
            nla(9, &3u32.to_ne_bytes()),      // ARP_VALIDATE all
            nla(12, &[0]),                    // PRIMARY_RESELECT always
            nla(13, &[0]),                    // FAIL_OVER_MAC none
        ];
        let expected = [head(0), nla(3, b"bond0\0"), bond_info(&options)].concat();
        assert_eq!(bytes(&bond_message(&end, watch, BondPrimaryReselect::Always)), expected);
    }

    #[test]
    fn a_port_that_is_closed_byte_for_byte() {
        let closed = [head(7), nla(16, &[5]), nla(17, &[1])].concat();
        assert_eq!(bytes(&operational(7, false)), closed);
        let open = [head(7), nla(16, &[6]), nla(17, &[0])].concat();
        assert_eq!(bytes(&operational(7, true)), open);
    }

    #[test]
    fn a_switch_byte_for_byte() {
        let expected = [head(7), bond_info(&[nla(2, &9u32.to_ne_bytes())])].concat();
        assert_eq!(bytes(&option_message(7, InfoBond::ActivePort(9))), expected);
    }
}
