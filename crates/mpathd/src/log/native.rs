//! The journal's own protocol (systemd.journal-fields(7)): one datagram an entry, a field a line. Names and message ids
//! are stable, for `journalctl MPATHD_INTERFACE=eth0` and `journalctl MESSAGE_ID=...`.

use super::{Timed, one_line, priority};
use mpath_model::event::EventKind;
use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Each kind of event under an id of its own (sd_id128(3)). docs/operations.md lists them too.
pub(crate) fn message_id(event: EventKind) -> &'static str {
    match event {
        EventKind::LinkDown => "7a1f0c52d3ae4f0c9b6e5d1c08f4a201",
        EventKind::LinkUp => "7a1f0c52d3ae4f0c9b6e5d1c08f4a202",
        EventKind::NicFailed => "7a1f0c52d3ae4f0c9b6e5d1c08f4a203",
        EventKind::NicRepaired => "7a1f0c52d3ae4f0c9b6e5d1c08f4a204",
        EventKind::Failover => "7a1f0c52d3ae4f0c9b6e5d1c08f4a205",
        EventKind::Failback => "7a1f0c52d3ae4f0c9b6e5d1c08f4a206",
        EventKind::GroupFailed => "7a1f0c52d3ae4f0c9b6e5d1c08f4a207",
        EventKind::GroupRepaired => "7a1f0c52d3ae4f0c9b6e5d1c08f4a208",
        EventKind::DetectionTime => "7a1f0c52d3ae4f0c9b6e5d1c08f4a209",
        EventKind::Config => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20a",
        EventKind::Offline => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20b",
        EventKind::Online => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20c",
        EventKind::LaggSwitch => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20d",
        EventKind::CarpState => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20e",
        EventKind::Alarm => "7a1f0c52d3ae4f0c9b6e5d1c08f4a20f",
    }
}

/// Sends an entry.
pub(super) fn send(socket: &UnixDatagram, entry: &Timed) -> io::Result<()> {
    socket.send(text(entry).as_bytes()).map(drop)
}

/// The fields. Values are one line each, so that none can pass for another field.
fn text(entry: &Timed) -> String {
    let line = &entry.line;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}={}", one_line(value));
    };
    field("MESSAGE", &line.text);
    field("PRIORITY", &priority(line.level).to_string());
    field("SYSLOG_FACILITY", "3");
    field("SYSLOG_IDENTIFIER", "mpathd");
    for (key, value) in &line.fields {
        field(&name(key), value);
    }
    if let Some(event) = &entry.event {
        field("MESSAGE_ID", message_id(event.event));
        let kind = serde_json::to_value(event.event).ok();
        field("MPATHD_EVENT", kind.as_ref().and_then(|k| k.as_str()).unwrap_or_default());
        for (key, value) in [("MPATHD_INTERFACE", &event.interface), ("MPATHD_GROUP", &event.group)] {
            if let Some(value) = value {
                field(key, value);
            }
        }
    }
    text
}

/// `cause` becomes `MPATHD_CAUSE`.
fn name(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("MPATHD_{}", key.chars().map(plain).collect::<String>())
}
