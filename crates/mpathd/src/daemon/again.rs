//! SIGUSR2: the program runs itself again as soon as nothing would be lost by it.

use super::Daemon;
use crate::sandbox;
use mpath_linux::clock;
use mpath_model::event::Level;
use std::time::Duration;

/// How long a moment without open questions is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for.
pub(super) const LOOK: Duration = Duration::from_millis(1);
/// How long the log may take to be written out; probes wait meanwhile.
const FLUSH: Duration = Duration::from_millis(20);

impl Daemon {
    /// Runs the program file again if that was asked for and this is the moment. If it comes back it has failed, and
    /// everything goes on as before.
    pub(super) fn run_again(&mut self) {
        let now = clock::now();
        let Some(latest) = self.again else { return };
        // The next image knows of no trial: what was before it is put in force, and what follows from that waited for.
        if let Some(until) = self.trial_ends() {
            self.end_trial(until);
            self.again = Some(now + PATIENCE);
            return;
        }
        if now < latest && !(self.engine.at_rest(now) && self.time_left(now)) {
            return;
        }
        self.again = None;
        self.logger.say(Level::Info, "mpathd runs its program file again", &[]);
        self.logger.flush(FLUSH);
        self.end_recording();
        let mut left: Vec<_> = [self.lock.leave(), self.hooks.leave()].into_iter().flatten().collect();
        left.extend(sandbox::leave(&self.sandbox));
        let error = self.program.run_again(&self.engine, &left);
        self.recorder = crate::recorder::of(&self.options, &self.clock).unwrap_or_default();
        self.logger.say(Level::Err, error.to_string(), &[]);
    }

    /// Whether the next thing to do is not due at once: as much time as there can be for the next image to start.
    fn time_left(&self, now: mpath_model::Time) -> bool {
        self.engine.next_deadline().is_none_or(|t| t > now + LOOK)
    }
}
