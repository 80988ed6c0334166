//! A private temporary directory that goes away with its owner.

use crate::error::{Context, Error};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Memory, as the daemon's own default below /run is: on a busy disk, the daemon would wait for its state file.
const MEMORY: &str = "/dev/shm";

/// Makes names unique within the process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directory.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, for this user only: in `$TMPDIR` if that is set, else in memory where there is such a place.
    pub fn new() -> Result<Scratch, Error> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpath-testkit-{}-{number}", std::process::id());
        let path = base().join(name);
        // What an earlier process of the same id left behind.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .context(|| format!("make directory {} (TMPDIR chooses another place)", path.display()))?;
        Ok(Scratch(path))
    }

    /// A file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn base() -> PathBuf {
    let asked = std::env::var_os("TMPDIR").is_some();
    if !asked && Path::new(MEMORY).is_dir() { MEMORY.into() } else { std::env::temp_dir() }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
