//! Probing: who is asked (targets), when (schedule), how long an answer may take (rtt), what came of it
//! (ring), what settles a doubt (confirm), and one instance (a family of a NIC) that puts them together.

pub mod confirm;
pub mod instance;
pub mod large;
pub mod manners;
pub mod ring;
pub mod rtt;
pub mod schedule;
pub mod targets;

/// Consecutive lost probes that make a NIC, or one target, suspect (mpathd-behaviour.md 0.4).
pub const PROBE_FAILS: usize = 5;
/// Consecutive answered probes that make a NIC repaired.
pub const PROBE_REPAIRS: usize = 10;
/// Active targets of an instance, at most.
pub const MAX_TARGETS: usize = 5;
/// Active targets that a refill aims at.
pub const MIN_TARGETS: usize = 3;
/// Divisor from failure detection time to probe interval.
pub const FDT_DIVISOR: u32 = PROBE_FAILS as u32 + 2;
