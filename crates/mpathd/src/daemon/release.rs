//! `mpathd --release`: everything that an earlier run has installed is taken back, then the program ends.

use super::{Daemon, Woken};
use mpath_linux::clock;
use mpath_model::event::Level;
use std::io;
use std::time::Duration;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Daemon {
    /// Runs until nothing is left; false if something still is when patience is at its end.
    pub(crate) fn release(&mut self) -> io::Result<bool> {
        self.resynchronise();
        self.drain_queue();
        let end = clock::now() + PATIENCE;
        while !self.engine.released() {
            if clock::now() >= end {
                return Ok(false);
            }
            let deadline = self.deadline().map_or(end, |t| t.min(end));
            self.sources.wait(Some(deadline))?;
            for woken in self.sources.woken() {
                if let Woken::Kernel = woken {
                    self.kernel_events();
                }
            }
            self.time();
        }
        if let Err(error) = self.journal.forget() {
            self.logger.say(Level::Err, error.to_string(), &[]);
        }
        self.logger.say(Level::Info, "everything is as it was found", &[]);
        Ok(true)
    }
}
