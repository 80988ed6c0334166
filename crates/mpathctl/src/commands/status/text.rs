//! The status as text for people: at most 80 columns, trouble said loudly and first.

use crate::output::Style;
use crate::table::{Cell, fit, plain, styled, table, width, wrap};
use mpath_model::Status;
use mpath_model::status::{
    AddressState, Carp, Group, GroupState, Interface, InterfaceState, Lagg, LinkState, ProbeState,
};

/// Lays the status out.
pub(super) fn render(status: &Status, colour: bool) -> String {
    let mut out = format!("mpathd {}", status.version);
    if status.unsaved {
        out.push_str(", with changes that no file holds");
    }
    out.push('\n');
    if status.frozen {
        out.push_str(&loud("FROZEN: probe verdicts move nothing until the daemon is thawed", colour));
    }
    let nothing = status.groups.is_empty()
        && status.ungrouped.is_empty()
        && status.laggs.is_empty()
        && status.carps.is_empty();
    if nothing {
        out.push_str("\nNo group is configured: no address of this host is protected.\n");
    }
    for group in &status.groups {
        out.push('\n');
        out.push_str(&render_group(group, colour));
    }
    if !status.ungrouped.is_empty() {
        out.push_str("\nNICs without a group\n");
        out.push_str(&interfaces(&status.ungrouped, colour));
    }
    for lagg in &status.laggs {
        out.push('\n');
        out.push_str(&render_lagg(lagg, colour));
    }
    if !status.carps.is_empty() {
        out.push('\n');
        out.push_str(&carps(&status.carps, colour));
    }
    out
}

fn render_group(group: &Group, colour: bool) -> String {
    let (word, style) = match group.state {
        GroupState::Ok => ("ok", Style::Good),
        GroupState::Degraded => ("degraded", Style::Warn),
        GroupState::Failed => ("FAILED", Style::Bad),
    };
    let mut out = format!("group {}: {}", group.name, style.paint(word, colour));
    out.push_str(&format!(", detection time {}", duration(group.failure_detection_time_ms)));
    out.push_str(if group.failback { ", failback" } else { ", no failback" });
    out.push('\n');
    if group.failure_detection_time_ms != group.requested_failure_detection_time_ms {
        let asked = duration(group.requested_failure_detection_time_ms);
        out.push_str(&format!(
            "  the detection time asked for, {asked}, cannot be met: answers are too slow\n"
        ));
    }
    if let Some(warning) = spare(group) {
        out.push_str(&loud(&warning, colour));
    }
    for nic in group.interfaces.iter().filter(|i| i.degraded) {
        let name = &nic.name;
        let text = format!(
            "LOSES PROBES: {name} carries data only while nobody better can; see mpathctl why {name}"
        );
        out.push_str(&loud(&text, colour));
    }
    out.push_str(&interfaces(&group.interfaces, colour));
    if !group.addresses.is_empty() {
        out.push_str(&addresses(group, colour));
    }
    out.push_str(&unmanaged(&group.interfaces));
    out
}

/// What the operator must know before the next failure.
fn spare(group: &Group) -> Option<String> {
    let usable: Vec<&Interface> = group.interfaces.iter().filter(|i| i.state == InterfaceState::Ok).collect();
    match usable.as_slice() {
        [] => Some(format!("NO USABLE NIC: the addresses of group {} cannot be reached", group.name)),
        [one] => {
            Some(format!("NO SPARE: {} is the only usable NIC, its failure will not be survived", one.name))
        }
        _ => None,
    }
}

fn loud(text: &str, colour: bool) -> String {
    let wrapped = wrap(text, "  ", "    ");
    let lines = wrapped.lines().map(|line| {
        let words = line.trim_start();
        let indent = &line[..line.len() - words.len()];
        format!("{indent}{}\n", Style::Bad.paint(words, colour))
    });
    lines.collect()
}

fn interfaces(list: &[Interface], colour: bool) -> String {
    let longest =
        |f: &dyn Fn(&Interface) -> usize, header: usize| list.iter().map(f).max().unwrap_or(0).max(header);
    let used = [
        longest(&|i| i.name.len(), 3),
        longest(&|i| state(i.state).text.len(), 5),
        longest(&|i| link(i.link).text.len(), 4),
        longest(&|i| probe(i.probe).text.len(), 5),
        longest(&|i| role(i).len(), 4),
    ];
    let room = width().saturating_sub(2 + used.iter().map(|w| w + 2).sum::<usize>());
    let rows: Vec<Vec<Cell>> = list
        .iter()
        .map(|i| {
            let targets: Vec<String> = i.targets.iter().map(ToString::to_string).collect();
            let targets = fit(&targets, room).unwrap_or_else(|| format!("{} targets", targets.len()));
            vec![plain(&i.name), state(i.state), link(i.link), probe(i.probe), plain(role(i)), plain(targets)]
        })
        .collect();
    table(&["NIC", "STATE", "LINK", "PROBE", "ROLE", "TARGETS"], &rows, "  ", colour)
}

fn addresses(group: &Group, colour: bool) -> String {
    let rows: Vec<Vec<Cell>> = group
        .addresses
        .iter()
        .map(|a| {
            let on = a.interface.as_deref().unwrap_or("-");
            let away = a.interface.as_deref() != Some(a.home.as_str());
            vec![
                plain(a.address.to_string()),
                match a.state {
                    AddressState::Up => styled("up", Style::Good),
                    AddressState::Down => styled("DOWN", Style::Bad),
                },
                if away { styled(on, Style::Warn) } else { plain(on) },
                plain(&a.home),
            ]
        })
        .collect();
    table(&["ADDRESS", "STATE", "ON", "HOME"], &rows, "  ", colour)
}

fn unmanaged(list: &[Interface]) -> String {
    let mut out = String::new();
    for interface in list {
        for u in &interface.unmanaged {
            let text = format!("left alone: {} on {}, {}", u.address, interface.name, u.reason);
            out.push_str(&wrap(&text, "  ", "  "));
        }
    }
    out
}

fn render_lagg(lagg: &Lagg, colour: bool) -> String {
    let active = lagg.active.as_deref().unwrap_or("none");
    let mut out = format!("lagg {}: link {}, active port {active}\n", lagg.name, link(lagg.link).text);
    let rows: Vec<Vec<Cell>> = lagg
        .ports
        .iter()
        .map(|p| {
            let flags = p.flags.join(",");
            vec![plain(&p.name), state(p.state), link(p.link), probe(p.probe), plain(flags)]
        })
        .collect();
    out.push_str(&table(&["PORT", "STATE", "LINK", "PROBE", "FLAGS"], &rows, "  ", colour));
    out
}

fn carps(list: &[Carp], colour: bool) -> String {
    let rows: Vec<Vec<Cell>> = list
        .iter()
        .map(|c| {
            let on = c.interface.as_deref().or(c.group.as_deref()).unwrap_or("-");
            let addresses: Vec<String> = c.addresses.iter().map(ToString::to_string).collect();
            let addresses = fit(&addresses, 43).unwrap_or_default();
            vec![
                plain(format!("{}@{on}", c.vhid)),
                plain(&c.state),
                plain(c.advskew.to_string()),
                plain(c.demotion.to_string()),
                plain(addresses),
            ]
        })
        .collect();
    table(&["CARP", "STATE", "ADVSKEW", "DEMOTION", "ADDRESSES"], &rows, "", colour)
}

pub(crate) fn state(state: InterfaceState) -> Cell {
    match state {
        InterfaceState::Ok => styled("ok", Style::Good),
        InterfaceState::Failed => styled("FAILED", Style::Bad),
        InterfaceState::Offline => styled("offline", Style::Warn),
        InterfaceState::Unknown => styled("absent", Style::Warn),
    }
}

pub(crate) fn link(state: LinkState) -> Cell {
    match state {
        LinkState::Up => plain("up"),
        LinkState::Down => styled("DOWN", Style::Bad),
        LinkState::Unknown => plain("-"),
    }
}

fn probe(state: ProbeState) -> Cell {
    match state {
        ProbeState::Ok => plain("ok"),
        ProbeState::Failed => styled("FAILED", Style::Bad),
        ProbeState::Unknown => styled("no target", Style::Warn),
        ProbeState::Disabled => plain("off"),
    }
}

/// What the NIC is there for now.
fn role(i: &Interface) -> &'static str {
    match (i.state, i.active, i.standby) {
        (_, true, true) => "standby in use",
        (_, true, false) => "active",
        (InterfaceState::Ok, false, true) => "standby",
        (InterfaceState::Ok, false, false) => "idle",
        _ => "-",
    }
}

/// In the largest unit that needs no fraction beyond the second digit.
fn duration(ms: u64) -> String {
    if ms < 1000 {
        format!("{ms} ms")
    } else if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        let seconds = std::time::Duration::from_millis(ms).as_secs_f64();
        format!("{seconds:.2} s")
    }
}
