//! `cargo demo`: builds the two programs as they would be installed, then becomes `mpathctl demo`.

use crate::metadata::{self, cargo};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Returns only if something fails before the demo starts; then its exit status is ours.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let target = metadata::read(&["--no-deps"])?.target_directory;
    eprintln!("Building mpathd and mpathctl in release mode (some minutes the first time) ...");
    let mut build = cargo();
    build.args(["build", "--release", "--package", "mpathd", "--package", "mpathctl"]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let status = build.status().map_err(|e| format!("cannot run cargo build: {e}"))?;
    if !status.success() {
        return Err(format!("cargo build failed: {status}"));
    }
    let program = target.join("release/mpathctl");
    let error = Command::new(&program).arg("demo").args(args).exec();
    Err(format!("cannot run {}: {error}", program.display()))
}
