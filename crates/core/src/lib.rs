//! The engine of mpathd. It performs no I/O, asks no clock and owns no source of chance: inputs and the
//! time come in, actions go out. `Engine::handle(now, input, &mut actions)`, `Engine::next_deadline()`,
//! `Engine::snapshot()` are the whole contract.

#![forbid(unsafe_code)]

pub mod action;
mod adopt;
mod announce;
pub mod carp;
mod detection;
pub mod diag;
mod engine;
mod findings;
mod gray;
mod group;
mod guard;
pub mod input;
mod inventory;
pub mod lagg;
mod marks;
mod nic;
mod pairs;
pub mod persist;
mod placement;
mod plan;
mod probe;
pub mod recording;
mod rng;
mod snapshot;
mod verdict;

pub use action::Action;
pub use engine::Engine;
pub use input::Input;
