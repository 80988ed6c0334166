//! CARP: the address outlives the host (lagg-carp.md part B). What a vhid is and does lives here, apart from effects:
//! `machine` says which state follows, `timing` when, `intake` which packets count, `demotion` how well this host is,
//! `vhid` puts them together, `plan` says what the kernel must show. `engine/carping` feeds them.

pub mod counter;
pub mod demotion;
pub mod intake;
pub mod machine;
pub mod plan;
pub mod timing;
pub mod vhid;
