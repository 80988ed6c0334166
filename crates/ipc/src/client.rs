//! A blocking client with time-outs. It tells apart what can stand in its way: no socket, a dead one, no
//! permission, somebody else's socket.

use crate::codec::{Framer, TooLong};
use crate::failure::Failure;
use crate::message::{Call, ReplyMessage, Request, RunningConfiguration, ServiceInfo, TimedEvent, field};
use mpath_model::Status;
use mpath_model::explain::{Explanation, Plan};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a daemon may take to answer unless told otherwise: longer than it waits for a move itself, and for a slow disk.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// Why there is no answer. Displays as one line that names the socket and the remedy.
#[derive(Debug)]
pub enum ClientError {
    /// The socket does not exist.
    Missing(PathBuf),
    /// The socket exists, and no process listens on it.
    Dead(PathBuf),
    /// This user may not open it.
    Forbidden(PathBuf),
    /// Something else than mpathd answers, or what is there is no socket.
    Foreign(PathBuf, String),
    /// Nothing came within the time.
    Silent(PathBuf, Duration),
    /// The daemon closed the connection, because it stopped or dropped a slow reader.
    Closed(PathBuf),
    /// An operation on the socket failed.
    Io(PathBuf, &'static str, io::Error),
    /// The daemon answered that it will not.
    Failed(Failure),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Missing(path) => write!(
                f,
                "no daemon: socket {} does not exist; start mpathd, or give the socket of a running one \
                 with --socket",
                path.display()
            ),
            ClientError::Dead(path) => write!(
                f,
                "no daemon: nobody listens on socket {}; mpathd has stopped or crashed, start it again",
                path.display()
            ),
            ClientError::Forbidden(path) => write!(
                f,
                "no permission to open socket {}; become root, or join the control_group or read_group of \
                 mpathd.toml",
                path.display()
            ),
            ClientError::Foreign(path, why) => write!(
                f,
                "no daemon: {} is not mpathd's socket ({why}); give the right one with --socket",
                path.display()
            ),
            ClientError::Silent(path, after) => write!(
                f,
                "no daemon: no answer on socket {} within {} s; it is another program's, or mpathd hangs",
                path.display(),
                after.as_secs_f64()
            ),
            ClientError::Closed(path) => {
                write!(
                    f,
                    "the daemon closed the connection on socket {}: it has stopped, or this reader was too slow",
                    path.display()
                )
            }
            ClientError::Io(path, operation, error) => {
                write!(f, "cannot {operation} socket {}: {error}", path.display())
            }
            ClientError::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    framer: Framer,
    timeout: Duration,
    /// It has said that it is mpathd.
    known: bool,
}

impl Client {
    /// Connects; every later call waits at most `timeout` for its answer.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Client, ClientError> {
        let fail = |operation| move |e| ClientError::Io(path.to_owned(), operation, e);
        let address = SockAddr::unix(path).map_err(fail("name"))?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail("open"))?;
        // Bounds connect too: a listener whose queue is full would block it for ever.
        socket.set_write_timeout(Some(timeout)).map_err(fail("set up"))?;
        socket.connect(&address).map_err(|e| connect_error(path, timeout, e))?;
        let stream = UnixStream::from(std::os::fd::OwnedFd::from(socket));
        Ok(Client {
            path: path.to_owned(),
            stream,
            framer: Framer::new(crate::MAX_REPLY),
            timeout,
            known: false,
        })
    }

    /// The whole picture.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        let parameters = self.call(Request::Status)?;
        field(parameters, "status").map_err(|why| self.foreign(why))
    }

    /// The evidence behind the verdict on one NIC, or on all.
    pub fn explain(&mut self, interface: Option<&str>) -> Result<Vec<Explanation>, ClientError> {
        let parameters = self.call(Request::Explain { interface: interface.map(str::to_owned) })?;
        field(parameters, "explanations").map_err(|why| self.foreign(why))
    }

    /// The configuration in force.
    pub fn configuration(&mut self) -> Result<RunningConfiguration, ClientError> {
        let parameters = self.call(Request::Configuration)?;
        field(parameters, "configuration").map_err(|why| self.foreign(why))
    }

    /// What a step would do: a call of one of the `Plan` methods.
    pub fn plan(&mut self, request: Request) -> Result<Plan, ClientError> {
        let parameters = self.call(request)?;
        field(parameters, "plan").map_err(|why| self.foreign(why))
    }

    /// Who answers.
    pub fn info(&mut self) -> Result<ServiceInfo, ClientError> {
        let parameters = self.call(Request::GetInfo)?;
        serde_json::from_value(parameters).map_err(|e| self.foreign(e.to_string()))
    }

    /// Makes a call and returns the parameters of its one reply. Who is there is asked before anything is changed: any
    /// varlink service could answer an empty success.
    pub fn call(&mut self, request: Request) -> Result<Value, ClientError> {
        if request.changes() && !self.known {
            self.introduce()?;
        }
        self.send(&Call::new(request))?;
        let deadline = Instant::now() + self.timeout;
        let reply = self.receive(Some(deadline))?;
        reply.result.map_err(|failure| match failure {
            // Some other program's varlink service.
            Failure::InterfaceNotFound { interface } => {
                self.foreign(format!("a service answers that does not know {interface}"))
            }
            failure => ClientError::Failed(failure),
        })
    }

    /// Events from now on. Asks first who is there, because silence would not tell a foreign socket.
    pub fn watch(mut self) -> Result<Watch, ClientError> {
        self.introduce()?;
        self.send(&Call { request: Request::Watch, more: true, oneway: false })?;
        Ok(Watch { client: self })
    }

    fn introduce(&mut self) -> Result<(), ClientError> {
        let info = self.info()?;
        if !info.interfaces.iter().any(|i| i == crate::INTERFACE) {
            let why = format!("{} answers, without {}", info.product, crate::INTERFACE);
            return Err(self.foreign(why));
        }
        self.known = true;
        Ok(())
    }

    fn send(&mut self, call: &Call) -> Result<(), ClientError> {
        match self.stream.write_all(&call.encode()) {
            Ok(()) => Ok(()),
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    Err(ClientError::Silent(self.path.clone(), self.timeout))
                }
                // The peer has gone; what it said before that is read next.
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
                _ => Err(ClientError::Io(self.path.clone(), "write to", e)),
            },
        }
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<ReplyMessage, ClientError> {
        let mut chunk = [0u8; 16 * 1024];
        loop {
            match self.framer.next_message() {
                Ok(Some(bytes)) => {
                    let reply = ReplyMessage::decode(bytes);
                    return reply.map_err(|why| self.foreign(format!("it answers no varlink: {why}")));
                }
                Ok(None) => {}
                Err(TooLong { limit }) => {
                    return Err(self.foreign(format!("an answer is longer than {limit} bytes")));
                }
            }
            let n = self.read(&mut chunk, deadline)?;
            if n == 0 {
                return Err(match self.framer.pending() {
                    0 => ClientError::Closed(self.path.clone()),
                    _ => self.foreign("it closes the connection in the middle of an answer".to_owned()),
                });
            }
            self.framer.feed(&chunk[..n]);
        }
    }

    fn read(&mut self, chunk: &mut [u8], deadline: Option<Instant>) -> Result<usize, ClientError> {
        loop {
            let left = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(ClientError::Silent(self.path.clone(), self.timeout)),
                left => left,
            };
            let set = self.stream.set_read_timeout(left);
            set.map_err(|e| ClientError::Io(self.path.clone(), "set up", e))?;
            match self.stream.read(chunk) {
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                    ) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(0),
                other => return other.map_err(|e| ClientError::Io(self.path.clone(), "read from", e)),
            }
        }
    }

    fn foreign(&self, why: String) -> ClientError {
        ClientError::Foreign(self.path.clone(), why)
    }
}

/// A stream of events; ends with an error when the daemon goes away.
#[derive(Debug)]
pub struct Watch {
    client: Client,
}

impl Watch {
    /// Waits for the next event, however long it takes.
    pub fn next_event(&mut self) -> Result<TimedEvent, ClientError> {
        self.receive(None)
    }

    /// Waits for the next event until `deadline`; [`ClientError::Silent`] then.
    pub fn next_before(&mut self, deadline: Instant) -> Result<TimedEvent, ClientError> {
        self.receive(Some(deadline))
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<TimedEvent, ClientError> {
        let reply = self.client.receive(deadline)?;
        let parameters = reply.result.map_err(ClientError::Failed)?;
        field(parameters, "event").map_err(|why| self.client.foreign(why))
    }
}

fn connect_error(path: &Path, timeout: Duration, error: io::Error) -> ClientError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ClientError::Missing(path),
        ErrorKind::PermissionDenied => ClientError::Forbidden(path),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Silent(path, timeout),
        // The kernel says the same of a socket without listener and of a file that is none.
        ErrorKind::ConnectionRefused => match std::fs::metadata(&path) {
            Ok(m) if !m.file_type().is_socket() => {
                ClientError::Foreign(path, "it is not a socket".to_owned())
            }
            _ => ClientError::Dead(path),
        },
        // EPROTOTYPE: a datagram or seqpacket socket.
        _ if error.raw_os_error() == Some(91) => {
            ClientError::Foreign(path, "it is no stream socket".to_owned())
        }
        _ => ClientError::Io(path, "connect to", error),
    }
}

#[cfg(test)]
mod tests;
