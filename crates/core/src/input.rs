//! What reaches the engine. Serialisable, so that every run can be recorded and replayed.

use crate::persist::Persistent;
use mpath_model::kernel::{Heard, Inventory, KernelEvent};
use mpath_model::{IfIndex, Settings};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Identifies an operator's request, so that the reply finds its way back.
pub type RequestId = u64;

/// Identifies a batch of kernel requests.
pub type BatchId = u64;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// Only time has passed.
    Tick,
    /// Settings to be in force from now on: the first ones at start, later ones by reload.
    Configure(Settings),
    /// What an earlier run left in the state directory. At most once, before the first inventory.
    Restore(Persistent),
    /// A complete dump of what the kernel shows; answers [`crate::Action::Resynchronise`] and starts the engine.
    Inventory(Inventory),
    /// Changes the kernel told of, as many as were there to read: a verdict on the first must already
    /// see the last (mpathd-behaviour.md 10, case 45).
    Kernel(Vec<KernelEvent>),
    /// Carrier of an interface as polling sees it: running or not (an event may come much later).
    Running {
        /// Interface.
        index: IfIndex,
        /// Whether it is running.
        running: bool,
    },
    /// A packet.
    Heard(Heard),
    /// A packet could not be sent: raw errno.
    SendFailed {
        /// Interface.
        index: IfIndex,
        /// Sequence number of the probe, where it was one.
        seq: Option<u16>,
        /// Family of the probe.
        family: mpath_model::Family,
        /// errno.
        errno: i32,
    },
    /// A batch of kernel requests was carried out: one errno for each request, 0 for success. The
    /// events that the batch caused have been delivered before this.
    Done {
        /// The batch.
        batch: BatchId,
        /// errno of each request, in order.
        errors: Vec<i32>,
    },
    /// An advert of CARP could not be sent.
    AdvertFailed {
        /// Whose.
        id: mpath_model::carp::CarpId,
        /// errno.
        errno: i32,
    },
    /// The wall clock, once at start: 2^-32 seconds since the epoch. CARP's counters begin there.
    WallClock {
        /// Seconds in the upper half, the fraction in the lower.
        unix: u64,
    },
    /// The daemon is about to stop. CARP resigns and withdraws its addresses; everything else stays.
    Stop,
    /// An operator asks for something.
    Request {
        /// Whom to answer.
        id: RequestId,
        /// What is asked.
        command: Command,
    },
}

/// What an operator can ask of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Takes the NIC out of service: `mpathctl offline IF`, `if_mpadm -d IF`.
    Offline(String),
    /// Puts it back: `mpathctl online IF`, `if_mpadm -r IF`.
    Online(String),
    /// Moves nothing on verdicts of probes, for so long or until [`Command::Thaw`].
    Freeze(Option<Duration>),
    /// Ends [`Command::Freeze`].
    Thaw,
    /// Takes back what mpathd installed, of a NIC or a group, or everything: `mpathctl release [IF|GROUP]`.
    Release(Option<String>),
    /// Adds to the CARP demotion counter: `mpathctl demote N`.
    Demote(i32),
    /// Logs the probe statistics (SIGUSR1).
    Statistics,
}
