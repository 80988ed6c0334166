//! Why bytes are not the packet they were taken for.

use std::fmt;

/// Why a parser refused its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the packet must have.
    Short {
        /// The packet or the part of it.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A field holds a value that this packet cannot have.
    Field {
        /// The field, by its name in the RFC.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// The checksum does not fit the bytes.
    Checksum {
        /// The packet.
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Short { what, need, have } => write!(f, "{what} has {have} bytes, {need} needed"),
            Error::Field { what, value } => write!(f, "{what} is {value:#x}"),
            Error::Checksum { what } => write!(f, "{what} has a wrong checksum"),
        }
    }
}

impl std::error::Error for Error {}
