//! What can go wrong between mpathd and the kernel: which operation, on what, which errno, and the
//! kernel's own words where it gives them.

use nix::errno::Errno;
use std::fmt;

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A system call or a file access failed.
    System {
        /// What was attempted, on which object.
        operation: String,
        /// errno.
        errno: i32,
    },
    /// The kernel refused a netlink request.
    Refused {
        /// The request: `RTM_NEWADDR` and so on.
        request: &'static str,
        /// errno.
        errno: i32,
        /// The kernel's explanation (extended ack), where it gives one.
        text: Option<String>,
    },
    /// No answer to a netlink request within the socket's time limit.
    Unanswered {
        /// The request.
        request: &'static str,
    },
    /// A dump was overtaken by changes each time it was tried.
    Interrupted {
        /// The request.
        request: &'static str,
    },
}

impl Error {
    /// A failed system call.
    pub fn system(operation: impl Into<String>, errno: Errno) -> Error {
        Error::System { operation: operation.into(), errno: errno as i32 }
    }

    /// A failed operation of the standard library.
    pub fn io(operation: impl Into<String>, error: &std::io::Error) -> Error {
        Error::System { operation: operation.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    /// The errno that fits best.
    pub fn errno(&self) -> i32 {
        match self {
            Error::System { errno, .. } | Error::Refused { errno, .. } => *errno,
            Error::Unanswered { .. } => libc::ETIMEDOUT,
            Error::Interrupted { .. } => libc::EINTR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { operation, errno } => write!(f, "{operation}: {}", describe(*errno)),
            Error::Refused { request, errno, text: Some(text) } => {
                write!(f, "{request} refused: {} ({text})", describe(*errno))
            }
            Error::Refused { request, errno, .. } => write!(f, "{request} refused: {}", describe(*errno)),
            Error::Unanswered { request } => write!(f, "{request}: no answer from the kernel"),
            Error::Interrupted { request } => write!(f, "{request}: dump overtaken by changes each time"),
        }
    }
}

impl std::error::Error for Error {}

fn describe(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}
