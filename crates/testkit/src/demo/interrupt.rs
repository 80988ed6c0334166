//! Ctrl-C: ends the demo at once and removes its files, or, once the network is kept, lets it end in order.

use crate::error::{Context, Error};
use nix::sys::signal::{SigSet, Signal};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Exit status of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

#[derive(Default)]
struct State {
    /// Removed when the demo ends at once.
    directory: Option<PathBuf>,
    /// The network is kept: whoever waits is told instead.
    waiting: bool,
    came: bool,
}

/// Catches SIGINT, SIGTERM and SIGHUP for the whole process.
pub(super) struct Interrupt(Arc<(Mutex<State>, Condvar)>);

impl Interrupt {
    /// Must be called before other threads start: they inherit the blocked signals.
    pub(super) fn catch() -> Result<Interrupt, Error> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        signals.thread_block().context(|| "block signals")?;
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let watch = move || {
            while signals.wait().is_ok() {
                let mut state = lock(&theirs.0);
                if !state.waiting {
                    if let Some(directory) = state.directory.take() {
                        let _ = std::fs::remove_dir_all(directory);
                    }
                    std::process::exit(INTERRUPTED);
                }
                state.came = true;
                theirs.1.notify_all();
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(watch)
            .context(|| "start the thread that waits for signals")?;
        Ok(Interrupt(shared))
    }

    /// Directory to remove if the demo ends at once.
    pub(super) fn remove_at_end(&self, directory: PathBuf) {
        lock(&self.0.0).directory = Some(directory);
    }

    /// Waits for a signal; from now on it ends this wait instead of the program.
    pub(super) fn wait(&self) {
        let mut state = lock(&self.0.0);
        state.waiting = true;
        while !state.came {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
