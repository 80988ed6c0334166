//! The place of the control socket in the file system: what may be replaced there, and what may not.

use mio::net::UnixStream;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Why the socket cannot be set up.
#[derive(Debug)]
pub(crate) enum BindError {
    /// Another process answers on it.
    InUse(PathBuf),
    /// Something that is no socket stands there.
    NotASocket(PathBuf),
    /// An operation failed.
    Io(PathBuf, &'static str, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::InUse(path) => {
                write!(f, "another process already answers on control socket {}", path.display())
            }
            BindError::NotASocket(path) => {
                write!(f, "{} exists and is not a socket: it is left alone", path.display())
            }
            BindError::Io(path, operation, error) => {
                write!(f, "cannot {operation} control socket {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for BindError {}

/// Removes a socket nobody listens on.
pub(super) fn clear(path: &Path) -> Result<(), BindError> {
    let fail = |operation| move |e| BindError::Io(path.to_owned(), operation, e);
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(fail("stat")(e)),
        Ok(meta) if !meta.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    // mio's connect does not wait, not even for a listener whose queue is full.
    match UnixStream::connect(path) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(fail("remove dead"))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() != ErrorKind::WouldBlock => Err(fail("probe")(e)),
        _ => Err(BindError::InUse(path.to_owned())),
    }
}
