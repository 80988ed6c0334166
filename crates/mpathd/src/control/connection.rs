//! One control connection: bytes in, requests out, replies back in order, all within bounds. One request at
//! a time: the next is looked at when the answer to the last one has left.
//!
//! ```text
//!          request            answer given             answer sent
//!   idle ───────────► busy ─────────────────► sending ─────────────► idle
//!    │ Watch                                     (what can be answered at once goes idle ─► sending)
//!    └──────► watching ── too slow, or closed ──► gone
//! ```

use super::peer::Peer;
use super::{Dispatch, PATIENCE};
use mio::net::UnixStream;
use mpath_ipc::codec::Framer;
use mpath_ipc::message::BadCall;
use mpath_ipc::{Call, MAX_REQUEST};
use mpath_model::Time;
use std::io::{self, ErrorKind, Read, Write};

/// Names a connection for as long as the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(super) u64);

/// Bytes that may wait for a watcher.
pub(super) const MAX_BACKLOG: usize = 256 << 10;
/// Bytes read at a time; the rest waits for the next turn of the loop.
const READ_BUDGET: usize = 64 << 10;
/// Requests served at a time.
const CALL_BUDGET: usize = 16;

/// What the server does with the connection next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Wait for the next event.
    Keep,
    /// There is more to do already: come back soon.
    Again,
    /// It is done with, or broken.
    Close,
    /// What came is no request.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Busy { oneway: bool },
    Watching,
}

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnId,
    stream: UnixStream,
    peer: Peer,
    framer: Framer,
    state: State,
    out: Vec<u8>,
    /// Bytes of `out` that the kernel has taken.
    sent: usize,
    /// The peer sends no more.
    eof: bool,
    /// Reading stopped before the socket was empty.
    unread: bool,
    /// Half a request, or half a reply, must be whole by then.
    patience: Option<Time>,
    /// The connection ends then whatever happens.
    expires: Option<Time>,
}

impl Connection {
    pub(super) fn new(id: ConnId, stream: UnixStream, peer: Peer) -> Connection {
        Connection {
            id,
            stream,
            peer,
            framer: Framer::new(MAX_REQUEST),
            state: State::Idle,
            out: Vec::new(),
            sent: 0,
            eof: false,
            unread: false,
            patience: None,
            expires: None,
        }
    }

    pub(super) fn id(&self) -> ConnId {
        self.id
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    pub(super) fn watching(&self) -> bool {
        self.state == State::Watching
    }

    pub(super) fn expires_at(&mut self, at: Time) {
        self.expires = Some(at);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.patience.into_iter().chain(self.expires).min()
    }

    /// Reads, serves and writes what can be.
    pub(super) fn serve(&mut self, now: Time, mut dispatch: impl FnMut(ConnId, Call) -> Dispatch) -> Outcome {
        let before = self.waiting();
        if self.read().is_err() || self.flush().is_err() {
            return Outcome::Close;
        }
        let mut served = 0;
        while self.state == State::Idle && self.waiting() == 0 && served < CALL_BUDGET {
            let call = match self.framer.next_message() {
                Ok(Some(message)) => Call::decode(message),
                Ok(None) => break,
                Err(_) => return Outcome::Malformed,
            };
            served += 1;
            match call {
                Ok(call) => {
                    let oneway = call.oneway;
                    match dispatch(self.id, call) {
                        Dispatch::Answer(bytes) if !oneway => self.out = bytes,
                        Dispatch::Answer(_) => {}
                        Dispatch::Later => self.state = State::Busy { oneway },
                        Dispatch::Watch => self.state = State::Watching,
                    }
                }
                Err(BadCall::Answer(failure)) => self.out = failure.encode(),
                Err(BadCall::Malformed(_)) => return Outcome::Malformed,
            }
            if self.flush().is_err() {
                return Outcome::Close;
            }
        }
        let progress = served > 0 || self.waiting() < before;
        self.conclude(now, progress, served == CALL_BUDGET)
    }

    /// Sends the answer to the request at hand.
    pub(super) fn answer(&mut self, now: Time, bytes: Vec<u8>) -> Outcome {
        let State::Busy { oneway } = self.state else {
            return Outcome::Keep;
        };
        self.state = State::Idle;
        if !oneway {
            self.out = bytes;
            if self.flush().is_err() {
                return Outcome::Close;
            }
        }
        let more = self.framer.pending() > 0;
        self.conclude(now, true, more)
    }

    /// Adds an event for a watcher; false if the watcher is of no use any more.
    pub(super) fn push_event(&mut self, bytes: &[u8]) -> bool {
        if self.waiting() + bytes.len() > MAX_BACKLOG {
            return false;
        }
        self.out.extend_from_slice(bytes);
        self.flush().is_ok()
    }

    fn conclude(&mut self, now: Time, progress: bool, more: bool) -> Outcome {
        let half = match self.state {
            State::Idle => self.framer.pending() > 0 || self.waiting() > 0,
            // The engine's time is not the peer's fault, and a watcher may take its own.
            State::Busy { .. } | State::Watching => false,
        };
        self.patience = match self.patience {
            _ if !half => None,
            Some(at) if !progress => Some(at),
            _ => Some(now + PATIENCE),
        };
        let idle = self.state == State::Idle && self.waiting() == 0;
        let readable = self.unread && self.framer.pending() <= MAX_REQUEST;
        if idle && (more || readable) {
            Outcome::Again
        } else if idle && self.eof {
            Outcome::Close
        } else {
            Outcome::Keep
        }
    }

    fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0u8; 8 << 10];
        let mut budget = READ_BUDGET;
        self.unread = false;
        while !self.eof {
            if budget == 0 || self.framer.pending() > MAX_REQUEST {
                self.unread = true;
                break;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => self.eof = true,
                Ok(n) => {
                    self.framer.feed(&chunk[..n]);
                    budget = budget.saturating_sub(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.waiting() > 0 {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        // Sent bytes at the front count for nothing, but must not pile up behind a slow watcher either.
        if self.waiting() == 0 {
            self.out = Vec::new();
            self.sent = 0;
        } else if self.sent > MAX_BACKLOG {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}
