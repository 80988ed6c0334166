//! Ctrl-C: ends the program at once and removes the daemon's files; namespaces and daemon go with the process.

use mpath_testkit::Error;
use nix::sys::signal::{SigSet, Signal};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Exit status of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Catches SIGINT, SIGTERM and SIGHUP for the whole process.
pub(crate) struct Interrupt(Arc<Mutex<Vec<PathBuf>>>);

impl Interrupt {
    /// Must be called before other threads start: they inherit the blocked signals.
    pub(crate) fn catch() -> Result<Interrupt, Error> {
        let mut signals = SigSet::empty();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|s| signals.add(s));
        signals.thread_block().map_err(|e| Error::new("block signals", e))?;
        let shared = Arc::new(Mutex::new(Vec::<PathBuf>::new()));
        let theirs = Arc::clone(&shared);
        let watch = move || {
            if signals.wait().is_ok() {
                for directory in theirs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    let _ = std::fs::remove_dir_all(directory);
                }
                std::process::exit(INTERRUPTED);
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .map_err(|e| Error::new("start the thread that waits for signals", e))?;
        Ok(Interrupt(shared))
    }

    /// One more directory to remove if the program is ended.
    pub(crate) fn remove_at_end(&self, directory: PathBuf) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
    }
}
