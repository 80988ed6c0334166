//! Real network namespaces for tests, the demo and the benches: a private user namespace (no root needed), hosts,
//! the standard network, faults, traffic with outage measurement, and a driver for the real daemon.
//!
//! A test looks like this:
//!
//! ```no_run
//! use mpath_testkit::{Lan, LanOptions, isolated};
//! # #[allow(dead_code)]
//! #[test]
//! fn cable_cut() {
//!     isolated("cable_cut", || {
//!         let lan = Lan::new(LanOptions::default()).unwrap();
//!         lan.cut(0).unwrap();
//!     });
//! }
//! ```

pub mod capture;
pub mod claimant;
pub mod clients;
pub mod counters;
pub mod crash;
pub mod daemon;
pub mod demo;
pub mod error;
pub mod group;
pub mod hogs;
pub mod host;
pub mod hostile;
pub mod lan;
mod link;
pub mod pair;
pub mod places;
pub mod private;
pub mod process;
pub mod refusals;
pub mod sniffer;
pub mod stack;
pub mod traffic;
pub mod tun;
pub mod wait;
pub mod witness;

pub use capture::Capture;
pub use clients::Clients;
pub use daemon::{Daemon, DaemonOptions, build_daemon};
pub use error::Error;
pub use group::GroupConfig;
pub use hogs::Hogs;
pub use host::Host;
pub use hostile::{Attacker, Flood, Hostile};
pub use lan::{Lan, LanOptions};
pub use pair::{Pair, Side};
pub use places::Places;
pub use private::{enter_private_namespace, isolated, isolated_for, with_daemon};
pub use process::Process;
pub use sniffer::Sniffer;
pub use stack::Stack;
pub use traffic::{Echo, TcpBulk, TcpSource, UdpStream};
pub use tun::{Tap, Tunnel};
pub use wait::{poll_until, wait_until};
pub use witness::Witness;
