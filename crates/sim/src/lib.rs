//! A deterministic world around the engine of mpathd: a virtual kernel, a LAN, a schedule of faults, and
//! the invariants that must hold after every step. One seed is one world, one schedule and one result.

pub mod kernel;
pub mod rng;
