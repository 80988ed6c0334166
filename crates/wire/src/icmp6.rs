//! ICMPv6 (RFC 4443): echo, and messages in whole Ethernet frames with their checksum. What Neighbour
//! Discovery says inside them is in [`crate::ndisc`].

use crate::bytes::expect_field;
use crate::icmp::{self, Echo, EchoReply};
use crate::ipv6::{self, NEXT_HEADER_ICMP6};
use crate::{Error, checksum, ethernet};
use mpath_model::Mac;
use std::net::Ipv6Addr;

/// Type of an echo request (RFC 4443, section 4.1).
pub const ECHO_REQUEST: u8 = 128;

/// Type of an echo reply (RFC 4443, section 4.2).
pub const ECHO_REPLY: u8 = 129;

/// An echo request without IPv6 header and with checksum 0: a raw ICMPv6 socket fills it in (RFC 3542,
/// section 3.1).
pub fn emit_request(echo: &Echo<'_>) -> Vec<u8> {
    icmp::header(ECHO_REQUEST, echo.ident, echo.seq, echo.payload)
}

/// An echo reply as a raw ICMPv6 socket delivers it: without IPv6 header and with the checksum already
/// verified by the kernel (RFC 3542, section 3.1).
pub fn parse_reply(message: &[u8]) -> Result<EchoReply<'_>, Error> {
    icmp::parse_fields("ICMPv6 echo reply", "ICMPv6 type", ECHO_REPLY, message)
}

/// Writes the checksum of an ICMPv6 message between two addresses into it (RFC 4443, section 2.3).
/// Messages shorter than four bytes have no checksum field and are left alone.
pub fn set_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) {
    if let Some(field) = message.get_mut(2..4) {
        field.fill(0);
        let sum = checksum::over_ipv6(source, destination, NEXT_HEADER_ICMP6, message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Who talks to whom, on both layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Link-layer source.
    pub source_mac: Mac,
    /// Link-layer destination.
    pub destination_mac: Mac,
    /// IPv6 source.
    pub source: Ipv6Addr,
    /// IPv6 destination.
    pub destination: Ipv6Addr,
    /// Hop limit.
    pub hop_limit: u8,
}

impl Envelope {
    /// The whole Ethernet frame around an ICMPv6 message, whose checksum is written here.
    pub fn frame(&self, mut message: Vec<u8>) -> Vec<u8> {
        set_checksum(self.source, self.destination, &mut message);
        let header = ipv6::Header {
            source: self.source,
            destination: self.destination,
            next_header: NEXT_HEADER_ICMP6,
            hop_limit: self.hop_limit,
        };
        header.frame(self.source_mac, self.destination_mac, &message)
    }
}

/// The ICMPv6 message in an IPv6 packet, its checksum verified.
pub fn parse_packet(packet: &[u8]) -> Result<(ipv6::Header, &[u8]), Error> {
    let (ip, message) = ipv6::parse(packet)?;
    expect_field("IPv6 next header", ip.next_header.into(), &[NEXT_HEADER_ICMP6.into()])?;
    let sum = checksum::over_ipv6(ip.source, ip.destination, NEXT_HEADER_ICMP6, message);
    if sum != 0 {
        return Err(Error::Checksum { what: "ICMPv6 message" });
    }
    Ok((ip, message))
}

/// The ICMPv6 message in an Ethernet frame, its checksum verified.
pub fn parse_frame(frame: &[u8]) -> Result<(Envelope, &[u8]), Error> {
    let (link, packet) = ethernet::parse(frame)?;
    expect_field("EtherType", link.ethertype.into(), &[ethernet::ethertype::IPV6.into()])?;
    let (ip, message) = parse_packet(packet)?;
    let envelope = Envelope {
        source_mac: link.source,
        destination_mac: link.destination,
        source: ip.source,
        destination: ip.destination,
        hop_limit: ip.hop_limit,
    };
    Ok((envelope, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn request_bytes() {
        let echo = Echo { ident: 0x1234, seq: 7, payload: &[1, 2] };
        assert_eq!(emit_request(&echo), [128, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2]);
    }

    #[test]
    fn replies() {
        let good = [129, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2];
        let want = EchoReply { code: 0, ident: 0x1234, seq: 7, payload: &[1, 2] };
        assert_eq!(parse_reply(&good), Ok(want));
        assert_eq!(
            parse_reply(&good[..7]).unwrap_err().to_string(),
            "ICMPv6 echo reply has 7 bytes, 8 needed"
        );
        assert_eq!(parse_reply(&[128; 8]).unwrap_err().to_string(), "ICMPv6 type is 0x80");
    }

    #[test]
    fn checksum_by_hand() {
        // Pseudo-header of fe80::1 to fe80::2: fe80+0001 + fe80+0002 + length 8 + 58 = 1fd45, folded fd46.
        // Message: 8000 + 1234 + 0007 = 923b. Sum 18f81, folded 8f82, complement 707d.
        let (a, b) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
        let mut message = emit_request(&Echo { ident: 0x1234, seq: 7, payload: &[] });
        set_checksum(a, b, &mut message);
        assert_eq!(message[2..4], [0x70, 0x7d]);
        set_checksum(a, b, &mut [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn frame_round_trip(s: [u8; 16], d: [u8; 16], ident: u16, seq: u16, payload: Vec<u8>, flip: u8) {
            let envelope = Envelope {
                source_mac: Mac([2, 0, 0, 0, 0, 1]),
                destination_mac: Mac([2, 0, 0, 0, 0, 2]),
                source: s.into(),
                destination: d.into(),
                hop_limit: 64,
            };
            let mut frame = envelope.frame(emit_request(&Echo { ident, seq, payload: &payload }));
            let (got, message) = parse_frame(&frame).unwrap();
            prop_assert_eq!(got, envelope);
            prop_assert_eq!(message.len(), 8 + payload.len());
            // Any single changed byte of the message is noticed.
            if flip != 0 {
                frame[14 + 40 + 4] ^= flip;
                prop_assert!(parse_frame(&frame).is_err());
            }
        }
    }
}
