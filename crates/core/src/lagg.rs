//! Laggs: several ports that look like one interface (lagg(4), `laggproto failover`). What is decided about them lives
//! here, apart from effects; `engine/lagging` makes it so.

mod choose;
mod describe;

pub use choose::{Port, choose, link_up, steering};
pub use describe::describe;
