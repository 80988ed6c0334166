//! Packet filter rules that get in the way: those that name one NIC do not match after a move, those that drop echo or
//! protocol 112 blind the probes or CARP. The rules are read as nf_tables holds them; iptables-nft's are among them.

use super::Finding;
use crate::netlink::{Netlink, attributes, text};
use mpath_model::Settings;
use nix::sys::socket::SockProtocol;
use std::io;

/// NFNL_SUBSYS_NFTABLES << 8, with NFT_MSG_NEWRULE and NFT_MSG_GETRULE.
const NEWRULE: u16 = 0x0a06;
const GETRULE: u16 = 0x0a07;

/// Protocols.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const CARP: u8 = 112;

/// What a rule demands and does, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
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
}

/// An interface in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Name(String),
    Index(u32),
}

/// All rules of this network namespace. Without nf_tables in the kernel there are none.
pub(super) fn rules() -> io::Result<Vec<Rule>> {
    let netlink = match Netlink::open(SockProtocol::NetlinkNetFilter) {
        Err(e) if e.raw_os_error() == Some(93) => return Ok(Vec::new()), // EPROTONOSUPPORT
        other => other?,
    };
    let mut rules = Vec::new();
    // struct nfgenmsg: any family
    let dumped = netlink.dump(GETRULE, &[0; 4], |kind, body| {
        if kind == NEWRULE {
            rules.push(rule(body));
        }
    });
    match dumped {
        // EINVAL and EOPNOTSUPP: nfnetlink without nf_tables.
        Err(e) if matches!(e.raw_os_error(), Some(22 | 95)) => Ok(Vec::new()),
        other => other.map(|()| rules),
    }
}

/// Findings about these rules.
pub(super) fn judge(rules: &[Rule], settings: &Settings) -> Vec<Finding> {
    let mut list = Vec::new();
    for r in rules {
        let place = format!("rule {} of chain {}, table {}", r.handle, r.chain, r.table);
        let delete = format!(
            "nft delete rule {} {} handle {} (with its family in front of the table)",
            r.table, r.chain, r.handle
        );
        for group in &settings.groups {
            let members: Vec<&str> = group.interfaces.iter().map(|i| i.name.as_str()).collect();
            let named = r.interfaces.iter().find_map(|n| match n {
                Named::Name(name) => members.iter().find(|m| **m == name.as_str()),
                Named::Index(_) => None,
            });
            let Some(nic) = named else { continue };
            // The same for every member is as good as none.
            let all = members.iter().all(|m| rules.iter().any(|o| o.like(r) && o.names(m)));
            if !all {
                list.push(Finding::obstacle(
                    nic,
                    format!("{place} names it alone: it matches no more when addresses are on another NIC"),
                    format!("match addresses instead, or name {{ {} }}", members.join(", ")),
                ));
            }
        }
        if r.drops
            && matches!(r.protocol, Some(ICMP | ICMPV6))
            && matches!(r.icmp_type, None | Some(0 | 8 | 128 | 129))
        {
            list.push(Finding::obstacle(
                "packet filter",
                format!("{place} drops echo: probes stay unanswered"),
                delete.clone(),
            ));
        }
        if r.drops && r.protocol == Some(CARP) && !settings.carps.is_empty() {
            list.push(Finding::obstacle(
                "packet filter",
                format!("{place} drops protocol 112: every host will think that it is master"),
                delete,
            ));
        }
    }
    list
}

impl Rule {
    /// The same in the same chain, the interface apart.
    fn like(&self, other: &Rule) -> bool {
        let key = |r: &Rule| (r.table.clone(), r.chain.clone(), r.protocol, r.icmp_type, r.drops);
        key(self) == key(other)
    }

    fn names(&self, nic: &str) -> bool {
        self.interfaces.iter().any(|n| matches!(n, Named::Name(name) if name == nic))
    }
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

fn rule(body: &[u8]) -> Rule {
    let mut rule = Rule::default();
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
            "cmp" => {}
            "immediate" => {
                let verdict =
                    attributes(of(2).unwrap_or_default(), 0).into_iter().find(|(kind, _)| *kind == 2);
                let code = attributes(verdict.map(|(_, v)| v).unwrap_or_default(), 0);
                let code = code.iter().find(|(kind, _)| *kind == 1).map(|(_, v)| *v);
                rule.drops |= code == Some(&[0; 4]);
            }
            "reject" => rule.drops = true,
            _ => loaded = Loaded::Other,
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
        Loaded::Other => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(value.len() + 4).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
        let name = attribute(1, format!("{name}\0").as_bytes());
        attribute(1, &[name, attribute(2, &data.concat())].concat())
    }

    fn be(kind: u16, value: u32) -> Vec<u8> {
        attribute(kind, &value.to_be_bytes())
    }

    fn equal(value: &[u8]) -> Vec<u8> {
        expression("cmp", &[be(1, 1), be(2, 0), attribute(3, &attribute(1, value))])
    }

    fn message(expressions: &[Vec<u8>]) -> Vec<u8> {
        let rule = [
            attribute(1, b"filter\0"),
            attribute(2, b"input\0"),
            attribute(3, &7u64.to_be_bytes()),
            attribute(4, &expressions.concat()),
        ];
        [vec![0; 4], rule.concat()].concat()
    }

    fn drop() -> Vec<u8> {
        let verdict = attribute(2, &be(1, 0));
        expression("immediate", &[be(1, 0), attribute(2, &verdict)])
    }

    fn settings() -> Settings {
        let text = "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n";
        mpath_config::parse(text, "f", &Default::default()).unwrap().settings
    }

    #[test]
    fn rules_that_get_in_the_way_are_named() {
        let iifname = |name: &[u8; 16]| [expression("meta", &[be(1, 1), be(2, 6)]), equal(name)].concat();
        let eth0 = rule(&message(&[iifname(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"), drop()]));
        assert_eq!((eth0.handle, eth0.drops), (7, true));
        assert_eq!(eth0.interfaces, [Named::Name("eth0".into())]);
        let eth1 = rule(&message(&[iifname(b"eth1\0\0\0\0\0\0\0\0\0\0\0\0"), drop()]));
        let found = judge(std::slice::from_ref(&eth0), &settings());
        assert!(
            found[0].about == "eth0" && found[0].what.contains("rule 7 of chain input, table filter"),
            "{found:?}"
        );
        assert_eq!(judge(&[eth0, eth1], &settings()), [], "the same for every member");

        let echo = [
            expression("meta", &[be(1, 1), be(2, 16)]),
            equal(&[1]),
            expression("payload", &[be(1, 1), be(2, 2), be(3, 0), be(4, 1)]),
            equal(&[8]),
            expression("counter", &[]),
            drop(),
        ];
        let echo = rule(&message(&echo));
        assert!(judge(std::slice::from_ref(&echo), &settings())[0].what.contains("drops echo"));
        assert_eq!(judge(&[Rule { drops: false, ..echo.clone() }], &settings()), []);
        assert_eq!(
            judge(&[Rule { icmp_type: Some(5), ..echo }], &settings()),
            [],
            "redirects may be dropped"
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = rule(&bytes);
        }
    }
}
