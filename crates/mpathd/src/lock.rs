//! One instance per network namespace. The lock is an abstract unix socket name, and abstract names belong
//! to the network namespace: exactly the right extent, and the kernel gives it back when the process ends,
//! however it ends.

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// The abstract name.
const NAME: &str = "mpathd";

/// Held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _listener: UnixListener,
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it; its pid, if it can be known (it may live in another pid namespace).
    Held(Option<i32>),
    /// Binding the name failed.
    Io(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The manual page's words (mpathd-behaviour.md, message 22).
            LockError::Held(pid) => {
                f.write_str("main: is another instance of in.mpathd already active?")?;
                pid.map_or(Ok(()), |pid| write!(f, " pid={pid}"))
            }
            LockError::Io(e) => write!(f, "cannot bind abstract socket @{NAME}: {e}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the lock of this network namespace.
    pub(crate) fn take() -> Result<Lock, LockError> {
        Lock::take_as(NAME)
    }

    fn take_as(name: &str) -> Result<Lock, LockError> {
        let address = SocketAddr::from_abstract_name(name).map_err(LockError::Io)?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Lock { _listener: listener }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(LockError::Held(holder(&address))),
            Err(e) => Err(LockError::Io(e)),
        }
    }
}

/// Pid of the process that listens on the name. Nobody accepts these connections; few are ever made.
fn holder(address: &SocketAddr) -> Option<i32> {
    let stream = UnixStream::connect_addr(address).ok()?;
    let pid = getsockopt(&stream, PeerCredentials).ok()?.pid();
    (pid > 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_is_told_who_holds_it() {
        let name = format!("mpathd-test-{}", std::process::id());
        let lock = Lock::take_as(&name).unwrap();
        match Lock::take_as(&name) {
            Err(LockError::Held(pid)) => {
                assert_eq!(pid, Some(i32::try_from(std::process::id()).unwrap()));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        Lock::take_as(&name).unwrap();
    }
}
