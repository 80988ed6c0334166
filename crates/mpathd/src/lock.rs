//! One instance per network namespace. The lock is an abstract unix socket name, and abstract names belong
//! to the network namespace: exactly the right extent, and the kernel gives it back when the process ends,
//! however it ends. SIGUSR2 leaves it to the next program image, so that it is never free in between.
//!
//! Anybody may bind any abstract name. Whoever could not administer the network holds this one in vain: the daemon
//! runs without the lock then, and says so.

use crate::handover;
use mpath_core::diag::Line;
use mpath_model::event::Level;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockname, getsockopt, listen,
    socket, sockopt::PeerCredentials,
};
use nix::unistd::geteuid;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The abstract name.
const NAME: &str = "mpathd";
/// Under this name the next program image finds the socket.
const INHERITED: &str = "LOCK";
/// CAP_NET_ADMIN, as a bit of `CapEff` in `/proc/PID/status`.
const NET_ADMIN: u64 = 1 << 12;
/// Attempts, where the name is given back between a look at it and the next.
const ATTEMPTS: usize = 3;

/// Held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    /// None: a stranger has the name.
    socket: Option<OwnedFd>,
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another daemon holds it; its pid, if it can be known (it may live in another pid namespace).
    Held(Option<i32>),
    /// Binding the name failed.
    Io(Errno),
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
    /// Takes the lock of this network namespace, or takes it over from the program image before this one. The line tells of
    /// a stranger who has its name.
    pub(crate) fn take() -> Result<(Lock, Option<Line>), LockError> {
        let left =
            handover::inherited(INHERITED).filter(|fd| name_of(fd) == Some(NAME.as_bytes().to_owned()));
        match left {
            Some(socket) => Ok((Lock { socket: Some(socket) }, None)),
            None => Lock::take_as(NAME),
        }
    }

    fn take_as(name: &str) -> Result<(Lock, Option<Line>), LockError> {
        let mut seen = Holder::Gone;
        for _ in 0..ATTEMPTS {
            match bound(name) {
                Ok(socket) => return Ok((Lock { socket: Some(socket) }, None)),
                Err(Errno::EADDRINUSE) => seen = holder(name),
                Err(e) => return Err(LockError::Io(e)),
            }
            match seen {
                Holder::Daemon(pid) => return Err(LockError::Held(pid)),
                Holder::Stranger(_) => break,
                Holder::Gone => {}
            }
        }
        let who = match seen {
            Holder::Stranger(who) => who,
            _ => "nobody who stays".to_owned(),
        };
        let text = format!("@{name} is held by somebody who is no mpathd: running without this lock");
        Ok((
            Lock { socket: None },
            Some(Line { level: Level::Err, text, fields: vec![("holder".to_owned(), who)] }),
        ))
    }

    /// For the next program image.
    pub(crate) fn leave(&self) -> Option<(&'static str, BorrowedFd<'_>)> {
        self.socket.as_ref().map(|socket| (INHERITED, socket.as_fd()))
    }
}

/// A socket of that name that listens.
fn bound(name: &str) -> nix::Result<OwnedFd> {
    let socket = stream()?;
    bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
    listen(&socket, Backlog::new(128)?)?;
    Ok(socket)
}

fn stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// The abstract name of a socket.
fn name_of(socket: &OwnedFd) -> Option<Vec<u8>> {
    let address: UnixAddr = getsockname(socket.as_raw_fd()).ok()?;
    address.as_abstract().map(<[u8]>::to_owned)
}

/// Who has a name.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// A daemon as this one, and its pid.
    Daemon(Option<i32>),
    /// Somebody who could be none; who that is.
    Stranger(String),
    /// Nobody any more.
    Gone,
}

/// Asks the kernel who listens there. Nobody accepts these connections, and few are ever made: where there is no more room for
/// one, somebody has filled it up on purpose.
fn holder(name: &str) -> Holder {
    let asked = stream().and_then(|asking| {
        connect(asking.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        getsockopt(&asking, PeerCredentials)
    });
    let (uid, pid) = match asked {
        Ok(peer) => (peer.uid(), (peer.pid() > 0).then_some(peer.pid())),
        Err(Errno::ECONNREFUSED) => return Holder::Gone,
        Err(e) => return Holder::Stranger(format!("unknown: {}", e.desc())),
    };
    if uid == 0 || uid == geteuid().as_raw() || pid.is_some_and(administers) {
        return Holder::Daemon(pid);
    }
    Holder::Stranger(pid.map_or_else(|| format!("user {uid}"), |pid| format!("user {uid}, process {pid}")))
}

/// Whether a process may administer this network: its capabilities count in its user namespace, which has to be ours.
fn administers(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default();
    let users = |pid: &str| fs::read_to_string(format!("/proc/{pid}/uid_map")).ok();
    effective & NET_ADMIN != 0 && users("self").is_some_and(|ours| users(&pid.to_string()) == Some(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    fn name(what: &str) -> String {
        format!("mpathd-test-{what}-{}", std::process::id())
    }

    #[test]
    fn second_taker_is_told_who_holds_it() {
        let name = name("second");
        let (lock, line) = Lock::take_as(&name).unwrap();
        assert!(line.is_none() && lock.leave().is_some());
        match Lock::take_as(&name) {
            Err(LockError::Held(pid)) => {
                assert_eq!(pid, Some(i32::try_from(std::process::id()).unwrap()));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(Lock::take_as(&name).unwrap().1.is_none());
    }

    /// Nor is the holder waited for where its queue is full.
    #[test]
    fn what_is_no_mpathd_cannot_keep_it_from_starting() {
        let name = name("full");
        let _held = bound(&name).unwrap();
        let (mut queue, address) = (Vec::new(), UnixAddr::new_abstract(name.as_bytes()).unwrap());
        loop {
            let waiting = stream().unwrap();
            match connect(waiting.as_raw_fd(), &address) {
                Ok(()) => queue.push(waiting),
                Err(e) => break assert_eq!(e, Errno::EAGAIN),
            }
        }
        let (lock, line) = Lock::take_as(&name).unwrap();
        assert!(lock.leave().is_none() && line.unwrap().text.contains("running without this lock"));
    }

    /// Set in the process that plays the stranger: the name to hold.
    const PLAY: &str = "MPATHD_TEST_STRANGER";

    #[test]
    fn another_user_without_rights_is_a_stranger() {
        if let Ok(name) = std::env::var(PLAY) {
            let _held = bound(&name).unwrap();
            std::io::stderr().write_all(b"!").unwrap();
            let _ = std::io::stdin().read(&mut [0]);
            return;
        }
        if !geteuid().is_root() {
            eprintln!("needs root");
            return;
        }
        let name = name("stranger");
        let mut stranger = Command::new("/proc/self/exe")
            .args(["--exact", "lock::tests::another_user_without_rights_is_a_stranger", "--nocapture"])
            .env(PLAY, &name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .uid(65534)
            .gid(65534)
            .spawn()
            .unwrap();
        let mut holds = [0];
        stranger.stderr.take().unwrap().read_exact(&mut holds).unwrap();
        assert_eq!(holder(&name), Holder::Stranger(format!("user 65534, process {}", stranger.id())));
        assert!(Lock::take_as(&name).unwrap().0.leave().is_none());
        drop(stranger.stdin.take());
        assert!(stranger.wait().unwrap().success());
        assert!(Lock::take_as(&name).unwrap().0.leave().is_some());
        assert!(administers(i32::try_from(std::process::id()).unwrap()));
    }
}
