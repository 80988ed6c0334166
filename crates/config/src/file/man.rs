//! mpathd.toml(5): what each key means. The keys themselves are the reader's; a test holds the two together and the page
//! in docs/man to both. `cargo xtask man` writes the page.

use super::TABLES;
use std::fmt::Write as _;
use std::path::Path;

/// A key, its default, what it means.
type Key = (&'static str, &'static str, &'static str);

const TEXTS: &[(&str, &str, &[Key])] = &[
    (
        "[daemon]",
        "All keys are optional.",
        &[
            (
                "control_group",
                "none",
                "Unix group whose members may change things through the control socket. Root and the daemon's own user always may.",
            ),
            ("read_group", "none", "Unix group whose members may read."),
            (
                "on_event",
                "none",
                "Program run for each event, by its whole path: see EVENT PROGRAMS. It belongs to root or to the daemon's user, and nobody else may write it.",
            ),
            (
                "realtime",
                "false",
                "SCHED_FIFO and locked memory, for detection times of a few tens of milliseconds on a busy host. The unit has to permit it.",
            ),
            (
                "link_poll",
                "\"auto\"",
                "Carrier is polled beside the kernel's events, which can be a second late: \"auto\" is every millisecond for a second after any link event, else every 100ms, and never more than 0.1% of a core; a duration; or \"off\".",
            ),
            (
                "announce",
                "[\"0s\", \"20ms\", \"100ms\", \"500ms\", \"1s\", \"2s\", \"5s\", \"30s\"]",
                "When neighbours are told of an address that has moved, counted from the move.",
            ),
            ("announce_pace", "\"1ms\"", "Between two repeated announcements, at least."),
        ],
    ),
    (
        "[detection]",
        "What holds for groups that do not say otherwise; the failure_detection_time for laggs too. All keys are optional; the variables of /etc/default/mpathd \
         are the defaults.",
        &[
            (
                "failure_detection_time",
                "\"10s\"",
                "Within which a silent NIC has failed, 20ms to 1h. A probe is sent every seventh of it. A carrier that is gone is noticed at once.",
            ),
            ("failback", "true", "Addresses go home to a NIC that has been repaired."),
            ("track_interfaces_only_with_groups", "true", "NICs outside of groups are not watched."),
        ],
    ),
    (
        "[[group]]",
        "NICs on one link that stand in for each other.",
        &[
            ("name", "required", "1 to 31 characters."),
            ("failure_detection_time", "that of [detection]", "As there."),
            ("failback", "that of [detection]", "As there."),
            (
                "probe",
                "\"auto\"",
                "\"auto\": from test addresses where there are any, else without an address of their own; \"testaddress\": only from test addresses; \"link\": no probes.",
            ),
            (
                "targets",
                "[]",
                "Hosts that are probed. Without any, the next hops of the routes are, else neighbours.",
            ),
            (
                "adopt",
                "\"static\"",
                "Addresses found on members that move as if they were declared: \"static\": permanent ones; \"all\": also those of DHCPv4; \"none\".",
            ),
            (
                "confirm",
                "\"all\"",
                "A lost probe is followed by questions by every method (\"all\"), by ICMP (\"icmp\"), or not (\"off\", the letter of in.mpathd).",
            ),
            (
                "max_loss",
                "\"50%\"",
                "Share of its probes that a NIC may lose before its addresses move to a sibling that loses less than 10%.",
            ),
            (
                "max_rtt",
                "none",
                "Most that its fastest target may take to answer, 1ms to 60s, before its addresses move to a sibling that is quicker.",
            ),
            (
                "large_probes",
                "false",
                "Whether probes as large as the MTU go out too, one in each detection time, so that `mpathctl why` can tell \
                 of large frames that do not pass.",
            ),
            ("interface", "required", "The members: [[group.interface]]."),
            ("address", "none", "Data addresses: [[group.address]]."),
        ],
    ),
    (
        "[[group.interface]]",
        "A member. One that does not exist is waited for.",
        &[
            ("name", "required", "Name of the NIC."),
            (
                "test_addresses",
                "[]",
                "Addresses from which it is probed, which never move: an IPv4 address with prefix length, an IPv6 link-local one, or \"link-local\" for whatever the NIC has. Only their families are probed.",
            ),
            ("standby", "false", "Carries data only while another member cannot."),
        ],
    ),
    (
        "[[group.address]]",
        "A data address: installed by mpathd, moves.",
        &[
            ("address", "required", "With prefix length, in any subnet."),
            ("home", "the first member that is not standby", "Where it belongs."),
        ],
    ),
    (
        "[[lagg]]",
        "Several ports as one interface, as lagg(4) failover.",
        &[
            ("name", "required", "Name of the interface, which mpathd makes."),
            ("ports", "required", "The first is the primary."),
            ("addresses", "[]", "Addresses of the lagg, with prefix length."),
            ("backend", "\"auto\"", "\"bond\", \"redirect\", \"bridge\", or the best that the kernel has."),
            ("failback", "true", "Traffic goes back to an earlier port that is usable again."),
            ("failback_delay", "\"0s\"", "After it has been usable for so long."),
            ("rx_grace", "\"2s\"", "After a switch, frames are taken from the old port too for so long."),
            ("probe", "\"auto\"", "\"auto\" or \"link\": ports have no test addresses."),
            ("failure_detection_time", "that of [detection]", "As there."),
            ("targets", "[]", "As in [[group]]."),
        ],
    ),
    (
        "[[carp]]",
        "Addresses shared with other hosts, as carp(4).",
        &[
            ("interface", "this or group", "A NIC or a lagg."),
            ("group", "this or interface", "A group: adverts leave through an active member."),
            ("vhid", "required", "1 to 255, the same on all hosts."),
            (
                "passphrase_file",
                "none",
                "File whose first line is the passphrase, 19 octets of it. It belongs to root or to the daemon's user, who has to be able to read it, and is for nobody else.",
            ),
            (
                "credential",
                "none",
                "Name of a credential of systemd instead: LoadCredential= in a drop-in of the unit.",
            ),
            ("advbase", "1", "Seconds between adverts, 1 to 255."),
            ("advskew", "0", "1/256 seconds more, 0 to 254: the host with the least is preferred."),
            ("preempt", "false", "Takes over from a master that advertises less often."),
            ("vmac", "true", "The addresses answer with 00:00:5e:00:01:VHID."),
            ("peer", "none", "Unicast peer instead of 224.0.0.18."),
            ("peer6", "none", "Unicast peer instead of ff02::12."),
            (
                "replay",
                "\"loop\"",
                "Packets seen before: \"off\", \"loop\" (own ones that come back are dropped), \"strict\" (counters must rise; only if all hosts run mpathd).",
            ),
            ("addresses", "required", "Virtual addresses with prefix length, the same list on all hosts."),
        ],
    ),
];

const HEAD: &str = r#".\" Written by `cargo xtask man` from crates/config/src/file/man.rs.
.TH MPATHD.TOML 5 "" "mpathd" "File Formats"
.SH NAME
mpathd.toml \- configuration of mpathd
.SH SYNOPSIS
/etc/mpathd/mpathd.toml
.SH DESCRIPTION
A TOML file. Without it mpathd is idle. Durations are strings with a unit: "500ms", "10s", "1m30s". Keys that are not
listed here are errors. All errors are reported at once, with file, line and caret, and nothing is applied:
.B mpathctl check
looks at a file,
.B mpathctl reload
puts the one in /etc in force. What only the running host can show (a NIC that is absent, a test address that somebody else
holds) is no error but a state, which heals.
"#;

const TAIL: &str = r#".SH "EVENT PROGRAMS"
The program of
.B on_event
is run for each event, at most four at once and started in the order of the events, outside of the daemon's sandbox, as the
daemon's user and in the working directory /. After 10 seconds it is killed. What it prints goes to the log. If it does not keep
up, events are dropped and counted in the log. The environment holds PATH,
.BR MPATHD_EVENT ", " MPATHD_TIME ", " MPATHD_INTERFACE ", " MPATHD_GROUP " and " MPATHD_MESSAGE ;
the same stands on its standard input as one line of JSON with the keys
.IR time ", " event ", " interface ", " group " and " message .
Events are link_down, link_up, nic_failed, nic_repaired, failover, failback, group_failed, group_repaired, detection_time,
config, offline, online, lagg_switch, carp_state and alarm.
.SH EXAMPLE
.nf
[[group]]
name = "production"
failure_detection_time = "2s"

[[group.interface]]
name = "eth0"
test_addresses = ["192.0.2.11/24"]

[[group.interface]]
name = "eth1"
test_addresses = ["192.0.2.12/24"]
standby = true

[[group.address]]
address = "192.0.2.10/24"
home = "eth0"
.fi
.SH FILES
.TP
/etc/default/mpathd
FAILURE_DETECTION_TIME (milliseconds), FAILBACK and TRACK_INTERFACES_ONLY_WITH_GROUPS (yes or no), as in.mpathd has them.
mpathd.toml wins over them.
.SH "SEE ALSO"
.BR mpathd (8),
.BR mpathctl (8)
"#;

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (section, about, keys) in TEXTS {
        let _ = writeln!(page, ".SH \"{section}\"\n{}", escaped(about));
        for (key, default, text) in *keys {
            let _ = writeln!(
                page,
                ".TP\n.BR {key} \" (\" \"{}\" )\n{}",
                default.replace('"', "\\(dq"),
                escaped(text)
            );
        }
    }
    page + TAIL
}

#[test]
fn every_key_is_explained() {
    let explained: Vec<(&str, Vec<&str>)> =
        TEXTS.iter().map(|(section, _, keys)| (*section, keys.iter().map(|k| k.0).collect())).collect();
    let read: Vec<(&str, Vec<&str>)> =
        TABLES.iter().map(|(section, keys)| (*section, keys.to_vec())).collect();
    assert_eq!(explained, read);
}

#[test]
fn the_manual_page_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man/mpathd.toml.5");
    if std::env::var_os("MPATHD_WRITE_MAN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page(), "run `cargo xtask man`");
}
