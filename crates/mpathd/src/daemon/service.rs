//! The service manager: readiness and watchdog (sd_notify(3)). Without one nothing is sent.

use mpath_linux::clock;
use mpath_model::Time;
use sd_notify::NotifyState;
use std::time::Duration;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Service {
    watchdog: Option<Duration>,
    next: Option<Time>,
}

impl Service {
    /// As the environment tells.
    pub(crate) fn from_environment() -> Service {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Service { watchdog, next: watchdog.map(|w| clock::now() + w) }
    }

    /// Addresses have been looked after for the first time, or a reload is over.
    pub(crate) fn ready(&self) {
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        let now = i128::from(clock::now().0 / 1000);
        let _ = sd_notify::notify(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
    }

    /// The end begins.
    pub(crate) fn stopping(&self) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }

    /// When the watchdog wants to hear from us.
    pub(crate) fn next(&self) -> Option<Time> {
        self.next
    }

    /// The loop has come round.
    pub(crate) fn alive(&mut self, now: Time) {
        if let (Some(next), Some(period)) = (self.next, self.watchdog)
            && next <= now
        {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            self.next = Some(now + period);
        }
    }
}
