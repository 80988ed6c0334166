//! Requests made ready before they are needed, and the moment they are needed for: a NIC loses its carrier. Between the
//! notification and the system call nothing is decoded, allocated or written but sequence numbers.

use crate::kernel::Kernel;
use crate::netlink::{Piece, Socket, decode, encode};
use mpath_model::IfIndex;
use mpath_model::kernel::KernelOp;

/// Requests as bytes.
#[derive(Clone, Debug)]
pub struct Prepared {
    ops: Vec<KernelOp>,
    pieces: Vec<Piece>,
}

/// Requests that have been carried out, and how each one ended.
#[derive(Debug, Default)]
pub(crate) struct Committed(Vec<(KernelOp, i32)>);

impl Committed {
    /// How a request ended, if it was among them.
    pub(crate) fn result(&self, op: &KernelOp) -> Option<i32> {
        self.0.iter().find(|(done, _)| done == op).map(|(_, errno)| *errno)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Prepared {
    /// Encodes requests, up to the first that is not one message to the kernel.
    pub fn new(ops: &[KernelOp]) -> Prepared {
        let requests: Vec<_> = ops.iter().map_while(encode::request).collect();
        Prepared { ops: ops[..requests.len()].to_vec(), pieces: Socket::encode(requests) }
    }
}

impl Kernel {
    /// Reads notifications ahead, which stay for [`Kernel::read_events`]: the one interface among `members` that has
    /// lost its carrier, if they tell of that and of nothing else that could matter.
    pub fn lost_carrier(&mut self, members: &[IfIndex]) -> Option<IfIndex> {
        let events = self.events_mut();
        if !events.read_ahead().ok()? {
            return None;
        }
        let mut lost = None;
        for (kind, payload) in events.waiting()? {
            match decode::carrier(kind, payload)? {
                decode::Carrier::Irrelevant => {}
                decode::Carrier::Link(index, _) if !members.contains(&index) => {}
                decode::Carrier::Link(index, false) if lost.is_none_or(|l| l == index) => lost = Some(index),
                decode::Carrier::Link(..) => return None,
            }
        }
        lost
    }

    /// Carries out what was prepared. The next [`Kernel::apply`] finds it done, if it is asked for the same.
    pub fn commit(&mut self, mut plan: Prepared) {
        let socket = self.requests_mut();
        let errors: Vec<i32> = plan.pieces.iter_mut().flat_map(|p| socket.commit_piece(p)).collect();
        self.committed = Committed(plan.ops.into_iter().zip(errors).collect());
    }

    /// Whether something has been committed that nobody has asked for yet.
    pub fn has_committed(&self) -> bool {
        !self.committed.is_empty()
    }

    /// Forgets what was committed; whether there was something.
    pub fn forget_commit(&mut self) -> bool {
        !std::mem::take(&mut self.committed).is_empty()
    }
}
