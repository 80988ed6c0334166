//! `ipmpstat [-n] [-o FIELD[,...] [-P]] -a|-g|-i|-p|-t` (mpathd-behaviour.md 7.7). Here: the arguments and the
//! five views; how columns are printed is [`columns`]' affair.

mod columns;
mod hosts;
mod probes;

use super::{Trouble, connect};
use columns::Format;
use hosts::Names;
use mpath_ipc::ClientError;
use mpath_model::Status;
use mpath_model::status::{
    AddressState, Group, GroupState, Interface, InterfaceState, LinkState, ProbeState, TargetMode,
};
use std::path::Path;

const USAGE: &str = "\
usage: ipmpstat [-n] [-o <field> [-P]] -a|-g|-i|-p|-t

  output modes:
    -a  display IPMP data address information
    -g  display IPMP group information
    -i  display IPMP-related IP interface information
    -p  display IPMP probe information
    -t  display IPMP target information
  options:
    -n  display IP addresses numerically
    -o  display only the specified fields, in order
    -P  display using parsable output mode";

/// A column: its name and its width, the blank behind it included.
type Column = (&'static str, usize);

const ADDRESS: &[Column] = &[("ADDRESS", 26), ("STATE", 7), ("GROUP", 12), ("INBOUND", 12), ("OUTBOUND", 23)];
const GROUP: &[Column] = &[("GROUP", 12), ("GROUPNAME", 12), ("STATE", 10), ("FDT", 10), ("INTERFACES", 30)];
const INTERFACE: &[Column] = &[
    ("INTERFACE", 12),
    ("ACTIVE", 8),
    ("GROUP", 12),
    ("FLAGS", 10),
    ("LINK", 10),
    ("PROBE", 10),
    ("STATE", 10),
];
const PROBE: &[Column] = &[
    ("TIME", 10),
    ("INTERFACE", 12),
    ("PROBE", 7),
    ("NETRTT", 10),
    ("RTT", 10),
    ("RTTAVG", 10),
    ("TARGET", 20),
    ("RTTDEV", 10),
];
const TARGET: &[Column] = &[("INTERFACE", 12), ("MODE", 10), ("TESTADDR", 20), ("TARGETS", 38)];

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    mode: Option<char>,
    numeric: bool,
    parsable: bool,
    fields: Option<String>,
}

pub(crate) fn run(socket: &Path, args: &[String]) -> Result<(), Trouble> {
    let (wanted, format) = arguments(args).map_err(Trouble::Say)?;
    let names = Names::read(wanted.numeric);
    let mode = wanted.mode.expect("arguments() demands one");
    if mode == 'p' {
        return probes::run(socket, &format, &names);
    }
    let status = connect(socket).and_then(|mut c| c.status()).map_err(contact)?;
    let rows = match mode {
        'a' => addresses(&status, &names),
        'g' => groups(&status),
        'i' => interfaces(&status),
        _ => targets(&status, &names),
    };
    let mut text = format.header();
    rows.iter().for_each(|row| text.push_str(&format.row(row)));
    Ok(crate::output::text(&text)?)
}

/// Nobody answers, or not us.
fn contact(error: ClientError) -> Trouble {
    Trouble::Say(match error {
        ClientError::Failed(failure) => format!("ipmpstat: {failure}"),
        other => format!("ipmpstat: cannot contact in.mpathd(1M) -- is IPMP in use?\n{other}"),
    })
}

/// Reads the arguments. The error is what to say.
fn arguments(args: &[String]) -> Result<(Wanted, Format), String> {
    let mut wanted = Wanted::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let letters = arg.strip_prefix('-').filter(|l| !l.is_empty()).ok_or(USAGE)?;
        for (at, letter) in letters.char_indices() {
            match letter {
                'a' | 'g' | 'i' | 'p' | 't' if wanted.mode.is_some() => {
                    return Err(format!("ipmpstat: only one output format may be specified\n{USAGE}"));
                }
                'a' | 'g' | 'i' | 'p' | 't' => wanted.mode = Some(letter),
                'n' => wanted.numeric = true,
                'P' => wanted.parsable = true,
                'o' => {
                    let rest = &letters[at + 1..];
                    let given = if rest.is_empty() { args.next().cloned() } else { Some(rest.to_owned()) };
                    wanted.fields = Some(given.ok_or(USAGE)?);
                    break;
                }
                _ => return Err(format!("ipmpstat: illegal option -- {letter}\n{USAGE}")),
            }
        }
    }
    let columns = match wanted.mode {
        Some('a') => ADDRESS,
        Some('g') => GROUP,
        Some('i') => INTERFACE,
        Some('p') => PROBE,
        Some(_) => TARGET,
        None => return Err(USAGE.to_owned()),
    };
    let format = Format::new(columns, wanted.fields.as_deref(), wanted.parsable)?;
    Ok((wanted, format))
}

fn addresses(status: &Status, names: &Names) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for group in &status.groups {
        let active: Vec<&str> =
            group.interfaces.iter().filter(|i| i.active).map(|i| i.name.as_str()).collect();
        for a in &group.addresses {
            let up = a.state == AddressState::Up;
            rows.push(vec![
                names.name(&a.address.address),
                if up { "up" } else { "down" }.to_owned(),
                group.name.clone(),
                a.interface.clone().filter(|_| up).unwrap_or_default(),
                if up { active.join(" ") } else { String::new() },
            ]);
        }
    }
    rows
}

fn groups(status: &Status) -> Vec<Vec<String>> {
    let row = |g: &Group| {
        let state = match g.state {
            GroupState::Ok => "ok",
            GroupState::Degraded => "degraded",
            GroupState::Failed => "failed",
        };
        let probed = g.interfaces.iter().any(|i| i.probe != ProbeState::Disabled);
        let fdt =
            format!("{:.2}s", std::time::Duration::from_millis(g.failure_detection_time_ms).as_secs_f64());
        vec![
            g.name.clone(),
            g.name.clone(),
            state.to_owned(),
            if probed { fdt } else { String::new() },
            members(g),
        ]
    };
    status.groups.iter().map(row).collect()
}

/// `active (inactive) [unusable]`
fn members(group: &Group) -> String {
    let list = |wanted: &dyn Fn(&&Interface) -> bool| -> String {
        let names: Vec<&str> = group.interfaces.iter().filter(wanted).map(|i| i.name.as_str()).collect();
        names.join(" ")
    };
    let ok = |i: &Interface| i.state == InterfaceState::Ok;
    let active = list(&|i| ok(i) && i.active);
    let inactive = list(&|i| ok(i) && !i.active);
    let unusable = list(&|i| !ok(i));
    let parts = [
        active,
        if inactive.is_empty() { inactive } else { format!("({inactive})") },
        if unusable.is_empty() { unusable } else { format!("[{unusable}]") },
    ];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}

fn interfaces(status: &Status) -> Vec<Vec<String>> {
    let row = |group: Option<&Group>, i: &Interface| {
        let designated = group.is_some_and(|g| {
            g.interfaces.iter().find(|x| x.active).is_some_and(|first| first.name == i.name)
        });
        vec![
            i.name.clone(),
            if i.active { "yes" } else { "no" }.to_owned(),
            group.map_or(String::new(), |g| g.name.clone()),
            flags(i, designated),
            match i.link {
                LinkState::Up => "up",
                LinkState::Down => "down",
                LinkState::Unknown => "unknown",
            }
            .to_owned(),
            match i.probe {
                ProbeState::Ok => "ok",
                ProbeState::Failed => "failed",
                ProbeState::Unknown => "unknown",
                ProbeState::Disabled => "disabled",
            }
            .to_owned(),
            match i.state {
                InterfaceState::Ok => "ok",
                InterfaceState::Failed => "failed",
                InterfaceState::Offline => "offline",
                InterfaceState::Unknown => "unknown",
            }
            .to_owned(),
        ]
    };
    let grouped = status.groups.iter().flat_map(|g| g.interfaces.iter().map(move |i| (Some(g), i)));
    grouped.chain(status.ungrouped.iter().map(|i| (None, i))).map(|(g, i)| row(g, i)).collect()
}

/// Inactive, standby, multicast and broadcast by this one (the first active member), down.
fn flags(i: &Interface, designated: bool) -> String {
    let usable = i.state == InterfaceState::Ok;
    let set = |on: bool, letter: char| if on { letter } else { '-' };
    [
        set(usable && !i.active, 'i'),
        set(i.standby, 's'),
        set(designated, 'm'),
        set(designated, 'b'),
        set(designated, 'M'),
        set(i.state == InterfaceState::Offline, 'd'),
        '-',
    ]
    .into_iter()
    .collect()
}

fn targets(status: &Status, names: &Names) -> Vec<Vec<String>> {
    let all = status.groups.iter().flat_map(|g| &g.interfaces).chain(&status.ungrouped);
    let mut rows = Vec::new();
    for i in all {
        if i.instances.is_empty() {
            rows.push(vec![i.name.clone(), "disabled".to_owned(), String::new(), String::new()]);
        }
        for instance in &i.instances {
            let mode = match instance.mode {
                TargetMode::Routes => "routes",
                TargetMode::Multicast => "multicast",
                TargetMode::Disabled => "disabled",
            };
            let asked: Vec<String> = instance.targets.iter().map(|t| names.name(t)).collect();
            rows.push(vec![
                i.name.clone(),
                mode.to_owned(),
                instance.test_address.map_or(String::new(), |a| names.name(&a)),
                asked.join(" "),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests;
