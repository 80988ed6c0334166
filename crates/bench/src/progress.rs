//! How far the measurement is, on stderr: one line that changes on a terminal, else one line a run.

use std::io::{self, IsTerminal, Write};

/// Tells of the runs of one case.
pub(crate) struct Progress {
    case: String,
    runs: u32,
    terminal: bool,
}

impl Progress {
    /// `case` is what is measured, in a few words.
    pub(crate) fn new(case: String, runs: u32) -> Progress {
        let progress = Progress { case, runs, terminal: io::stderr().is_terminal() };
        progress.say(&format!("{}: building the network", progress.case));
        progress
    }

    /// A run is over.
    pub(crate) fn done(&self, run: u32, text: &str) {
        self.say(&format!("{}: {run} of {}: {text}", self.case, self.runs));
    }

    /// What must stay on the screen.
    pub(crate) fn note(&self, text: &str) {
        self.clear();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A reader that has gone away is no reason to stop.
    fn say(&self, text: &str) {
        self.clear();
        let end = if self.terminal { "" } else { "\n" };
        let _ = write!(io::stderr(), "{text}{end}");
        let _ = io::stderr().flush();
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
