//! The words about addresses.

use super::{Action, AddressChange, Change, Reader};
use mpath_model::{Family, IfAddr};
use std::net::{IpAddr, Ipv4Addr};

/// An address whose modifiers are still being read.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    address: IpAddr,
    prefix_len: Option<u8>,
    action: Action,
    failover: Option<bool>,
}

impl Reader<'_> {
    /// A keyword about addresses; false if it is none.
    pub(super) fn address_word(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "inet" => self.family = Family::Inet,
            "inet6" => self.family = Family::Inet6,
            "netmask" => {
                let text = self.argument(word)?;
                let pending = self.address.as_mut().ok_or("'netmask' without an address in front of it")?;
                pending.prefix_len = netmask(text, &pending.address)?;
            }
            "prefixlen" => {
                let length = self.number(word)?;
                let pending = self.address.as_mut().ok_or("'prefixlen' without an address in front of it")?;
                pending.prefix_len = Some(length);
            }
            // The kernel computes it.
            "broadcast" => {
                let text = self.argument(word)?;
                if text != "+" && text.parse::<Ipv4Addr>().is_err() {
                    return Err(format!("'broadcast': bad value '{}'", text.escape_debug()));
                }
            }
            "alias" | "add" => self.action(Action::Add),
            "-alias" | "delete" => self.action(Action::Remove),
            "addif" | "removeif" => {
                let text = self.argument(word)?;
                if !self.address_itself(text)? {
                    return Err(format!("'{word}': bad address '{}'", text.escape_debug()));
                }
                self.action(if word == "addif" { Action::Add } else { Action::Remove });
            }
            // Test addresses are never chosen as a source, and data addresses always may be.
            "deprecated" | "-deprecated" | "preferred" | "-preferred" => {}
            "failover" => self.failover(true),
            "-failover" => self.failover(false),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn failover(&mut self, may: bool) {
        match &mut self.address {
            Some(pending) => pending.failover = Some(may),
            None => self.changes.push(Change::Failover { unit: self.unit, family: self.family, may }),
        }
    }

    fn action(&mut self, action: Action) {
        match &mut self.address {
            Some(pending) => pending.action = action,
            // `alias 192.0.2.10/32`: the word may stand in front of the address too.
            None => self.coming = Some(action),
        }
    }

    /// An address, with or without prefix length; false if it is none.
    pub(super) fn address_itself(&mut self, word: &str) -> Result<bool, String> {
        let (text, length) = match word.split_once('/') {
            Some((text, length)) => (text, Some(length)),
            None => (word, None),
        };
        let Ok(address) = text.parse::<IpAddr>() else { return Ok(false) };
        if address.is_ipv6() && self.family == Family::Inet {
            return Err(format!("{address} is an IPv6 address: write inet6 in front of it"));
        }
        if address.is_ipv4() && self.family == Family::Inet6 {
            self.family = Family::Inet;
        }
        let prefix_len = match length {
            None => None,
            Some(length) => {
                Some(length.parse().map_err(|_| format!("bad prefix length in '{}'", word.escape_debug()))?)
            }
        };
        self.close_address()?;
        let action = self.coming.take().unwrap_or(Action::Set);
        self.address = Some(Pending { address, prefix_len, action, failover: None });
        Ok(true)
    }

    /// The modifiers of an address are over.
    pub(super) fn close_address(&mut self) -> Result<(), String> {
        let Some(p) = self.address.take() else { return Ok(()) };
        let prefix_len = p.prefix_len.unwrap_or_else(|| usual(&p.address));
        if prefix_len > Family::of(&p.address).bits() {
            return Err(format!("bad prefix length {prefix_len} of {}", p.address));
        }
        let address = IfAddr::new(p.address, prefix_len);
        let vhid = self.vhid.as_ref().map(|v| v.vhid);
        self.changes.push(Change::Address(AddressChange {
            action: p.action,
            address,
            failover: p.failover,
            vhid,
        }));
        Ok(())
    }
}

/// `255.255.255.0`, `0xffffff00`, or `+`: whatever is usual.
fn netmask(text: &str, address: &IpAddr) -> Result<Option<u8>, String> {
    let bad = || format!("'netmask': bad value '{}'", text.escape_debug());
    if !address.is_ipv4() {
        return Err("'netmask' is for IPv4: write prefixlen".to_owned());
    }
    if text == "+" {
        return Ok(None);
    }
    let mask = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).map_err(|_| bad())?,
        None => text.parse::<Ipv4Addr>().map_err(|_| bad())?.to_bits(),
    };
    if mask.leading_ones() + mask.trailing_zeros() < 32 || mask == 0 {
        return Err(bad());
    }
    u8::try_from(mask.leading_ones()).map(Some).map_err(|_| bad())
}

/// The prefix length of an address that is given without: that of its class, as ifconfig has it.
fn usual(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V6(_) => 64,
        IpAddr::V4(a) => match a.octets()[0] {
            0..128 => 8,
            128..192 => 16,
            _ => 24,
        },
    }
}
