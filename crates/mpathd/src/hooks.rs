//! Event programs (`on_event`), the daemon's side. A helper process, made before the daemon locks itself in, runs them; the
//! daemon hands it events over a socket without ever waiting, counts those that find no room, and logs what it
//! is told.
//!
//! The helper is the same program. It shares nothing with the daemon but that socket, at whose end it finishes what it
//! was handed and ends too. SIGUSR2 leaves it to the next program image, which has it run its program file again as well.

mod helper;
mod run;

pub(crate) use helper::{is_helper, serve};

use mpath_core::diag::Line;
use mpath_ipc::TimedEvent;
use mpath_model::Time;
use mpath_model::event::Level;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, recv, send, shutdown, socketpair,
};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Under this name the next program image finds the socket.
const INHERITED: &str = "HOOKS";
/// Longest message in either direction, bytes.
const MAX_MESSAGE: usize = 16 << 10;
/// Messages from the helper that are read at a time.
const READS: usize = 64;
/// Pause between two lines about dropped events.
const QUIET: Duration = Duration::from_secs(60);

/// What the helper is asked to do.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Run this program for this event.
    Run { program: PathBuf, event: TimedEvent },
    /// Run your own program file again: it may be another one now.
    Again,
}

/// The connection to the helper.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// None: the helper has gone.
    socket: Option<OwnedFd>,
    /// It has not been told yet to run its program file again: there was no room for that.
    again: bool,
    /// It may have more to say than was read.
    more: bool,
    /// Events that found no room since the start.
    dropped: u64,
    told: u64,
    next: Option<Time>,
}

impl Hooks {
    /// Starts the helper, or takes over that of the program image before this one. The line, if any, tells of a failure.
    pub(crate) fn start(program: &Path, inherited: Option<OwnedFd>) -> (Hooks, Option<Line>) {
        let again = inherited.is_some();
        let started = inherited.map_or_else(|| helper(program), Ok);
        let hooks = |socket| {
            let mut hooks = Hooks { socket, again, more: false, dropped: 0, told: 0, next: None };
            hooks.renew();
            hooks
        };
        match started {
            Ok(socket) => (hooks(Some(socket)), None),
            Err(error) => {
                let text = "the helper that runs event programs cannot be started: none are run";
                (hooks(None), Some(line(Level::Err, text, "cause", &error.to_string())))
            }
        }
    }

    /// For the loop.
    pub(crate) fn fd(&self) -> Option<RawFd> {
        self.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// For the next program image.
    pub(crate) fn leave(&self) -> Option<(&'static str, BorrowedFd<'_>)> {
        self.socket.as_ref().map(|socket| (INHERITED, socket.as_fd()))
    }

    /// Has the program run for this event, soon; never waits.
    pub(crate) fn tell(&mut self, program: &Path, event: &TimedEvent) {
        self.renew();
        if self.socket.is_some()
            && !self.order(&Order::Run { program: program.to_owned(), event: event.clone() })
        {
            self.dropped += 1;
        }
    }

    /// After SIGUSR2, once there is room for it: the helper is of the program before.
    fn renew(&mut self) {
        self.again = self.again && !self.order(&Order::Again);
    }

    /// Whether there was room for it.
    fn order(&self, order: &Order) -> bool {
        let bytes = serde_json::to_vec(order).unwrap_or_default();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let fits =
            |socket: &OwnedFd| bytes.len() <= MAX_MESSAGE && send(socket.as_raw_fd(), &bytes, flags).is_ok();
        self.socket.as_ref().is_some_and(fits)
    }

    /// Whether [`Hooks::read`] has left something that nothing will wake the loop for.
    pub(crate) fn unread(&self) -> bool {
        self.more
    }

    /// What the helper has to say, for the log.
    pub(crate) fn read(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.more = false;
        let Some(socket) = &self.socket else { return lines };
        for _ in 0..READS {
            let mut message = vec![0; MAX_MESSAGE];
            match recv(socket.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => {}
                Ok(n) => {
                    lines.extend(serde_json::from_slice::<Line>(&message[..n]).ok());
                    continue;
                }
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {
                    self.renew();
                    return lines;
                }
                Err(_) => {}
            }
            self.socket = None;
            let text =
                "the helper that runs event programs has ended: none are run until mpathd is started again";
            lines.push(Line { level: Level::Err, text: text.to_owned(), fields: Vec::new() });
            return lines;
        }
        self.more = true;
        lines
    }

    /// A line about events that were dropped since the last one; at most one in [`QUIET`].
    pub(crate) fn report(&mut self, now: Time) -> Option<Line> {
        if self.dropped == self.told || self.next.is_some_and(|t| t > now) {
            return None;
        }
        self.told = self.dropped;
        self.next = Some(now + QUIET);
        let text = "the event program does not keep up; events it was not run for since the start";
        Some(line(Level::Warning, text, "count", &self.dropped.to_string()))
    }

    /// No more events: waits until the helper has dealt with those it has, for at most `patience`.
    pub(crate) fn close(mut self, patience: Duration) -> Vec<Line> {
        let mut lines = self.read();
        let end = Instant::now() + patience;
        let Some(socket) = self.socket.take() else { return lines };
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
        self.socket = Some(socket);
        while let Some(socket) = &self.socket {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            if !matches!(poll(&mut fds, timeout), Ok(n) if n > 0) {
                break;
            }
            lines.extend(self.read());
        }
        if self.socket.is_none() {
            lines.pop(); // its end was asked for
        }
        lines
    }
}

/// The socket that the program image before this one has left.
pub(crate) fn inherited() -> Option<OwnedFd> {
    crate::handover::inherited(INHERITED)
}

/// Runs this program as the helper.
fn helper(program: &Path) -> std::io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let mut command = Command::new(program);
    command
        .arg0("mpathd: event programs")
        .env(helper::MARK, "1")
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    // What a terminal tells the daemon is not for the helper.
    mpath_linux::sys::new_session(&mut command);
    command.spawn()?;
    Ok(ours)
}

fn line(level: Level, text: &str, key: &str, value: &str) -> Line {
    Line { level, text: text.to_owned(), fields: vec![(key.to_owned(), value.to_owned())] }
}

#[cfg(test)]
mod tests;
