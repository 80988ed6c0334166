//! The evidence behind a verdict, as `mpathctl why`, `top` and `ipmpstat -p` show it, and what a step would do,
//! as `mpathctl plan` shows it. Plain data; the engine fills it in. All keys are always present.

use crate::addr::{Family, IfAddr};
use crate::status::{InterfaceState, LinkState, Method, TargetMode};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Everything known of one NIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Name of the NIC.
    pub interface: String,
    /// Its group, if it has a name.
    pub group: Option<String>,
    /// Verdict.
    pub state: InterfaceState,
    /// Link state.
    pub link: LinkState,
    /// Which rule decided.
    pub rule: Rule,
    /// The rule in words, with the values that count.
    pub reason: String,
    /// What would change the verdict, one sentence each.
    pub remedy: Vec<String>,
    /// What is wrong besides, one sentence each.
    pub problems: Vec<String>,
    /// Carrier and verdicts, oldest first; a limited number.
    pub history: Vec<Change>,
    /// Families being probed.
    pub instances: Vec<Evidence>,
}

/// The rule that decided about a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The host has no such NIC.
    Absent,
    /// It is a port of a bridge, bond or team.
    Enslaved,
    /// Taken out of service by an operator.
    Offline,
    /// Its link is down.
    LinkDown,
    /// All members are silent: the fault is beyond the NICs.
    GroupFailure,
    /// Probes are unanswered while other members are answered.
    ProbesLost,
    /// It has failed, and has not proven itself since.
    Unproven,
    /// Its link came up too often within a minute.
    Flapping,
    /// Nothing speaks against it, and nobody is asked: link state alone.
    LinkOnly,
    /// Nothing speaks against it, and there is nobody to ask.
    NoTarget,
    /// Losses are not believed yet: the switch port may still be learning.
    Quiet,
    /// No target answers on any member, and no frame passes between it and the others, while others reach each other.
    PortDead,
    /// No target answers on any member, and frames pass between it and others: the targets are at fault.
    PortWorks,
    /// Probes are answered.
    Answered,
}

/// Something that happened to a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// How long ago, ms.
    pub ago_ms: u64,
    /// What, like `link down` or `failed: probes unanswered`.
    pub what: String,
}

/// A family of a NIC and its probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Family.
    pub family: Family,
    /// What is sent.
    pub method: Method,
    /// Where its targets come from.
    pub mode: TargetMode,
    /// Source of its probes, if it has one of its own.
    pub source: Option<IpAddr>,
    /// Between two probes, us.
    pub interval_us: u64,
    /// Losses in a row up to now.
    pub losses: u32,
    /// So many in a row make it suspect.
    pub losses_to_fail: u32,
    /// Answers in a row up to now.
    pub answers: u32,
    /// So many in a row repair it.
    pub answers_to_repair: u32,
    /// Losses are not believed for so long, ms.
    pub quiet_ms: Option<u64>,
    /// Why the last probe could not leave: errno.
    pub send_error: Option<i32>,
    /// Probes since the family is probed.
    pub sent: u64,
    /// Of those, answered.
    pub answered: u64,
    /// Answers that were refused: late copies, wrong sender, wrong contents.
    pub refused: u64,
    /// Who can be asked, in firing order.
    pub targets: Vec<TargetEvidence>,
    /// The last probes, oldest first, at most 52.
    pub probes: Vec<ProbeRecord>,
}

/// Somebody who can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetEvidence {
    /// Address.
    pub address: IpAddr,
    /// `active`, `unused`, `slow` or `dead`.
    pub standing: String,
    /// Average round-trip time, us.
    pub rtt_us: Option<u64>,
    /// Its mean deviation, us.
    pub deviation_us: Option<u64>,
    /// Of the probes remembered: sent to it.
    pub sent: u32,
    /// Of those, answered.
    pub answered: u32,
    /// Of those, lost.
    pub lost: u32,
}

/// A probe and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Running number within the family, 1 and up.
    pub number: u64,
    /// Who was asked; none once the target has been deleted.
    pub target: Option<IpAddr>,
    /// How long ago it was sent, us.
    pub ago_us: u64,
    /// Round-trip time, us; none while unanswered.
    pub rtt_us: Option<u64>,
    /// It was given up.
    pub lost: bool,
}

/// What a step would do now. Nothing has been changed by asking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Data addresses that would be on another NIC, appear or go.
    pub addresses: Vec<PlannedAddress>,
    /// Routes that would lead through another NIC.
    pub routes: Vec<PlannedRoute>,
    /// NICs that would come under mpathd's control, or leave it: `eth2 joins group production`.
    pub members: Vec<String>,
    /// When each moved address would be announced, ms after the move.
    pub announcements_ms: Vec<u64>,
    /// What the operator should know, one sentence each.
    pub remarks: Vec<String>,
}

/// A data address in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAddress {
    /// The address.
    pub address: IfAddr,
    /// NIC it is on now; none if it is on none.
    pub from: Option<String>,
    /// NIC it would be on; none if it would be deleted, or left to itself.
    pub to: Option<String>,
}

/// A route in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRoute {
    /// Destination and gateway, like `0.0.0.0/0 via 192.0.2.1`.
    pub route: String,
    /// NIC it leads through now.
    pub from: String,
    /// NIC it would lead through.
    pub to: String,
}
