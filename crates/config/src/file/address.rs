//! Whether one address can be what it is written down for: a data address, a test address or a target.

use super::reader::{At, Cx};
use mpath_model::IfAddr;
use mpath_model::addr::is_link_local6;
use std::net::{IpAddr, Ipv4Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `[[group.address]]`
    Data,
    /// `test_addresses`
    Test,
    /// `addresses` of `[[carp]]`
    Virtual,
}

impl Role {
    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Data => "data address",
            Role::Test => "test address",
            Role::Virtual => "virtual address",
        }
    }
}

/// An address with prefix length that can play its role.
pub(super) fn with_prefix(cx: &mut Cx<'_>, text: &At<&str>, role: Role) -> Option<At<IfAddr>> {
    let name = role.name();
    let found: IfAddr = match text.value.parse() {
        Ok(found) => found,
        Err(message) => {
            let message = format!("{name}: {}", printable(&message));
            let problem = cx.error(text.span.clone(), message);
            if role == Role::Test && text.value.starts_with("link") {
                problem.help("write \"link-local\" for whatever link-local address the NIC has");
            }
            return None;
        }
    };
    let address = found.address;
    let shown = text.value;
    if let Some(what) = impossible(&address) {
        cx.error(text.span.clone(), format!("{name} {shown} is {what}"));
    } else if found.prefix_len == 0 {
        cx.error(text.span.clone(), format!("{name} {shown} has prefix length 0"))
            .help("write the prefix length of its subnet");
    } else if role == Role::Test && address.is_ipv6() && !is_link_local6(&address) {
        cx.error(text.span.clone(), format!("IPv6 test address {shown} is not a link-local address"))
            .help("write \"link-local\", or an address that begins with fe80:");
    } else if let Some(what) = edge_of_subnet(&found) {
        cx.error(text.span.clone(), format!("{name} {shown} is {what} {}", found.network()));
    } else {
        return Some(At { value: found, span: text.span.clone() });
    }
    None
}

/// A target: an address without prefix length.
pub(super) fn target(cx: &mut Cx<'_>, text: &At<&str>) -> Option<At<IpAddr>> {
    let Ok(address) = text.value.parse::<IpAddr>() else {
        let message = format!("target \"{}\" is not an IPv4 or IPv6 address", printable(text.value));
        let bare = text.value.split(['/', '%']).next().unwrap_or_default();
        let problem = cx.error(text.span.clone(), message);
        if bare != text.value && bare.parse::<IpAddr>().is_ok() {
            problem.help(format!("write \"{bare}\""));
        }
        return None;
    };
    if let Some(what) = impossible(&address) {
        cx.error(text.span.clone(), format!("target {address} is {what}"));
        return None;
    }
    Some(At { value: address, span: text.span.clone() })
}

/// What keeps an address from being that of an interface (RFC 6890; RFC 4291, section 2.5).
fn impossible(address: &IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if *address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else if matches!(address, IpAddr::V6(a) if a.to_ipv4_mapped().is_some()) {
        Some("an IPv4 address in IPv6 clothes")
    } else {
        None
    }
}

/// First or last address of a subnet that has room for both (not /31 and /127: RFC 3021, RFC 6164). The last
/// one of an IPv6 subnet is an ordinary address, the first one is anycast (RFC 4291, section 2.6.1).
fn edge_of_subnet(found: &IfAddr) -> Option<&'static str> {
    let host_bits = found.family().bits() - found.prefix_len;
    if host_bits < 2 {
        return None;
    }
    if found.address == found.network().address {
        return Some("the network address of");
    }
    match found.address {
        IpAddr::V4(a) if a.to_bits() | (u32::MAX << host_bits.min(31)) == u32::MAX => {
            Some("the broadcast address of")
        }
        _ => None,
    }
}

/// Text for a message: no control characters, not without end.
fn printable(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect()
}
