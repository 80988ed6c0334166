//! A private temporary directory that goes away with its owner.

use crate::error::{Context, Error};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes names unique within the process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The directory.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, for this user only.
    pub(super) fn new() -> Result<Scratch, Error> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpath-testkit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of the same id left behind.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .context(|| format!("make directory {} (TMPDIR chooses another place)", path.display()))?;
        Ok(Scratch(path))
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
