//! ifupdown's `/etc/network/interfaces`: the stanzas of bonds.

use super::bonding::{Bond, milliseconds};
use super::{Job, Source};
use mpath_model::IfAddr;
use std::net::{IpAddr, Ipv4Addr};

/// The files are read together: a bond may stand in one and its ports in others.
pub(super) fn read(job: &mut Job, sources: &[&Source]) {
    let mut interfaces: Vec<Interface> = Vec::new();
    for source in sources {
        file(job, source, &mut interfaces);
    }
    let (mut bonds, others): (Vec<Interface>, Vec<Interface>) =
        interfaces.into_iter().partition(|i| i.is_bond);
    for port in others {
        let Some((line, master)) = port.master else { continue };
        match bonds.iter_mut().find(|i| i.bond.name == master) {
            Some(Interface { bond, .. }) if !bond.ports.contains(&port.bond.name) => {
                bond.ports.push(port.bond.name)
            }
            Some(_) => {}
            None => {
                let text = format!("{} is a port of {master}, which these files do not have", port.bond.name);
                job.trouble(port.source, line, text);
            }
        }
    }
    if let (true, Some(first)) = (bonds.is_empty(), sources.first()) {
        job.note(first, 1, "there is no bond in it");
    }
    for Interface { bond, source, left, .. } in bonds {
        left.iter().for_each(|(source, line, text)| job.note(source, *line, text));
        bond.finish(job, source);
    }
}

/// What was said of an interface, in all of its stanzas: those for IPv4 and for IPv6, and the second of a family.
struct Interface<'a> {
    /// Where it stood first.
    source: &'a Source,
    bond: Bond,
    is_bond: bool,
    /// The bond that it is a port of.
    master: Option<(usize, String)>,
    /// What ifupdown goes on to do.
    left: Vec<(&'a Source, usize, String)>,
}

fn file<'a>(job: &mut Job, source: &'a Source, interfaces: &mut Vec<Interface<'a>>) {
    let mut stanza: Option<Stanza> = None;
    for (n, line) in continued(&source.text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((key, values)) = words.split_first() else { continue };
        if ["iface", "auto", "source", "source-directory", "mapping"].contains(key)
            || key.starts_with("allow-")
        {
            end(stanza.take(), interfaces);
            if let ("iface", Some(name)) = (*key, values.first()) {
                let at = known(interfaces, source, n, name);
                stanza = Some(Stanza { at, address: None, prefix_len: None });
                if values.get(2).is_some_and(|method| ["dhcp", "auto"].contains(method)) {
                    let text = format!("what {name} gets by {} is left to ifupdown", values[2]);
                    interfaces[at].left.push((source, n, text));
                }
            }
            if key.starts_with("source") {
                job.note(source, n, "files that it includes are not looked at: give them too");
            }
            continue;
        }
        let Some(stanza) = &mut stanza else { continue };
        if let Err(message) = stanza.option(&mut interfaces[stanza.at], source, n, key, values) {
            job.trouble(source, n, message);
        }
    }
    end(stanza, interfaces);
}

/// Where the interface stands in the list; new ones at the end.
fn known<'a>(interfaces: &mut Vec<Interface<'a>>, source: &'a Source, line: usize, name: &str) -> usize {
    interfaces.iter().position(|i| i.bond.name == name).unwrap_or_else(|| {
        let bond = Bond { name: name.to_owned(), line, ..Bond::default() };
        interfaces.push(Interface { source, bond, is_bond: false, master: None, left: Vec::new() });
        interfaces.len() - 1
    })
}

/// The address of a stanza is known at its end, as its netmask may follow it.
fn end(stanza: Option<Stanza>, interfaces: &mut [Interface]) {
    let Some(Stanza { at, address: Some(address), prefix_len }) = stanza else { return };
    let bits = if address.is_ipv4() { 24 } else { 64 };
    interfaces[at].bond.addresses.push(IfAddr::new(address, prefix_len.unwrap_or(bits)));
}

/// An `iface` stanza.
struct Stanza {
    /// Its interface in the list.
    at: usize,
    address: Option<IpAddr>,
    prefix_len: Option<u8>,
}

impl Stanza {
    fn option<'a>(
        &mut self,
        interface: &mut Interface<'a>,
        source: &'a Source,
        line: usize,
        key: &str,
        values: &[&str],
    ) -> Result<(), String> {
        let first = values.first().copied().unwrap_or_default();
        let key = key.replace('_', "-");
        interface.is_bond |= key.starts_with("bond-") && key != "bond-master";
        let bond = &mut interface.bond;
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
            "gateway" => {
                let text = format!("what {} gets through a gateway is left to ifupdown", bond.name);
                interface.left.push((source, line, text));
            }
            "bond-master" => interface.master = Some((line, first.to_owned())),
            "bond-mode" => bond.mode = Some((line, first.to_owned())),
            "bond-slaves" | "bond-ports" if first != "none" => {
                bond.ports.extend(values.iter().map(|v| (*v).to_owned()));
            }
            "bond-primary" => bond.primary = Some(first.to_owned()),
            "bond-primary-reselect" => bond.reselect = Some((line, first.to_owned())),
            "bond-updelay" => bond.updelay = milliseconds(first),
            "bond-arp-ip-target" => {
                let list = values.iter().flat_map(|v| v.split(','));
                bond.targets = list
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
