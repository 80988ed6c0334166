//! `cargo xtask defects`: proof that the simulator finds what is wrong. Each patch in `crates/sim/defects` puts one defect
//! into the engine. One after another is applied to a copy of the last commit, and the simulator is run on it: plain worlds
//! first, then those in which the daemon is killed again and again. A defect is found by a world that breaks with it and holds
//! without; one that is not found is an error.

use crate::metadata::{self, cargo};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Worlds of each kind in which a defect must show.
const WORLDS: u64 = 10_000;
/// Worlds in which the daemon is killed again and again have numbers from here on (`mpath-sim --churn`).
const CHURN: u64 = 1 << 62;

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
    let sound = build(&copy, &target, "sound").map_err(|e| format!("the simulator {e}"));
    let outcomes: Vec<Result<(), String>> = match &sound {
        Ok(sound) => patches.iter().filter(chosen).map(|p| try_one(p, &copy, &target, sound)).collect(),
        Err(e) => vec![Err(e.clone())],
    };
    remove(&copy);
    let missed: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n")) }
}

/// The simulator as the copy is now, under a name of its own.
fn build(copy: &Path, target: &Path, name: &str) -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--package", "mpath-sim", "--target-dir"]).arg(target);
    let status = build.current_dir(copy).status().map_err(|e| format!("cannot be built: {e}"))?;
    if !status.success() {
        return Err(format!("does not build: {status}"));
    }
    let kept = target.join(format!("mpath-sim-{name}"));
    fs::copy(target.join("release/mpath-sim"), &kept).map_err(|e| format!("cannot be kept: {e}"))?;
    Ok(kept)
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

fn try_one(patch: &Path, copy: &Path, target: &Path, sound: &Path) -> Result<(), String> {
    let name = name(patch);
    git(copy, &["checkout", "--quiet", "--", "."])?;
    git(copy, &["apply", path(patch)?]).map_err(|e| format!("{name} does not apply any more: {e}"))?;
    let defective = build(copy, target, "defective").map_err(|e| format!("{name} {e}"))?;
    for first in [0, CHURN] {
        let mut seeds = first..first + WORLDS;
        while let Some((seed, what)) = first_broken(&defective, seeds.start, seeds.end - seeds.start)? {
            if first_broken(sound, seed, 1)?.is_none() {
                println!("{name}: found after {} worlds: {what}", seed - first + 1);
                return Ok(());
            }
            println!("{name}: seed {seed} breaks without it as well");
            seeds.start = seed + 1;
        }
    }
    println!("{name}: NOT FOUND");
    Err(format!("{name} was not found in {WORLDS} worlds of each kind"))
}

/// The first of `count` worlds that breaks an invariant, and what the simulator has to say of it.
fn first_broken(sim: &Path, seed: u64, count: u64) -> Result<Option<(u64, String)>, String> {
    let fail = |e: &dyn std::fmt::Display| format!("cannot run {}: {e}", sim.display());
    let (seed, count) = (seed.to_string(), count.to_string());
    let mut run = Command::new(sim);
    run.args(["--seed", &seed, "--seeds", &count]).stderr(Stdio::null());
    let out = run.output().map_err(|e| fail(&e))?;
    if out.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let what = text.lines().find_map(|l| l.strip_prefix("BROKEN INVARIANT: "));
    let seed = what.and_then(|w| w.split_whitespace().nth(1)?.parse().ok());
    let found = seed.zip(what.map(|w| w.chars().take(160).collect()));
    found.ok_or_else(|| fail(&out.status)).map(Some)
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
