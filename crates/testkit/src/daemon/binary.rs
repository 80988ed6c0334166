//! Finding the daemon's program, and building it for tests.

use crate::error::{Context, Error};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names the program that is to be used.
const VARIABLE: &str = "MPATHD_BIN";

/// The daemon's program: `$MPATHD_BIN`, else beside the running program,
/// else in `$PATH`.
pub fn find_daemon() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let exe = std::env::current_exe().context(|| "find the running program")?;
    // Test binaries live one directory below, in `deps`; packages put daemons into sbin.
    let dir = exe.parent().unwrap_or(Path::new("/"));
    let beside = ["mpathd", "../mpathd", "../sbin/mpathd"].map(|name| dir.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|dir| dir.join("mpathd"));
    let mut all = beside.into_iter().chain(in_path);
    all.find(|candidate| candidate.is_file()).ok_or_else(|| {
        let dir = dir.display();
        Error::new(
            "find the program mpathd",
            format!("it is neither in {dir} nor in $PATH; install it there or set {VARIABLE}"),
        )
    })
}

/// For tests: makes sure that the program beside the test binary exists and is not older than the sources.
///
/// # Panics
/// If it cannot be built.
pub fn build_daemon() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let Some(cargo) = std::env::var_os("CARGO").filter(|_| std::env::var_os(VARIABLE).is_none()) else {
            return;
        };
        let exe = std::env::current_exe().expect("the test binary has a path");
        let Some(profile_dir) =
            exe.ancestors().find(|dir| !dir.ends_with("deps") && dir.join("deps").is_dir())
        else {
            return;
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if !is_stale(&profile_dir.join("mpathd"), &root.join("crates")) {
            return;
        }
        let _turn = crate::private::exclusive();
        let profile = match profile_dir.file_name() {
            Some(name) if name != "debug" => name,
            _ => OsStr::new("dev"),
        };
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--package", "mpathd", "--profile"])
            .arg(profile)
            .arg("--target-dir")
            .arg(profile_dir.parent().unwrap_or(profile_dir))
            .current_dir(&root)
            .stdin(Stdio::null())
            .output();
        let output = output.unwrap_or_else(|e| panic!("run cargo build -p mpathd: {e}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo build -p mpathd: {}\n{errors}", output.status);
    });
}

/// Whether the program is missing or older than a source file of the crates it is made of.
fn is_stale(program: &Path, crates: &Path) -> bool {
    let Ok(built) = fs::metadata(program).and_then(|m| m.modified()) else {
        return true;
    };
    let parts = ["model", "wire", "core", "config", "ipc", "linux", "mpathd"];
    let mut sources = parts.iter().map(|part| crates.join(part).join("src"));
    sources.any(|dir| newer(&dir, built))
}

/// Whether a file below `dir` changed after `time`.
fn newer(dir: &Path, time: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => newer(&entry.path(), time),
        Ok(_) => entry.metadata().and_then(|m| m.modified()).is_ok_and(|changed| changed > time),
        Err(_) => false,
    })
}
