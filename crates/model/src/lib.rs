//! Plain data that every crate of mpathd shares: time, names, addresses, what the kernel shows and is
//! asked to do, validated settings, the status snapshot and events. No I/O and no decisions live here.

pub mod addr;
pub mod carp;
pub mod event;
pub mod explain;
pub mod kernel;
pub mod settings;
pub mod status;
pub mod time;

pub use addr::{Family, IfAddr, Mac};
pub use event::{Event, EventKind};
pub use kernel::{Address, KernelEvent, KernelOp, Link, Neighbour, Route};
pub use settings::Settings;
pub use status::Status;
pub use time::Time;

/// Kernel interface index (`ifindex`), 1 and up.
pub type IfIndex = u32;

/// Route protocol, rule protocol and IFA_PROTO that mark what mpathd installed.
pub const PROTO_MPATHD: u8 = 77;
