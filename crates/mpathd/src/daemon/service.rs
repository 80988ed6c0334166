//! The service manager: readiness and watchdog (sd_notify(3)). Without one nothing is sent.

use mpath_linux::clock;
use mpath_model::Time;
use sd_notify::NotifyState;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its socket (NOTIFY_SOCKET).
    manager: Option<OsString>,
    watchdog: Option<Duration>,
    next: Option<Time>,
    /// It could not be told that the daemon is ready: when to try again.
    owed: Option<Time>,
}

/// Pause between two attempts to say that the daemon is ready: nothing else tells, and others wait for it.
const ONCE_MORE: Duration = Duration::from_secs(1);

impl Service {
    /// As the environment tells.
    pub(crate) fn from_environment() -> Service {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        let manager = std::env::var_os("NOTIFY_SOCKET");
        Service { manager, watchdog, next: watchdog.map(|w| clock::now() + w), owed: None }
    }

    /// Addresses have been looked after for the first time, or a reload is over.
    pub(crate) fn ready(&mut self) {
        self.owed = (!self.tell(&[NotifyState::Ready])).then(|| clock::now() + ONCE_MORE);
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        let now = i128::from(clock::now().0 / 1000);
        self.tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
    }

    /// The end begins.
    pub(crate) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// When the service manager is to hear from us.
    pub(crate) fn next(&self) -> Option<Time> {
        [self.next, self.owed].into_iter().flatten().min()
    }

    /// The loop has come round.
    pub(crate) fn alive(&mut self, now: Time) {
        if let (Some(next), Some(period)) = (self.next, self.watchdog)
            && next <= now
        {
            self.tell(&[NotifyState::Watchdog]);
            self.next = Some(now + period);
        }
        if self.owed.is_some_and(|t| t <= now) {
            self.ready();
        }
    }

    /// Tells the service manager, if there is one. It is never waited for: one that stands still loses the message, and false is
    /// returned.
    fn tell(&self, states: &[NotifyState<'_>]) -> bool {
        let full = |e: io::Error| e.kind() == io::ErrorKind::WouldBlock;
        self.manager.as_ref().is_none_or(|name| !send(name, states).is_err_and(full))
    }
}

/// `name` is a path, or an abstract name behind an `@` (sd_notify(3)).
fn send(name: &OsStr, states: &[NotifyState<'_>]) -> io::Result<usize> {
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    let to = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_that_does_not_read_is_not_waited_for() {
        let name = format!("mpathd-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let name = format!("@{name}");
        let ready = || send(OsStr::new(&name), &[NotifyState::Ready, NotifyState::Status("well")]);
        let full = (0..100_000).find_map(|_| ready().err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        // That the daemon is ready is said again until there is room for it.
        let mut service = Service { manager: Some(name.into()), watchdog: None, next: None, owed: None };
        service.ready();
        let again = service.next().unwrap();
        let mut text = [0; 64];
        let mut read = || manager.recv(&mut text).map(|length| text[..length].to_vec());
        assert_eq!(read().unwrap(), b"READY=1\nSTATUS=well\n");
        service.alive(again);
        assert_eq!(service.next(), None);
        manager.set_nonblocking(true).unwrap();
        let last = std::iter::from_fn(|| read().ok()).last();
        assert_eq!(last.unwrap(), b"READY=1\n");
    }
}
