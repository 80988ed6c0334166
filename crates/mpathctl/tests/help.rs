//! `--help` of every command, and the names of all commands, as they were agreed.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::process::Command;

fn help(command: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mpathctl"));
    let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
    let output = program.args(arguments).env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// The golden file holds the help of all commands; `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn every_help_is_as_agreed() {
    let main = help("");
    let listed = main.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let commands: Vec<String> = listed
        .filter_map(|l| l.split_whitespace().next())
        .filter(|c| *c != "help")
        .map(str::to_owned)
        .collect();
    let mut text = format!("$ mpathctl --help\n{main}");
    for command in &commands {
        // ifconfig takes every word for itself.
        if command != "ifconfig" {
            text.push_str(&format!("\n$ mpathctl {command} --help\n{}", help(command)));
        }
    }
    let text: String = text.lines().map(|l| format!("{}\n", l.trim_end())).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, golden, "if this is meant: UPDATE_GOLDEN=1 cargo test -p mpathctl --test help");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn every_command_of_the_contract_is_there() {
    let main = help("");
    for command in [
        "status",
        "watch",
        "top",
        "why",
        "plan",
        "offline",
        "online",
        "freeze",
        "thaw",
        "check",
        "reload",
        "save",
        "try",
        "confirm",
        "release",
        "ifconfig",
        "import",
        "wait-online",
        "doctor",
        "replay",
        "demo",
        "completions",
    ] {
        assert!(main.contains(&format!("\n  {command} ")), "{command}");
    }
}
