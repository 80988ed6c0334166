//! rc.conf of FreeBSD (lagg-carp.md A.12).

use super::shell::{self, Assignment};
use super::{Job, Source};
use crate::words::apply::is_lagg;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses that a range may stand for (netif_ipexpand_max).
const MOST: usize = 2048;

/// Words that are for the system and not for ifconfig.
const PSEUDO: &[&str] = &["DHCP", "SYNCDHCP", "NOSYNCDHCP", "NOAUTO", "WPA", "HOSTAP"];

/// What a NIC does with the advertisements of routers, which is the system's affair too.
const ADVERTISEMENTS: &[&str] = &["accept_rtadv", "-accept_rtadv", "no_radr", "-no_radr"];

pub(super) fn read(job: &mut Job, source: &Source) {
    let (found, troubles) = shell::assignments(&source.text);
    troubles.into_iter().for_each(|(line, message)| job.trouble(source, line, message));
    // The last one counts, as in sh.
    let last: BTreeMap<&str, &Assignment> = found.iter().map(|a| (a.name.as_str(), a)).collect();
    let created = create(job, source, &last);
    let mut interfaces: Vec<(String, &Assignment)> = Vec::new();
    let mut addresses: Vec<(String, u64, &Assignment)> = Vec::new();
    for a in last.values() {
        let Some(rest) = a.name.strip_prefix("ifconfig_") else {
            other(job, source, a);
            continue;
        };
        match rest.rsplit_once('_') {
            Some((interface, suffix)) if suffix.starts_with("alias") => match suffix["alias".len()..].parse()
            {
                Ok(number) => addresses.push((named(interface), number, a)),
                Err(_) if suffix == "aliases" => addresses.push((named(interface), 0, a)),
                Err(_) => job.trouble(source, a.line, format!("{}: not a number behind alias", a.name)),
            },
            Some((interface, "ipv6")) => addresses.push((named(interface), 0, a)),
            Some((_, "name" | "descr")) => {
                job.note(source, a.line, &format!("{} is left to the system's own settings", a.name));
            }
            _ => interfaces.push((named(rest), a)),
        }
    }
    // Ports come before the laggs they are in, and these before their aliases.
    interfaces.sort_by_key(|(name, a)| (created.contains(name), a.line));
    addresses.sort_by_key(|(name, number, _)| (name.clone(), *number));
    for (name, a) in interfaces {
        interface(job, source, &name, a);
    }
    for (name, _, a) in addresses {
        alias(job, source, &name, a);
    }
}

fn create(job: &mut Job, source: &Source, last: &BTreeMap<&str, &Assignment>) -> Vec<String> {
    let Some(cloned) = last.get("cloned_interfaces") else { return Vec::new() };
    let names = cloned.value.split_whitespace().map(|name| name.split(':').next().unwrap_or(name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    for name in &names {
        if !is_lagg(name) {
            job.trouble(source, cloned.line, format!("{name}: only laggs are made by mpathd"));
            continue;
        }
        let args = last.get(format!("create_args_{name}").as_str());
        let words: Vec<&str> = args.iter().flat_map(|a| a.value.split_whitespace()).collect();
        let words: Vec<&str> = std::iter::once("create").chain(words).collect();
        job.words(source, args.map_or(cloned.line, |a| a.line), name, &words);
    }
    names
}

/// Variables that are not of `ifconfig_*`.
fn other(job: &mut Job, source: &Source, a: &Assignment) {
    let known = ["cloned_interfaces", "cloned_interfaces_sticky"].contains(&a.name.as_str());
    if known || a.name.starts_with("create_args_lagg") {
        return;
    }
    if ["vlans_", "wlans_", "create_args_", "ipv6_prefix_", "ipv4_addrs_"]
        .iter()
        .any(|p| a.name.starts_with(p))
    {
        job.note(source, a.line, &format!("{} is left to the system's own settings", a.name));
    }
}

fn interface(job: &mut Job, source: &Source, name: &str, a: &Assignment) {
    let mut words: Vec<&str> = a.value.split_whitespace().collect();
    let dynamic = words.iter().any(|w| w.to_ascii_uppercase().ends_with("DHCP"));
    words.retain(|w| !PSEUDO.contains(&w.to_ascii_uppercase().as_str()));
    if dynamic {
        job.note(
            source,
            a.line,
            &format!("{name} gets its address by DHCP: let the system's client do that"),
        );
    }
    if words.first() == Some(&"vnet") {
        job.trouble(source, a.line, "vnet: jails are not a matter of mpathd");
        return;
    }
    put(job, source, name, a.line, &words);
}

fn alias(job: &mut Job, source: &Source, name: &str, a: &Assignment) {
    let mut words: Vec<&str> = a.value.split_whitespace().collect();
    let family = |w: &str| matches!(w, "inet" | "inet6" | "link" | "ether");
    if !words.first().is_some_and(|w| family(w)) {
        let (version, keyword) = if a.name.ends_with("_ipv6") { ("IPv6", "inet6") } else { ("IPv4", "inet") };
        let text = format!("${} needs leading \"{keyword}\" keyword for an {version} address.", a.name);
        job.note(source, a.line, &text);
        words.insert(0, keyword);
    }
    if words.iter().any(|w| ADVERTISEMENTS.contains(w)) {
        job.note(source, a.line, &format!("{name} listens to router advertisements: left to the system"));
        words.retain(|w| !ADVERTISEMENTS.contains(w));
    }
    // Several in one, split at the family.
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for word in words {
        if parts.is_empty() || family(word) {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("pushed just above").push(word);
    }
    // Of a family alone, nothing is said.
    for part in parts.into_iter().filter(|part| part.len() > 1) {
        let secret = part.contains(&"pass");
        let mut expanded = Vec::new();
        match if secret { None } else { range(&part) } {
            None => expanded.push(part.iter().map(|w| (*w).to_owned()).collect()),
            Some(Ok(list)) => expanded = list,
            Some(Err(message)) => job.trouble(source, a.line, message),
        }
        for words in expanded {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            if !words.contains(&"alias") {
                words.push("alias");
            }
            put(job, source, name, a.line, &words);
        }
    }
}

/// The name of an interface out of that of its variable, in which the dot of a VLAN cannot stand.
fn named(variable: &str) -> String {
    match variable.rsplit_once('_') {
        Some((parent, tag)) if !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{parent}.{tag}")
        }
        _ => variable.to_owned(),
    }
}

/// Words for an interface, unless they only bring up a NIC, which the system does.
fn put(job: &mut Job, source: &Source, name: &str, line: usize, words: &[&str]) {
    if words.is_empty() || words == ["up"] {
        return;
    }
    let ours = is_lagg(name)
        || words
            .iter()
            .any(|w| matches!(*w, "vhid" | "group" | "standby" | "-standby" | "failover" | "-failover"));
    if ours || job.out.settings.group_of(name).is_some() {
        job.words(source, line, name, words);
    } else if let Err(e) = crate::words::parse(0, words) {
        job.trouble(source, line, e.message);
    } else {
        job.note(source, line, &format!("the addresses of {name} are left to the system's own settings"));
    }
}

/// `inet 10.0.0.1-5/24` as one line for each address: the first keeps the prefix length, the others are hosts. None if there is
/// no range.
fn range(words: &[&str]) -> Option<Result<Vec<Vec<String>>, String>> {
    let at = words.iter().position(|w| w.contains('-') && w.starts_with(|c: char| c.is_ascii_hexdigit()))?;
    let (addresses, length) = words[at].split_once('/').unwrap_or((words[at], ""));
    let (first, end) = addresses.split_once('-')?;
    let bad = || Some(Err(format!("bad range of addresses '{}'", words[at].escape_debug())));
    let Ok(base) = first.parse::<IpAddr>() else { return bad() };
    let (separator, radix, host) = if base.is_ipv4() { ('.', 10, "/32") } else { (':', 16, "/128") };
    let Some((head, start)) = first.rsplit_once(separator) else { return bad() };
    let (Ok(start), Ok(end)) = (u32::from_str_radix(start, radix), u32::from_str_radix(end, radix)) else {
        return bad();
    };
    if end < start || usize::try_from(end - start).is_ok_and(|n| n >= MOST) {
        return bad();
    }
    let length = if length.is_empty() { host.to_owned() } else { format!("/{length}") };
    let list = (start..=end).map(|n| {
        let number = if radix == 10 { n.to_string() } else { format!("{n:x}") };
        let prefix = if n == start { length.as_str() } else { host };
        let mut line: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        line[at] = format!("{head}{separator}{number}{prefix}");
        line
    });
    Some(Ok(list.collect()))
}
