//! Ethernet II frames (RFC 894; RFC 5342 for the EtherTypes) and the link-layer addresses of multicast
//! groups (RFC 1112, section 6.4; RFC 2464, section 7). No VLAN tags: a VLAN is an interface of its own.

use crate::Error;
use crate::bytes::Reader;
use mpath_model::Mac;
use std::net::{Ipv4Addr, Ipv6Addr};

/// EtherType values (RFC 9542, appendix B).
pub mod ethertype {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IPv6 (RFC 2464, section 3).
    pub const IPV6: u16 = 0x86dd;
}

/// Bytes of an Ethernet header.
pub const HEADER_LEN: usize = 14;

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the frame goes.
    pub destination: Mac,
    /// Where it comes from.
    pub source: Mac,
    /// What is in it: see [`ethertype`].
    pub ethertype: u16,
}

/// The header of a frame and the bytes behind it (padding, if any, included).
pub fn parse(frame: &[u8]) -> Result<(Header, &[u8]), Error> {
    let mut r = Reader::new("Ethernet frame", frame, HEADER_LEN)?;
    let header = Header { destination: r.mac()?, source: r.mac()?, ethertype: r.u16()? };
    Ok((header, r.rest()))
}

impl Header {
    /// A frame with this header. Not padded to 60 bytes: drivers do that.
    pub fn emit(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER_LEN + payload.len());
        frame.extend_from_slice(&self.destination.0);
        frame.extend_from_slice(&self.source.0);
        frame.extend_from_slice(&self.ethertype.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }
}

/// Group bit of a link-layer address (broadcast included).
pub fn is_multicast(mac: Mac) -> bool {
    mac.0[0] & 1 == 1
}

/// Link-layer address of an IPv4 multicast group (RFC 1112, section 6.4).
pub fn multicast4(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}

/// Link-layer address of an IPv6 multicast group (RFC 2464, section 7).
pub fn multicast6(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn multicast_addresses() {
        let four = |t: &str| multicast4(t.parse().unwrap()).to_string();
        let six = |t: &str| multicast6(t.parse().unwrap()).to_string();
        assert_eq!(four("224.0.0.1"), "01:00:5e:00:00:01");
        assert_eq!(four("239.129.2.3"), "01:00:5e:01:02:03");
        assert_eq!(six("ff02::1"), "33:33:00:00:00:01");
        assert_eq!(six("ff02::1:ff12:3456"), "33:33:ff:12:34:56");
        assert!(is_multicast(Mac::BROADCAST));
        assert!(!is_multicast(Mac([2, 0, 0, 0, 0, 1])));
    }

    #[test]
    fn short_frames_are_refused() {
        let want = Error::Short { what: "Ethernet frame", need: 14, have: 13 };
        assert_eq!(parse(&[0; 13]), Err(want));
        assert_eq!(want.to_string(), "Ethernet frame has 13 bytes, 14 needed");
        assert!(parse(&[0; 14]).is_ok());
    }

    proptest! {
        #[test]
        fn round_trip(d: [u8; 6], s: [u8; 6], ethertype: u16, payload: Vec<u8>) {
            let header = Header { destination: Mac(d), source: Mac(s), ethertype };
            let frame = header.emit(&payload);
            prop_assert_eq!(parse(&frame), Ok((header, payload.as_slice())));
        }
    }
}
