//! The program as scripts see it: output, stderr, exit status.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use mpath_ipc::message::{BadCall, Call, Reply, Request, ServiceInfo, TimedEvent};
use mpath_ipc::{Failure, Framer, Problem};
use mpath_model::{Event, EventKind, Status};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

fn mpathctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpathctl"));
    command.args(args).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = mpathctl(args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A daemon in name only: answers each call of one connection from `answer`.
fn daemon(path: &Path, answer: impl Fn(Request) -> Vec<u8> + Send + 'static) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut framer = Framer::new(mpath_ipc::MAX_REQUEST);
        let mut chunk = [0u8; 4096];
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            framer.feed(&chunk[..n]);
            while let Some(message) = framer.next_message().unwrap() {
                let bytes = match Call::decode(message) {
                    Ok(Call { request: Request::GetInfo, .. }) => {
                        Reply::Info(ServiceInfo::mpathd("1")).encode()
                    }
                    Ok(call) => answer(call.request),
                    Err(BadCall::Answer(failure)) => failure.encode(),
                    Err(BadCall::Malformed(why)) => panic!("{why}"),
                };
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        }
    })
}

fn one_line(stderr: &str, path: &Path) {
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("mpathctl: ") && stderr.contains(path.to_str().unwrap()), "{stderr}");
}

#[test]
fn no_daemon_is_one_clear_line_and_3() {
    let dir = dir();
    let path = dir.path().join("mpathd.sock");
    let socket = path.to_str().unwrap();
    for command in [&["status"][..], &["watch"], &["offline", "eth0"], &["online", "eth0"], &["reload"]] {
        let (code, out, err) = run(&[command, &["--socket", socket]].concat());
        assert_eq!((code, out.as_str()), (3, ""));
        one_line(&err, &path);
    }
    drop(UnixListener::bind(&path).unwrap());
    let (code, _, err) = run(&["--socket", socket, "status"]);
    assert_eq!(code, 3);
    assert!(err.contains("nobody listens"), "{err}");
    one_line(&err, &path);

    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let foreign = thread::spawn(move || {
        let (mut stream, _): (UnixStream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0u8; 100]);
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n\0");
    });
    let (code, _, err) = run(&["--socket", socket, "status"]);
    assert_eq!(code, 3);
    assert!(err.contains("not mpathd's socket"), "{err}");
    one_line(&err, &path);
    foreign.join().unwrap();
}

#[test]
fn ifconfig_ends_like_every_other_command() {
    let dir = dir();
    let nobody = dir.path().join("nobody.sock");
    let ifconfig =
        |words: &[&str]| run(&[&["--socket", nobody.to_str().unwrap(), "ifconfig"], words].concat());
    for (words, status) in [(&["eth0", "group", "g"][..], 3), (&["-x"], 2), (&["eth0", "nonsense"], 2)] {
        let (code, stdout, stderr) = ifconfig(words);
        assert_eq!((code, stdout.as_str()), (status, ""), "{words:?}: {stderr}");
        assert!(stderr.starts_with("ifconfig: ") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn status_prints_text_or_the_snapshot() {
    let status = Status { version: "7.7".to_owned(), ..Status::default() };
    for (args, expect) in [
        (&["status", "--exit-code"][..], "mpathd 7.7\n\nNo group is configured"),
        (&["status", "--json"], "{\n  \"version\": \"7.7\",\n  \"unsaved\": false,\n  \"frozen\": false,\n"),
    ] {
        let dir = dir();
        let path = dir.path().join("s");
        let status = status.clone();
        let daemon = daemon(&path, move |_| Reply::Status(Box::new(status.clone())).encode());
        let (code, out, err) = run(&[args, &["--socket", path.to_str().unwrap()]].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with(expect), "{out}");
        assert!(!out.contains('\x1b'));
        daemon.join().unwrap();
    }
}

#[test]
fn refusals_are_1_and_bad_configuration_is_2() {
    let refused = Failure::Refused {
        reason: "no_other_interface".to_owned(),
        message: "eth0 is the last usable NIC of its group".to_owned(),
    };
    let problem =
        Problem { message: "m".to_owned(), text: "error: m\n --> f:1:2".to_owned(), ..Problem::default() };
    let config = Failure::ConfigError { errors: vec![problem] };
    for (args, failure, code, out_has, err_has) in [
        (
            &["offline", "eth0"][..],
            refused.clone(),
            1,
            "",
            "mpathctl: eth0 is the last usable NIC of its group\n",
        ),
        (
            &["reload"],
            config.clone(),
            2,
            "",
            "error: m\n --> f:1:2\n\nmpathctl: the configuration has 1 error",
        ),
        (&["reload", "--json"], config, 2, "\"text\": \"error: m\\n --> f:1:2\"", ""),
    ] {
        let dir = dir();
        let path = dir.path().join("s");
        let daemon = daemon(&path, move |_| failure.encode());
        let (got, out, err) = run(&[args, &["--socket", path.to_str().unwrap()]].concat());
        assert_eq!(got, code, "{err}");
        assert!(out.contains(out_has) && err.starts_with(err_has), "{out}{err}");
        daemon.join().unwrap();
    }
}

#[test]
fn watch_prints_lines_until_nobody_reads() {
    let dir = dir();
    let path = dir.path().join("s");
    let event = TimedEvent {
        time: "2026-11-22T00:00:00.000+00:00".to_owned(),
        event: Event {
            event: EventKind::LinkDown,
            interface: Some("eth0".to_owned()),
            group: None,
            message: "The link has gone down on eth0".to_owned(),
        },
    };
    let expect = serde_json::to_string(&event).unwrap() + "\n";
    // Far more than a pipe holds, so that mpathctl finds out that nobody reads.
    let many = Reply::Event(event).encode().repeat(10_000);
    let daemon = daemon(&path, move |_| many.clone());
    let socket = path.to_str().unwrap();
    let mut child = mpathctl(&["--json", "watch", "--socket", socket])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = vec![0u8; expect.len()];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(String::from_utf8(first).unwrap(), expect);
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
    daemon.join().unwrap();
}

#[test]
fn check_shows_every_error_with_its_place() {
    let dir = dir();
    let good = dir.path().join("good.toml");
    std::fs::write(&good, "[detection]\nfailure_detection_time = \"2s\"\n").unwrap();
    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, "[detection]\nfailure_detection_time = \"2\"\nfailbackk = true\n").unwrap();
    let missing = dir.path().join("missing.toml");
    let (good, bad, missing) = (good.to_str().unwrap(), bad.to_str().unwrap(), missing.to_str().unwrap());

    let (code, out, err) = run(&["check", good]);
    assert_eq!((code, out, err.as_str()), (0, format!("{good}: ok\n"), ""));

    let (code, out, err) = run(&["check", good, bad, missing]);
    assert_eq!((code, out), (2, format!("{good}: ok\n")));
    assert!(err.contains("bad.toml:2:") && err.contains("bad.toml:3:") && err.contains('^'), "{err}");
    assert!(err.contains("missing.toml"), "{err}");

    let (code, out, err) = run(&["--json", "check", bad]);
    assert_eq!((code, err.as_str()), (2, ""));
    let list: Vec<Problem> = serde_json::from_str(&out).unwrap();
    assert_eq!(list.iter().map(|p| p.line).collect::<Vec<_>>(), [Some(2), Some(3)]);

    let (code, out, _) = run(&["--json", "check", good]);
    assert_eq!((code, out.as_str()), (0, "[]\n"));
}

#[test]
fn the_configuration_in_the_readme_is_right() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (toml, _) = rest.split_once("```").unwrap();
    let dir = dir();
    let file = dir.path().join("mpathd.toml");
    std::fs::write(&file, toml).unwrap();
    let (code, _, err) = run(&["check", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn help_teaches_and_usage_is_2() {
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:") && out.contains("mpathctl offline eth0"), "{out}");
    let (code, _, err) = run(&["explode"]);
    assert_eq!(code, 2);
    assert!(err.contains("explode"), "{err}");
}

#[test]
fn an_import_as_json_holds_the_file_and_the_notes() {
    let dir = dir();
    let file = dir.path().join("hostname.hme0");
    std::fs::write(&file, "192.0.2.10/24 group production up\n").unwrap();
    let (code, plain, _) = run(&["import", file.to_str().unwrap()]);
    assert_eq!(code, 0);
    let (code, text, notes) = run(&["--json", "import", file.to_str().unwrap()]);
    assert_eq!((code, notes.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["configuration"], plain);
    assert!(value["notes"].is_array());
}

#[test]
fn wait_online_as_json_tells_who_is_missing() {
    use mpath_model::status::{Group, GroupState};
    let dir = dir();
    let group = Group {
        name: "production".to_owned(),
        state: GroupState::Failed,
        failure_detection_time_ms: 10_000,
        requested_failure_detection_time_ms: 10_000,
        failback: true,
        interfaces: vec![],
        addresses: vec![],
    };
    for (groups, code, missing) in [(vec![], 0, vec![]), (vec![group], 1, vec!["group production"])] {
        let path = dir.path().join(code.to_string());
        let status = Status { groups, ..Status::default() };
        let served = daemon(&path, move |_| Reply::Status(Box::new(status.clone())).encode());
        let run = run(&["--json", "--socket", path.to_str().unwrap(), "wait-online", "--timeout", "0s"]);
        assert_eq!(run.0, code, "{run:?}");
        let value: serde_json::Value = serde_json::from_str(&run.1).unwrap();
        assert_eq!(value, serde_json::json!({ "missing": missing }));
        served.join().unwrap();
    }
}

#[test]
fn an_import_again_finds_its_passphrases_and_an_error_leaves_none() {
    let dir = dir();
    let file = dir.path().join("rc.conf");
    let keys = dir.path().join("keys");
    let vhid = |n: u8, pass: &str| {
        format!("ifconfig_em{n}_alias0=\"inet vhid 1 pass {pass} alias 192.0.2.1{n}/32\"\n")
    };
    let import = || run(&["import", file.to_str().unwrap(), "--keys", keys.to_str().unwrap()]);
    std::fs::write(&file, vhid(1, "one")).unwrap();
    assert_eq!(import().0, 0);
    assert_eq!(import().0, 0, "the same again");
    let text = |name: &str| std::fs::read_to_string(keys.join(name)).ok();
    assert_eq!(text("carp-em1-1.key").as_deref(), Some("one\n"));
    // Another passphrase of that name is not overwritten, and nothing new stays beside it.
    std::fs::write(&file, vhid(0, "two") + &vhid(1, "three")).unwrap();
    let (code, out, err) = import();
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert_eq!(text("carp-em1-1.key").as_deref(), Some("one\n"));
    assert_eq!(text("carp-em0-1.key"), None);
}
