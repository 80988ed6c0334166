//! `cargo xtask defects`: proof that the simulator finds what is wrong. Each patch in `crates/sim/defects` puts one defect
//! into the engine. One after another is applied to a copy of the last commit, and the simulator is run on it: plain worlds
//! first, then those in which the daemon is killed again and again. A defect that it does not find is an error.

use crate::metadata::{self, cargo};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Worlds of each kind in which a defect must show.
const WORLDS: &str = "10000";

/// `only`: parts of names; all patches if there are none.
pub(crate) fn run(only: &[OsString]) -> Result<(), String> {
    let only: Vec<&str> = only.iter().filter_map(|o| o.to_str()).collect();
    let patches = patches()?;
    let chosen = |p: &&PathBuf| only.is_empty() || only.iter().any(|o| name(p).contains(o));
    let target = metadata::read(&["--no-deps"])?.target_directory.join("defects");
    let copy = target.join("copy");
    fs::create_dir_all(&target).map_err(|e| format!("cannot create {}: {e}", target.display()))?;
    remove(&copy);
    git(Path::new(ROOT), &["worktree", "add", "--detach", "--force", path(&copy)?, "HEAD"])?;
    let outcomes: Vec<Result<(), String>> =
        patches.iter().filter(chosen).map(|patch| try_one(patch, &copy, &target)).collect();
    remove(&copy);
    let missed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n")) }
}

fn patches() -> Result<Vec<PathBuf>, String> {
    let dir = Path::new(ROOT).join("crates/sim/defects");
    let fail = |e| format!("cannot read {}: {e}", dir.display());
    let entries: Result<Vec<_>, _> = fs::read_dir(&dir).map_err(fail)?.collect();
    let mut all: Vec<PathBuf> = entries.map_err(fail)?.iter().map(fs::DirEntry::path).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "patch"));
    all.sort();
    Ok(all)
}

fn name(patch: &Path) -> String {
    patch.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not text", path.display()))
}

fn try_one(patch: &Path, copy: &Path, target: &Path) -> Result<(), String> {
    let name = name(patch);
    git(copy, &["checkout", "--quiet", "--", "."])?;
    git(copy, &["apply", path(patch)?]).map_err(|e| format!("{name} does not apply any more: {e}"))?;
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--package", "mpath-sim", "--target-dir"]).arg(target);
    let status = build.current_dir(copy).status().map_err(|e| format!("cannot run cargo build: {e}"))?;
    if !status.success() {
        return Err(format!("{name} does not build: {status}"));
    }
    for more in [&[][..], &["--churn"]] {
        let mut sim = Command::new(target.join("release/mpath-sim"));
        sim.args(["--seeds", WORLDS]).args(more).stderr(Stdio::null());
        let out = sim.output().map_err(|e| format!("cannot run mpath-sim: {e}"))?;
        if let Some(found) = found(&out) {
            println!(
                "{name}: found{}: {found}",
                more.first().map_or(String::new(), |m| format!(" with {m}"))
            );
            return Ok(());
        }
    }
    println!("{name}: NOT FOUND");
    Err(format!("{name} was not found in {WORLDS} worlds of each kind"))
}

/// What the simulator has to say of a broken invariant.
fn found(out: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().find_map(|l| l.strip_prefix("BROKEN INVARIANT: "));
    line.filter(|_| out.status.code() == Some(1)).map(|l| l.chars().take(160).collect())
}

fn remove(copy: &Path) {
    let _ = git(Path::new(ROOT), &["worktree", "remove", "--force", &copy.to_string_lossy()]);
    let _ = git(Path::new(ROOT), &["worktree", "prune"]);
}

fn git(dir: &Path, args: &[&str]) -> Result<(), String> {
    let out = Command::new("git").arg("-C").arg(dir).args(args).output();
    let out = out.map_err(|e| format!("cannot run git: {e}"))?;
    let why = || format!("git {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    if out.status.success() { Ok(()) } else { Err(why()) }
}
