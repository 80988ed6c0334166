//! The IPv4 header (RFC 791, section 3.1), as raw sockets deliver it in front of the payload. Only read:
//! the kernel writes it.

use crate::Error;
use crate::bytes::{Reader, expect_field};
use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// IP protocol number of ICMP (RFC 792).
pub const PROTOCOL_ICMP: u8 = 1;

/// What matters of an IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
}

/// The header of a whole, unfragmented packet and its payload; options are skipped, bytes beyond the total
/// length cut off. The header checksum is not looked at: the kernel has done that.
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    const WHAT: &str = "IPv4 packet";
    let mut r = Reader::new(WHAT, packet, HEADER_LEN)?;
    let version_ihl = r.u8()?;
    expect_field("IPv4 version", (version_ihl >> 4).into(), &[4])?;
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if header_len < HEADER_LEN {
        return Err(Error::Field { what: "IPv4 header length", value: (version_ihl & 0x0f).into() });
    }
    let _tos = r.u8()?;
    let total = r.u16()?;
    let _identification = r.u16()?;
    let fragment = r.u16()?;
    // More Fragments (0x2000) and the 13 bits of the offset: a piece is not a packet.
    expect_field("IPv4 fragment", (fragment & 0x3fff).into(), &[0])?;
    let ttl = r.u8()?;
    let protocol = r.u8()?;
    let _checksum = r.u16()?;
    let (source, destination) = (r.ipv4()?, r.ipv4()?);
    let total = usize::from(total);
    let payload = packet.get(header_len..total).ok_or(Error::Short {
        what: WHAT,
        need: total.max(header_len),
        have: packet.len().min(total),
    })?;
    Ok((Header { source, destination, protocol, ttl }, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const PACKET: [u8; 24] = [
        0x45, 0, 0, 24,  0x12, 0x34, 0x40, 0,  64, 1, 0, 0,
        192, 0, 2, 1,  192, 0, 2, 11,  1, 2, 3, 4,
    ];

    #[test]
    fn header_and_payload() {
        let (header, payload) = parse(&PACKET).unwrap();
        assert_eq!(header.source, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(header.destination, Ipv4Addr::new(192, 0, 2, 11));
        assert_eq!((header.protocol, header.ttl), (PROTOCOL_ICMP, 64));
        assert_eq!(payload, [1, 2, 3, 4]);
    }

    #[test]
    fn options_are_skipped_and_padding_is_cut_off() {
        let mut packet = PACKET.to_vec();
        packet[0] = 0x46;
        packet.extend([9; 10]);
        packet[3] = 28;
        assert_eq!(parse(&packet).unwrap().1, [9; 4]);
    }

    #[test]
    fn bad_lengths_versions_and_fragments() {
        let table: [(usize, u8, &str); 6] = [
            (0, 0x65, "IPv4 version is 0x6"),
            (0, 0x44, "IPv4 header length is 0x4"),
            (0, 0x4f, "IPv4 packet has 24 bytes, 60 needed"),
            (3, 25, "IPv4 packet has 24 bytes, 25 needed"),
            (6, 0x20, "IPv4 fragment is 0x2000"),
            (7, 1, "IPv4 fragment is 0x1"),
        ];
        for (offset, value, message) in table {
            let mut packet = PACKET;
            packet[offset] = value;
            assert_eq!(parse(&packet).unwrap_err().to_string(), message);
        }
        assert!(parse(&PACKET[..19]).is_err());
        let mut packet = PACKET;
        packet[3] = 19;
        assert!(parse(&packet).is_err(), "total length below the header length");
    }
}
