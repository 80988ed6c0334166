//! rtnetlink: a small socket layer, kernel messages into mpath-model's types and back. The only place
//! that names netlink-packet-route and netlink-packet-core.

pub mod create;
pub mod decode;
pub mod encode;
mod message;
pub mod ports;
pub mod socket;

pub use netlink_packet_core as packet_core;
pub use netlink_packet_route as packet_route;
pub use socket::{Drained, Piece, Socket};
