//! The sysctls of members, which others change without the kernel telling anybody: looked at often
//! enough to repair within a second.

use super::Daemon;
use super::carrier::common;
use mpath_core::Input;
use mpath_linux::clock;
use mpath_linux::sysctl::Watched;
use mpath_model::Time;
use mpath_model::kernel::{KernelEvent, KernelOp, Sysctl};
use std::collections::HashMap;
use std::time::Duration;

/// Pause between two looks, or up to 100 ms more. From [`MANY`] interfaces on one is taken less often.
const PAUSE: Duration = Duration::from_millis(650);
/// See [`PAUSE`].
const MANY: u32 = 20;

/// What the last look saw.
#[derive(Debug, Default)]
pub(super) struct Look {
    seen: HashMap<(String, Sysctl), i32>,
    files: Watched,
    next: Option<Time>,
}

impl Look {
    /// When to look next.
    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }

    /// What has just been written counts as not yet seen: somebody may write the old value back before the next look.
    pub(super) fn forget_written(&mut self, ops: &[KernelOp]) {
        for op in ops {
            if let KernelOp::SetSysctl { interface, key, .. } = op {
                self.seen.remove(&(interface.clone(), *key));
            }
        }
    }
}

impl Daemon {
    /// Tells the engine of sysctls that have changed since the last look.
    pub(super) fn look_at_sysctls(&mut self, now: Time) {
        let members = self.listen.carrier.clone();
        if members.is_empty() {
            self.look.next = None;
            return;
        }
        if self.look.next.is_some_and(|t| t > now) {
            return;
        }
        let rounds = 1 + u32::try_from(members.len()).unwrap_or(u32::MAX) / MANY;
        self.look.next = Some(common(clock::now() + PAUSE * rounds));
        let names: Vec<&String> = members.iter().filter_map(|index| self.names.get(index)).collect();
        self.look.seen.retain(|(name, _), _| names.contains(&name));
        self.look.files.keep(&names);
        let mut changed = Vec::new();
        for name in names {
            for (key, value) in self.look.files.all(name) {
                if self.look.seen.insert((name.clone(), key), value) != Some(value) {
                    changed.push(KernelEvent::Sysctl(name.clone(), key, value));
                }
            }
        }
        if !changed.is_empty() {
            self.feed(Input::Kernel(changed));
        }
    }
}
