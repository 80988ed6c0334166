//! The helper's work with real programs, in the process of the test.

use super::run;
use mpath_core::diag::Line;
use mpath_ipc::TimedEvent;
use mpath_model::event::{Event, EventKind, Level};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn script(dir: &Path, mode: u32, text: &str) -> PathBuf {
    let path = dir.join("event");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn event() -> TimedEvent {
    let event = Event {
        event: EventKind::NicFailed,
        interface: Some("eth0".to_owned()),
        group: None,
        message: "NIC failure detected on eth0".to_owned(),
    };
    TimedEvent { time: "2026-11-22T01:41:36.123+00:00".to_owned(), event }
}

fn run(program: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    run::program(program, &event(), run::LIMIT, |line| lines.push(line));
    lines
}

#[test]
fn a_program_gets_the_event_in_its_environment_and_on_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(
        dir.path(),
        0o755,
        "echo \"$MPATHD_EVENT $MPATHD_INTERFACE <$MPATHD_GROUP> $MPATHD_MESSAGE at $MPATHD_TIME\"; cat >&2; env | wc -l",
    );
    let lines = run(&program);
    assert!(lines.iter().all(|l| l.level == Level::Info), "{lines:?}");
    let texts: Vec<&str> = lines.iter().map(|l| l.text.strip_prefix("event program: ").unwrap()).collect();
    assert_eq!(texts[0], "nic_failed eth0 <> NIC failure detected on eth0 at 2026-11-22T01:41:36.123+00:00");
    let json: serde_json::Value = serde_json::from_str(texts[1]).unwrap();
    assert_eq!(json, serde_json::to_value(event()).unwrap());
    // PATH, PWD of the shell, and the five; nothing of the daemon's own.
    assert!(texts[2].trim().parse::<u32>().unwrap() <= 9, "{texts:?}");
}

#[test]
fn failures_and_floods_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let lines = run(&script(dir.path(), 0o755, "exit 3"));
    assert_eq!(
        (lines.len(), lines[0].level, lines[0].text.as_str()),
        (1, Level::Warning, "event program failed")
    );
    assert!(lines[0].fields.contains(&("status".to_owned(), "exit status: 3".to_owned())), "{lines:?}");

    let lines = run(&script(dir.path(), 0o755, "seq 1 100000"));
    assert_eq!(lines.len(), 33);
    assert!(lines[32].text.ends_with("(more output is not logged)"));

    for (mode, why) in [(0o775, "group or others may write it"), (0o644, "denied")] {
        let lines = run(&script(dir.path(), mode, "true"));
        assert_eq!((lines.len(), lines[0].level), (1, Level::Err), "{lines:?}");
        assert!(lines[0].fields.iter().any(|(_, v)| v.contains(why)), "{lines:?}");
    }
    assert_eq!(run(Path::new("/nonexistent/event"))[0].level, Level::Err);
}

#[test]
fn a_process_left_behind_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let before = std::time::Instant::now();
    let lines = run(&script(dir.path(), 0o755, "sleep 30 & echo $!"));
    assert!(before.elapsed() < run::LIMIT);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let left: i32 = lines[0].text.strip_prefix("event program: ").unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// With all that it has started.
#[test]
fn a_program_that_does_not_end_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(dir.path(), 0o755, "sleep 600 & echo $!; trap '' TERM; while :; do sleep 600; done");
    let (before, limit) = (std::time::Instant::now(), std::time::Duration::from_millis(500));
    let mut lines = Vec::new();
    run::program(&program, &event(), limit, |line| lines.push(line));
    assert!(before.elapsed() >= limit);
    assert_eq!(lines[1].level, Level::Warning);
    assert_eq!(lines[1].text, "event program killed after 0.5 s");
    let child = lines[0].text.strip_prefix("event program: ").unwrap();
    // Killed, and perhaps not yet reaped.
    let gone = || match fs::read_to_string(format!("/proc/{child}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')),
        Err(_) => true,
    };
    while !gone() {
        assert!(before.elapsed() < std::time::Duration::from_secs(60), "{child} lives");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(run::LIMIT.as_secs(), 10, "mpathd.toml(5) says so");
}
