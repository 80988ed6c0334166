//! The control protocol of mpathd: varlink (NUL-terminated JSON) on a unix stream socket, interface
//! `org.mpathd`. Here live the messages, the codec and a blocking client. The server belongs to the daemon,
//! the texts for people to mpathctl.

#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
pub mod failure;
pub mod message;

use std::time::Duration;

pub use client::{Client, ClientError};
pub use codec::{Framer, TooLong};
pub use failure::{Failure, Problem};
pub use message::{
    Call, Change, Key, Reply, ReplyMessage, Request, RunningConfiguration, ServiceInfo, TimedEvent,
};

/// Longest trial of a configuration: a longer one ends after this time.
pub const LONGEST_TRIAL: Duration = Duration::from_secs(86_400);

/// Name of mpathd's varlink interface.
pub const INTERFACE: &str = "org.mpathd";

/// The interface definition, as `org.varlink.service.GetInterfaceDescription` returns it.
pub const IDL: &str = include_str!("org.mpathd.varlink");

/// The definition of the interface that every varlink service has.
pub const SERVICE_IDL: &str = include_str!("org.varlink.service.varlink");

/// Where the daemon listens unless told otherwise: `mpathd.sock` in the default state directory.
pub const DEFAULT_SOCKET: &str = "/run/mpathd/mpathd.sock";

/// Longest request a server accepts, bytes without the terminator.
pub const MAX_REQUEST: usize = 1 << 20;

/// Longest reply a client accepts, bytes without the terminator.
pub const MAX_REPLY: usize = 16 << 20;
