//! The packet filter as nf_tables holds it, read by netlink, as far as it matters to addresses that move.

use crate::netlink::{Netlink, attributes, text};
use nix::sys::socket::SockProtocol;
use std::io;

/// NFNL_SUBSYS_NFTABLES << 8, with NFT_MSG_NEWCHAIN, NFT_MSG_GETCHAIN, NFT_MSG_NEWRULE and NFT_MSG_GETRULE.
const NEWCHAIN: u16 = 0x0a03;
const GETCHAIN: u16 = 0x0a04;
const NEWRULE: u16 = 0x0a06;
const GETRULE: u16 = 0x0a07;

/// Families of tables: NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6.
pub(super) const INET: u8 = 1;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;
/// NF_INET_LOCAL_IN, NF_INET_FORWARD and NF_INET_LOCAL_OUT.
const LOCAL_IN: u32 = 1;
const FORWARD: u32 = 2;
const LOCAL_OUT: u32 = 3;

/// Everything that filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::commands::doctor) struct Filter {
    /// Those through which packets of this host itself come or go, and which drop what their rules do not accept.
    pub(super) chains: Vec<Chain>,
    pub(super) rules: Vec<Rule>,
    /// Those for packets that this host passes on: none of its own.
    pub(super) forward: Vec<Chain>,
}

/// A base chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) name: String,
}

/// What a rule demands and does, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) chain: String,
    pub(super) handle: u64,
    /// Interfaces that it names, by name or number.
    pub(super) interfaces: Vec<Named>,
    /// Protocol that it is about.
    pub(super) protocol: Option<u8>,
    /// ICMP type that it is about.
    pub(super) icmp_type: Option<u8>,
    /// It drops or rejects.
    pub(super) drops: bool,
    /// It accepts, or another chain decides.
    pub(super) accepts: bool,
    /// It demands something that is not understood here: addresses, sets, rates.
    pub(super) narrow: bool,
}

/// An interface in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Name(String),
    Index(u32),
}

/// The packet filter of this network namespace. Without nf_tables in the kernel there is none.
pub(in crate::commands::doctor) fn read() -> io::Result<Filter> {
    let netlink = match Netlink::open(SockProtocol::NetlinkNetFilter) {
        Err(e) if e.raw_os_error() == Some(93) => return Ok(Filter::default()), // EPROTONOSUPPORT
        other => other?,
    };
    let mut filter = Filter::default();
    // struct nfgenmsg: any family
    let any = [0; 4];
    let chains = netlink.dump(GETCHAIN, &any, |kind, body| {
        if kind == NEWCHAIN {
            filter.chains.extend(chain(body));
            filter.forward.extend(forward(body));
        }
    });
    let rules = chains.and_then(|()| {
        netlink.dump(GETRULE, &any, |kind, body| {
            if kind == NEWRULE {
                filter.rules.push(rule(body));
            }
        })
    });
    match rules {
        // EINVAL and EOPNOTSUPP: nfnetlink without nf_tables.
        Err(e) if matches!(e.raw_os_error(), Some(22 | 95)) => Ok(Filter::default()),
        other => other.map(|()| filter),
    }
}

/// A chain, if it is a base chain of the host's own packets and its policy is to drop.
pub(super) fn chain(body: &[u8]) -> Option<Chain> {
    let (chain, hook) = base_chain(body)?;
    let policy = attributes(body, 4).into_iter().find(|(kind, _)| *kind == 5)?.1;
    let own = matches!(chain.family, INET | IPV4 | IPV6) && matches!(hook, LOCAL_IN | LOCAL_OUT);
    (own && policy == [0; 4]).then_some(chain)
}

/// A chain, if it is a base chain of packets that are passed on.
pub(super) fn forward(body: &[u8]) -> Option<Chain> {
    base_chain(body).filter(|(_, hook)| *hook == FORWARD).map(|(chain, _)| chain)
}

/// A base chain and its hook.
fn base_chain(body: &[u8]) -> Option<(Chain, u32)> {
    let family = *body.first()?;
    let parts = attributes(body, 4);
    let part = |wanted: u16| parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, v)| *v);
    let hook = attributes(part(4)?, 0).into_iter().find(|(kind, _)| *kind == 1)?.1;
    let hook = u32::from_be_bytes(hook.try_into().ok()?);
    let of = |wanted| part(wanted).map(text).unwrap_or_default();
    Some((Chain { family, table: of(1), name: of(3) }, hook))
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loaded {
    InterfaceName,
    InterfaceIndex,
    Protocol,
    IcmpType,
    Other,
}

pub(super) fn rule(body: &[u8]) -> Rule {
    let mut rule = Rule { family: body.first().copied().unwrap_or(0), ..Rule::default() };
    for (kind, value) in attributes(body, 4) {
        match kind {
            1 => rule.table = text(value),
            2 => rule.chain = text(value),
            3 => rule.handle = value.try_into().map(u64::from_be_bytes).unwrap_or_default(),
            4 => expressions(&mut rule, value),
            _ => {}
        }
    }
    rule
}

fn expressions(rule: &mut Rule, list: &[u8]) {
    let mut loaded = Loaded::Other;
    for (_, element) in attributes(list, 0) {
        let parts = attributes(element, 0);
        let part = |wanted: u16| parts.iter().find(|(kind, _)| *kind == wanted).map(|(_, v)| *v);
        let name = part(1).map(text).unwrap_or_default();
        let data = attributes(part(2).unwrap_or_default(), 0);
        let of = |wanted: u16| data.iter().find(|(kind, _)| *kind == wanted).map(|(_, v)| *v);
        let number = |wanted: u16| of(wanted).and_then(|v| v.try_into().ok()).map(u32::from_be_bytes);
        match name.as_str() {
            "meta" => {
                loaded = match number(2) {
                    Some(4 | 5) => Loaded::InterfaceIndex,
                    Some(6 | 7) => Loaded::InterfaceName,
                    Some(16) => Loaded::Protocol,
                    _ => Loaded::Other,
                };
            }
            // Base 1 is the network header, 2 the transport header.
            "payload" => {
                loaded = match (number(2), number(3), number(4)) {
                    (Some(1), Some(9 | 6), Some(1)) => Loaded::Protocol,
                    (Some(2), Some(0), Some(1)) => Loaded::IcmpType,
                    _ => Loaded::Other,
                };
            }
            // Operator 0 is "equal".
            "cmp" if number(2) == Some(0) => {
                let value = attributes(of(3).unwrap_or_default(), 0).into_iter().find(|(kind, _)| *kind == 1);
                compare(rule, loaded, value.map(|(_, v)| v).unwrap_or_default());
            }
            "cmp" => rule.narrow = true,
            "counter" | "log" | "comment" => {}
            "immediate" => {
                let verdict =
                    attributes(of(2).unwrap_or_default(), 0).into_iter().find(|(kind, _)| *kind == 2);
                let code = attributes(verdict.map(|(_, v)| v).unwrap_or_default(), 0);
                let code = code.iter().find(|(kind, _)| *kind == 1).map(|(_, v)| *v);
                // NF_DROP; NF_ACCEPT, NFT_JUMP and NFT_GOTO.
                match code.map(<[u8; 4]>::try_from) {
                    Some(Ok([0, 0, 0, 0])) => rule.drops = true,
                    Some(Ok([0, 0, 0, 1] | [0xff, 0xff, 0xff, 0xfd | 0xfc])) => rule.accepts = true,
                    _ => {}
                }
            }
            "reject" => rule.drops = true,
            _ => (rule.narrow, loaded) = (true, Loaded::Other),
        }
    }
}

fn compare(rule: &mut Rule, loaded: Loaded, value: &[u8]) {
    match loaded {
        Loaded::InterfaceName => rule.interfaces.push(Named::Name(text(value))),
        Loaded::InterfaceIndex => {
            let index = value.try_into().map(u32::from_ne_bytes);
            rule.interfaces.extend(index.ok().map(Named::Index));
        }
        Loaded::Protocol => rule.protocol = value.first().copied(),
        Loaded::IcmpType => rule.icmp_type = value.first().copied(),
        Loaded::Other => rule.narrow = true,
    }
}
