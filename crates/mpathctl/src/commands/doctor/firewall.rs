//! Packet filter rules that get in the way: those that name one NIC do not match after a move, those that drop echo or
//! protocol 112 blind the probes or CARP. iptables-nft's rules are among them.

mod nftables;

use super::{Finding, Weight};
use mpath_model::Settings;
pub(super) use nftables::read;
use nftables::{Chain, Filter, INET, IPV4, IPV6, Named, Rule};

/// Protocols.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const CARP: u8 = 112;

/// Findings about this packet filter.
pub(super) fn judge(filter: &Filter, settings: &Settings) -> Vec<Finding> {
    let mut list: Vec<Finding> = filter.chains.iter().flat_map(|c| closed(c, &filter.rules)).collect();
    for rule in &filter.rules {
        list.extend(one_nic(rule, &filter.rules, settings));
        let of = |c: &Chain| (c.family, &c.table, &c.name) == (rule.family, &rule.table, &rule.chain);
        if !filter.forward.iter().any(of) {
            list.extend(blinds(rule, settings));
        }
    }
    list
}

/// A chain that drops what no rule accepts, where none accepts echo.
fn closed(chain: &Chain, rules: &[Rule]) -> Option<Finding> {
    let own = || rules.iter().filter(|r| r.family == chain.family && r.table == chain.table);
    let accepts = |p: u8| own().any(|r| r.accepts && r.protocol == Some(p));
    let wanted: &[(u8, &str)] = match chain.family {
        IPV4 => &[(ICMP, "icmp")],
        IPV6 => &[(ICMPV6, "icmpv6")],
        INET => &[(ICMP, "icmp"), (ICMPV6, "icmpv6")],
        _ => &[],
    };
    let missing: Vec<&str> = wanted.iter().filter(|(p, _)| !accepts(*p)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return None;
    }
    let (table, name) = (&chain.table, &chain.name);
    let family = family(chain.family);
    let what = format!(
        "chain {name} of table {family} {table} drops what no rule accepts, and none names {}",
        missing.join(" or ")
    );
    let protocols = match missing[..] {
        [one] => one.to_owned(),
        _ => "{ icmp, icmpv6 }".to_owned(),
    };
    let remedy = format!("nft insert rule {family} {table} {name} meta l4proto {protocols} accept");
    // Rules that look at states or sets may let answers in.
    let some = own().any(|r| r.accepts && r.protocol.is_none());
    let weigh = if some { Finding::hint } else { Finding::obstacle };
    Some(weigh("packet filter", what + ": probes may stay unanswered", remedy))
}

/// A rule that is about one member of a group and not about its siblings.
fn one_nic(rule: &Rule, rules: &[Rule], settings: &Settings) -> Vec<Finding> {
    let mut list = Vec::new();
    for group in &settings.groups {
        let members: Vec<&str> = group.interfaces.iter().map(|i| i.name.as_str()).collect();
        let named = rule.interfaces.iter().find_map(|n| match n {
            Named::Name(name) => members.iter().find(|m| **m == name.as_str()),
            Named::Index(_) => None,
        });
        let Some(nic) = named else { continue };
        // The same for every member is as good as none.
        if !members.iter().all(|m| rules.iter().any(|o| o.like(rule) && o.names(m))) {
            list.push(Finding::obstacle(
                nic,
                format!(
                    "{} names it alone: it matches no more when addresses are on another NIC",
                    place(rule)
                ),
                format!("match addresses instead, or name {{ {} }}", members.join(", ")),
            ));
        }
    }
    list
}

/// A rule that drops what mpathd lives by.
fn blinds(rule: &Rule, settings: &Settings) -> Option<Finding> {
    if !rule.drops {
        return None;
    }
    let (weight, what) = match (rule.protocol?, rule.icmp_type) {
        (ICMP, None | Some(0)) | (ICMPV6, None | Some(129)) => {
            (Weight::Obstacle, "drops echo: probes stay unanswered")
        }
        // Its own probes live by the answers.
        (ICMP | ICMPV6, Some(8 | 128)) => {
            (Weight::Hint, "drops echo requests: if they come in by it, others cannot probe this host")
        }
        (CARP, _) if !settings.carps.is_empty() => {
            (Weight::Obstacle, "drops protocol 112: every host will think that it is master")
        }
        _ => return None,
    };
    let (table, chain, handle) = (&rule.table, &rule.chain, rule.handle);
    let remedy = format!("nft delete rule {} {table} {chain} handle {handle}", family(rule.family));
    // One that also looks at addresses, sets or rates may mean others.
    let maybe = if rule.narrow { "may be in the way: where all that it demands is so, it " } else { "" };
    let what = format!("{} {maybe}{what}", place(rule));
    let weight = if rule.narrow { Weight::Hint } else { weight };
    Some(Finding { weight, ..Finding::obstacle("packet filter", what, remedy) })
}

/// As nft(8) calls it.
fn family(number: u8) -> &'static str {
    match number {
        IPV4 => "ip",
        IPV6 => "ip6",
        _ => "inet",
    }
}

fn place(rule: &Rule) -> String {
    format!("rule {} of chain {}, table {}", rule.handle, rule.chain, rule.table)
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

#[cfg(test)]
mod tests;
