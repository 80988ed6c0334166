//! The program on the real daemon. Whether the limits hold is the affair of a measurement on a quiet machine; here
//! only what must be so under any load: the scenarios come to their end, and the status says what the data says.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_testkit::build_daemon;
use mpath_testkit::private::exclusive;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Runs the program; gives its one case.
fn measure(arguments: &[&str]) -> Value {
    build_daemon();
    let _turn = exclusive();
    let output = Command::new(env!("CARGO_BIN_EXE_mpath-bench"))
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let progress = String::from_utf8_lossy(&output.stderr);
    let mut data: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("no data: {e}\n{progress}"));
    let status = if data["ok"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(status), "{data:#}\n{progress}");
    let held = data["cases"][0]["checks"].as_object().unwrap().values().all(|check| check["ok"] == true);
    assert_eq!(data["ok"], held, "{data:#}");
    data["cases"][0].take()
}

#[track_caller]
fn assert_samples(case: &Value, key: &str) {
    let samples = case["measures"][key]["samples"].as_array().unwrap_or_else(|| panic!("no {key}: {case:#}"));
    assert_eq!(samples.len(), 2, "{key}");
    assert!(samples.iter().all(|sample| sample.as_f64() > Some(0.0)), "{key}: {samples:?}");
}

#[test]
fn a_cable_is_cut() {
    let case = measure(&["link", "--runs", "2"]);
    for key in ["first_ipv4_ms", "first_ipv6_ms", "first_ms", "told_ms"] {
        assert_samples(&case, key);
    }
}

#[test]
fn addresses_move_beside_the_floor() {
    let case = measure(&["addresses", "--counts", "3", "--runs", "2"]);
    // An observer that looks late sees all at once, so that a time can be zero.
    for key in ["present_ms", "announced_ms", "floor_present_ms", "floor_announced_ms"] {
        assert_eq!(case["measures"][key]["samples"].as_array().map(Vec::len), Some(2), "{key}: {case:#}");
    }
}

#[test]
fn a_path_falls_silent() {
    let case = measure(&["silent", "--runs", "2", "--fdt", "1s", "--rate", "200"]);
    for key in ["detection_ms", "detection_intervals", "repair_ms", "gap_ipv4_ms", "gap_ipv6_ms"] {
        assert_samples(&case, key);
    }
    assert_eq!(case["settings"]["failure_detection_time_ms"], 1000.0);
}
