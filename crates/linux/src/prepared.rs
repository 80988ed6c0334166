//! Requests made ready before they are needed, and the moment they are needed for: a NIC loses its carrier. Between the
//! notification and the system call nothing is decoded, allocated or written but sequence numbers.

use crate::kernel::{Absent, Kernel};
use crate::netlink::{Piece, Socket, decode, encode};
use mpath_model::IfIndex;
use mpath_model::kernel::KernelOp;
use nix::sched::sched_yield;
use std::collections::VecDeque;

/// Requests made ready.
#[derive(Clone, Debug)]
pub struct Prepared(Vec<Part>);

/// Neighbouring requests of one kind.
#[derive(Clone, Debug)]
enum Part {
    /// To the kernel, as bytes.
    Messages(Vec<KernelOp>, Vec<Piece>),
    /// To the neighbours: the link-layer address is read at that moment.
    Frame(KernelOp),
}

/// Requests that have been carried out, and how each one ended.
#[derive(Debug, Default)]
pub(crate) struct Committed(VecDeque<(KernelOp, i32)>);

impl Committed {
    /// How a request ended, if it was among them. They are asked for in the order in which they were done.
    pub(crate) fn take(&mut self, op: &KernelOp) -> Option<i32> {
        let at = self.0.iter().position(|(done, _)| done == op)?;
        self.0.remove(at).map(|(_, errno)| errno)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Prepared {
    /// Makes requests ready, up to the first that can only be made on the spot.
    pub fn new(ops: &[KernelOp]) -> Prepared {
        let mut parts = Vec::new();
        let mut rest = ops;
        while let Some((first, others)) = rest.split_first() {
            let requests: Vec<_> = rest.iter().map_while(encode::request).collect();
            if !requests.is_empty() {
                let (now, later) = rest.split_at(requests.len());
                parts.push(Part::Messages(now.to_vec(), Socket::encode(requests)));
                rest = later;
            } else if matches!(first, KernelOp::Announce { .. } | KernelOp::Solicit { .. }) {
                parts.push(Part::Frame(first.clone()));
                rest = others;
            } else {
                break;
            }
        }
        Prepared(parts)
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
    pub fn commit(&mut self, plan: Prepared) {
        let mut absent = Absent::default();
        let mut done = VecDeque::new();
        self.forget_macs();
        for part in plan.0 {
            match part {
                Part::Messages(ops, mut pieces) => {
                    let socket = self.requests_mut();
                    let errors: Vec<i32> = pieces.iter_mut().flat_map(|p| socket.commit_piece(p)).collect();
                    ops.iter().zip(&errors).for_each(|(op, errno)| absent.note(op, *errno));
                    done.extend(ops.into_iter().zip(errors));
                }
                Part::Frame(op) => {
                    let errno = self.perform_unless(&absent, &op);
                    done.push_back((op, errno));
                }
            }
        }
        self.committed = Committed(done);
        // An IPv6 address is in force when a worker of the kernel has run, which may be waiting for this processor; what
        // remains to be done here is not as urgent.
        let _ = sched_yield();
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
