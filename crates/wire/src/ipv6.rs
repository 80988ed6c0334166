//! The IPv6 header (RFC 8200, section 3) in front of ICMPv6, for frames that are built or read whole.
//! Extension headers are not followed: what we look for has none.

use crate::Error;
use crate::bytes::{Reader, expect_field};
use crate::ethernet::{self, ethertype};
use mpath_model::Mac;
use std::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Next Header value of ICMPv6 (RFC 4443, section 1).
pub const NEXT_HEADER_ICMP6: u8 = 58;

/// All nodes of the link (RFC 4291, section 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All routers of the link (RFC 4291, section 2.7.1).
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What matters of an IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// What follows the header.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
}

/// The header and the payload, bytes beyond the payload length cut off.
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let mut r = Reader::new("IPv6 packet", packet, HEADER_LEN)?;
    expect_field("IPv6 version", (r.u32()? >> 28).into(), &[6])?;
    let length = usize::from(r.u16()?);
    let (next_header, hop_limit) = (r.u8()?, r.u8()?);
    let header = Header { source: r.ipv6()?, destination: r.ipv6()?, next_header, hop_limit };
    let rest = r.rest();
    let payload = rest.get(..length).ok_or(Error::Short {
        what: "IPv6 packet",
        need: HEADER_LEN + length,
        have: packet.len(),
    })?;
    Ok((header, payload))
}

impl Header {
    /// The packet: this header (traffic class and flow label 0) and `payload`, of which at most 65535 bytes
    /// are kept.
    pub fn emit(&self, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        let mut packet = Vec::with_capacity(HEADER_LEN + payload.len());
        packet.extend_from_slice(&[0x60, 0, 0, 0]);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&[self.next_header, self.hop_limit]);
        packet.extend_from_slice(&self.source.octets());
        packet.extend_from_slice(&self.destination.octets());
        packet.extend_from_slice(&payload[..usize::from(length)]);
        packet
    }

    /// The packet in an Ethernet frame.
    pub fn frame(&self, source: Mac, destination: Mac, payload: &[u8]) -> Vec<u8> {
        let ethernet = ethernet::Header { destination, source, ethertype: ethertype::IPV6 };
        ethernet.emit(&self.emit(payload))
    }
}

/// Solicited-node multicast address of an address (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn solicited_node_example_of_rfc_4291() {
        let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
    }

    #[test]
    fn bad_packets() {
        let header = Header {
            source: Ipv6Addr::LOCALHOST,
            destination: ALL_NODES,
            next_header: NEXT_HEADER_ICMP6,
            hop_limit: 255,
        };
        let good = header.emit(&[1, 2, 3]);
        assert_eq!(good[..8], [0x60, 0, 0, 0, 0, 3, 58, 255]);
        assert_eq!(parse(&good[..42]).unwrap_err().to_string(), "IPv6 packet has 42 bytes, 43 needed");
        assert_eq!(parse(&good[..39]).unwrap_err().to_string(), "IPv6 packet has 39 bytes, 40 needed");
        let mut bad = good;
        bad[0] = 0x45;
        assert_eq!(parse(&bad).unwrap_err().to_string(), "IPv6 version is 0x4");
    }

    proptest! {
        #[test]
        fn round_trip(s: [u8; 16], d: [u8; 16], next_header: u8, hop_limit: u8, payload: Vec<u8>) {
            let header = Header { source: s.into(), destination: d.into(), next_header, hop_limit };
            let mut packet = header.emit(&payload);
            prop_assert_eq!(parse(&packet), Ok((header, payload.as_slice())));
            packet.extend([0; 7]);
            prop_assert_eq!(parse(&packet), Ok((header, payload.as_slice())), "padding");
        }
    }
}
