//! The status snapshot: the JSON of `mpathctl --json status`, key for key. All keys are always present.

use crate::addr::{Family, IfAddr};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The whole picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Changes that no file holds.
    pub unsaved: bool,
    /// Moves on probe verdicts are suspended.
    pub frozen: bool,
    /// Groups in configuration order.
    pub groups: Vec<Group>,
    /// NICs tracked without a group.
    pub ungrouped: Vec<Interface>,
    /// lagg interfaces.
    pub laggs: Vec<Lagg>,
    /// carp vhids.
    pub carps: Vec<Carp>,
    /// Packets of CARP on this host.
    #[serde(default)]
    pub carp_counters: CarpCounters,
}

/// State of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// Every member is ok.
    Ok,
    /// Some member is not.
    Degraded,
    /// None is usable.
    Failed,
}

/// State of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterfaceState {
    /// Works, as far as the evidence goes.
    Ok,
    /// Link down or probes unanswered.
    Failed,
    /// Taken out of service by an operator.
    Offline,
    /// Absent.
    Unknown,
}

/// Link state of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Running.
    Up,
    /// Not running.
    Down,
    /// Absent.
    Unknown,
}

/// What the probes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// Answered.
    Ok,
    /// Failed and not yet repaired.
    Failed,
    /// No targets.
    Unknown,
    /// Not probed.
    Disabled,
}

/// Where the targets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetMode {
    /// Next hops of routes (or named targets).
    Routes,
    /// Neighbouring hosts.
    Multicast,
    /// Not probed.
    Disabled,
}

/// A probe method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// ICMP or ICMPv6 echo.
    Icmp,
    /// ARP requests.
    Arp,
    /// Neighbour solicitations.
    Nd,
    /// Link state alone.
    Link,
    /// Frames from member to member, while no target answers.
    Beacon,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// ok, degraded, failed.
    pub state: GroupState,
    /// In force now, ms.
    pub failure_detection_time_ms: u64,
    /// Asked for, ms.
    pub requested_failure_detection_time_ms: u64,
    /// FAILBACK.
    pub failback: bool,
    /// Members in configuration order.
    pub interfaces: Vec<Interface>,
    /// Data addresses, declared ones first.
    pub addresses: Vec<DataAddress>,
}

/// A NIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Verdict.
    pub state: InterfaceState,
    /// Carries or may carry data now.
    pub active: bool,
    /// Loses so many probes that its addresses have moved, although it has not failed.
    #[serde(default)]
    pub degraded: bool,
    /// Configured as standby.
    pub standby: bool,
    /// Link state.
    pub link: LinkState,
    /// Probe evidence.
    pub probe: ProbeState,
    /// Of IPv4 if probed, else IPv6.
    pub mode: TargetMode,
    /// Test addresses.
    pub test_addresses: Vec<IpAddr>,
    /// Targets in use, of IPv4 if probed, else IPv6.
    pub targets: Vec<IpAddr>,
    /// Data addresses hosted now.
    pub addresses: Vec<IfAddr>,
    /// Families.
    pub instances: Vec<Instance>,
    /// Addresses that belong to the NIC and never move, with the reason.
    pub unmanaged: Vec<Unmanaged>,
}

/// An address mpathd leaves alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unmanaged {
    /// The address.
    pub address: IfAddr,
    /// Why it is not a data address.
    pub reason: String,
}

/// A family of a NIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Family.
    pub family: Family,
    /// How it is watched.
    pub methods: Vec<Method>,
    /// Where its targets come from.
    pub mode: TargetMode,
    /// Source of its probes, if it has one of its own.
    pub test_address: Option<IpAddr>,
    /// Targets in use, in firing order.
    pub targets: Vec<IpAddr>,
}

/// A data address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataAddress {
    /// The address.
    pub address: IfAddr,
    /// NIC it belongs to.
    pub home: String,
    /// NIC it is on now.
    pub interface: Option<String>,
    /// Up: on a NIC whose state is ok.
    pub state: AddressState,
    /// Found, not declared.
    pub adopted: bool,
}

/// State of a data address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressState {
    /// On a NIC whose state is ok.
    Up,
    /// Anything else.
    Down,
}

/// A lagg interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lagg {
    /// Name.
    pub name: String,
    /// bond, redirect or bridge.
    pub backend: String,
    /// Link state of the lagg.
    pub link: LinkState,
    /// First port.
    pub primary: String,
    /// Port that carries the traffic.
    pub active: Option<String>,
    /// Ports in configuration order.
    pub ports: Vec<Port>,
}

impl Lagg {
    /// It is up, and some port of it is as well as is known.
    pub fn usable(&self) -> bool {
        self.link == LinkState::Up && self.ports.iter().any(|p| p.state == InterfaceState::Ok)
    }
}

/// A port of a lagg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// MASTER, ACTIVE.
    pub flags: Vec<String>,
    /// Link state.
    pub link: LinkState,
    /// Probe evidence.
    pub probe: ProbeState,
    /// Verdict.
    pub state: InterfaceState,
}

/// A carp vhid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carp {
    /// NIC or lagg.
    pub interface: Option<String>,
    /// Group, if it runs over one.
    pub group: Option<String>,
    /// 1 to 255.
    pub vhid: u8,
    /// INIT, BACKUP or MASTER.
    pub state: String,
    /// Seconds between adverts.
    pub advbase: u8,
    /// 0 to 254, in 1/256 s.
    pub advskew: u8,
    /// Demotion counter of this host.
    pub demotion: i32,
    /// Takes over from a master that advertises less often.
    #[serde(default)]
    pub preempt: bool,
    /// Device with the virtual MAC, while it exists.
    #[serde(default)]
    pub device: Option<String>,
    /// Unicast peer for IPv4.
    #[serde(default)]
    pub peer: Option<IpAddr>,
    /// Unicast peer for IPv6.
    #[serde(default)]
    pub peer6: Option<IpAddr>,
    /// Virtual addresses.
    pub addresses: Vec<IfAddr>,
}

/// Packets of CARP: those that were sent and received, and why some did not count (lagg-carp.md B.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarpCounters {
    /// Adverts handed to the network.
    pub sent: u64,
    /// Of those, could not be sent.
    pub senderr: u64,
    /// Packets that came in.
    pub received: u64,
    /// Shorter than 36 octets.
    pub badlen: u64,
    /// Wrong checksum.
    pub badsum: u64,
    /// No such vhid on the interface.
    pub badvhid: u64,
    /// IPv6, and no vhid at all on the interface.
    pub badif: u64,
    /// Not version 2.
    pub badver: u64,
    /// TTL or hop limit not 255.
    pub badttl: u64,
    /// Wrong digest.
    pub badauth: u64,
    /// Own packets that came back.
    pub own: u64,
    /// Seen before (`replay = "strict"`).
    pub replayed: u64,
}
