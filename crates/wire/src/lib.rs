//! Packets as bytes and back: Ethernet, ARP, ICMP, ICMPv6, Neighbour Discovery and the payload of a probe.
//!
//! `parse` takes bytes and gives what they mean or an [`Error`]; `emit` and the `..._frame` functions give
//! bytes. No sockets, no clock, no state: who sends and who listens is decided elsewhere.

#![forbid(unsafe_code)]

pub mod arp;
pub mod beacon;
mod bytes;
pub mod carp;
pub mod checksum;
mod error;
pub mod ethernet;
pub mod icmp;
pub mod icmp6;
pub mod ipv4;
pub mod ipv6;
pub mod ndisc;
pub mod probe;

pub use error::Error;
