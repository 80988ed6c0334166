//! A deterministic world around the engine of mpathd: a virtual kernel, a LAN, a schedule of faults, and
//! the invariants that must hold after every step. One seed is one world, one schedule and one result.

pub mod churn;
pub mod cut;
pub mod duo;
pub mod faults;
pub mod invariants;
pub mod kernel;
pub mod lan;
pub mod loss;
pub mod minimise;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod stats;
pub mod trace;
pub mod trunk;
pub mod world;

pub use run::{Outcome, Ran, Report, run_one, run_piece, run_seeds};
