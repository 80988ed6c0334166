//! What the kernel shows (links, addresses, routes, neighbours) and the events by which it tells of changes.
//! What it is asked to do is in `request`, packets are in `packet`, interface sysctls in `sysctl`. Values are
//! rtnetlink's own (`linux/if_addr.h`, `linux/rtnetlink.h`), so that an object can be put back exactly as it
//! was found.

mod lagg;
mod packet;
mod request;
mod rule;
mod sysctl;

pub use lagg::{LaggBackend, LaggOp, Steering, inner_name};
pub use packet::{Heard, Listen, Packet, Transmit};
pub use request::{KernelOp, Placing};
pub use rule::{Rule, TABLES};
pub use sysctl::Sysctl;

use crate::IfIndex;
use crate::addr::{Family, IfAddr, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// IFA_F_* flags (linux/if_addr.h).
pub mod ifa {
    /// IPv4: secondary address; IPv6: temporary (privacy) address.
    pub const SECONDARY: u32 = 0x01;
    /// No duplicate address detection.
    pub const NODAD: u32 = 0x02;
    /// Duplicate address detection found another owner.
    pub const DADFAILED: u32 = 0x08;
    /// Preferred lifetime over.
    pub const DEPRECATED: u32 = 0x20;
    /// Duplicate address detection has not finished.
    pub const TENTATIVE: u32 = 0x40;
    /// No lifetime.
    pub const PERMANENT: u32 = 0x80;
    /// Kernel makes temporary addresses from this one.
    pub const MANAGETEMPADDR: u32 = 0x100;
    /// Kernel installs no prefix route for it.
    pub const NOPREFIXROUTE: u32 = 0x200;
    /// Stable privacy address (RFC 7217).
    pub const STABLE_PRIVACY: u32 = 0x800;
}

/// An interface (RTM_NEWLINK).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index.
    pub index: IfIndex,
    /// Interface name.
    pub name: String,
    /// Current link-layer address, if it is an Ethernet one.
    pub mac: Option<Mac>,
    /// IFF_UP: administratively up.
    pub up: bool,
    /// What in.mpathd(1M) calls IFF_RUNNING: UP and LOWER_UP and operstate UP or UNKNOWN (lagg-carp.md C.1), or a port of a
    /// bridge that is kept dormant.
    pub running: bool,
    /// IFF_MULTICAST.
    pub multicast: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_NOARP.
    pub noarp: bool,
    /// IFF_POINTOPOINT.
    pub point_to_point: bool,
    /// Bytes.
    pub mtu: u32,
    /// Bridge, bond or team this interface is a port of.
    pub master: Option<IfIndex>,
    /// IFLA_INFO_KIND ("veth", "vlan", ...); none for physical NICs.
    pub kind: Option<String>,
    /// IFLA_LINK in this network namespace: what a VLAN or macvlan lies on, or the other end of a veth pair.
    #[serde(default)]
    pub parent: Option<IfIndex>,
    /// IFF_PROMISC, as an administrator sets it.
    #[serde(default)]
    pub promisc: bool,
    /// Of a port of a bridge or bond: whether frames pass through it now. Of any other: false if it is kept dormant.
    #[serde(default)]
    pub passes: Option<bool>,
}

impl Link {
    /// A physical Ethernet NIC in its usual state: up, running, 1500 bytes, a port of nothing.
    pub fn ethernet(index: IfIndex, name: impl Into<String>, mac: Mac) -> Link {
        Link {
            index,
            name: name.into(),
            mac: Some(mac),
            up: true,
            running: true,
            multicast: true,
            loopback: false,
            noarp: false,
            point_to_point: false,
            mtu: 1500,
            master: None,
            kind: None,
            parent: None,
            promisc: false,
            passes: None,
        }
    }
}

/// Lifetime without end (IFA_CACHEINFO).
pub const FOREVER: u32 = u32::MAX;

/// An address on an interface (RTM_NEWADDR), complete enough to be put back exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Interface it is on.
    pub index: IfIndex,
    /// IFA_LOCAL (else IFA_ADDRESS) and prefix length.
    pub addr: IfAddr,
    /// Peer of a point-to-point address (IFA_ADDRESS where it differs from IFA_LOCAL).
    pub peer: Option<IpAddr>,
    /// IFA_BROADCAST.
    pub broadcast: Option<IpAddr>,
    /// IFA_LABEL, only kept where it differs from the interface name.
    pub label: Option<String>,
    /// RT_SCOPE_*: 0 universe, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// IFA_FLAGS, see [`ifa`].
    pub flags: u32,
    /// IFA_PROTO; 0 where the kernel or the installer gives none.
    pub protocol: u8,
    /// Valid lifetime in seconds, [`FOREVER`] for none.
    pub valid_lft: u32,
    /// Preferred lifetime in seconds.
    pub preferred_lft: u32,
    /// IFA_RT_PRIORITY: metric of the kernel's prefix route.
    pub metric: Option<u32>,
}

impl Address {
    /// A permanent address of global scope without any extras.
    pub fn plain(index: IfIndex, addr: IfAddr) -> Address {
        Address {
            index,
            addr,
            peer: None,
            broadcast: None,
            label: None,
            scope: 0,
            flags: ifa::PERMANENT,
            protocol: 0,
            valid_lft: FOREVER,
            preferred_lft: FOREVER,
            metric: None,
        }
    }

    /// Whether all bits of `flag` are set.
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }
}

/// One way out of a [`Route`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// Outgoing interface.
    pub index: IfIndex,
    /// Next hop; none for on-link routes. May be of the other family (RTA_VIA).
    pub gateway: Option<IpAddr>,
    /// RTNH_F_ONLINK: the gateway is on the link whatever the addresses say.
    pub onlink: bool,
    /// Multipath weight, 1 and up.
    pub weight: u16,
}

/// A route (RTM_NEWROUTE), complete enough to be put back exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// Destination network; 0.0.0.0/0 or ::/0 for a default route.
    pub dst: IfAddr,
    /// RTA_TABLE; 254 is main, 255 local.
    pub table: u32,
    /// Type of service, 0 for almost all.
    pub tos: u8,
    /// RTA_PRIORITY; 0 where absent (IPv4), 1024 is IPv6's usual.
    pub metric: u32,
    /// RTPROT_*: 2 kernel, 3 boot, 4 static, 9 RA, 16 DHCP, [`crate::PROTO_MPATHD`] ours.
    pub protocol: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTN_*: 1 unicast; others are never touched.
    pub kind: u8,
    /// RTA_PREFSRC.
    pub prefsrc: Option<IpAddr>,
    /// Ways out; more than one for a multipath route.
    pub hops: Vec<Hop>,
    /// RTA_METRICS as (RTAX_*, value), sorted: mtu, advmss, window and the rest.
    pub metrics: Vec<(u16, u32)>,
    /// RTA_PREF of a router-advertised route.
    pub pref: Option<u8>,
    /// Remaining lifetime in seconds of a route that expires.
    pub expires: Option<u32>,
    /// RTA_NH_ID: a nexthop object, which is never touched.
    pub nexthop_id: Option<u32>,
}

impl Route {
    /// Family of the destination.
    pub fn family(&self) -> Family {
        self.dst.family()
    }

    /// A destination of zero length.
    pub fn is_default(&self) -> bool {
        self.dst.prefix_len == 0
    }

    /// Whether a way out leads through the interface.
    pub fn uses(&self, index: IfIndex) -> bool {
        self.hops.iter().any(|h| h.index == index)
    }

    /// A plain unicast on-link route of table main.
    pub fn onlink(dst: IfAddr, index: IfIndex, metric: u32, protocol: u8) -> Route {
        let scope = if dst.family() == Family::Inet { 253 } else { 0 };
        Route {
            dst,
            table: 254,
            tos: 0,
            metric,
            protocol,
            scope,
            kind: 1,
            prefsrc: None,
            hops: vec![Hop { index, gateway: None, onlink: false, weight: 1 }],
            metrics: Vec::new(),
            pref: None,
            expires: None,
            nexthop_id: None,
        }
    }
}

/// NUD_* states (linux/neighbour.h).
pub mod nud {
    /// Nothing known yet.
    pub const INCOMPLETE: u16 = 0x01;
    /// Recently confirmed.
    pub const REACHABLE: u16 = 0x02;
    /// Known, not recently confirmed.
    pub const STALE: u16 = 0x04;
    /// In use, confirmation pending.
    pub const DELAY: u16 = 0x08;
    /// Being asked.
    pub const PROBE: u16 = 0x10;
    /// No answer.
    pub const FAILED: u16 = 0x20;
    /// Needs no resolution.
    pub const NOARP: u16 = 0x40;
    /// Set by hand.
    pub const PERMANENT: u16 = 0x80;
}

/// A neighbour table entry (RTM_NEWNEIGH).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Interface it is reached through.
    pub index: IfIndex,
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, where known.
    pub mac: Option<Mac>,
    /// NUD_* state, see [`nud`].
    pub state: u16,
    /// NTF_ROUTER: the neighbour said it is a router.
    pub router: bool,
}

/// Everything the kernel shows, as one dump gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// All interfaces.
    pub links: Vec<Link>,
    /// All addresses.
    pub addresses: Vec<Address>,
    /// Unicast routes of all tables except local.
    pub routes: Vec<Route>,
    /// Policy rules that carry mpathd's mark.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Interface sysctls that mpathd may change, as they are now: (interface, key, value).
    pub sysctls: Vec<(String, Sysctl, i32)>,
    /// What mpathd's redirections do: name of the lagg, and where its frames go.
    #[serde(default)]
    pub steering: Vec<(String, Steering)>,
}

/// What the kernel tells of by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelEvent {
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// An address appeared or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route appeared.
    Route(Route),
    /// A route took the place of the one with the same destination, table, tos and metric
    /// (NLM_F_REPLACE in the notification); the kernel sends no deletion for the old one.
    RouteReplaced(Route),
    /// A route is gone.
    RouteGone(Route),
    /// A policy rule with mpathd's mark appeared.
    Rule(Rule),
    /// A policy rule with mpathd's mark is gone.
    RuleGone(Rule),
    /// A neighbour appeared or changed.
    Neighbour(Neighbour),
    /// A neighbour is gone.
    NeighbourGone(Neighbour),
    /// An interface sysctl has another value than before: (interface, key, value). The kernel tells of few of them; the daemon
    /// looks.
    Sysctl(String, Sysctl, i32),
    /// Another program, as far as the kernel tells which, is behind the next event.
    Author(String),
}
