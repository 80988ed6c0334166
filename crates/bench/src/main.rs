//! Placeholder until the first lines of this crate land.
fn main() {}
