//! systemd-networkd's `.netdev` and `.network` files: bonds, their ports and their addresses.

use super::bonding::{Bond, milliseconds};
use super::{Job, Source};

/// `[Section]`, key, value, line.
type Entry = (String, String, String, usize);

pub(super) fn read(job: &mut Job, sources: &[&Source]) {
    let files: Vec<(&Source, Vec<Entry>)> = sources.iter().map(|s| (*s, entries(&s.text))).collect();
    let mut bonds: Vec<(&Source, Bond)> = Vec::new();
    for (source, entries) in files.iter().filter(|(s, _)| s.path.ends_with(".netdev")) {
        bonds.extend(netdev(job, source, entries).map(|b| (*source, b)));
    }
    for (source, entries) in files.iter().filter(|(s, _)| s.path.ends_with(".network")) {
        network(job, source, entries, &mut bonds);
    }
    for (source, bond) in bonds {
        bond.finish(job, source);
    }
}

fn netdev(job: &mut Job, source: &Source, entries: &[Entry]) -> Option<Bond> {
    let value = |section: &str, key: &str| {
        entries.iter().rfind(|e| e.0 == section && e.1 == key).map(|e| (e.3, e.2.clone()))
    };
    let (line, kind) = value("NetDev", "Kind").unwrap_or((1, String::new()));
    if kind != "bond" {
        job.note(source, line, "no bond: left to networkd");
        return None;
    }
    let (line, name) = value("NetDev", "Name").unwrap_or((line, "bond0".to_owned()));
    let targets = entries.iter().filter(|e| e.0 == "Bond" && e.1 == "ARPIPTargets");
    Some(Bond {
        name,
        line,
        mode: value("Bond", "Mode"),
        updelay: value("Bond", "UpDelaySec").and_then(|(_, v)| seconds(&v)),
        reselect: value("Bond", "PrimaryReselectPolicy"),
        targets: targets.flat_map(|e| e.2.split_whitespace()).filter_map(|t| t.parse().ok()).collect(),
        ..Bond::default()
    })
}

fn network(job: &mut Job, source: &Source, entries: &[Entry], bonds: &mut [(&Source, Bond)]) {
    let all = |section: &str, key: &str| -> Vec<(usize, String)> {
        let found = entries.iter().filter(|e| e.0 == section && e.1 == key);
        found.flat_map(|e| e.2.split_whitespace().map(|v| (e.3, v.to_owned()))).collect()
    };
    let names = all("Match", "Name");
    if let Some((line, master)) = all("Network", "Bond").pop() {
        let Some((_, bond)) = bonds.iter_mut().find(|(_, b)| b.name == master) else {
            job.trouble(source, line, format!("bond {master} is in none of these files"));
            return;
        };
        if names.is_empty() {
            job.trouble(source, 1, "[Match] without Name=: the names of the ports are needed");
        }
        let primary = all("Network", "PrimarySlave").last().is_some_and(|(_, v)| yes(v));
        for (line, name) in names {
            if name.contains(['*', '?', '[', '!']) {
                job.trouble(source, line, format!("Name={name} is a pattern: write the names of the ports"));
                continue;
            }
            if primary {
                bond.primary = Some(name.clone());
            }
            bond.ports.push(name);
        }
        return;
    }
    for (_, name) in names {
        let Some((_, bond)) = bonds.iter_mut().find(|(_, b)| b.name == name) else { continue };
        for (line, address) in all("Network", "Address").into_iter().chain(all("Address", "Address")) {
            match address.parse() {
                Ok(address) => bond.addresses.push(address),
                Err(_) => job.trouble(source, line, format!("bad address '{}'", address.escape_debug())),
            }
        }
        let theirs = [
            ("Network", "DHCP", "by DHCP"),
            ("Network", "Gateway", "through a gateway"),
            ("Route", "Gateway", "through a gateway"),
        ];
        let said =
            theirs.iter().filter_map(|(section, key, text)| Some((all(section, key).first()?.0, text)));
        for (line, key) in said {
            job.note(source, line, &format!("what {name} gets {key} is left to networkd"));
        }
    }
}

fn yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
}

/// A time span without unit is in seconds there.
fn seconds(value: &str) -> Option<std::time::Duration> {
    match value.parse() {
        Ok(seconds) => Some(std::time::Duration::from_secs(seconds)),
        Err(_) => milliseconds(value),
    }
}

fn entries(text: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            found.push((section.clone(), key.trim().to_owned(), value.trim().to_owned(), n + 1));
        }
    }
    found
}
