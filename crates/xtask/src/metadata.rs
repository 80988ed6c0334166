//! What `cargo metadata` says of the workspace, as far as it is needed here.

use serde::Deserialize;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Packages, those of the workspace and those it depends on.
    pub(crate) packages: Vec<Package>,
    /// Where cargo builds, CARGO_TARGET_DIR respected.
    pub(crate) target_directory: PathBuf,
    /// Where the root Cargo.toml is.
    pub(crate) workspace_root: PathBuf,
}

/// A package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Name.
    pub(crate) name: String,
    /// Version.
    pub(crate) version: String,
    /// SPDX expression.
    pub(crate) license: Option<String>,
    /// Registry or repository; none for packages of the workspace.
    pub(crate) source: Option<String>,
    /// What its Cargo.toml asks for.
    #[cfg_attr(not(test), allow(dead_code, reason = "only the arrows are tested with it"))]
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as a Cargo.toml names it.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(test), allow(dead_code, reason = "only the arrows are tested with it"))]
pub(crate) struct Dependency {
    /// Package name.
    pub(crate) name: String,
    /// None, `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Directory, for packages of the workspace.
    pub(crate) path: Option<PathBuf>,
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Asks cargo. With `extra` empty all packages are listed, also those of other platforms.
pub(crate) fn read(extra: &[&str]) -> Result<Metadata, String> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]).args(extra);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cannot run cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cannot read what cargo metadata says: {e}"))
}
