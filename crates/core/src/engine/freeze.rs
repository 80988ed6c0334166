//! Freeze and thaw: an operator wants to look at what the probes say without anything moving on their word. Lost
//! links, NICs that go away, `offline` and `online` move addresses as ever.

use super::Engine;
use crate::action::Action;
use crate::diag;
use crate::input::RequestId;
use crate::persist::Freeze;
use mpath_model::Time;
use std::time::Duration;

impl Engine {
    /// Freezes, for so long or until thawed; once more replaces what was said before.
    pub(super) fn freeze(
        &mut self,
        now: Time,
        id: RequestId,
        how_long: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        self.frozen = Some(Freeze { until: how_long.map(|d| now + d) });
        self.dirty = true;
        self.tell(out, diag::frozen(how_long));
        self.reply(out, id, Ok(()));
    }

    /// Thaws; without effect where nothing is frozen.
    pub(super) fn thaw(&mut self, id: RequestId, out: &mut Vec<Action>) {
        self.end(out);
        self.reply(out, id, Ok(()));
    }

    /// The time that was asked for is over.
    pub(super) fn end_freeze(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.frozen.and_then(|f| f.until).is_some_and(|t| t <= now) {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<Action>) {
        if self.frozen.take().is_some() {
            self.dirty = true;
            self.tell(out, diag::thawed());
        }
    }
}
