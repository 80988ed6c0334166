//! Packets to send, packets that came in, and which of them are wanted. Their bytes are the affair of `mpath-wire`
//! and `mpath-linux`.

use crate::addr::{Family, Mac};
use crate::carp::{CarpId, HeardAdvert, SendAdvert};
use crate::{IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A probe or other packet to send. Answers come back as [`Heard`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transmit {
    /// ICMP or ICMPv6 echo request out of this interface only, hop limit 1 (mpathd-behaviour.md 1.6).
    Echo {
        /// Interface.
        index: IfIndex,
        /// Source address, on the interface.
        source: IpAddr,
        /// Target, or 224.0.0.1 / ff02::1.
        target: IpAddr,
        /// ICMP identifier.
        ident: u16,
        /// ICMP sequence number.
        seq: u16,
        /// Bytes behind the ICMP header.
        payload: Vec<u8>,
    },
    /// A complete Ethernet frame.
    Frame {
        /// Interface.
        index: IfIndex,
        /// Ethernet header and what follows.
        bytes: Vec<u8>,
    },
    /// A CARP advertisement; its digest is made on the way out.
    Advert(SendAdvert),
}

/// A packet that came in on an interface under watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Interface it came in on.
    pub index: IfIndex,
    /// When the kernel received it.
    pub at: Time,
    /// What it was.
    pub what: Packet,
}

/// The packets the engine understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// ICMP echo reply (type 0) or ICMPv6 echo reply (type 129).
    EchoReply {
        /// Source address.
        from: IpAddr,
        /// Destination address.
        to: IpAddr,
        /// ICMP code.
        code: u8,
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Bytes behind the ICMP header (at most 64 are kept).
        payload: Vec<u8>,
    },
    /// Solicited Neighbour Advertisement that came straight from this link: hop limit 255 (RFC 4861, section 4.4).
    Advertisement {
        /// Source address.
        from: Ipv6Addr,
        /// Destination address.
        to: Ipv6Addr,
        /// The address that was asked for.
        target: Ipv6Addr,
    },
    /// ARP for IPv4 over Ethernet, request or reply.
    Arp {
        /// Reply (operation 2) rather than request (1).
        reply: bool,
        /// ar$sha.
        sender_mac: Mac,
        /// ar$spa.
        sender: Ipv4Addr,
        /// ar$tha.
        target_mac: Mac,
        /// ar$tpa.
        target: Ipv4Addr,
    },
    /// A beacon of some member of a group on some host (see `mpath_wire::beacon`).
    Beacon {
        /// Its round.
        round: u64,
        /// Interface of its host that sent it.
        sender: IfIndex,
    },
    /// A packet of CARP's protocol number.
    Carp(HeardAdvert),
}

/// What the outside world has to listen for on behalf of the engine. Given whole each time it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Echo sockets: (interface, name, family).
    pub echo: Vec<(IfIndex, Family)>,
    /// Interfaces whose ARP packets are wanted.
    pub arp: Vec<IfIndex>,
    /// Interfaces whose beacons are wanted.
    #[serde(default)]
    pub beacons: Vec<IfIndex>,
    /// Ports of laggs whose ARP packets are wanted, also those that the lagg does not take, with the link-layer address from
    /// which each is probed.
    #[serde(default)]
    pub ports: Vec<(IfIndex, Mac)>,
    /// Interfaces whose carrier is polled beside the kernel's events.
    pub carrier: Vec<IfIndex>,
    /// Interfaces out of service, and which one took over from each: what programs have joined on the first is joined
    /// on the second.
    #[serde(default)]
    pub follow: Vec<(IfIndex, IfIndex)>,
    /// Where adverts are expected, in which family, and whose passphrase and addresses they must fit.
    #[serde(default)]
    pub carp: Vec<(IfIndex, Family, CarpId)>,
}
