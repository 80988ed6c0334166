//! `[[carp]]`: each value by itself, and what contradicts what between vhids and groups.

use super::address::{self, Role};
use super::group::Draft as GroupDraft;
use super::lagg::Draft as LaggDraft;
use super::reader::{At, Cx, Span, Table};
use crate::passphrase;
use mpath_model::carp::Over;
use mpath_model::settings::{Carp, PassphraseSource, Replay, TestAddress};
use mpath_model::{Family, IfAddr};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

pub(super) const KEYS: &[&str] = &[
    "interface",
    "group",
    "vhid",
    "passphrase_file",
    "credential",
    "advbase",
    "advskew",
    "preempt",
    "vmac",
    "peer",
    "peer6",
    "replay",
    "addresses",
];

/// Virtual addresses of one vhid.
const MOST_ADDRESSES: usize = 64;

/// A vhid as written.
pub(super) struct Draft {
    over: Option<At<Over>>,
    vhid: Option<At<u8>>,
    passphrase: PassphraseSource,
    advbase: u8,
    advskew: u8,
    preempt: bool,
    vmac: bool,
    peer: Option<Ipv4Addr>,
    peer6: Option<Ipv6Addr>,
    replay: Replay,
    addresses: Vec<At<IfAddr>>,
}

pub(super) fn read(cx: &mut Cx<'_>, table: &Table<'_>) -> Draft {
    let replay = [("off", Replay::Off), ("loop", Replay::Loop), ("strict", Replay::Strict)];
    if !table.has("vhid") {
        cx.error(table.span.clone(), "[[carp]] has no `vhid`").help("add vhid = 1, or any number to 255");
    }
    Draft {
        over: over(cx, table),
        vhid: table.integer(cx, "vhid", 1..=255),
        passphrase: passphrase_source(cx, table),
        advbase: table.integer(cx, "advbase", 1..=255).map_or(1, |at| at.value),
        advskew: table.integer(cx, "advskew", 0..=254).map_or(0, |at| at.value),
        preempt: table.boolean(cx, "preempt").unwrap_or_default(),
        vmac: table.boolean(cx, "vmac").unwrap_or(true),
        peer: peer(cx, table, "peer", Family::Inet).and_then(|a| match a {
            IpAddr::V4(a) => Some(a),
            IpAddr::V6(_) => None,
        }),
        peer6: peer(cx, table, "peer6", Family::Inet6).and_then(|a| match a {
            IpAddr::V6(a) => Some(a),
            IpAddr::V4(_) => None,
        }),
        replay: table.word(cx, "replay", &replay).unwrap_or_default(),
        addresses: addresses(cx, table),
    }
}

/// `interface` or `group`, exactly one.
fn over(cx: &mut Cx<'_>, table: &Table<'_>) -> Option<At<Over>> {
    match (table.has("interface"), table.has("group")) {
        (true, true) => {
            let span = table.span_of("group").unwrap_or_else(|| table.span.clone());
            cx.error(span, "[[carp]] has both `interface` and `group`").help("keep one of them");
            None
        }
        (false, false) => {
            cx.error(table.span.clone(), "[[carp]] has neither `interface` nor `group`")
                .help("add interface = \"eth0\", or group = \"...\" to follow the group's active member");
            None
        }
        (true, false) => {
            let at = super::group::name(cx, table, "interface", "interface", super::group::INTERFACE_NAME)?;
            Some(At { value: Over::Interface(at.value), span: at.span })
        }
        (false, true) => {
            let at = super::group::name(cx, table, "group", "group", super::group::GROUP_NAME)?;
            Some(At { value: Over::Group(at.value), span: at.span })
        }
    }
}

fn passphrase_source(cx: &mut Cx<'_>, table: &Table<'_>) -> PassphraseSource {
    let file = table.string(cx, "passphrase_file");
    let credential = table.string(cx, "credential");
    let (source, span) = match (file, credential) {
        (Some(_), Some(at)) => {
            cx.error(at.span, "[[carp]] has both `passphrase_file` and `credential`")
                .help("keep one of them");
            return PassphraseSource::None;
        }
        (Some(at), None) => (PassphraseSource::File(PathBuf::from(at.value)), at.span),
        (None, Some(at)) => (PassphraseSource::Credential(at.value.to_owned()), at.span),
        (None, None) => {
            if !table.has("passphrase_file") && !table.has("credential") {
                let text = "A vhid without passphrase: everybody on its link can take its addresses";
                cx.warn(table.span.clone(), text);
            }
            return PassphraseSource::None;
        }
    };
    if cx.alone {
        return source;
    }
    match passphrase::read(&source) {
        Ok(found) => {
            if found.is_too_long() {
                cx.warn(span.clone(), "Only the first 19 octets of the passphrase count");
            }
            if let PassphraseSource::File(path) = &source
                && passphrase::hidden_from_service(path)
            {
                let path = path.display();
                cx.warn(
                    span,
                    format!("The service runs as user mpathd, who cannot read this: chown mpathd {path}"),
                );
            }
        }
        Err(bad) if bad.unseen => cx.warn(span, format!("The passphrase was not checked: {}", bad.message)),
        Err(bad) => {
            let problem = cx.error(span, bad.message);
            if let Some(help) = bad.help {
                problem.help(help);
            }
        }
    }
    source
}

fn peer(cx: &mut Cx<'_>, table: &Table<'_>, key: &str, family: Family) -> Option<IpAddr> {
    let text = table.string(cx, key)?;
    let at = address::target(cx, &text)?;
    if Family::of(&at.value) != family {
        let (found, wanted) = (Family::of(&at.value).version(), family.version());
        let other = if key == "peer" { "peer6" } else { "peer" };
        cx.error(at.span, format!("`{key}` must be an {wanted} address, this is {found}"))
            .help(format!("write {other} = \"{}\"", at.value));
        return None;
    }
    Some(at.value)
}

fn addresses(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<At<IfAddr>> {
    let texts = table.strings(cx, "addresses");
    match table.span_of("addresses") {
        None => {
            cx.error(table.span.clone(), "[[carp]] has no `addresses`")
                .help("add addresses = [\"192.0.2.100/24\"]: what moves between the hosts");
        }
        Some(span) if texts.is_empty() => {
            cx.error(span, "`addresses` of [[carp]] is empty");
        }
        Some(span) if texts.len() > MOST_ADDRESSES => {
            cx.error(
                span,
                format!("`addresses` has {} entries, at most {MOST_ADDRESSES} are possible", texts.len()),
            );
            return Vec::new();
        }
        Some(_) => {}
    }
    texts.iter().filter_map(|text| address::with_prefix(cx, text, Role::Virtual)).collect()
}

/// Reports every contradiction among vhids, and between them and groups.
pub(super) fn check(cx: &mut Cx<'_>, drafts: &[Draft], groups: &[GroupDraft], laggs: &[LaggDraft]) {
    places(cx, drafts, groups);
    let mut seen: HashMap<IpAddr, (&'static str, Span)> = HashMap::new();
    for at in laggs.iter().flat_map(|lagg| &lagg.addresses) {
        seen.insert(at.value.address, ("lagg address", at.span.clone()));
    }
    for group in groups {
        for nic in &group.interfaces {
            for at in &nic.test_addresses {
                if let TestAddress::Address(a) = at.value {
                    seen.insert(a.address, (Role::Test.name(), at.span.clone()));
                }
            }
        }
        for at in group.addresses.iter().filter_map(|data| data.address.as_ref()) {
            seen.insert(at.value.address, (Role::Data.name(), at.span.clone()));
        }
    }
    for at in drafts.iter().flat_map(|d| &d.addresses) {
        let address = at.value.address;
        match seen.get(&address) {
            Some((role, first)) if *role == Role::Virtual.name() => {
                cx.error(at.span.clone(), format!("virtual address {address} is there twice"))
                    .related(first.clone(), "the first one");
            }
            Some((role, first)) => {
                cx.error(at.span.clone(), format!("{address} cannot be both a {role} and a virtual address"))
                    .related(first.clone(), "its other use");
            }
            None => {
                seen.insert(address, (Role::Virtual.name(), at.span.clone()));
            }
        }
    }
}

/// A vhid is there once on a link, and its group exists.
fn places(cx: &mut Cx<'_>, drafts: &[Draft], groups: &[GroupDraft]) {
    let mut seen: HashMap<(String, u8), Span> = HashMap::new();
    for draft in drafts {
        let Some(over) = &draft.over else { continue };
        let group_of = |interface: &str| {
            let has = |g: &&GroupDraft| {
                g.interfaces.iter().filter_map(|n| n.name.as_ref()).any(|n| n.value == interface)
            };
            groups.iter().find(has)
        };
        let link = match &over.value {
            Over::Group(name) => {
                let known = groups.iter().any(|g| g.name.as_ref().is_some_and(|n| n.value == *name));
                if !known && groups.iter().all(|g| g.name.is_some()) {
                    let problem = cx.error(over.span.clone(), format!("there is no group {name}"));
                    let names = groups.iter().filter_map(|g| g.name.as_ref()).map(|n| n.value.as_str());
                    if let Some(near) = crate::suggest::nearest(name, names) {
                        problem.help(format!("did you mean \"{near}\"?"));
                    }
                }
                format!("group {name}")
            }
            Over::Interface(name) => match group_of(name) {
                Some(group) => {
                    let group = group.called();
                    cx.warn(
                        over.span.clone(),
                        format!("{name} is in group {group}: with group = \"{group}\" the vhid would follow the active member"),
                    );
                    format!("group {group}")
                }
                None => format!("interface {name}"),
            },
        };
        let Some(vhid) = &draft.vhid else { continue };
        if let Some(first) = seen.get(&(link.clone(), vhid.value)) {
            let message = format!("vhid {} is on {link} twice", vhid.value);
            cx.error(vhid.span.clone(), message).related(first.clone(), "the first one");
        } else {
            seen.insert((link, vhid.value), vhid.span.clone());
        }
    }
}

impl Draft {
    /// The settings. Complete if no error was reported.
    pub(super) fn finish(self) -> Option<Carp> {
        Some(Carp {
            over: self.over?.value,
            vhid: self.vhid?.value,
            passphrase: self.passphrase,
            advbase: self.advbase,
            advskew: self.advskew,
            preempt: self.preempt,
            vmac: self.vmac,
            peer: self.peer,
            peer6: self.peer6,
            replay: self.replay,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
        })
    }
}
