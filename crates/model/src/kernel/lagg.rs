//! What is asked of the kernel for the sake of laggs, and how it shows where their frames go. How each back-end does it
//! is the affair of `mpath-linux`.

use crate::IfIndex;
use crate::addr::Mac;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kernel's means to join ports into one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaggBackend {
    /// The bonding driver, active-backup.
    Bond,
    /// A veth pair, whose hidden end is joined to the active port by redirection inside the kernel.
    Redirect,
    /// A bridge with isolated ports, one of them forwarding.
    Bridge,
}

impl LaggBackend {
    /// As written in `mpathd.toml` and shown in the status.
    pub fn name(self) -> &'static str {
        match self {
            LaggBackend::Bond => "bond",
            LaggBackend::Redirect => "redirect",
            LaggBackend::Bridge => "bridge",
        }
    }
}

impl fmt::Display for LaggBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the frames of a lagg go and come from. A port that is named nowhere is not the lagg's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Steering {
    /// The port that sends and receives; none: nothing is sent.
    pub active: Option<IfIndex>,
    /// Ports, ascending, from which frames to the lagg's own address are still taken, because the switch may not know of the
    /// active port yet.
    pub draining: Vec<IfIndex>,
    /// Ports, ascending, through which nothing passes.
    pub blocked: Vec<IfIndex>,
}

/// Name of the hidden end of a redirecting lagg.
pub fn inner_name(lagg: &str) -> String {
    let mut end = lagg.len().min(13);
    while !lagg.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-p", &lagg[..end])
}

/// One request for a lagg.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LaggOp {
    /// Makes the interface, administratively down and without ports.
    Create {
        /// Name of the lagg.
        name: String,
        /// How.
        backend: LaggBackend,
        /// Its link-layer address.
        mac: Mac,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// Takes the interface away. Its ports have been detached.
    Destroy {
        /// Name of the lagg.
        name: String,
        /// How it was made.
        backend: LaggBackend,
    },
    /// Makes an interface a port through which nothing passes yet.
    Attach {
        /// The lagg.
        lagg: IfIndex,
        /// How it was made.
        backend: LaggBackend,
        /// The port.
        port: IfIndex,
    },
    /// Takes a port away; it keeps its link-layer address and MTU.
    Detach {
        /// How the lagg was made.
        backend: LaggBackend,
        /// The port.
        port: IfIndex,
    },
    /// Says where frames go, all of it: opens what is to be open before it closes what is to be closed.
    Steer {
        /// Name of the lagg.
        name: String,
        /// How it was made.
        backend: LaggBackend,
        /// The lagg.
        lagg: IfIndex,
        /// Its link-layer address.
        mac: Mac,
        /// Where they go.
        steering: Steering,
    },
    /// Sets the link-layer address of an interface, by taking it down for a moment if its driver insists.
    SetMac {
        /// The interface.
        index: IfIndex,
        /// Its new address.
        mac: Mac,
    },
    /// Sets the MTU of an interface.
    SetMtu {
        /// The interface.
        index: IfIndex,
        /// In bytes.
        mtu: u32,
    },
    /// Has an interface take every frame, or only those that are meant for it.
    SetPromisc {
        /// The interface.
        index: IfIndex,
        /// Which.
        on: bool,
    },
    /// Sets an interface administratively up or down.
    SetUp {
        /// The interface.
        index: IfIndex,
        /// Which.
        up: bool,
    },
}

impl LaggOp {
    /// The interface the request is about, where it names one by index.
    pub fn index(&self) -> Option<IfIndex> {
        match self {
            LaggOp::Create { .. } | LaggOp::Destroy { .. } => None,
            LaggOp::Attach { port, .. } | LaggOp::Detach { port, .. } => Some(*port),
            LaggOp::Steer { lagg, .. } => Some(*lagg),
            LaggOp::SetMac { index, .. }
            | LaggOp::SetMtu { index, .. }
            | LaggOp::SetPromisc { index, .. }
            | LaggOp::SetUp { index, .. } => Some(*index),
        }
    }
}
