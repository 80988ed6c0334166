//! The last 52 probes of an instance and what became of them (mpathd-behaviour.md 1.6 to 1.8, 3.5, 3.8).

use super::{MAX_TARGETS, PROBE_REPAIRS};
use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Probes remembered.
pub const PROBE_RING: usize = PROBE_REPAIRS * MAX_TARGETS + 2;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Sent, no answer yet.
    Outstanding,
    /// No answer by its deadline, which was then. An answer that comes later still turns it into `Acked`.
    Lost(Time),
    /// Answered at.
    Acked(Time),
}

impl Fate {
    /// The number that messages give for it.
    pub fn status(self) -> u8 {
        match self {
            Fate::Outstanding => 1,
            Fate::Lost(_) => 2,
            Fate::Acked(_) => 3,
        }
    }
}

/// One probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// ICMP sequence number.
    pub seq: u16,
    /// Unpredictable, so that nobody can answer without having seen the probe.
    pub nonce: u64,
    /// Who was asked; none once the target has been deleted.
    pub target: Option<IpAddr>,
    /// When.
    pub sent: Time,
    /// Latest time of an answer.
    pub deadline: Time,
    /// What became of it.
    pub fate: Fate,
}

impl Probe {
    /// Whether an answer may still come in time. Once its deadline has come, the probe is lost.
    fn awaits_answer(&mut self, now: Time) -> bool {
        if self.fate == Fate::Outstanding && self.deadline <= now {
            self.fate = Fate::Lost(self.deadline);
        }
        self.fate == Fate::Outstanding
    }
}

/// A run of losses that reaches up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossRun {
    /// Consecutive losses over all targets.
    pub length: usize,
    /// Consecutive losses of the target of the newest probe.
    pub of_target: usize,
    /// When the earliest loss of the run was due.
    pub first: Option<Time>,
}

/// Signs of life that are not in the ring: losses before them are no part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Newest answer of anybody over this path.
    pub path: Option<Time>,
    /// Newest answer of the target of the newest probe.
    pub target: Option<Time>,
}

/// The probes, newest at the back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ring {
    probes: VecDeque<Probe>,
    /// Probes sent since the instance exists.
    pub sent: u64,
    /// Answers accepted.
    pub acked: u64,
    /// Time of the newest answer.
    pub last_ack: Option<Time>,
}

impl Ring {
    /// Records a probe, forgetting the 53rd.
    pub fn push(&mut self, probe: Probe) {
        if self.probes.len() == PROBE_RING {
            self.probes.pop_front();
        }
        self.probes.push_back(probe);
        self.sent += 1;
    }

    /// Forgets all probes, not the totals: old successes must not help a later repair.
    pub fn clear(&mut self) {
        self.probes.clear();
    }

    /// Newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().rev()
    }

    /// The probe with this sequence number.
    pub fn find(&mut self, seq: u16) -> Option<&mut Probe> {
        self.probes.iter_mut().rev().find(|p| p.seq == seq)
    }

    /// The newest probe to `target` that has no answer yet.
    pub fn newest_open(&mut self, target: &IpAddr) -> Option<&mut Probe> {
        self.probes.iter_mut().rev().find(|p| p.target == Some(*target) && !matches!(p.fate, Fate::Acked(_)))
    }

    /// Marks a probe answered at `at`.
    pub fn ack(&mut self, seq: u16, at: Time) {
        if let Some(p) = self.find(seq) {
            p.fate = Fate::Acked(at);
            self.acked += 1;
            self.last_ack = self.last_ack.max(Some(at));
        }
    }

    /// Step 11 of a tick: decides the two newest probes. Returns whether the newest is validly outstanding.
    pub fn review(&mut self, now: Time) -> bool {
        let mut outstanding = false;
        for (age, p) in self.probes.iter_mut().rev().take(2).enumerate() {
            if p.fate != Fate::Outstanding {
                continue;
            }
            if p.deadline < now {
                p.fate = Fate::Lost(p.deadline);
            } else if age == 1 {
                p.fate = Fate::Lost(now); // only one may stay outstanding, and another is about to be sent
            } else {
                outstanding = true;
            }
        }
        outstanding
    }

    /// Whether the newest decided probe was answered; none when nothing is decided.
    pub fn newest_decided(&self) -> Option<bool> {
        self.probes.iter().rev().find_map(|p| match p.fate {
            Fate::Outstanding => None,
            Fate::Lost(_) => Some(false),
            Fate::Acked(_) => Some(true),
        })
    }

    /// Counts the losses that reach up to now (3.5 A), back to whatever `heard` tells.
    pub fn loss_run(&mut self, now: Time, heard: Heard) -> LossRun {
        let newest = self.probes.back().and_then(|p| p.target);
        let mut run = LossRun::default();
        let (mut all, mut same) = (true, true);
        for p in self.probes.iter_mut().rev() {
            if p.awaits_answer(now) {
                continue;
            }
            all &= heard.path.is_none_or(|at| p.sent >= at);
            same &= heard.target.is_none_or(|at| p.sent >= at);
            match p.fate {
                Fate::Lost(at) => {
                    if all {
                        run.length += 1;
                        run.first = Some(run.first.map_or(at, |f| f.min(at)));
                    }
                    run.of_target += usize::from(same && p.target == newest);
                }
                _ => {
                    all = false;
                    same &= p.target != newest;
                }
            }
        }
        run
    }

    /// Consecutive answers up to now: over all targets, and of the newest probe's target (3.8).
    pub fn ack_run(&mut self, now: Time) -> (usize, usize) {
        let newest = self.probes.back().and_then(|p| p.target);
        let (mut all_run, mut target_run) = (0, 0);
        let (mut all, mut same) = (true, true);
        for p in self.probes.iter_mut().rev() {
            if p.awaits_answer(now) {
                continue;
            }
            match p.fate {
                // Held back by somebody's queue while the path was dead: proves nothing about now.
                Fate::Acked(at) if at > p.deadline => {}
                Fate::Acked(_) => {
                    all_run += usize::from(all);
                    target_run += usize::from(same && p.target == newest);
                }
                _ => {
                    all = false;
                    same &= p.target != newest;
                }
            }
        }
        (all_run, target_run)
    }

    /// Detaches a deleted target: what is outstanding to it is lost now.
    pub fn forget_target(&mut self, target: &IpAddr, now: Time) {
        for p in self.probes.iter_mut().filter(|p| p.target == Some(*target)) {
            if p.fate == Fate::Outstanding {
                p.fate = Fate::Lost(now);
            }
            p.target = None;
        }
    }

    /// Whether a newer probe to the same target has been answered already (out-of-order reply).
    pub fn overtaken(&self, seq: u16) -> bool {
        let mut newer = self.probes.iter().rev().take_while(|p| p.seq != seq);
        let target = self.probes.iter().rev().find(|p| p.seq == seq).and_then(|p| p.target);
        newer.any(|p| p.target == target && matches!(p.fate, Fate::Acked(_)))
    }
}

/// When an answer to a probe sent now is due: after the target's conservative RTT, or after the group's
/// interval while that is unknown.
pub fn deadline(sent: Time, crtt: Option<Duration>, interval: Duration) -> Time {
    sent + crtt.unwrap_or(interval)
}

#[cfg(test)]
mod tests;
