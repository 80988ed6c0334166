//! ARP for IPv4 over Ethernet (RFC 826): requests, replies, probes (RFC 5227, section 2.1.1) and gratuitous
//! ARP (RFC 5944, section 4.6; RFC 5227, section 2.3, calls the request form an announcement).

use crate::Error;
use crate::bytes::{Reader, expect_field};
use crate::ethernet::{self, ethertype};
use mpath_model::Mac;
use std::net::Ipv4Addr;

/// Bytes of an ARP packet for IPv4 over Ethernet. Behind it there may be Ethernet padding.
pub const LEN: usize = 28;

/// ar$hrd of Ethernet (RFC 826, "Definitions").
const HARDWARE_ETHERNET: u16 = 1;

/// ar$op (RFC 826, "Definitions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// 1: who has the target address?
    Request,
    /// 2: the sender has its address.
    Reply,
}

/// An ARP packet (RFC 826, "Packet format").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// ar$op.
    pub operation: Operation,
    /// ar$sha.
    pub sender_mac: Mac,
    /// ar$spa.
    pub sender_ip: Ipv4Addr,
    /// ar$tha.
    pub target_mac: Mac,
    /// ar$tpa.
    pub target_ip: Ipv4Addr,
}

/// What an ARP packet (the bytes behind the Ethernet header) says. Anything but a request or a reply for
/// IPv4 over Ethernet is an error.
pub fn parse(packet: &[u8]) -> Result<Arp, Error> {
    let mut r = Reader::new("ARP packet", packet, LEN)?;
    expect_field("ARP hardware type", r.u16()?.into(), &[HARDWARE_ETHERNET.into()])?;
    expect_field("ARP protocol type", r.u16()?.into(), &[ethertype::IPV4.into()])?;
    expect_field("ARP hardware address length", r.u8()?.into(), &[6])?;
    expect_field("ARP protocol address length", r.u8()?.into(), &[4])?;
    let operation = match r.u16()? {
        1 => Operation::Request,
        2 => Operation::Reply,
        other => {
            return Err(Error::Field { what: "ARP operation", value: other.into() });
        }
    };
    Ok(Arp {
        operation,
        sender_mac: r.mac()?,
        sender_ip: r.ipv4()?,
        target_mac: r.mac()?,
        target_ip: r.ipv4()?,
    })
}

impl Arp {
    /// The packet, without Ethernet header.
    pub fn emit(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        out[0..2].copy_from_slice(&HARDWARE_ETHERNET.to_be_bytes());
        out[2..4].copy_from_slice(&ethertype::IPV4.to_be_bytes());
        out[4] = 6;
        out[5] = 4;
        out[6..8].copy_from_slice(&operation.to_be_bytes());
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender_ip.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target_ip.octets());
        out
    }

    /// The packet in a frame from its sender to `destination`.
    pub fn frame(&self, destination: Mac) -> Vec<u8> {
        let header = ethernet::Header { destination, source: self.sender_mac, ethertype: ethertype::ARP };
        header.emit(&self.emit())
    }
}

/// Gratuitous ARP, request form, as a broadcast: "`ip` is at `mac` now". Sender and target address are
/// both `ip` (RFC 5944, section 4.6), the target link-layer address is zero (RFC 5227, section 2.3).
pub fn gratuitous_frame(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    gratuitous_frame_to(mac, ip, Mac::BROADCAST)
}

/// [`gratuitous_frame`] for one neighbour alone: a unicast copy reaches hosts behind switches that drop
/// broadcasts.
pub fn gratuitous_frame_to(mac: Mac, ip: Ipv4Addr, destination: Mac) -> Vec<u8> {
    request_frame(mac, destination, ip, ip)
}

/// Gratuitous ARP, reply form, as a broadcast. The target link-layer address is `mac` too (RFC 5944,
/// section 4.6), without which Linux does not take it for a gratuitous one.
pub fn gratuitous_reply_frame(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let packet =
        Arp { operation: Operation::Reply, sender_mac: mac, sender_ip: ip, target_mac: mac, target_ip: ip };
    packet.frame(Mac::BROADCAST)
}

/// ARP request from `source` to `destination`, [`Mac::BROADCAST`] or the link-layer address a neighbour was
/// last seen with. With sender 0.0.0.0 it is an ARP probe, which enters no cache (RFC 5227, section 2.1.1).
pub fn request_frame(source: Mac, destination: Mac, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Vec<u8> {
    let packet = Arp {
        operation: Operation::Request,
        sender_mac: source,
        sender_ip,
        target_mac: Mac::default(),
        target_ip,
    };
    packet.frame(destination)
}

#[cfg(test)]
mod tests;
