//! Validated settings: what `mpathd.toml` and `/etc/default/mpathd` mean, free of contradictions.

use crate::addr::IfAddr;
use crate::carp::{CarpId, Over};
use crate::kernel::LaggBackend;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything mpathd is told to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[detection]`
    pub detection: Detection,
    /// `[[group]]`
    pub groups: Vec<Group>,
    /// `[[lagg]]`
    #[serde(default)]
    pub laggs: Vec<Lagg>,
    /// `[[carp]]`
    #[serde(default)]
    pub carps: Vec<Carp>,
}

impl Settings {
    /// The group that a NIC is a member of.
    pub fn group_of(&self, nic: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.interfaces.iter().any(|i| i.name == nic))
    }
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Unix group that may change things through the socket (root always).
    pub control_group: Option<String>,
    /// Unix group that may read.
    pub read_group: Option<String>,
    /// Program run for each event.
    pub on_event: Option<PathBuf>,
    /// Real-time scheduling and locked memory.
    pub realtime: bool,
    /// Carrier polling beside kernel events.
    pub link_poll: LinkPoll,
    /// Times after a move at which the addresses are announced.
    pub announce: Vec<Duration>,
    /// Between two repeated announcements, at least. The first ones of a move are not paced.
    pub announce_pace: Duration,
}

impl Default for Daemon {
    fn default() -> Daemon {
        let ms = |v: &[u64]| v.iter().map(|m| Duration::from_millis(*m)).collect();
        Daemon {
            control_group: None,
            read_group: None,
            on_event: None,
            realtime: false,
            link_poll: LinkPoll::Auto,
            announce: ms(&[0, 20, 100, 500, 1000, 2000, 5000, 30_000]),
            announce_pace: Duration::from_millis(1),
        }
    }
}

/// How carrier is polled beside the kernel's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkPoll {
    /// Every millisecond for a second after any link event, else every 100 ms.
    #[default]
    Auto,
    /// At this period.
    Every(Duration),
    /// Events alone.
    Off,
}

/// `[detection]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Default FAILURE_DETECTION_TIME of groups.
    pub failure_detection_time: Duration,
    /// Default FAILBACK.
    pub failback: bool,
    /// TRACK_INTERFACES_ONLY_WITH_GROUPS.
    pub track_interfaces_only_with_groups: bool,
}

impl Default for Detection {
    fn default() -> Detection {
        Detection {
            failure_detection_time: Duration::from_secs(10),
            failback: true,
            track_interfaces_only_with_groups: true,
        }
    }
}

/// `[[group]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// 1 to 31 characters.
    pub name: String,
    /// Requested failure detection time, 20 ms to 1 h.
    pub failure_detection_time: Duration,
    /// Addresses go home after a repair.
    pub failback: bool,
    /// Where probes come from.
    pub probe: ProbeMode,
    /// Named targets instead of discovery.
    pub targets: Vec<IpAddr>,
    /// Which found addresses become data addresses.
    pub adopt: Adopt,
    /// Confirmation probes.
    pub confirm: Confirm,
    /// What a NIC may cost.
    pub thresholds: Thresholds,
    /// Members in configuration order.
    pub interfaces: Vec<Interface>,
    /// Declared data addresses in configuration order.
    pub addresses: Vec<DataAddress>,
}

/// What a NIC may lose and how slow it may be, before its addresses move to a sibling that is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Loss of its probes over two detection times, in percent, 1 to 100.
    pub max_loss: u32,
    /// Most that its fastest target may take to answer, while that of another NIC takes less.
    pub max_rtt: Option<Duration>,
    /// Also probes as large as the MTU, one in each detection time, from test addresses and link-local ones.
    #[serde(default)]
    pub large_probes: bool,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { max_loss: 50, max_rtt: None, large_probes: false }
    }
}

/// Where probes come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMode {
    /// From test addresses where there are any, else without.
    #[default]
    Auto,
    /// Only from test addresses.
    TestAddress,
    /// No probes: link state alone.
    Link,
}

/// Which found addresses become data addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adopt {
    /// Permanent global ones.
    #[default]
    Static,
    /// Also DHCPv4 addresses, with their lifetimes.
    All,
    /// None.
    None,
}

/// Confirmation probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// Every method the NIC has.
    #[default]
    All,
    /// ICMP only.
    Icmp,
    /// None: the letter of in.mpathd.
    Off,
}

/// `[[group.interface]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Interface name, 1 to 15 characters.
    pub name: String,
    /// NOFAILOVER test addresses.
    pub test_addresses: Vec<TestAddress>,
    /// Used only when something else fails.
    pub standby: bool,
}

/// A test address as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TestAddress {
    /// An IPv4 address with prefix, or an IPv6 link-local one.
    Address(IfAddr),
    /// `"link-local"`: whatever link-local address the NIC has.
    LinkLocal,
}

impl TestAddress {
    /// The address, if it is written as one.
    pub fn address(&self) -> Option<IfAddr> {
        match self {
            TestAddress::Address(a) => Some(*a),
            TestAddress::LinkLocal => None,
        }
    }
}

/// `[[group.address]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAddress {
    /// The data address.
    pub address: IfAddr,
    /// Name of the member it lives on: resolved, never empty.
    pub home: String,
}

/// `[[lagg]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lagg {
    /// Interface name, 1 to 15 characters.
    pub name: String,
    /// Names of the ports in configuration order; the first is the primary. 0 to 32 of them.
    pub ports: Vec<String>,
    /// Addresses on the lagg itself.
    pub addresses: Vec<IfAddr>,
    /// How to make it; none: the best that this kernel has.
    pub backend: Option<LaggBackend>,
    /// Traffic goes back to an earlier port once that is usable again.
    pub failback: bool,
    /// For so long such a port must have been usable without interruption. 0 is FreeBSD's behaviour.
    pub failback_delay: Duration,
    /// After a switch, frames to the lagg are taken from the old port too for so long.
    pub rx_grace: Duration,
    /// Whether ports are probed.
    pub probe: ProbeMode,
    /// Requested failure detection time, 20 ms to 1 h.
    pub failure_detection_time: Duration,
    /// Named targets instead of discovery.
    pub targets: Vec<IpAddr>,
}

impl Lagg {
    /// A lagg with nothing but defaults: what `ifconfig laggN create` makes.
    pub fn new(name: &str, detection: &Detection) -> Lagg {
        Lagg {
            name: name.to_string(),
            ports: Vec::new(),
            addresses: Vec::new(),
            backend: None,
            failback: true,
            failback_delay: Duration::ZERO,
            rx_grace: LAGG_RX_GRACE,
            probe: ProbeMode::Auto,
            failure_detection_time: detection.failure_detection_time,
            targets: Vec::new(),
        }
    }
}

/// Default `rx_grace` of a lagg.
pub const LAGG_RX_GRACE: Duration = Duration::from_secs(2);
/// Ports of a lagg, at most (lagg-carp.md A.1).
pub const LAGG_MAX_PORTS: usize = 32;
/// `[[carp]]`: one vhid (lagg-carp.md B.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carp {
    /// What it runs over.
    pub over: Over,
    /// 1 to 255, once on an interface or group.
    pub vhid: u8,
    /// Where the passphrase is. The passphrase itself is no setting: settings are shown and recorded.
    pub passphrase: PassphraseSource,
    /// Seconds between adverts, 1 to 255.
    pub advbase: u8,
    /// 1/256 seconds more, 0 to 254.
    pub advskew: u8,
    /// Takes over from a master that advertises less often.
    pub preempt: bool,
    /// The addresses answer with the virtual MAC 00:00:5e:00:01:VHID.
    pub vmac: bool,
    /// Unicast peer for IPv4 instead of 224.0.0.18.
    pub peer: Option<Ipv4Addr>,
    /// Unicast peer for IPv6 instead of ff02::12.
    pub peer6: Option<Ipv6Addr>,
    /// What is done about packets that were seen before.
    pub replay: Replay,
    /// Virtual addresses, at least one.
    pub addresses: Vec<IfAddr>,
}

impl Carp {
    /// A vhid with nothing but defaults, and no address yet: what `ifconfig IF vhid N` makes.
    pub fn new(over: Over, vhid: u8) -> Carp {
        Carp {
            over,
            vhid,
            passphrase: PassphraseSource::None,
            advbase: 1,
            advskew: 0,
            preempt: false,
            vmac: true,
            peer: None,
            peer6: None,
            replay: Replay::Loop,
            addresses: Vec::new(),
        }
    }

    /// Its name among the vhids of this host.
    pub fn id(&self) -> CarpId {
        CarpId { over: self.over.clone(), vhid: self.vhid }
    }
}

/// Where a passphrase is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PassphraseSource {
    /// There is none: the key is empty, as on FreeBSD without `pass`.
    #[default]
    None,
    /// The first line of this file.
    File(PathBuf),
    /// A credential of this name from the service manager (systemd.exec(5), LoadCredential=).
    Credential(String),
}

/// What is done about packets that were seen before (lagg-carp.md B.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// Nothing.
    Off,
    /// Own packets that come back are dropped.
    #[default]
    Loop,
    /// Counters must increase; only among hosts that all run mpathd.
    Strict,
}
