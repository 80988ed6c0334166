//! A fuzz target for every parser: bytes from the wire, from the kernel, from a client, from an operator and from a file of
//! ours that somebody has damaged. `cargo test` feeds each with its corpus (`src/__fuzz__/TARGET/corpus`) and a moment of
//! random bytes; `cargo bolero test` runs libFuzzer for as long as one likes (CONTRIBUTING.md). Nothing but targets lives
//! here: what a fuzzer finds becomes a unit test beside the parser, and its input a file in the corpus.

#![forbid(unsafe_code)]
#![cfg(test)]

mod config;
mod control;
mod kernel;
mod state;
mod wire;

/// Random bytes in `cargo test` beside the corpus, cases.
const CASES: usize = 2000;
