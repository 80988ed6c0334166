//! `[[lagg]]`: each value by itself, and what contradicts another lagg or a group.

use super::address::{self, Role};
use super::group::{self, FDT, INTERFACE_NAME};
use super::reader::{At, Cx, Span, Table};
use mpath_model::IfAddr;
use mpath_model::kernel::LaggBackend;
use mpath_model::settings::{Detection, LAGG_MAX_PORTS, LAGG_RX_GRACE, Lagg, ProbeMode, TestAddress};
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "name",
    "ports",
    "addresses",
    "backend",
    "failback",
    "failback_delay",
    "rx_grace",
    "probe",
    "failure_detection_time",
    "targets",
];

/// How long a port may have to wait before traffic goes back to it.
const FAILBACK_DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
/// How long frames may be taken from the old port.
const RX_GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);

/// A lagg as written.
pub(super) struct Draft {
    name: Option<At<String>>,
    ports: Vec<At<String>>,
    pub(super) addresses: Vec<At<IfAddr>>,
    targets: Vec<At<IpAddr>>,
    backend: Option<LaggBackend>,
    failback: bool,
    failback_delay: Duration,
    rx_grace: Duration,
    probe: ProbeMode,
    failure_detection_time: Option<Duration>,
}

pub(super) fn read(cx: &mut Cx<'_>, table: &Table<'_>) -> Draft {
    let backend = [
        ("auto", None),
        ("bond", Some(LaggBackend::Bond)),
        ("redirect", Some(LaggBackend::Redirect)),
        ("bridge", Some(LaggBackend::Bridge)),
    ];
    let probe = [("auto", ProbeMode::Auto), ("link", ProbeMode::Link)];
    let name = table.required(cx, "name").and_then(|at| group::checked(cx, at, "interface", INTERFACE_NAME));
    Draft {
        name,
        ports: ports(cx, table),
        addresses: table
            .strings(cx, "addresses")
            .into_iter()
            .filter_map(|text| address::with_prefix(cx, &text, Role::Data))
            .collect(),
        targets: group::targets(cx, table),
        backend: table.word(cx, "backend", &backend).flatten(),
        failback: table.boolean(cx, "failback").unwrap_or(true),
        failback_delay: table
            .duration(cx, "failback_delay", &FAILBACK_DELAY)
            .map_or(Duration::ZERO, |at| at.value),
        rx_grace: table.duration(cx, "rx_grace", &RX_GRACE).map_or(LAGG_RX_GRACE, |at| at.value),
        probe: table.word(cx, "probe", &probe).unwrap_or_default(),
        failure_detection_time: table.duration(cx, "failure_detection_time", &FDT).map(|at| at.value),
    }
}

fn ports(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<At<String>> {
    if !table.has("ports") {
        cx.error(table.span.clone(), "[[lagg]] has no `ports`")
            .help("add ports = [\"eth0\", \"eth1\"] to it; the first is the primary");
    }
    let texts = table.strings(cx, "ports");
    if let (true, Some(span)) = (texts.len() > LAGG_MAX_PORTS, table.span_of("ports")) {
        cx.error(span, format!("`ports` has {} entries, at most {LAGG_MAX_PORTS} are possible", texts.len()));
        return Vec::new();
    }
    texts.into_iter().filter_map(|at| group::checked(cx, at, "interface", INTERFACE_NAME)).collect()
}

/// Reports every contradiction between laggs, and between them and groups.
pub(super) fn check(cx: &mut Cx<'_>, laggs: &[Draft], groups: &[group::Draft]) {
    names(cx, laggs);
    ports_once(cx, laggs, groups);
    addresses_once(cx, laggs, groups);
}

fn names(cx: &mut Cx<'_>, laggs: &[Draft]) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for name in laggs.iter().filter_map(|l| l.name.as_ref()) {
        if let Some(first) = seen.insert(&name.value, name.span.clone()) {
            cx.error(name.span.clone(), format!("there are two laggs called {}", name.value))
                .related(first, "the first one");
        }
    }
    for port in laggs.iter().flat_map(|l| &l.ports) {
        if let Some(lagg) = seen.get(port.value.as_str()) {
            cx.error(port.span.clone(), format!("{} is a lagg and cannot be a port of one", port.value))
                .related(lagg.clone(), "declared here");
        }
    }
}

fn ports_once(cx: &mut Cx<'_>, laggs: &[Draft], groups: &[group::Draft]) {
    let mut seen: HashMap<&str, (String, Span)> = HashMap::new();
    for draft in groups {
        for name in draft.interfaces.iter().filter_map(|nic| nic.name.as_ref()) {
            seen.insert(&name.value, (format!("group {}", draft.called()), name.span.clone()));
        }
    }
    for (n, draft) in laggs.iter().enumerate() {
        let called =
            draft.name.as_ref().map_or_else(|| format!("number {}", n + 1), |name| name.value.clone());
        for port in &draft.ports {
            let here = format!("lagg {called}");
            if let Some((place, first)) = seen.get(port.value.as_str()) {
                let message = if *place == here {
                    format!("port {} is twice in {here}", port.value)
                } else {
                    format!("interface {} is in {place} and in {here}", port.value)
                };
                cx.error(port.span.clone(), message).related(first.clone(), "here first");
            } else {
                seen.insert(&port.value, (here, port.span.clone()));
            }
        }
    }
}

fn addresses_once(cx: &mut Cx<'_>, laggs: &[Draft], groups: &[group::Draft]) {
    let mut seen: HashMap<IpAddr, Span> = HashMap::new();
    for draft in groups {
        let data = draft.addresses.iter().filter_map(|d| d.address.as_ref());
        seen.extend(data.map(|at| (at.value.address, at.span.clone())));
        for at in draft.interfaces.iter().flat_map(|nic| &nic.test_addresses) {
            if let TestAddress::Address(test) = at.value {
                seen.insert(test.address, at.span.clone());
            }
        }
    }
    for draft in laggs {
        for at in &draft.addresses {
            if let Some(first) = seen.insert(at.value.address, at.span.clone()) {
                cx.error(at.span.clone(), format!("address {} is there twice", at.value.address))
                    .related(first, "its other use");
            }
        }
    }
    for at in laggs.iter().flat_map(|draft| &draft.targets) {
        if let Some(place) = seen.get(&at.value) {
            cx.error(at.span.clone(), format!("target {} is an address of this host", at.value))
                .help("name routers or other hosts on the link")
                .related(place.clone(), "declared here");
        }
    }
}

impl Draft {
    /// The settings. Complete if and only if no error was reported.
    pub(super) fn finish(self, detection: &Detection) -> Lagg {
        Lagg {
            name: self.name.map_or_else(String::new, |at| at.value),
            ports: self.ports.into_iter().map(|at| at.value).collect(),
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
            backend: self.backend,
            failback: self.failback,
            failback_delay: self.failback_delay,
            rx_grace: self.rx_grace,
            probe: self.probe,
            failure_detection_time: self.failure_detection_time.unwrap_or(detection.failure_detection_time),
            targets: self.targets.into_iter().map(|at| at.value).collect(),
        }
    }
}
