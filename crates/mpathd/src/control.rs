//! The control server: a unix stream socket that speaks varlink (`mpath_ipc`), driven by the daemon's loop.
//! It checks who calls, answers what needs no engine, hands the rest out as [`Call`]s and feeds watchers.
//! Nothing in it waits: a peer that is slow, silent or greedy is dropped and counted.

mod access;
mod connection;
mod peer;
mod socket;

pub(crate) use access::Access;
pub(crate) use connection::ConnId;
pub(crate) use socket::BindError;

use connection::{Connection, Outcome};
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use mpath_core::diag::Line;
use mpath_ipc::{Failure, Reply, Request, ServiceInfo, TimedEvent};
use mpath_model::event::Level;
use mpath_model::settings::Daemon;
use mpath_model::{Event, Time};
use peer::{Peer, Rights};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections at a time. The last [`RESERVED`] of them are root's.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Connections kept free for root, so that others cannot lock it out.
const RESERVED: usize = 8;
/// Connections of one user other than root.
const MAX_PER_USER: usize = 16;
/// Tokens the server needs, from the first one on: the listener and the connections.
pub(crate) const TOKENS: usize = 1 + MAX_CONNECTIONS;
/// Accepts at a time; the rest waits for the next turn of the loop.
const ACCEPTS: usize = 32;
/// How long a half request may stay half, and a reply unread.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two lines about peers, so that none of them can flood the log.
const QUIET: Duration = Duration::from_secs(60);
/// Pause between two attempts to make a socket anew that has vanished.
const LOOK: Duration = Duration::from_secs(5);
/// Pause after accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A request for the engine or the daemon. Answer it with [`Server::reply`] or [`Server::error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Whom to answer.
    pub(crate) connection: ConnId,
    /// What is asked: never `Watch`, `GetInfo` or `GetInterfaceDescription`, which the server answers itself.
    pub(crate) request: Request,
}

/// What went wrong with peers so far; each a number of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Turned away because there were too many.
    pub(crate) refused: u64,
    /// Watchers dropped because they did not keep up.
    pub(crate) slow: u64,
    /// Dropped after [`PATIENCE`].
    pub(crate) stalled: u64,
    /// Dropped because they spoke no varlink or too much of it.
    pub(crate) malformed: u64,
}

/// The server. Dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    registry: Registry,
    path: PathBuf,
    /// Device and inode of the socket, so that only our own is removed.
    identity: (u64, u64),
    /// When it was last looked whether the socket is still there.
    tended: Time,
    first: usize,
    slots: Vec<Option<Connection>>,
    serial: u64,
    access: Access,
    info: ServiceInfo,
    counters: Counters,
    /// When and what [`Server::report`] told last.
    reported: Option<(Time, Counters)>,
    accept_again: Option<Time>,
}

impl Server {
    /// Makes the socket anew if it has vanished from its place; connections live on. The line tells of it.
    pub(crate) fn tend(&mut self, now: Time) -> Option<Line> {
        if now.since(self.tended) < LOOK {
            return None;
        }
        self.tended = now;
        if self.path.symlink_metadata().is_ok() {
            return None;
        }
        let made = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let made = made.map_err(|e| BindError::Io(self.path.clone(), "make the directory of", e));
        let made = made.and_then(|()| listen(&self.path)).and_then(|(mut listener, identity)| {
            let _ = self.registry.deregister(&mut self.listener);
            self.registry
                .register(&mut listener, Token(self.first), Interest::READABLE)
                .map_err(|e| BindError::Io(self.path.clone(), "watch", e))?;
            (self.listener, self.identity) = (listener, identity);
            Ok(())
        });
        let (level, text) = match made {
            Ok(()) => (Level::Err, format!("control socket {} has vanished: made anew", self.path.display())),
            Err(error) => (Level::Err, error.to_string()),
        };
        Some(Line { level, text, fields: Vec::new() })
    }

    /// Listens on `path` and registers with the loop, using the tokens `first..first + TOKENS`. A socket that
    /// nobody listens on is replaced; one that answers is not.
    pub(crate) fn bind(
        path: &Path,
        access: Access,
        registry: &Registry,
        first: Token,
        version: &str,
    ) -> Result<Server, BindError> {
        let fail = |operation| move |e| BindError::Io(path.to_owned(), operation, e);
        let (mut listener, identity) = listen(path)?;
        let registry = registry.try_clone().map_err(fail("watch"))?;
        registry.register(&mut listener, first, Interest::READABLE).map_err(fail("watch"))?;
        Ok(Server {
            listener,
            registry,
            path: path.to_owned(),
            identity,
            tended: Time::default(),
            first: first.0,
            slots: (0..MAX_CONNECTIONS).map(|_| None).collect(),
            serial: 0,
            access,
            info: ServiceInfo::mpathd(version),
            counters: Counters::default(),
            reported: None,
            accept_again: None,
        })
    }

    /// Whether a readiness event belongs to this server.
    #[cfg(test)]
    pub(crate) fn owns(&self, token: Token) -> bool {
        (self.first..self.first + TOKENS).contains(&token.0)
    }

    /// New groups after a reload; connections that lose the right to read are dropped when they next ask. The lines tell of
    /// groups that are not found.
    pub(crate) fn set_access(&mut self, now: Time, settings: &Daemon) -> Vec<Line> {
        let lines = self.access.change(now, settings);
        for slot in 0..self.slots.len() {
            let lost =
                self.slots[slot].as_ref().is_some_and(|c| c.watching() && self.rights(c) < Rights::Read);
            if lost {
                self.slots[slot] = None;
            }
        }
        lines
    }

    /// A line to log when something went wrong with peers since the last one; at most one in [`QUIET`].
    pub(crate) fn report(&mut self, now: Time) -> Option<Line> {
        let due = self.reported.is_none_or(|(at, _)| now.since(at) >= QUIET);
        let told = self.reported.map(|(_, counters)| counters).unwrap_or_default();
        if self.counters == told || !due {
            return None;
        }
        let Counters { refused, slow, stalled, malformed } = self.counters;
        self.reported = Some((now, self.counters));
        let field = |key: &str, n: u64| (key.to_owned(), n.to_string());
        let fields = [("refused", refused), ("slow", slow), ("stalled", stalled), ("malformed", malformed)];
        Some(Line {
            level: Level::Warning,
            text: "control connections were dropped; since the start these".to_owned(),
            fields: fields.into_iter().map(|(k, n)| field(k, n)).collect(),
        })
    }

    /// Deals with one readiness event; requests for the engine are appended to `out`.
    pub(crate) fn ready(&mut self, now: Time, token: Token, event: &mio::event::Event, out: &mut Vec<Call>) {
        match token.0.checked_sub(self.first) {
            Some(0) => self.accept(now),
            Some(n) if n <= MAX_CONNECTIONS => {
                self.serve(now, n - 1, out);
                // Both directions closed: nobody is left to answer.
                if event.is_write_closed() {
                    self.slots[n - 1] = None;
                }
            }
            _ => {}
        }
    }

    /// Answers a call. Nothing happens if the caller has gone.
    pub(crate) fn reply(&mut self, now: Time, to: ConnId, reply: &Reply) {
        self.answer(now, to, reply.encode());
    }

    /// Answers a call with an error.
    pub(crate) fn error(&mut self, now: Time, to: ConnId, failure: &Failure) {
        self.answer(now, to, failure.encode());
    }

    /// Sends an event to all watchers. `time` is RFC 3339.
    pub(crate) fn broadcast(&mut self, event: &Event, time: &str) {
        if !self.slots.iter().flatten().any(Connection::watching) {
            return;
        }
        let bytes = Reply::Event(TimedEvent { time: time.to_owned(), event: event.clone() }).encode();
        for slot in &mut self.slots {
            if let Some(connection) = slot.as_mut().filter(|c| c.watching())
                && !connection.push_event(&bytes)
            {
                self.counters.slow += 1;
                *slot = None;
            }
        }
    }

    /// When [`Server::expire`] wants to be called, if at all.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.slots
            .iter()
            .flatten()
            .filter_map(Connection::deadline)
            .chain(self.accept_again)
            .chain(self.access.next())
            .min()
    }

    /// Drops whom patience has run out for, and looks for groups that are not known yet.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Line> {
        for slot in &mut self.slots {
            if slot.as_ref().and_then(Connection::deadline).is_some_and(|d| d <= now) {
                self.counters.stalled += 1;
                *slot = None;
            }
        }
        if self.accept_again.is_some_and(|d| d <= now) {
            self.accept(now);
        }
        self.access.look(now)
    }

    fn answer(&mut self, now: Time, to: ConnId, bytes: Vec<u8>) {
        let Some(slot) = self.slots.iter().position(|s| s.as_ref().is_some_and(|c| c.id() == to)) else {
            return;
        };
        let connection = self.slots[slot].as_mut().expect("position found it");
        let outcome = connection.answer(now, bytes);
        self.settle(slot, outcome);
    }

    fn accept(&mut self, now: Time) {
        self.accept_again = None;
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(now, stream),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    // No new event will come for those who wait already.
                    self.accept_again = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        self.accept_again = Some(now);
    }

    fn admit(&mut self, now: Time, mut stream: UnixStream) {
        let peer = Peer::of(&stream);
        let used = self.slots.iter().flatten().count();
        let same = self.slots.iter().flatten().filter(|c| c.peer().uid == peer.uid).count();
        let crowded = !peer.is_root() && (same >= MAX_PER_USER || used >= MAX_CONNECTIONS - RESERVED);
        let free = self.slots.iter().position(Option::is_none).filter(|_| !crowded);
        let Some(slot) = free else {
            self.counters.refused += 1;
            let busy = Failure::Refused {
                reason: "busy".to_owned(),
                message: "the daemon has too many control connections; close some and try again".to_owned(),
            };
            // The buffer of a new connection is empty; if it does not fit all the same, closing says enough.
            let _ = stream.write(&busy.encode());
            return;
        };
        let token = Token(self.first + 1 + slot);
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.registry.register(&mut stream, token, both).is_err() {
            self.counters.refused += 1;
            return;
        }
        self.serial += 1;
        let mut connection = Connection::new(ConnId(self.serial), stream, peer);
        if self.rights(&connection) < Rights::Read {
            connection.expires_at(now + PATIENCE);
        }
        self.slots[slot] = Some(connection);
    }

    fn serve(&mut self, now: Time, slot: usize, out: &mut Vec<Call>) {
        let Some(connection) = self.slots[slot].as_ref() else {
            return;
        };
        let rights = self.rights(connection);
        let connection = self.slots[slot].as_mut().expect("looked up just now");
        let outcome = connection.serve(now, |id, request| dispatch(&self.info, rights, id, request, out));
        self.settle(slot, outcome);
    }

    fn settle(&mut self, slot: usize, outcome: Outcome) {
        match outcome {
            Outcome::Keep => {}
            Outcome::Again => {
                let token = Token(self.first + 1 + slot);
                let connection = self.slots[slot].as_mut().expect("it was just served");
                let both = Interest::READABLE | Interest::WRITABLE;
                // Registering again makes the kernel report the readiness once more.
                if self.registry.reregister(connection.stream(), token, both).is_err() {
                    self.slots[slot] = None;
                }
            }
            Outcome::Malformed => {
                self.counters.malformed += 1;
                self.slots[slot] = None;
            }
            Outcome::Close => self.slots[slot] = None,
        }
    }

    fn rights(&self, connection: &Connection) -> Rights {
        connection.peer().rights(&self.access)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).map(|m| (m.dev(), m.ino()));
        if ours.is_ok_and(|identity| identity == self.identity) {
            // Nothing can be done about a failure, and the next start copes with a dead socket.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket to listen on, and its device and inode.
fn listen(path: &Path) -> Result<(UnixListener, (u64, u64)), BindError> {
    let fail = |operation| move |e| BindError::Io(path.to_owned(), operation, e);
    socket::clear(path)?;
    let listener = UnixListener::bind(path).map_err(fail("bind"))?;
    // Everybody may connect; what each may do is decided by the credentials of the connection.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(fail("chmod"))?;
    let meta = std::fs::symlink_metadata(path).map_err(fail("stat"))?;
    Ok((listener, (meta.dev(), meta.ino())))
}

/// What becomes of a request.
enum Dispatch {
    /// Answered on the spot.
    Answer(Vec<u8>),
    /// Handed out; the answer comes later.
    Later,
    /// The connection is a watcher from now on.
    Watch,
}

fn dispatch(
    info: &ServiceInfo,
    rights: Rights,
    connection: ConnId,
    call: mpath_ipc::Call,
    out: &mut Vec<Call>,
) -> Dispatch {
    let needed = match &call.request {
        Request::GetInfo | Request::GetInterfaceDescription { .. } => Rights::None,
        request if request.changes() => Rights::Control,
        _ => Rights::Read,
    };
    if rights < needed {
        return Dispatch::Answer(denied(needed).encode());
    }
    match call.request {
        Request::GetInfo => Dispatch::Answer(Reply::Info(info.clone()).encode()),
        Request::GetInterfaceDescription { interface } => Dispatch::Answer(match interface.as_str() {
            mpath_ipc::INTERFACE => Reply::Description(mpath_ipc::IDL.to_owned()).encode(),
            "org.varlink.service" => Reply::Description(mpath_ipc::SERVICE_IDL.to_owned()).encode(),
            _ => Failure::InterfaceNotFound { interface }.encode(),
        }),
        Request::Watch if !call.more => Dispatch::Answer(Failure::ExpectedMore.encode()),
        Request::Watch => Dispatch::Watch,
        request => {
            out.push(Call { connection, request });
            Dispatch::Later
        }
    }
}

fn denied(needed: Rights) -> Failure {
    let (what, groups) = match needed {
        Rights::Control => ("change", "control_group"),
        _ => ("read", "read_group or control_group"),
    };
    let message =
        format!("no permission to {what} anything: become root, or join the {groups} of mpathd.toml");
    Failure::PermissionDenied { message }
}

#[cfg(test)]
mod tests;
