//! `cargo xtask man`: the manual pages. What they say stands beside the command lines and the configuration reader; the tests
//! there that compare write instead when they are told to.

use crate::metadata::cargo;

/// Tells the tests to write.
const VARIABLE: &str = "MPATHD_WRITE_MAN";
/// The tests, by package.
const TESTS: [&str; 3] = ["mpathd", "mpathctl", "mpath-config"];

/// Writes the pages.
pub(crate) fn run() -> Result<(), String> {
    for package in TESTS {
        let mut command = cargo();
        command.args(["test", "--quiet", "--package", package, "manual_page_is_in_step"]).env(VARIABLE, "1");
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let status = command.status().map_err(|e| format!("cannot run cargo test: {e}"))?;
        if !status.success() {
            return Err(format!("the tests of {package} failed: {status}"));
        }
    }
    Ok(())
}
