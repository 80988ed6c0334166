//! What an operator types, against the real daemon in a private network.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "operator/ifconfig.rs"]
mod ifconfig;
#[path = "operator/planted.rs"]
mod planted;
#[path = "operator/quickstart.rs"]
mod quickstart;
#[path = "operator/replay.rs"]
mod replay;
#[path = "operator/tool.rs"]
mod tool;
#[path = "operator/trial.rs"]
mod trial;

use mpath_testkit::{Daemon, GroupConfig, Lan, LanOptions, poll_until, with_daemon};
use serde_json::Value;
use std::time::Duration;
use tool::Tool;

/// Generous: a loaded machine, not a measurement.
const SOON: Duration = Duration::from_secs(15);

fn world() -> (Lan, Daemon, Tool) {
    let lan = Lan::new(LanOptions::default()).unwrap();
    let daemon = Daemon::start(&lan.server, &GroupConfig::default().text()).unwrap();
    let tool = Tool::new(&daemon, &lan.server);
    tool.ctl(&["wait-online", "--timeout", "15s"]);
    // What has never answered is no evidence of a failure.
    let answered = |nic: &str| {
        let why: Value = serde_json::from_str(&tool.ctl(&["--json", "why", nic])).unwrap();
        let families = why["instances"].as_array().unwrap();
        !families.is_empty() && families.iter().all(|f| f["answered"].as_u64() > Some(0))
    };
    let all = poll_until(SOON, || (answered("eth0") && answered("eth1")).then_some(()));
    assert!(all.is_some(), "{}", tool.ctl(&["why", "eth0"]));
    (lan, daemon, tool)
}

/// A text on one line, wherever its lines were broken.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until a command's output contains `text`, wherever its lines are broken.
#[track_caller]
fn expect(tool: &Tool, args: &[&str], text: &str) {
    let mut last = String::new();
    let found = poll_until(SOON, || {
        last = tool.ctl(args);
        words(&last).contains(&words(text)).then_some(())
    });
    assert!(found.is_some(), "{args:?} never says '{text}': {last}");
}

#[test]
fn why_and_plan_name_a_silent_path_and_a_dead_cable() {
    with_daemon("why_and_plan_name_a_silent_path_and_a_dead_cable", || {
        let (lan, _daemon, tool) = world();
        expect(&tool, &["why", "eth0"], "its link is up and its probes are answered");
        let plan: Value = serde_json::from_str(&tool.ctl(&["--json", "plan", "eth0"])).unwrap();
        assert_eq!(plan["addresses"][0]["to"], "eth1", "{plan}");

        lan.blackhole(0).unwrap();
        expect(&tool, &["why", "eth0"], "eth0 of group production: FAILED, link up");
        let why = tool.ctl(&["why", "eth0"]);
        assert!(why.contains("probes are unanswered") && why.contains("192.0.2.1 "), "{why}");
        assert!(why.contains("NIC failure detected on eth0 of group production"), "{why}");
        lan.heal(0).unwrap();
        expect(&tool, &["why", "eth0"], "eth0 of group production: ok");

        lan.cut(1).unwrap();
        expect(&tool, &["why", "eth1"], "because its link is down");
        assert!(tool.ctl(&["status"]).contains("NO SPARE: eth0 is the only usable NIC"));
        assert_eq!(tool.run("mpathctl", &["status", "--exit-code"]).code, 1);
        let run = tool.run("mpathctl", &["why", "eth9"]);
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains("eth9"), "{run:?}");
    });
}

#[test]
fn the_programs_of_solaris_answer_by_name() {
    with_daemon("the_programs_of_solaris_answer_by_name", || {
        let (_lan, _daemon, tool) = world();
        let list = tool.run("ipmpstat", &["-g", "-P", "-o", "group,state,interfaces"]);
        assert_eq!((list.code, list.out.as_str()), (0, "production:ok:eth0 eth1\n"), "{list:?}");
        let offline = tool.run("if_mpadm", &["-d", "eth0"]);
        assert_eq!((offline.code, offline.out.as_str()), (0, ""), "{offline:?}");
        let again = tool.run("if_mpadm", &["-d", "eth0"]);
        assert_eq!((again.code, again.err.as_str()), (1, "Interface already offlined\n"));
        let last = tool.run("if_mpadm", &["-d", "eth1"]);
        assert!(last.code == 1 && last.err.starts_with("Offline failed as there is no other"), "{last:?}");
        let list = tool.run("ipmpstat", &["-i"]);
        assert!(list.out.contains("eth0        no      production  -----d-   up"), "{list:?}");
        assert_eq!(tool.run("if_mpadm", &["-r", "eth0"]).code, 0);
        let usage = tool.run("if_mpadm", &["-x"]);
        assert_eq!(usage.err, "Usage : if_mpadm [-d | -r] <interface_name>\n");

        let mut probes =
            tool.command("ipmpstat", &["-pn"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(probes.stdout.take().unwrap()));
        let header = lines.next().unwrap().unwrap();
        assert!(header.starts_with("TIME      INTERFACE   PROBE"), "{header}");
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("eth") && line.contains("ms"), "{line}");
        drop(lines);
        // Nobody reads any more: it ends by itself, and that is no failure.
        let ended = poll_until(SOON, || probes.try_wait().unwrap());
        assert_eq!(ended.and_then(|s| s.code()), Some(0));
    });
}

#[test]
fn freeze_holds_a_probe_verdict_back_until_thaw() {
    with_daemon("freeze_holds_a_probe_verdict_back_until_thaw", || {
        let (lan, _daemon, tool) = world();
        expect(&tool, &["why", "eth0"], "its link is up and its probes are answered");
        tool.ctl(&["freeze", "--for", "10m"]);
        assert!(tool.ctl(&["status"]).contains("FROZEN"));
        lan.blackhole(0).unwrap();
        expect(&tool, &["why", "eth0"], "eth0 of group production: FAILED");
        assert_eq!(lan.server.holders(mpath_testkit::lan::DATA4), ["eth0"]);
        tool.ctl(&["thaw"]);
        let moved =
            poll_until(SOON, || (lan.server.holders(mpath_testkit::lan::DATA4) == ["eth1"]).then_some(()));
        assert!(moved.is_some(), "{}", tool.ctl(&["status"]));
    });
}
