//! The service manager: readiness and watchdog (sd_notify(3)). Without one nothing is sent.

use mpath_linux::clock;
use mpath_model::Time;
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
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
        tell(&[NotifyState::Ready]);
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        let now = i128::from(clock::now().0 / 1000);
        tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
    }

    /// The end begins.
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
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
            tell(&[NotifyState::Watchdog]);
            self.next = Some(now + period);
        }
    }
}

/// Tells the service manager, if there is one. It is never waited for: one that stands still loses the message.
fn tell(states: &[NotifyState<'_>]) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = send(&name, states);
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
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"READY=1\nSTATUS=well\n");
    }
}
