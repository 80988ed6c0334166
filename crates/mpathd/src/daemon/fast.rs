//! The fast path: what the engine has planned for the loss of a NIC's carrier lies encoded, and is committed at the event,
//! before anything is decoded or decided. The engine, told right afterwards, asks for the same and finds it done. A plan
//! for a picture that has changed meanwhile is not sent.

use super::Daemon;
use mpath_core::{Action, Input};
use mpath_linux::prepared::Prepared;
use mpath_model::IfIndex;
use mpath_model::event::Level;
use mpath_model::kernel::KernelOp;
use std::collections::HashMap;

/// Plans by NIC, each with the number of the picture it was made for.
#[derive(Debug, Default)]
pub(super) struct Plans(HashMap<IfIndex, (u64, Prepared)>);

impl Plans {
    /// Encodes a plan and keeps it; those for other pictures go.
    pub(super) fn keep(&mut self, index: IfIndex, generation: u64, ops: &[KernelOp]) {
        self.0.retain(|_, (g, _)| *g == generation);
        self.0.insert(index, (generation, Prepared::new(ops)));
    }

    /// The plan for this NIC, if it is for this picture.
    fn take(&mut self, index: IfIndex, generation: u64) -> Option<Prepared> {
        if self.0.get(&index)?.0 != generation {
            return None;
        }
        self.0.remove(&index).map(|(_, plan)| plan)
    }
}

/// What has been committed is reported, and announced, before anything is written: the state file held what is needed
/// to take it back before it happened.
pub(super) fn kernel_first(actions: &mut [Action]) {
    actions.sort_by_key(|a| !matches!(a, Action::Kernel { .. }));
}

impl Daemon {
    /// Commits the plan for the NIC whose carrier the waiting notifications report lost, if there is one.
    pub(super) fn commit_at_event(&mut self) {
        let Some(index) = self.kernel.lost_carrier(&self.listen.carrier) else { return };
        self.commit(index);
        // The engine must not see what the plan did before it has asked for it: then it would not ask.
        let mut events = Vec::new();
        self.kernel.take_read_ahead(&mut events);
        self.note_events(&events);
        self.feed(Input::Kernel(events));
        self.settle_commit();
    }

    /// Commits the plan for a NIC that has lost its carrier, if there is one.
    pub(super) fn commit(&mut self, index: IfIndex) {
        if let Some(plan) = self.plans.take(index, self.engine.generation()) {
            self.kernel.commit(plan);
        }
    }

    /// What was committed and not asked for is seen by its events, and compared like everything else.
    pub(super) fn settle_commit(&mut self) {
        if self.kernel.forget_commit() {
            self.logger.say(Level::Info, "a prepared plan was not wanted: looking at everything again", &[]);
            self.resynchronise();
            self.drain_queue();
        }
    }
}
