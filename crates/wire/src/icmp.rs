//! ICMP echo for IPv4 (RFC 792, "Echo or Echo Reply Message"): probes out, answers in.

use crate::bytes::{Reader, expect_field};
use crate::{Error, checksum, ipv4};

/// Bytes of an echo header.
pub const HEADER_LEN: usize = 8;

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;

/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 8;

/// An echo request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifier.
    pub ident: u16,
    /// Sequence number.
    pub seq: u16,
    /// Bytes behind the header, which the answer brings back.
    pub payload: &'a [u8],
}

impl Echo<'_> {
    /// The ICMP message with its checksum, without IPv4 header: what a raw socket takes.
    pub fn emit_request(&self) -> Vec<u8> {
        self.emit(ECHO_REQUEST)
    }

    /// The answer to this request, with its checksum, without IPv4 header.
    pub fn emit_reply(&self) -> Vec<u8> {
        self.emit(ECHO_REPLY)
    }

    fn emit(&self, kind: u8) -> Vec<u8> {
        let mut message = header(kind, self.ident, self.seq, self.payload);
        let sum = checksum::internet(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }
}

/// An echo message with its checksum field zero. ICMPv6 has the same layout (RFC 4443, section 4.1).
pub(crate) fn header(kind: u8, ident: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_LEN + payload.len());
    message.extend_from_slice(&[kind, 0, 0, 0]);
    message.extend_from_slice(&ident.to_be_bytes());
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(payload);
    message
}

/// An echo reply that came in. The code is kept: the engine counts replies whose code is not 0
/// (mpathd-behaviour.md 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply<'a> {
    /// Code, 0 in a proper reply.
    pub code: u8,
    /// Identifier of the request.
    pub ident: u16,
    /// Sequence number of the request.
    pub seq: u16,
    /// Payload of the request.
    pub payload: &'a [u8],
}

/// An echo reply from an ICMP message without IPv4 header. Raw sockets deliver before the kernel has
/// checked the ICMP checksum, so it is checked here.
pub fn parse_reply(message: &[u8]) -> Result<EchoReply<'_>, Error> {
    let reply = parse_fields("ICMP echo reply", "ICMP type", ECHO_REPLY, message)?;
    if checksum::internet(message) == 0 {
        Ok(reply)
    } else {
        Err(Error::Checksum { what: "ICMP echo reply" })
    }
}

/// An echo reply with the IPv4 header in front, as a raw socket delivers it.
pub fn parse_reply_packet(packet: &[u8]) -> Result<(ipv4::Header, EchoReply<'_>), Error> {
    let (header, message) = ipv4::parse(packet)?;
    expect_field("IPv4 protocol", header.protocol.into(), &[ipv4::PROTOCOL_ICMP.into()])?;
    Ok((header, parse_reply(message)?))
}

/// The fields of an echo message of one type.
pub(crate) fn parse_fields<'a>(
    what: &'static str,
    type_field: &'static str,
    kind: u8,
    message: &'a [u8],
) -> Result<EchoReply<'a>, Error> {
    let mut r = Reader::new(what, message, HEADER_LEN)?;
    expect_field(type_field, r.u8()?.into(), &[kind.into()])?;
    let code = r.u8()?;
    let _checksum = r.u16()?;
    Ok(EchoReply { code, ident: r.u16()?, seq: r.u16()?, payload: r.rest() })
}

#[cfg(test)]
mod tests;
