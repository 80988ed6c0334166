//! The engine of mpathd. It performs no I/O, asks no clock and owns no source of chance: inputs and the
//! time come in, actions go out. `Engine::handle(now, input, &mut actions)`, `Engine::next_deadline()`,
//! `Engine::snapshot()` are the whole contract.

pub mod action;
pub mod diag;
pub mod input;
pub mod persist;

pub use action::Action;
pub use input::Input;
