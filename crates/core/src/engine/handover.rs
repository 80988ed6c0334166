//! One run of the program takes over from another without a missed probe (SIGUSR2): the engine as a whole is plain data,
//! so that the next program image goes on where this one stopped. What is left behind: operators that wait for a
//! reply, since their connections end, and the picture of the kernel, which is taken anew.

use super::Engine;
use crate::persist::Persistent;
use crate::probe::ring::Fate;
use mpath_model::kernel::Listen;
use mpath_model::{Settings, Time};
use std::time::Duration;

/// An answer that has not come within this is not waited for.
const LIKELY: Duration = Duration::from_millis(50);

impl Engine {
    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether nothing is under way that would be lost between two runs: no request to the kernel, and no probe whose
    /// answer is likely to come in at any moment.
    pub fn at_rest(&self, now: Time) -> bool {
        let instances = || self.groups.iter().flat_map(|g| &g.nics).flat_map(|n| &n.instances);
        let open = |i: &crate::probe::instance::Instance| {
            i.ring.newest_first().next().is_some_and(|p| p.fate == Fate::Outstanding && now - p.sent < LIKELY)
        };
        self.batches.is_empty() && !instances().any(open)
    }

    /// Goes on in a new program image, of this version. Whatever it is told, it decides nothing before a dump.
    pub fn resumed(mut self, version: &str) -> Engine {
        self.blind = true;
        self.version = version.to_string();
        self.listen = Listen::default();
        self.inventory.recall(&self.persisted.unmarked);
        self
    }

    /// What [`crate::Action::Persist`] said last; none before it said anything.
    pub fn persisted(&self) -> Option<&Persistent> {
        self.persisted.settings.is_some().then_some(&self.persisted)
    }
}
