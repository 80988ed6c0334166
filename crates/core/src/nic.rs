//! A member NIC: what is recorded of its link and probes, and what follows for its usefulness.
//!
//! ```text
//!              link down, or 5 losses while a sibling lives
//!      ok ────────────────────────────────────────────────► failed
//!       ▲  ◄──────────────────────────────────────────────    │
//!       │       link up and 10 answers (link alone if unprobed)│
//! online│ offline                                      offline │ online
//!       ▼                                                      ▼
//!      offline ◄──────────────────────────────────────────────┘
//! ```
//! A NIC that does not exist is `unknown`; one that appears later has to prove itself like a repaired one.

use crate::engine::Port;
use crate::findings::{DeafTo, Minutes};
use crate::probe::confirm::Confirm;
use crate::probe::instance::Instance;
use crate::probe::ring::{Fate, Probe};
use mpath_model::addr::Family;
use mpath_model::settings::{Interface, TestAddress};
use mpath_model::{IfAddr, IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Link-up events within [`FLAP_WINDOW`] that still repair a NIC without probes at once (4.4).
pub const LINK_UP_PER_MIN: usize = 2;
/// The window for [`LINK_UP_PER_MIN`].
pub const FLAP_WINDOW: Duration = Duration::from_secs(60);

/// A NIC that was set up gets nothing back for so long while others can carry its data: whoever set it up (ifupdown, a
/// network manager) puts addresses and routes on it himself, and must not find his place taken.
pub const SETTLING: Duration = Duration::from_secs(2);

/// Hosts whose echoes are remembered.
const ECHOES: usize = 64;

/// A NIC of a group, or one tracked without a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nic {
    /// Name, test addresses, standby.
    pub settings: Interface,
    /// Kernel index while it exists.
    pub index: Option<IfIndex>,
    /// Recorded link state: starts up, so that a NIC found down produces a normal transition.
    pub link: bool,
    /// IFF_FAILED.
    pub failed: bool,
    /// IFF_OFFLINE.
    pub offline: bool,
    /// Families being probed.
    pub instances: Vec<Instance>,
    /// It was still failed when its group came back: it may be a moment behind, and what it holds waits for it.
    pub trailing: bool,
    /// When it was repaired last.
    pub repaired: Time,
    /// When it appeared.
    pub appeared: Time,
    /// It had failed when an earlier run wrote that down, and nothing has spoken for it since.
    pub remembered: bool,
    /// Some probe, of whatever kind, has been answered since the NIC appeared: no quiet period any more.
    pub answered: bool,
    /// When it was set up last (admin up), until that has settled.
    pub raised: Option<Time>,
    /// Times of the last link-up events, newest last.
    pub link_ups: [Option<Time>; LINK_UP_PER_MIN],
    /// A move to it could not be proved: it is avoided until then where there is another.
    pub distrusted: Option<Time>,
    /// The flap message has been given in this episode.
    pub flap_told: bool,
    /// Taken back from offline: its addresses come home whatever FAILBACK says.
    pub bring_home: bool,
    /// Doubts about the path, and signs of life.
    pub confirm: Confirm,
    /// What frames from member to member tell of its switch port.
    pub port: Port,
    /// Loss minute by minute.
    pub minutes: Minutes,
    /// Targets that fell silent on it alone.
    pub deaf_to: DeafTo,
    /// When hosts have answered an echo over this NIC last.
    pub echoes: BTreeMap<IpAddr, Time>,
    /// Since when it has been losing so much that it carries data only if nobody else can.
    pub gray: Option<Time>,
    /// When that began last.
    pub gray_last: Option<Time>,
    /// When it lost a lot last.
    pub dirty: Option<Time>,
    /// Test addresses that mpathd installed.
    pub installed: Vec<IfAddr>,
    /// The missing test address has been reported in this episode.
    pub test_address_told: bool,
    /// Since when a configured test address has been missing.
    pub test_address_missing: Option<Time>,
}

impl Nic {
    /// A NIC nothing is known of yet.
    pub fn new(settings: Interface) -> Nic {
        Nic {
            settings,
            index: None,
            link: true,
            failed: false,
            offline: false,
            instances: Vec::new(),
            trailing: false,
            repaired: Time::default(),
            appeared: Time::default(),
            remembered: false,
            answered: false,
            raised: None,
            link_ups: [None; LINK_UP_PER_MIN],
            distrusted: None,
            flap_told: false,
            bring_home: false,
            gray: None,
            gray_last: None,
            dirty: None,
            confirm: Confirm::default(),
            port: Port::default(),
            minutes: Minutes::default(),
            deaf_to: DeafTo::default(),
            echoes: BTreeMap::new(),
            installed: Vec::new(),
            test_address_told: false,
            test_address_missing: None,
        }
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The test addresses written out in its configuration: link-local ones that are not are whatever the NIC has.
    pub fn test_addresses(&self) -> impl Iterator<Item = IfAddr> + '_ {
        self.settings.test_addresses.iter().filter_map(TestAddress::address)
    }

    /// One of them has this number, whatever its prefix length.
    pub fn is_test_address(&self, address: &IpAddr) -> bool {
        self.test_addresses().any(|t| t.address == *address)
    }

    /// May carry data: it exists and nothing speaks against it.
    pub fn usable(&self) -> bool {
        self.index.is_some() && !self.failed && !self.offline
    }

    /// Usable, but not where there is better: it loses a lot, or a move to it could not be proved.
    pub fn doubtful(&self) -> bool {
        self.gray.is_some() || self.distrusted.is_some()
    }

    /// Some family is probed.
    pub fn probed(&self) -> bool {
        !self.instances.is_empty()
    }

    /// Some family has somebody to ask.
    pub fn capable(&self) -> bool {
        self.instances.iter().any(Instance::capable)
    }

    /// Usable, and not for want of evidence alone: a normal failover destination.
    pub fn proven(&self) -> bool {
        self.usable() && (self.capable() || !self.probed())
    }

    /// The instance of a family.
    pub fn instance(&mut self, family: Family) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|i| i.family == family)
    }

    /// Whether a probe that was sent since `from`, or the last repair, and before `to` is lost.
    pub fn has_lost(&self, from: Time, to: Time) -> bool {
        let from = from.max(self.repaired);
        let lost = |p: &Probe| p.sent < to && p.target.is_some() && matches!(p.fate, Fate::Lost(_));
        self.instances.iter().any(|i| i.ring.newest_first().take_while(|p| p.sent >= from).any(lost))
    }

    /// Sequence number of the next probe of a family.
    pub fn snxt(&self, family: Family) -> u16 {
        self.instances.iter().find(|i| i.family == family).map_or(0, |i| i.next_seq)
    }

    /// Records a link-up event.
    pub fn note_link_up(&mut self, now: Time) {
        self.link_ups.rotate_left(1);
        if let Some(last) = self.link_ups.last_mut() {
            *last = Some(now);
        }
    }

    /// End of the flap damping window, while it is open: the older of the last two link-ups lies within it.
    pub fn damped_until(&self, now: Time) -> Option<Time> {
        self.link_ups[0].map(|t| t + FLAP_WINDOW).filter(|end| now < *end)
    }

    /// A host has answered an echo.
    pub fn note_echo(&mut self, from: IpAddr, at: Time) {
        if self.echoes.len() >= ECHOES && !self.echoes.contains_key(&from) {
            let oldest = self.echoes.iter().min_by_key(|(_, at)| **at).map(|(a, _)| *a);
            oldest.map(|a| self.echoes.remove(&a));
        }
        self.echoes.insert(from, at);
    }

    /// When a host answered an echo last, if it ever did.
    pub fn last_echo(&self, from: &IpAddr) -> Option<Time> {
        self.echoes.get(from).copied()
    }

    /// What the fastest of its targets takes to answer, on average.
    pub fn fastest(&self) -> Option<Duration> {
        self.instances.iter().flat_map(|i| i.targets.active()).filter_map(|t| t.rtt.average()).min()
    }

    /// Forgets the conservative round-trip times of both families (1.9).
    pub fn reset_rtt(&mut self) {
        self.instances.iter_mut().for_each(|i| i.targets.reset_rtt());
    }
}
