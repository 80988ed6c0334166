//! `[[group]]`, `[[group.interface]]` and `[[group.address]]`, each value by itself. What contradicts what is
//! found in `check`.

use super::address::{self, Role};
use super::detection;
use super::reader::{At, Cx, Span, Table};
use mpath_model::IfAddr;
use mpath_model::settings::{
    Adopt, Confirm, DataAddress, Detection, Group, Interface, ProbeMode, TestAddress, Thresholds,
};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "name",
    "failure_detection_time",
    "failback",
    "probe",
    "targets",
    "adopt",
    "confirm",
    "max_loss",
    "max_rtt",
    "large_probes",
    "interface",
    "address",
];
pub(super) const INTERFACE_KEYS: &[&str] = &["name", "test_addresses", "standby"];
pub(super) const ADDRESS_KEYS: &[&str] = &["address", "home"];

/// Failure detection times that can be asked for.
pub(super) const FDT: RangeInclusive<Duration> = detection::range();

/// Round-trip times that can be objected to.
const RTT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// Characters of a group name.
pub(super) const GROUP_NAME: usize = 31;

/// Characters of an interface name: IFNAMSIZ without the final NUL.
pub(super) const INTERFACE_NAME: usize = 15;

/// Named targets of a group.
const MOST_TARGETS: usize = 64;

/// A group as written.
pub(super) struct Draft {
    pub(super) header: Span,
    pub(super) name: Option<At<String>>,
    pub(super) failure_detection_time: Option<At<Duration>>,
    pub(super) failback: Option<At<bool>>,
    pub(super) probe: ProbeMode,
    pub(super) targets: Vec<At<IpAddr>>,
    pub(super) adopt: Adopt,
    pub(super) confirm: Confirm,
    pub(super) thresholds: Thresholds,
    pub(super) interfaces: Vec<Nic>,
    /// Nothing was even tried: not the same as interfaces that could not be read.
    pub(super) no_interface: bool,
    pub(super) addresses: Vec<Data>,
}

/// An interface as written.
pub(super) struct Nic {
    pub(super) name: Option<At<String>>,
    pub(super) test_addresses: Vec<At<TestAddress>>,
    pub(super) standby: bool,
}

/// A data address as written.
pub(super) struct Data {
    pub(super) address: Option<At<IfAddr>>,
    pub(super) home: Option<At<String>>,
}

pub(super) fn read(cx: &mut Cx<'_>, table: &Table<'_>) -> Draft {
    let probe =
        [("auto", ProbeMode::Auto), ("testaddress", ProbeMode::TestAddress), ("link", ProbeMode::Link)];
    let adopt = [("static", Adopt::Static), ("all", Adopt::All), ("none", Adopt::None)];
    let confirm = [("all", Confirm::All), ("icmp", Confirm::Icmp), ("off", Confirm::Off)];
    let confirm = table.word(cx, "confirm", &confirm);
    let failback = table.boolean(cx, "failback");
    let before = cx.problems.len();
    let interfaces = interfaces(cx, table);
    let no_interface = interfaces.is_empty() && cx.problems.len() == before;
    Draft {
        header: table.span.clone(),
        name: name(cx, table, "name", "group", GROUP_NAME),
        failure_detection_time: table.duration(cx, "failure_detection_time", &FDT),
        failback: failback.zip(table.span_of("failback")).map(|(value, span)| At { value, span }),
        probe: table.word(cx, "probe", &probe).unwrap_or_default(),
        targets: targets(cx, table),
        adopt: table.word(cx, "adopt", &adopt).unwrap_or_default(),
        confirm: confirm.unwrap_or_default(),
        thresholds: thresholds(cx, table),
        interfaces,
        no_interface,
        addresses: addresses(cx, table),
    }
}

fn thresholds(cx: &mut Cx<'_>, table: &Table<'_>) -> Thresholds {
    let percent = |text: &str| text.strip_suffix('%')?.parse().ok().filter(|p| (1..=100).contains(p));
    let max_loss = table.string(cx, "max_loss").and_then(|text| {
        if percent(text.value).is_none() {
            let message =
                format!("`max_loss` must be a share like \"50%\", 1% to 100%, this is \"{}\"", text.value);
            cx.error(text.span.clone(), message);
        }
        percent(text.value)
    });
    Thresholds {
        max_loss: max_loss.unwrap_or(Thresholds::default().max_loss),
        max_rtt: table.duration(cx, "max_rtt", &RTT).map(|at| at.value),
        large_probes: table.boolean(cx, "large_probes").unwrap_or_default(),
    }
}

fn interfaces(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<Nic> {
    let tables = table.tables(cx, "interface", "[[group.interface]]", INTERFACE_KEYS);
    let nic = |table: &Table<'_>| Nic {
        name: name(cx, table, "name", "interface", INTERFACE_NAME),
        test_addresses: test_addresses(cx, table),
        standby: table.boolean(cx, "standby").unwrap_or_default(),
    };
    tables.iter().map(nic).collect()
}

fn addresses(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<Data> {
    let tables = table.tables(cx, "address", "[[group.address]]", ADDRESS_KEYS);
    let data = |table: &Table<'_>| {
        let text = table.required(cx, "address");
        let address = text.and_then(|text| address::with_prefix(cx, &text, Role::Data));
        let home = table.string(cx, "home");
        Data { address, home: home.map(|at| At { value: at.value.to_owned(), span: at.span }) }
    };
    tables.iter().map(data).collect()
}

/// The name of a group or an interface (dev_valid_name of the kernel; 31 characters in in.mpathd's requests,
/// mpathd-behaviour.md 7.2).
pub(super) fn name(
    cx: &mut Cx<'_>,
    table: &Table<'_>,
    key: &str,
    what: &str,
    longest: usize,
) -> Option<At<String>> {
    let at = table.required(cx, key)?;
    checked(cx, at, what, longest)
}

/// The same for a name that has been found.
pub(super) fn checked(cx: &mut Cx<'_>, at: At<&str>, what: &str, longest: usize) -> Option<At<String>> {
    let name = at.value;
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || (what == "interface" && c == ':');
    let shown = name.escape_debug();
    let message = if name.is_empty() {
        format!("the {what} name is empty")
    } else if name.len() > longest {
        format!("the {what} name \"{shown}\" is longer than {longest} characters")
    } else if let Some(c) = name.chars().find(|c| bad(*c)) {
        format!("the {what} name \"{shown}\" contains {c:?}")
    } else if name == "." || name == ".." {
        format!("the {what} name cannot be \"{shown}\"")
    } else if name == "lo" && what == "interface" {
        "lo is the loopback interface and cannot be in a group or lagg".to_owned()
    } else {
        return Some(At { value: name.to_owned(), span: at.span });
    };
    cx.error(at.span, message);
    None
}

fn test_addresses(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<At<TestAddress>> {
    let mut found = Vec::new();
    for text in table.strings(cx, "test_addresses") {
        if text.value == "link-local" {
            found.push(At { value: TestAddress::LinkLocal, span: text.span });
        } else if let Some(at) = address::with_prefix(cx, &text, Role::Test) {
            found.push(At { value: TestAddress::Address(at.value), span: at.span });
        }
    }
    found
}

pub(super) fn targets(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<At<IpAddr>> {
    let texts = table.strings(cx, "targets");
    if let (true, Some(span)) = (texts.len() > MOST_TARGETS, table.span_of("targets")) {
        cx.error(span, format!("`targets` has {} entries, at most {MOST_TARGETS} are possible", texts.len()));
        return Vec::new();
    }
    texts.into_iter().filter_map(|text| address::target(cx, &text)).collect()
}

impl Draft {
    /// Name for messages.
    pub(super) fn called(&self) -> &str {
        self.name.as_ref().map_or("(unnamed)", |n| &n.value)
    }

    /// The interface that data addresses call home unless they say otherwise: the first that is not standby.
    fn default_home(&self) -> Option<&str> {
        let first = self.interfaces.iter().find(|nic| !nic.standby).or(self.interfaces.first())?;
        first.name.as_ref().map(|n| n.value.as_str())
    }

    /// The settings. Complete if and only if no error was reported.
    pub(super) fn finish(self, detection: &Detection) -> Group {
        let default_home = self.default_home().unwrap_or_default().to_owned();
        let interface = |nic: Nic| {
            Some(Interface {
                name: nic.name?.value,
                test_addresses: nic.test_addresses.into_iter().map(|at| at.value).collect(),
                standby: nic.standby,
            })
        };
        let address = |data: Data| {
            let home = data.home.map_or_else(|| default_home.clone(), |at| at.value);
            Some(DataAddress { address: data.address?.value, home })
        };
        Group {
            name: self.name.map_or_else(String::new, |at| at.value),
            failure_detection_time: self
                .failure_detection_time
                .map_or(detection.failure_detection_time, |at| at.value),
            failback: self.failback.map_or(detection.failback, |at| at.value),
            probe: self.probe,
            targets: self.targets.into_iter().map(|at| at.value).collect(),
            adopt: self.adopt,
            confirm: self.confirm,
            thresholds: self.thresholds,
            interfaces: self.interfaces.into_iter().filter_map(interface).collect(),
            addresses: self.addresses.into_iter().filter_map(address).collect(),
        }
    }
}
