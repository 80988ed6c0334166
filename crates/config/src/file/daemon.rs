//! `[daemon]`

use super::reader::{Cx, Table};
use crate::duration;
use mpath_model::settings::{Daemon, LinkPoll};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const KEYS: &[&str] =
    &["control_group", "read_group", "on_event", "realtime", "link_poll", "announce", "announce_pace"];

/// Periods of carrier polling that make sense: below, the poll eats the core; above, it sees nothing in time.
const POLL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// Times after a move at which announcing still helps.
const ANNOUNCE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Between two repeated announcements: a thousand a second by default, a switch's own limits are of that order.
const PACE: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_secs(1);

const LINK_POLL: &str = "link_poll";

/// Entries of `announce`.
const MOST_ANNOUNCE: usize = 32;

pub(super) fn read(cx: &mut Cx<'_>, table: &Table<'_>) -> Daemon {
    let default = Daemon::default();
    Daemon {
        control_group: unix_group(cx, table, "control_group"),
        read_group: unix_group(cx, table, "read_group"),
        on_event: program(cx, table),
        realtime: table.boolean(cx, "realtime").unwrap_or(default.realtime),
        link_poll: link_poll(cx, table).unwrap_or(default.link_poll),
        announce_pace: pace(cx, table).unwrap_or(default.announce_pace),
        announce: if table.has("announce") { announce(cx, table) } else { default.announce },
    }
}

fn unix_group(cx: &mut Cx<'_>, table: &Table<'_>, key: &str) -> Option<String> {
    let name = table.string(cx, key)?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if name.value.is_empty() || name.value.contains(bad) {
        cx.error(
            name.span,
            format!("`{key}`: \"{}\" is not the name of a Unix group", name.value.escape_debug()),
        );
        return None;
    }
    Some(name.value.to_owned())
}

fn program(cx: &mut Cx<'_>, table: &Table<'_>) -> Option<PathBuf> {
    let path = table.string(cx, "on_event")?;
    if !path.value.starts_with('/') || path.value.contains('\0') {
        let message = format!("`on_event`: \"{}\" is not an absolute path", path.value.escape_debug());
        cx.error(path.span, message).help("write the whole path, like \"/etc/mpathd/event\"");
        return None;
    }
    Some(PathBuf::from(path.value))
}

fn link_poll(cx: &mut Cx<'_>, table: &Table<'_>) -> Option<LinkPoll> {
    match table.peek(LINK_POLL) {
        Some("auto") => Some(LinkPoll::Auto),
        Some("off") => Some(LinkPoll::Off),
        Some(word) if !word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            let message = format!("`{LINK_POLL}` in [daemon] cannot be \"{}\"", word.escape_debug());
            cx.error(table.span_of(LINK_POLL).unwrap_or_default(), message)
                .help("write \"auto\", \"off\" or a duration like \"10ms\"");
            None
        }
        _ => table.duration(cx, LINK_POLL, &POLL).map(|at| LinkPoll::Every(at.value)),
    }
}

fn pace(cx: &mut Cx<'_>, table: &Table<'_>) -> Option<Duration> {
    table.duration(cx, "announce_pace", &PACE).map(|at| at.value)
}

fn announce(cx: &mut Cx<'_>, table: &Table<'_>) -> Vec<Duration> {
    let times = table.durations(cx, "announce", &ANNOUNCE);
    for pair in times.windows(2) {
        if pair[0].value >= pair[1].value {
            let (a, b) = (duration::format(pair[0].value), duration::format(pair[1].value));
            cx.error(pair[1].span.clone(), format!("`announce`: {b} does not come after {a}"))
                .help("write the times after the move in rising order");
        }
    }
    let span = table.span_of("announce").unwrap_or_default();
    if times.len() > MOST_ANNOUNCE {
        cx.error(span, format!("`announce` has {} times, at most {MOST_ANNOUNCE} are possible", times.len()));
    } else if times.is_empty() {
        cx.warn(span, "announce is empty: neighbours are not told when an address moves");
    }
    times.into_iter().map(|at| at.value).collect()
}
