//! What happened, in numbers: so that one sees that a run did something, and whether two runs were equal.

use mpath_core::Input;
use mpath_model::{EventKind, Time};
use std::time::Duration;

/// Counters of one world, or the sum over many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub struct Stats {
    pub worlds: u64,
    pub virtual_time: Duration,
    /// Inputs handled by the engine.
    pub steps: u64,
    /// Packets sent.
    pub sent: u64,
    /// Kernel requests, and those refused at random.
    pub requests: u64,
    pub refused: u64,
    /// Kernel events lost, and dumps made.
    pub lost: u64,
    pub dumps: u64,
    pub faults: u64,
    pub restarts: u64,
    pub nic_failures: u64,
    pub repairs: u64,
    pub group_failures: u64,
    pub failovers: u64,
    pub failbacks: u64,
    /// Timed duties that were checked.
    pub duties: u64,
    /// Inputs handled by the engines of two hosts with a vhid, and how often one of them became master.
    pub carp_steps: u64,
    pub takeovers: u64,
    /// Inputs handled by the engine of a host with a lagg, and how often that switched.
    pub lagg_steps: u64,
    /// See `lagg_steps`.
    pub switches: u64,
    /// Fingerprint of all inputs and their times.
    pub digest: u64,
}

impl Stats {
    pub(crate) fn step(&mut self, now: Time, input: &Input) {
        self.steps += 1;
        let kind: u64 = match input {
            Input::Tick => 1,
            Input::Configure(_) => 2,
            Input::Restore(_) => 3,
            Input::Inventory(_) => 4,
            Input::Kernel(_) => 5,
            Input::Running { .. } => 6,
            Input::Heard(_) => 7,
            Input::SendFailed { .. } => 8,
            Input::Done { .. } => 9,
            Input::Request { .. } => 10,
            Input::AdvertFailed { .. } => 11,
            Input::WallClock { .. } => 12,
            Input::Stop => 13,
        };
        self.digest = (self.digest ^ now.0 ^ (kind << 56)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        match kind {
            EventKind::NicFailed => self.nic_failures += 1,
            EventKind::NicRepaired => self.repairs += 1,
            EventKind::GroupFailed => self.group_failures += 1,
            EventKind::Failover => self.failovers += 1,
            EventKind::Failback => self.failbacks += 1,
            _ => {}
        }
    }

    /// Adds another world's counters.
    pub fn add(&mut self, other: &Stats) {
        self.worlds += other.worlds;
        self.virtual_time += other.virtual_time;
        self.steps += other.steps;
        self.sent += other.sent;
        self.requests += other.requests;
        self.refused += other.refused;
        self.lost += other.lost;
        self.dumps += other.dumps;
        self.faults += other.faults;
        self.restarts += other.restarts;
        self.nic_failures += other.nic_failures;
        self.repairs += other.repairs;
        self.group_failures += other.group_failures;
        self.failovers += other.failovers;
        self.failbacks += other.failbacks;
        self.duties += other.duties;
        self.carp_steps += other.carp_steps;
        self.takeovers += other.takeovers;
        self.lagg_steps += other.lagg_steps;
        self.switches += other.switches;
        self.digest ^= other.digest;
    }
}
