//! Neighbour Discovery (RFC 4861): Neighbour Solicitations (section 4.3) and Advertisements (section 4.4)
//! with their link-layer address options (section 4.6.1), and the frames that announce a moved address
//! (section 7.2.6) or ask for a neighbour (section 7.2.2).

use crate::Error;
use crate::bytes::{Reader, expect_field};
use crate::icmp6::{self, Envelope};
use crate::{ethernet, ipv6};
use mpath_model::Mac;
use std::net::Ipv6Addr;

/// Type of a Router Solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;

/// Type of a Neighbour Solicitation.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;

/// Type of a Neighbour Advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Hop limit that proves that a message comes from this link (RFC 4861, section 3.1).
pub const HOP_LIMIT: u8 = 255;

/// Bytes of either message without options.
const FIXED_LEN: usize = 24;

const OPTION_SOURCE_MAC: u8 = 1;
const OPTION_TARGET_MAC: u8 = 2;

const FLAG_ROUTER: u32 = 1 << 31;
const FLAG_SOLICITED: u32 = 1 << 30;
const FLAG_OVERRIDE: u32 = 1 << 29;

/// A Neighbour Solicitation (RFC 4861, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Address asked for; never multicast.
    pub target: Ipv6Addr,
    /// Source Link-Layer Address option; none when the source is unspecified.
    pub source_mac: Option<Mac>,
}

/// A Neighbour Advertisement (RFC 4861, section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Address advertised; never multicast.
    pub target: Ipv6Addr,
    /// R: the sender is a router.
    pub router: bool,
    /// S: answers a solicitation.
    pub solicited: bool,
    /// O: overrides an existing cache entry.
    pub override_entry: bool,
    /// Target Link-Layer Address option.
    pub target_mac: Option<Mac>,
}

/// Either message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Type 135.
    Solicitation(Solicitation),
    /// Type 136.
    Advertisement(Advertisement),
}

/// What an ICMPv6 message says, validated as far as RFC 4861, sections 7.1.1 and 7.1.2, go without the IPv6
/// header (for that part see [`parse_frame`]). Unknown options are skipped.
pub fn parse(message: &[u8]) -> Result<Message, Error> {
    let mut r = Reader::new("Neighbour Discovery message", message, FIXED_LEN)?;
    let kind = r.u8()?;
    expect_field(
        "ICMPv6 type",
        kind.into(),
        &[NEIGHBOUR_SOLICITATION.into(), NEIGHBOUR_ADVERTISEMENT.into()],
    )?;
    expect_field("ICMPv6 code", r.u8()?.into(), &[0])?;
    let _checksum = r.u16()?;
    let flags = r.u32()?;
    let target = r.ipv6()?;
    if target.is_multicast() {
        let value = target.segments()[0].into();
        return Err(Error::Field { what: "Neighbour Discovery target", value });
    }
    let options = r.rest();
    if kind == NEIGHBOUR_SOLICITATION {
        let source_mac = link_layer_option(options, OPTION_SOURCE_MAC)?;
        Ok(Message::Solicitation(Solicitation { target, source_mac }))
    } else {
        Ok(Message::Advertisement(Advertisement {
            target,
            router: flags & FLAG_ROUTER != 0,
            solicited: flags & FLAG_SOLICITED != 0,
            override_entry: flags & FLAG_OVERRIDE != 0,
            target_mac: link_layer_option(options, OPTION_TARGET_MAC)?,
        }))
    }
}

/// The first Ethernet link-layer address option of one type (RFC 4861, sections 4.6 and 4.6.1; RFC 2464,
/// section 6). An option of length zero or one that is cut off spoils the whole message (section 4.6).
fn link_layer_option(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Error> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(Error::Field { what: "Neighbour Discovery option length", value: 0 });
        }
        let Some((option, rest)) = options.split_at_checked(length) else {
            let (need, have) = (length, options.len());
            return Err(Error::Short { what: "Neighbour Discovery option", need, have });
        };
        if let (true, None, [_, _, mac @ ..]) = (kind == wanted, found, option) {
            found = <[u8; 6]>::try_from(mac).ok().map(Mac);
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(Error::Short { what: "Neighbour Discovery option", need: 8, have: options.len() })
    }
}

fn emit(kind: u8, flags: u32, target: Ipv6Addr, option: Option<(u8, Mac)>) -> Vec<u8> {
    let mut message = Vec::with_capacity(FIXED_LEN + 8);
    message.extend_from_slice(&[kind, 0, 0, 0]);
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&target.octets());
    if let Some((option, mac)) = option {
        message.extend_from_slice(&[option, 1]);
        message.extend_from_slice(&mac.0);
    }
    message
}

impl Solicitation {
    /// The ICMPv6 message with checksum 0.
    pub fn emit(&self) -> Vec<u8> {
        let option = self.source_mac.map(|mac| (OPTION_SOURCE_MAC, mac));
        emit(NEIGHBOUR_SOLICITATION, 0, self.target, option)
    }
}

impl Advertisement {
    /// The ICMPv6 message with checksum 0.
    pub fn emit(&self) -> Vec<u8> {
        let bit = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = bit(self.router, FLAG_ROUTER)
            | bit(self.solicited, FLAG_SOLICITED)
            | bit(self.override_entry, FLAG_OVERRIDE);
        let option = self.target_mac.map(|mac| (OPTION_TARGET_MAC, mac));
        emit(NEIGHBOUR_ADVERTISEMENT, flags, self.target, option)
    }
}

/// A whole frame with a Neighbour Solicitation or Advertisement: checksum, hop limit 255 and the rules of
/// RFC 4861, sections 7.1.1 and 7.1.2, that need the IPv6 header.
pub fn parse_frame(frame: &[u8]) -> Result<(Envelope, Message), Error> {
    let (envelope, bytes) = icmp6::parse_frame(frame)?;
    expect_field("IPv6 hop limit", envelope.hop_limit.into(), &[HOP_LIMIT.into()])?;
    let message = parse(bytes)?;
    match message {
        Message::Solicitation(s) if envelope.source.is_unspecified() => {
            let wanted = ipv6::solicited_node(s.target);
            expect_field(
                "source link-layer option in a DAD solicitation",
                s.source_mac.is_some().into(),
                &[0],
            )?;
            let fits = envelope.destination == wanted;
            expect_field("DAD solicitation to its solicited-node address", fits.into(), &[1])?;
        }
        Message::Advertisement(a) if envelope.destination.is_multicast() => {
            expect_field("solicited flag in a multicast advertisement", a.solicited.into(), &[0])?;
        }
        _ => {}
    }
    Ok((envelope, message))
}

/// "`address` is at `mac` now", to all nodes: override set, target link-layer option (RFC 4861, section
/// 7.2.6). `router`: this host forwards IPv6, and neighbours must not drop it from their router lists.
pub fn unsolicited_na_frame(mac: Mac, address: Ipv6Addr, router: bool) -> Vec<u8> {
    let to_all = ethernet::multicast6(ipv6::ALL_NODES);
    na_frame(mac, to_all, ipv6::ALL_NODES, address, router)
}

/// [`unsolicited_na_frame`] for one neighbour alone.
pub fn unsolicited_na_frame_to(
    mac: Mac,
    neighbour_mac: Mac,
    neighbour: Ipv6Addr,
    address: Ipv6Addr,
    router: bool,
) -> Vec<u8> {
    na_frame(mac, neighbour_mac, neighbour, address, router)
}

fn na_frame(mac: Mac, to_mac: Mac, to: Ipv6Addr, address: Ipv6Addr, router: bool) -> Vec<u8> {
    let message = Advertisement {
        target: address,
        router,
        solicited: false,
        override_entry: true,
        target_mac: Some(mac),
    };
    envelope(mac, to_mac, address, to).frame(message.emit())
}

/// "Who has `target`?" to its solicited-node multicast address (RFC 4861, section 7.2.2). With the
/// unspecified source it is a duplicate address detection probe and carries no link-layer option
/// (RFC 4862, section 5.4.2).
pub fn solicitation_frame(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let group = ipv6::solicited_node(target);
    let source_mac = (!source.is_unspecified()).then_some(mac);
    let message = Solicitation { target, source_mac };
    envelope(mac, ethernet::multicast6(group), source, group).frame(message.emit())
}

/// "Are you still there?" to `target` at the link-layer address it was last seen with (RFC 4861, section
/// 7.3.3).
pub fn unicast_solicitation_frame(mac: Mac, target_mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let message = Solicitation { target, source_mac: Some(mac) };
    envelope(mac, target_mac, source, target).frame(message.emit())
}

/// "Which routers are here?" to all routers, without a source address and so without a link-layer option (RFC 4861,
/// section 4.1).
pub fn router_solicitation_frame(mac: Mac) -> Vec<u8> {
    let to = ipv6::ALL_ROUTERS;
    let message = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    envelope(mac, ethernet::multicast6(to), Ipv6Addr::UNSPECIFIED, to).frame(message)
}

fn envelope(source_mac: Mac, destination_mac: Mac, source: Ipv6Addr, destination: Ipv6Addr) -> Envelope {
    Envelope { source_mac, destination_mac, source, destination, hop_limit: HOP_LIMIT }
}

#[cfg(test)]
mod tests;
