//! ifupdown's `/etc/network/interfaces`: the stanzas of bonds.

use super::bonding::{Bond, milliseconds};
use super::{Job, Source};
use mpath_model::IfAddr;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn read(job: &mut Job, source: &Source) {
    let mut bonds: Vec<Bond> = Vec::new();
    let mut masters: Vec<(String, String)> = Vec::new();
    let mut stanza: Option<Stanza> = None;
    let mut found = 0;
    for (n, line) in continued(&source.text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((key, values)) = words.split_first() else { continue };
        if ["iface", "auto", "source", "source-directory", "mapping"].contains(key)
            || key.starts_with("allow-")
        {
            end(stanza.take(), &mut bonds);
            if let ("iface", Some(name)) = (*key, values.first()) {
                stanza = Some(Stanza::new(name, values.get(2).copied().unwrap_or_default(), n));
            }
            if key.starts_with("source") {
                job.note(source, n, "files that it includes are not looked at: give them too");
            }
            continue;
        }
        let Some(stanza) = &mut stanza else { continue };
        if let (true, Some(master)) = (key.replace('_', "-") == "bond-master", values.first()) {
            masters.push((stanza.bond.name.clone(), (*master).to_owned()));
            continue;
        }
        found += usize::from(key.starts_with("bond"));
        if let Err(message) = stanza.option(n, key, values) {
            job.trouble(source, n, message);
        }
    }
    end(stanza, &mut bonds);
    for (port, master) in masters {
        match bonds.iter_mut().find(|b| b.name == master) {
            Some(bond) if !bond.ports.contains(&port) => bond.ports.push(port),
            Some(_) => {}
            None => {
                job.trouble(source, 1, format!("{port} is a port of {master}, which these files do not have"))
            }
        }
    }
    if found == 0 {
        job.note(source, 1, "there is no bond in it");
    }
    bonds.into_iter().for_each(|b| b.finish(job, source));
}

/// The stanzas of one interface for IPv4 and IPv6 are one bond.
fn end(stanza: Option<Stanza>, bonds: &mut Vec<Bond>) {
    let Some(stanza) = stanza else { return };
    let is_bond = stanza.is_bond;
    let mut bond = stanza.finish();
    match bonds.iter_mut().find(|b| b.name == bond.name) {
        Some(known) => known.addresses.append(&mut bond.addresses),
        None if is_bond => bonds.push(bond),
        None => {}
    }
}

/// An `iface` stanza.
struct Stanza {
    bond: Bond,
    is_bond: bool,
    address: Option<IpAddr>,
    prefix_len: Option<u8>,
}

impl Stanza {
    fn new(name: &str, _method: &str, line: usize) -> Stanza {
        let bond = Bond { name: name.to_owned(), line, ..Bond::default() };
        Stanza { bond, is_bond: false, address: None, prefix_len: None }
    }

    fn option(&mut self, line: usize, key: &str, values: &[&str]) -> Result<(), String> {
        let first = values.first().copied().unwrap_or_default();
        let key = key.replace('_', "-");
        self.is_bond |= key.starts_with("bond-");
        match key.as_str() {
            "address" => {
                let (address, length) = first.split_once('/').unwrap_or((first, ""));
                self.address =
                    Some(address.parse().map_err(|_| format!("bad address '{}'", first.escape_debug()))?);
                self.prefix_len = length.parse().ok().or(self.prefix_len);
            }
            "netmask" => {
                let mask = first.parse::<Ipv4Addr>().ok().map(|m| m.to_bits().leading_ones());
                let length = mask.and_then(|n| u8::try_from(n).ok()).or_else(|| first.parse().ok());
                self.prefix_len =
                    Some(length.ok_or_else(|| format!("bad netmask '{}'", first.escape_debug()))?);
            }
            "bond-mode" => self.bond.mode = Some((line, first.to_owned())),
            "bond-slaves" | "bond-ports" if first != "none" => {
                self.bond.ports.extend(values.iter().map(|v| (*v).to_owned()));
            }
            "bond-primary" => self.bond.primary = Some(first.to_owned()),
            "bond-primary-reselect" => self.bond.reselect = Some((line, first.to_owned())),
            "bond-updelay" => self.bond.updelay = milliseconds(first),
            "bond-arp-ip-target" => {
                let list = values.iter().flat_map(|v| v.split(','));
                self.bond.targets = list
                    .map(|t| {
                        t.trim_start_matches('+')
                            .parse()
                            .map_err(|_| format!("bad target '{}'", t.escape_debug()))
                    })
                    .collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Bond {
        if let Some(address) = self.address {
            let bits = if address.is_ipv4() { 24 } else { 64 };
            self.bond.addresses.push(IfAddr::new(address, self.prefix_len.unwrap_or(bits)));
        }
        self.bond
    }
}

/// Lines with their numbers; a backslash at the end goes on, comments are left out.
fn continued(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let (body, goes_on) = line.strip_suffix('\\').map_or((line, false), |body| (body, true));
        match lines.last_mut().filter(|_| open) {
            Some((_, text)) => text.push_str(&format!(" {body}")),
            None if line.trim_start().starts_with('#') => {}
            None => lines.push((n + 1, body.to_owned())),
        }
        open = goes_on;
    }
    lines
}
