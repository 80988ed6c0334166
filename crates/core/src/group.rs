//! A group: its members, its detection time, and what it has to keep reachable.

use crate::adopt;
use crate::detection::DetectionTime;
use crate::engine::{Beacons, Watch};
use crate::lagg::Lagg;
use crate::nic::Nic;
use mpath_model::kernel::{Address, Route};
use mpath_model::settings;
use mpath_model::status::GroupState;
use mpath_model::{IfAddr, IfIndex, Mac, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Position of a NIC in its group.
pub type NicId = usize;

/// No interface: nobody knows what the neighbours believe. An earlier run may have died before it had told everybody, or
/// an address has left its place before all announcements were made.
pub const UNTOLD: IfIndex = 0;

/// Hosts whose MACs are remembered for each group.
const MACS: usize = 64;

/// A group of NICs on one link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Settings in force.
    pub settings: settings::Group,
    /// Members in configuration order.
    pub nics: Vec<Nic>,
    /// Failure detection time.
    pub detection: DetectionTime,
    /// Every member seems to have failed at once.
    pub failed: bool,
    /// MACs of hosts that have spoken ARP on some member: whom a NIC without an address may ask.
    pub macs: BTreeMap<Ipv4Addr, Mac>,
    /// Which members are on one link.
    pub beacons: Beacons,
    /// Frames from member to member while no target answers.
    pub watch: Watch,
    /// Data addresses, declared ones first.
    pub addresses: Vec<HomedAddress>,
    /// Routes that follow their NIC.
    pub routes: Vec<HomedRoute>,
    /// Moves whose success has not been reported yet.
    pub moves: Vec<Move>,
    /// Until then members that were still failed when the group came back keep what they hold.
    pub grace: Option<Time>,
    /// First NIC that came back after a group failure, until it has been reported.
    pub first_back: Option<NicId>,
    /// Members of a retiring group that belong to no other group now.
    pub leaving: Vec<NicId>,
    /// Holds what has left the configuration until it is as it was found; then it is dropped.
    pub retiring: bool,
    /// Addresses that mpathd installed and that have left the configuration.
    pub condemned: BTreeSet<IfAddr>,
    /// Interfaces that were members under another name and still exist: nothing of ours may stay on them.
    pub former: Vec<mpath_model::IfIndex>,
    /// Members of other groups on which addresses of this group were when they changed groups: no copy may stay there.
    pub lenders: Vec<mpath_model::IfIndex>,
    /// Verdicts of probes move nothing for now.
    pub frozen: bool,
    /// Nothing is missing in the kernel, as of the last comparison.
    pub settled: bool,
    /// And nothing is superfluous either.
    pub clean: bool,
    /// Members of the groups before this one: its place among the routing tables.
    pub before: usize,
    /// A group of one for a NIC without a group (TRACK_INTERFACES_ONLY_WITH_GROUPS=no).
    pub anonymous: bool,
    /// The lagg whose ports these NICs are. Such a group is anonymous, too.
    pub(crate) lagg: Option<Lagg>,
}

/// A data address and where it belongs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomedAddress {
    /// The address.
    pub addr: IfAddr,
    /// NIC it belongs to.
    pub home: NicId,
    /// NIC it should be on now.
    pub host: NicId,
    /// From the configuration.
    pub declared: bool,
    /// How it was found at home, if it was found.
    pub found: Option<Address>,
    /// It was deleted by somebody else at this time; whether that was a wish shows shortly after.
    pub missing: Option<Time>,
    /// It has been on some NIC of this host before: moving it needs no duplicate detection.
    pub known: bool,
    /// The kernel has shown it on its host since it was put there.
    pub seen: bool,
    /// Where the neighbours were told last that it is; [`UNTOLD`] if nobody knows any more.
    pub told: Option<IfIndex>,
}

impl HomedAddress {
    /// An address that belongs to `home` and is there.
    pub fn new(addr: IfAddr, home: NicId) -> HomedAddress {
        HomedAddress {
            addr,
            home,
            host: home,
            declared: false,
            found: None,
            missing: None,
            known: false,
            seen: false,
            told: None,
        }
    }
}

/// A route and the NIC it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HomedRoute {
    /// As found at home. A route with several ways out has one record for each member it leads through.
    pub route: Route,
    /// Index of the home NIC when the route was found, as in the hop of `route` that this record is about.
    pub index: IfIndex,
    /// NIC it belongs to.
    pub home: NicId,
    /// NIC it should lead through now.
    pub host: NicId,
    /// As with addresses.
    pub missing: Option<Time>,
    /// As with addresses.
    pub seen: bool,
}

/// Direction of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveKind {
    /// Away from a NIC that cannot serve.
    Failover,
    /// Home.
    Failback,
}

/// A move under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Direction.
    pub kind: MoveKind,
    /// From.
    pub from: NicId,
    /// To.
    pub to: NicId,
}

impl Group {
    /// A group as configured, about which nothing is known yet.
    pub fn new(settings: settings::Group) -> Group {
        let nics = settings.interfaces.iter().cloned().map(Nic::new).collect();
        let detection = DetectionTime::new(settings.failure_detection_time);
        Group {
            settings,
            nics,
            detection,
            failed: false,
            macs: BTreeMap::new(),
            beacons: Beacons::default(),
            watch: Watch::default(),
            addresses: Vec::new(),
            routes: Vec::new(),
            moves: Vec::new(),
            grace: None,
            first_back: None,
            leaving: Vec::new(),
            retiring: false,
            condemned: BTreeSet::new(),
            former: Vec::new(),
            lenders: Vec::new(),
            frozen: false,
            settled: false,
            clean: false,
            before: 0,
            anonymous: false,
            lagg: None,
        }
    }

    /// A NIC that is tracked without a group: nobody stands in for it.
    pub fn is_lone(&self) -> bool {
        self.anonymous && self.lagg.is_none()
    }

    /// The address is on its way out.
    pub fn lets_go(&self, a: &Address) -> bool {
        a.protocol == mpath_model::PROTO_MPATHD && self.condemned.contains(&a.addr)
    }

    /// What the configuration gives to this group: data addresses that it declares, and test addresses.
    pub fn claims(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let declared = self.addresses.iter().filter(|a| a.declared).map(|a| a.addr.address);
        declared.chain(adopt::test_addresses(&self.settings)).filter(|_| !self.retiring)
    }

    /// A copy in retirement. Whether everything is as it was found is not known before the next comparison.
    pub fn retired(&self) -> Group {
        Group { retiring: true, settled: false, clean: false, ..self.clone() }
    }

    /// A host has spoken ARP. Strangers are remembered while there is room, targets always: anybody can claim to be a crowd.
    pub fn learn_mac(&mut self, host: Ipv4Addr, mac: Mac) {
        if self.macs.len() >= MACS && !self.macs.contains_key(&host) {
            let stranger = self.macs.keys().find(|h| !self.targets(h)).copied();
            let Some(stranger) = stranger.filter(|_| self.targets(&host)) else { return };
            self.macs.remove(&stranger);
        }
        self.macs.insert(host, mac);
    }

    /// Whether some member asks this host.
    fn targets(&self, host: &Ipv4Addr) -> bool {
        let mut active = self.nics.iter().flat_map(|n| &n.instances).flat_map(|i| i.targets.active());
        active.any(|t| t.address == IpAddr::V4(*host))
    }

    /// Position of a member by name.
    pub fn nic_named(&self, name: &str) -> Option<NicId> {
        self.nics.iter().position(|n| n.name() == name)
    }

    /// Position of a member by kernel index.
    pub fn nic_at(&self, index: mpath_model::IfIndex) -> Option<NicId> {
        self.nics.iter().position(|n| n.index == Some(index))
    }

    /// Whether routes, neighbours and addresses of an interface tell of this group's link: its members, or its lagg.
    pub fn covers(&self, index: mpath_model::IfIndex) -> bool {
        let lagg = self.lagg.as_ref().and_then(|l| l.index);
        lagg.map_or_else(|| self.nic_at(index).is_some(), |l| l == index)
    }

    /// Addresses that should be on a NIC now.
    pub fn hosted(&self, nic: NicId) -> impl Iterator<Item = &HomedAddress> {
        self.addresses.iter().filter(move |a| a.host == nic)
    }

    /// Whether two members are on different links, as far as is known.
    pub fn apart(&self, a: NicId, b: NicId) -> bool {
        self.beacons.apart(self.nics[a].name(), self.nics[b].name())
    }

    /// Since when a NIC has been set up, where that is not long ago and others serve: it gets nothing back yet.
    pub fn settling(&self, nic: NicId) -> Option<Time> {
        self.nics[nic].raised.filter(|_| self.nics.iter().any(Nic::usable))
    }

    /// In service but without data: an idle standby, or a repaired NIC under FAILBACK=no (3.9, 3.14).
    pub fn inactive(&self, nic: NicId) -> bool {
        let n = &self.nics[nic];
        let idle = self.hosted(nic).next().is_none();
        let robbed = self.addresses.iter().any(|a| a.home == nic && a.host != nic);
        n.usable() && idle && (n.settings.standby || robbed)
    }

    /// ok, degraded or failed, as `status` shows it.
    pub fn state(&self) -> GroupState {
        if !self.nics.iter().any(Nic::usable) {
            GroupState::Failed
        } else if self.nics.iter().all(|n| n.usable() && n.gray.is_none()) {
            GroupState::Ok
        } else {
            GroupState::Degraded
        }
    }
}
