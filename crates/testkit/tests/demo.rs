//! The demo as a whole, on the real daemon. Its limits are the demo's own affair; here only what must be so on a
//! machine of any load: every act ends as it should, and without a daemon the demo fails.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_testkit::build_daemon;
use mpath_testkit::private::exclusive;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Runs the demo, gives its exit status and its table.
fn demo(arguments: &[&str]) -> (Option<i32>, Value, String) {
    build_daemon();
    let _turn = exclusive();
    let exe = std::env::current_exe().unwrap();
    let program = exe.parent().unwrap().parent().unwrap().join("examples/demo");
    let output = Command::new(&program)
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let story = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("no table: {e}\n{story}"));
    (output.status.code(), table, story)
}

#[test]
fn every_act_ends_as_it_should() {
    let (status, table, story) = demo(&[]);
    let acts = table["acts"].as_array().unwrap();
    assert_eq!(acts.len(), 6, "{story}");
    for act in acts {
        assert_eq!(act["problem"], Value::Null, "{act}\n{story}");
        assert_eq!(act["tcp_survived"], true, "{act}\n{story}");
        assert!(act["sent"].as_u64() > Some(0), "{act}");
    }
    // The status says the same as the table.
    assert_eq!(status, Some(if table["ok"] == true { 0 } else { 1 }));
}

#[test]
fn without_a_daemon_it_fails() {
    let (status, table, story) = demo(&["--sabotage"]);
    assert_eq!(status, Some(1), "{story}");
    assert_eq!(table["ok"], false);
    let cut = &table["acts"][0];
    assert!(
        cut["outage_ms"].as_f64() > cut["limit_ms"].as_f64(),
        "the packets say so, not the daemon: {cut}"
    );
}
