//! ifconfig's words (mpathd-behaviour.md 7.6, lagg-carp.md A.10 and B.10) as changes of one interface. The words are
//! read from left to right, and either all of them are understood or none counts. What the changes do to settings is
//! [`apply`]'s affair.

mod address;
pub mod apply;
mod carp;

use crate::suggest;
use mpath_model::{Family, IfAddr};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One thing to change about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `create`: a new lagg.
    Create,
    /// `destroy`
    Destroy,
    /// `up` and `down` of the interface itself.
    Admin(bool),
    /// `mtu N`, bytes.
    Mtu(u32),
    /// `group NAME`; empty: leaves its group.
    Group(String),
    /// `standby` and `-standby`.
    Standby(bool),
    /// `failover` and `-failover` of an address that is there: of this unit of the interface.
    Failover {
        /// N of `IF:N`, 0 where nothing is said.
        unit: usize,
        /// What `inet` or `inet6` in front of it says, IPv4 without: unit 0 of IPv6 is the link-local address.
        family: Family,
        /// Whether it may move.
        may: bool,
    },
    /// An address.
    Address(AddressChange),
    /// `laggport IF`
    Port(String),
    /// `-laggport IF`
    NoPort(String),
    /// `vhid N` and what follows it.
    Vhid(VhidChange),
}

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A bare address: in place of the first one.
    Set,
    /// `alias`, `add`, `addif`
    Add,
    /// `-alias`, `delete`, `removeif`
    Remove,
}

/// A change of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressChange {
    /// What is done.
    pub action: Action,
    /// The address; where it is removed, its prefix length does not matter.
    pub address: IfAddr,
    /// `failover` and `-failover`, where one is said.
    pub failover: Option<bool>,
    /// It belongs to this vhid.
    pub vhid: Option<u8>,
}

/// A change of a vhid. What is not said stays.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct VhidChange {
    /// 1 to 255.
    pub vhid: u8,
    /// Seconds.
    pub advbase: Option<u8>,
    /// 1/256 seconds.
    pub advskew: Option<u8>,
    /// Passphrase, or `-`: to be read from stdin.
    pub passphrase: Option<String>,
    /// Unicast peer; the inner none: multicast.
    pub peer: Option<Option<Ipv4Addr>>,
    /// Unicast peer; the inner none: multicast.
    pub peer6: Option<Option<Ipv6Addr>>,
}

impl fmt::Debug for VhidChange {
    /// Does not show the passphrase.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vhid, advbase, advskew, passphrase, peer, peer6 } = self;
        let secret = passphrase.is_some();
        write!(f, "VhidChange({vhid}, {advbase:?}, {advskew:?}, pass {secret}, {peer:?}, {peer6:?})")
    }
}

/// A word that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordError {
    /// Its position among the words.
    pub at: usize,
    /// What is wrong with it.
    pub message: String,
}

/// The words that are known, for suggestions.
const KNOWN: &[&str] = &[
    "addif",
    "advbase",
    "advskew",
    "alias",
    "broadcast",
    "create",
    "delete",
    "deprecated",
    "destroy",
    "down",
    "failover",
    "group",
    "inet",
    "inet6",
    "laggport",
    "laggproto",
    "mtu",
    "netmask",
    "pass",
    "peer",
    "peer6",
    "plumb",
    "prefixlen",
    "removeif",
    "standby",
    "up",
    "vhid",
];

/// The words of one call for one interface: `IF`, or `IF:N` for one of its addresses.
pub fn parse(unit: usize, words: &[&str]) -> Result<Vec<Change>, WordError> {
    let mut reader = Reader {
        words,
        at: 0,
        unit,
        family: Family::Inet,
        address: None,
        coming: None,
        vhid: None,
        changes: vec![],
    };
    while reader.at < words.len() {
        let start = reader.at;
        let word = reader.words[reader.at];
        reader.at += 1;
        reader.word(word).map_err(|message| WordError { at: start, message })?;
    }
    let end = words.len().saturating_sub(1);
    reader.finish().map_err(|message| WordError { at: end, message })
}

struct Reader<'a> {
    words: &'a [&'a str],
    at: usize,
    unit: usize,
    family: Family,
    /// The address that modifiers are about.
    address: Option<address::Pending>,
    /// What is done with the address that comes.
    coming: Option<Action>,
    vhid: Option<VhidChange>,
    changes: Vec<Change>,
}

impl<'a> Reader<'a> {
    /// The argument of a word.
    fn argument(&mut self, word: &str) -> Result<&'a str, String> {
        let found = self.words.get(self.at).copied().ok_or_else(|| format!("'{word}' requires argument"))?;
        self.at += 1;
        Ok(found)
    }

    fn number<T: std::str::FromStr>(&mut self, word: &str) -> Result<T, String> {
        let text = self.argument(word)?;
        text.parse().map_err(|_| format!("'{word}': bad value '{}'", text.escape_debug()))
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        match word {
            "create" => self.changes.push(Change::Create),
            "destroy" => self.changes.push(Change::Destroy),
            // Of IF:N, it brings the address up: which an address here always is.
            "up" if self.unit > 0 => {}
            "up" => self.changes.push(Change::Admin(true)),
            "down" if self.address.is_some() || self.unit > 0 => {
                return Err(
                    "'down': an address is never down by itself; take it away with removeif".to_owned()
                );
            }
            "down" => self.changes.push(Change::Admin(false)),
            "mtu" => {
                let mtu = self.number(word)?;
                self.changes.push(Change::Mtu(mtu));
            }
            "group" => {
                let name = self.argument(word)?.to_owned();
                self.changes.push(Change::Group(name));
            }
            "standby" => self.changes.push(Change::Standby(true)),
            "-standby" => self.changes.push(Change::Standby(false)),
            "laggproto" => self.laggproto()?,
            "laggtype" => match self.argument(word)? {
                "ethernet" => {}
                other => return Err(format!("invalid lagg type: {}", other.escape_debug())),
            },
            "laggport" => {
                let port = self.argument(word)?.to_owned();
                self.changes.push(Change::Port(port));
            }
            "-laggport" => {
                let port = self.argument(word)?.to_owned();
                self.changes.push(Change::NoPort(port));
            }
            "lagghash" => self.lagghash()?,
            "use_flowid" | "-use_flowid" | "use_numa" | "-use_numa" => {}
            "flowid_shift" => {
                let text = self.argument(word)?;
                if !text.parse::<u8>().is_ok_and(|n| n < 32) {
                    return Err(format!("Invalid flowid_shift option: {}", text.escape_debug()));
                }
            }
            "rr_limit" => return Err("rr_limit: Invalid argument: laggproto is failover".to_owned()),
            "lacp_strict" | "-lacp_strict" | "lacp_fast_timeout" | "-lacp_fast_timeout" | "lacp_txtest"
            | "-lacp_txtest" | "lacp_rxtest" | "-lacp_rxtest" => {
                return Err(format!("{word}: Invalid argument: laggproto is failover"));
            }
            // in.mpathd's streams, which Linux has not.
            "plumb" | "arp" | "trailers" | "-trailers" | "private" | "-private" | "multicast" => {}
            _ if self.address_word(word)? || self.carp_word(word)? => {}
            _ => return self.bare(word),
        }
        Ok(())
    }

    fn laggproto(&mut self) -> Result<(), String> {
        match self.argument("laggproto")? {
            "failover" | "default" => Ok(()),
            known @ ("lacp" | "loadbalance" | "roundrobin" | "broadcast" | "none" | "etherchannel"
            | "fec") => Err(format!("laggproto {known}: mpathd does failover, nothing else")),
            other => Err(format!("Invalid aggregation protocol: {}", other.escape_debug())),
        }
    }

    fn lagghash(&mut self) -> Result<(), String> {
        let list = self.argument("lagghash")?;
        match list.split(',').find(|l| !matches!(*l, "l2" | "l3" | "l4")) {
            Some("") => Err("No lagghash options supplied".to_owned()),
            Some(other) => Err(format!("Invalid lagghash option: {}", other.escape_debug())),
            None => Ok(()),
        }
    }

    /// A word that is no keyword: an address, or nothing.
    fn bare(&mut self, word: &str) -> Result<(), String> {
        if self.address_itself(word)? {
            return Ok(());
        }
        let shown = word.escape_debug();
        match suggest::nearest(word, KNOWN.iter().copied()) {
            Some(near) => {
                Err(format!("'{shown}' is neither a word of ifconfig nor an address; did you mean '{near}'?"))
            }
            None => Err(format!("'{shown}' is neither a word of ifconfig nor an address")),
        }
    }

    fn finish(mut self) -> Result<Vec<Change>, String> {
        self.close_address()?;
        if self.coming.is_some() {
            return Err("an address is missing behind 'alias'".to_owned());
        }
        self.changes.extend(self.vhid.take().map(Change::Vhid));
        if self.unit > 0 && self.changes.iter().any(|change| !matches!(change, Change::Failover { .. })) {
            return Err(
                "of IF:N, one address, failover and -failover can be said; the rest is said of IF, where \
                        addif ADDRESS adds an address"
                    .to_owned(),
            );
        }
        // Whatever order they were written in, these come first.
        self.changes.sort_by_key(|change| match change {
            Change::Create => 0,
            Change::Group(_) => 1,
            Change::Vhid(_) => 2,
            _ => 3,
        });
        Ok(self.changes)
    }
}

#[cfg(test)]
mod tests;
