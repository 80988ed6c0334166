//! What the engine asks of the outside. An action returns nothing: acks and errors come back as inputs.

use crate::diag::Line;
use crate::input::{BatchId, RequestId};
use crate::persist::Persistent;
use mpath_model::kernel::{KernelOp, Listen, Transmit};
use mpath_model::{Event, IfIndex};
use serde::{Deserialize, Serialize};

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Send a packet.
    Send(Transmit),
    /// Carry out these requests in this order, each even if one before it failed; then report
    /// [`crate::Input::Done`].
    Kernel {
        /// Names the batch in the report.
        batch: BatchId,
        /// The requests.
        ops: Vec<KernelOp>,
    },
    /// What will be asked of the kernel first if this NIC loses its carrier now. It can be made ready in advance, and
    /// may be carried out at that event, before the engine hears of it, as long as [`crate::Engine::generation`] is
    /// still this one; the engine will ask for the same then.
    Prepare {
        /// The NIC.
        index: IfIndex,
        /// The picture it was made for.
        generation: u64,
        /// The requests, up to the first that is more than one message to the kernel.
        ops: Vec<KernelOp>,
    },
    /// Keep this in the state directory before any action behind it is carried out.
    Persist(Persistent),
    /// Dump everything and report it as [`crate::Input::Inventory`].
    Resynchronise,
    /// Listen to exactly this from now on.
    Listen(Listen),
    /// Write a log line.
    Log(Line),
    /// Tell watchers and hooks.
    Emit(Event),
    /// Answer an operator.
    Reply {
        /// Whose request.
        id: RequestId,
        /// Done, or why not.
        result: Result<(), Refusal>,
    },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable word for programs: `unknown_interface`, `already_offline`, `not_offline`, `no_other_interface`.
    pub reason: String,
    /// Sentence for people.
    pub message: String,
}
