//! What can go wrong while a private network is built: which operation, on which object, and why.

use std::fmt;

/// An operation of the kit that failed.
pub struct Error {
    /// What was attempted, with the object: `create veth eth0`.
    what: String,
    /// Why it failed.
    why: String,
}

impl Error {
    /// `what` names operation and object; `why` is the cause.
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Error {
        Error { what: what.into(), why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// The same text: tests unwrap, and what they print is to be read by people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Adds operation and object to a cause.
pub(crate) trait Context<T> {
    /// Turns the cause into an [`Error`]; `what` is only called on failure.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, Error> {
        self.map_err(|e| Error::new(what(), e))
    }
}
