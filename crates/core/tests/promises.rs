//! What mpathd-behaviour.md and in.mpathd(1M) promise, shown on the engine's public interface: inputs in,
//! actions out, virtual time. `docs/edge-cases.md` says which test shows what.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(missing_docs, reason = "the names of tests are their documentation")]

mod common;

#[path = "promises/answers.rs"]
mod answers;
#[path = "promises/asking.rs"]
mod asking;
#[path = "promises/checks.rs"]
mod checks;
#[path = "promises/confirming.rs"]
mod confirming;
#[path = "promises/families.rs"]
mod families;
#[path = "promises/findings.rs"]
mod findings;
#[path = "promises/follow.rs"]
mod follow;
#[path = "promises/foreign.rs"]
mod foreign;
#[path = "promises/gray.rs"]
mod gray;
#[path = "promises/handover.rs"]
mod handover;
#[path = "promises/kernel.rs"]
mod kernel;
#[path = "promises/latency.rs"]
mod latency;
#[path = "promises/links.rs"]
mod links;
#[path = "promises/messages.rs"]
mod messages;
#[path = "promises/moves.rs"]
mod moves;
#[path = "promises/offline.rs"]
mod offline;
#[path = "promises/patience.rs"]
mod patience;
#[path = "promises/probing.rs"]
mod probing;
#[path = "promises/release.rs"]
mod release;
#[path = "promises/restart.rs"]
mod restart;
#[path = "promises/scale.rs"]
mod scale;
#[path = "promises/sequences.rs"]
mod sequences;
#[path = "promises/table.rs"]
mod table;
#[path = "promises/targets.rs"]
mod targets;
#[path = "promises/verdicts.rs"]
mod verdicts;
#[path = "promises/watching.rs"]
mod watching;
