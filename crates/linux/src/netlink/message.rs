//! The frame of netlink messages: headers, acks and refusals. What is inside a message is decoded elsewhere.

use crate::Error;
use netlink_packet_core::{Emitable, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;

/// Length of struct nlmsghdr.
pub(super) const HEADER: usize = 16;
/// NLMSGERR_ATTR_MSG (linux/netlink.h): the kernel's explanation.
const ATTR_MSG: u16 = 1;

/// struct nlmsghdr without its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
}

/// First message of a datagram, its payload, and what follows.
pub(super) fn split(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let field = |at: usize, n: usize| bytes.get(at..at + n);
    let length = u32::from_ne_bytes(field(0, 4)?.try_into().ok()?) as usize;
    let header = Header {
        kind: u16::from_ne_bytes(field(4, 2)?.try_into().ok()?),
        flags: u16::from_ne_bytes(field(6, 2)?.try_into().ok()?),
        sequence: u32::from_ne_bytes(field(8, 4)?.try_into().ok()?),
        port: u32::from_ne_bytes(field(12, 4)?.try_into().ok()?),
    };
    let payload = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some((header, payload, next))
}

/// Appends a message with its header, padded to the next message.
pub(super) fn frame(bytes: &mut Vec<u8>, message: &RouteNetlinkMessage, flags: u16, sequence: u32) {
    let start = bytes.len();
    let length = HEADER + message.buffer_len();
    bytes.resize(start + length.next_multiple_of(4), 0);
    let out = &mut bytes[start..start + length];
    out[0..4].copy_from_slice(&(length as u32).to_ne_bytes());
    out[4..6].copy_from_slice(&message.message_type().to_ne_bytes());
    out[6..8].copy_from_slice(&flags.to_ne_bytes());
    out[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message.emit(&mut out[HEADER..]);
}

/// errno of an NLMSG_ERROR or NLMSG_DONE, 0 for success.
pub(super) fn code(payload: &[u8]) -> i32 {
    let bytes = payload.get(..4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, |b| i32::from_ne_bytes(b).saturating_neg())
}

/// The refusal in an NLMSG_ERROR or NLMSG_DONE; none for an ack.
pub(super) fn refusal(request: &'static str, header: Header, payload: &[u8]) -> Option<Error> {
    let errno = code(payload);
    (errno != 0).then(|| Error::Refused { request, errno, text: explanation(header, payload) })
}

/// The kernel's own words behind an NLMSG_ERROR or NLMSG_DONE.
fn explanation(header: Header, payload: &[u8]) -> Option<String> {
    if header.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let mut start = 4;
    if header.kind == NLMSG_ERROR {
        // The refused request comes first: its header alone, or all of it.
        let length = u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?) as usize;
        let echoed = if header.flags & NLM_F_CAPPED != 0 { HEADER } else { length };
        start += echoed.next_multiple_of(4);
    }
    let attributes = payload.get(start..)?;
    let text = NlasIterator::new(attributes).filter_map(Result::ok).find(|a| a.kind() == ATTR_MSG)?;
    let text = String::from_utf8_lossy(text.value());
    Some(text.trim_end_matches('\0').to_owned())
}

/// A message type's name in linux/rtnetlink.h.
pub(super) fn name(kind: u16) -> &'static str {
    match kind {
        16 => "RTM_NEWLINK",
        17 => "RTM_DELLINK",
        18 => "RTM_GETLINK",
        19 => "RTM_SETLINK",
        20 => "RTM_NEWADDR",
        21 => "RTM_DELADDR",
        22 => "RTM_GETADDR",
        24 => "RTM_NEWROUTE",
        25 => "RTM_DELROUTE",
        26 => "RTM_GETROUTE",
        28 => "RTM_NEWNEIGH",
        29 => "RTM_DELNEIGH",
        30 => "RTM_GETNEIGH",
        32 => "RTM_NEWRULE",
        33 => "RTM_DELRULE",
        34 => "RTM_GETRULE",
        36 => "RTM_NEWQDISC",
        37 => "RTM_DELQDISC",
        40 => "RTM_NEWTCLASS",
        44 => "RTM_NEWTFILTER",
        45 => "RTM_DELTFILTER",
        _ => "rtnetlink request",
    }
}
