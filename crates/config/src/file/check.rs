//! Contradictions: values that are right by themselves and wrong together.

use super::address::Role;
use super::group::{Draft, Nic};
use super::reader::{At, Cx, Span};
use crate::suggest;
use mpath_model::addr::is_link_local6;
use mpath_model::settings::{ProbeMode, TestAddress};
use std::collections::HashMap;
use std::net::IpAddr;

/// Reports every contradiction within and between groups.
pub(super) fn all(cx: &mut Cx<'_>, drafts: &[Draft]) {
    group_names(cx, drafts);
    interfaces(cx, drafts);
    test_addresses_of_a_nic(cx, drafts);
    addresses(cx, drafts);
    for draft in drafts {
        homes(cx, draft, drafts);
        doubtful(cx, draft);
    }
}

fn group_names(cx: &mut Cx<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for draft in drafts {
        if draft.no_interface {
            cx.error(draft.header.clone(), format!("group {} has no interface", draft.called()))
                .help("add a [[group.interface]] with its name below it");
        }
        let Some(name) = &draft.name else { continue };
        if let Some(first) = seen.get(name.value.as_str()) {
            cx.error(name.span.clone(), format!("there are two groups called {}", name.value))
                .related(first.clone(), "the first one");
        } else {
            seen.insert(&name.value, name.span.clone());
        }
    }
}

fn interfaces(cx: &mut Cx<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<&str, (usize, Span)> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for name in draft.interfaces.iter().filter_map(|nic| nic.name.as_ref()) {
            let Some((group, first)) = seen.get(name.value.as_str()) else {
                seen.insert(&name.value, (index, name.span.clone()));
                continue;
            };
            let message = if *group == index {
                format!("interface {} is twice in group {}", name.value, draft.called())
            } else {
                let (a, b) = (drafts[*group].called(), draft.called());
                format!("interface {} is in two groups, {a} and {b}", name.value)
            };
            cx.error(name.span.clone(), message).related(first.clone(), "here first");
        }
    }
}

fn test_addresses_of_a_nic(cx: &mut Cx<'_>, drafts: &[Draft]) {
    for nic in drafts.iter().flat_map(|draft| &draft.interfaces) {
        for (version, of_version) in [("IPv4", is_ipv4 as fn(&TestAddress) -> bool), ("IPv6", is_ipv6)] {
            let mut tests = nic.test_addresses.iter().filter(|at| of_version(&at.value));
            let Some(first) = tests.next() else { continue };
            for second in tests {
                let name = nic.name.as_ref().map_or("(unnamed)", |n| &n.value);
                let message = format!("interface {name} has more than one {version} test address");
                cx.error(second.span.clone(), message).related(first.span.clone(), "the first one");
            }
        }
    }
}

fn is_ipv4(test: &TestAddress) -> bool {
    matches!(test, TestAddress::Address(a) if a.address.is_ipv4())
}

fn is_ipv6(test: &TestAddress) -> bool {
    !is_ipv4(test)
}

/// An address and the link it is valid on: link-local ones mean nothing beyond the link of their group.
type Key = (IpAddr, Option<usize>);

fn key(address: IpAddr, group: usize) -> Key {
    (address, is_link_local6(&address).then_some(group))
}

fn addresses(cx: &mut Cx<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<Key, (Role, Span)> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for at in draft.interfaces.iter().flat_map(|nic: &Nic| &nic.test_addresses) {
            if let TestAddress::Address(test) = at.value {
                once(cx, &mut seen, key(test.address, index), Role::Test, &at.span);
            }
        }
        for at in draft.addresses.iter().filter_map(|data| data.address.as_ref()) {
            once(cx, &mut seen, key(at.value.address, index), Role::Data, &at.span);
        }
    }
    for (index, draft) in drafts.iter().enumerate() {
        let mut targets: HashMap<IpAddr, Span> = HashMap::new();
        for At { value, span } in &draft.targets {
            if let Some((role, place)) = seen.get(&key(*value, index)) {
                cx.error(span.clone(), format!("target {value} is a {} of this host", role.name()))
                    .help("name routers or other hosts on the link")
                    .related(place.clone(), "declared here");
            }
            if let Some(first) = targets.insert(*value, span.clone()) {
                cx.error(span.clone(), format!("target {value} is there twice"))
                    .related(first, "the first one");
            }
        }
    }
}

fn once(cx: &mut Cx<'_>, seen: &mut HashMap<Key, (Role, Span)>, key: Key, role: Role, span: &Span) {
    let Some((first_role, first)) = seen.get(&key) else {
        seen.insert(key, (role, span.clone()));
        return;
    };
    let address = key.0;
    let message = if *first_role == role {
        format!("{} {address} is there twice", role.name())
    } else {
        format!("{address} cannot be both a test address and a data address")
    };
    let label = if *first_role == role { "the first one" } else { "its other use" };
    cx.error(span.clone(), message).related(first.clone(), label);
}

fn homes(cx: &mut Cx<'_>, draft: &Draft, drafts: &[Draft]) {
    fn names(draft: &Draft) -> impl Iterator<Item = &str> {
        draft.interfaces.iter().filter_map(|nic| nic.name.as_ref()).map(|n| n.value.as_str())
    }
    // An interface whose name is wrong may be the one that is meant.
    if draft.interfaces.iter().any(|nic| nic.name.is_none()) {
        return;
    }
    for home in draft.addresses.iter().filter_map(|data| data.home.as_ref()) {
        if names(draft).any(|name| name == home.value) {
            continue;
        }
        let (group, shown) = (draft.called(), home.value.escape_debug());
        let other = drafts.iter().find(|other| names(other).any(|name| name == home.value));
        let message = match other {
            Some(other) => format!("home {shown} is not in group {group} but in {}", other.called()),
            None => format!("home {shown} is not an interface of group {group}"),
        };
        let help = match suggest::nearest(&home.value, names(draft)) {
            Some(near) if other.is_none() => format!("did you mean \"{near}\"?"),
            _ => format!("its interfaces are {}", names(draft).collect::<Vec<_>>().join(", ")),
        };
        cx.error(home.span.clone(), message).help(help);
    }
}

/// What is allowed and hardly meant.
fn doubtful(cx: &mut Cx<'_>, draft: &Draft) {
    let group = draft.called();
    if !draft.interfaces.is_empty() && draft.interfaces.iter().all(|nic| nic.standby) {
        cx.warn(draft.header.clone(), format!("Every interface of group {group} is standby"));
    }
    let tests = draft.interfaces.iter().flat_map(|nic| &nic.test_addresses);
    if let (ProbeMode::Link, Some(at)) = (draft.probe, tests.into_iter().next()) {
        let text = format!("Group {group} has test addresses and probe = \"link\": they are not used");
        cx.warn(at.span.clone(), text);
    }
    for at in draft.addresses.iter().filter_map(|data| data.address.as_ref()) {
        if is_link_local6(&at.value.address) {
            let text = format!("Data address {} of group {group} is a link-local address", at.value);
            cx.warn(at.span.clone(), text);
        }
    }
}
