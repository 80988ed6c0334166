//! The interface sysctls that mpathd reads and writes, and where the kernel keeps them.

use serde::{Deserialize, Serialize};

/// Interface sysctls that a member NIC needs (linux-failover.md, pitfalls 1 to 8 and 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sysctl {
    /// net.ipv4.conf.IF.arp_ignore
    ArpIgnore,
    /// net.ipv4.conf.IF.arp_announce
    ArpAnnounce,
    /// net.ipv4.conf.IF.rp_filter
    RpFilter,
    /// net.ipv4.conf.IF.promote_secondaries
    PromoteSecondaries,
    /// net.ipv4.conf.IF.ignore_routes_with_linkdown
    IgnoreRoutesWithLinkdown4,
    /// net.ipv6.conf.IF.ignore_routes_with_linkdown
    IgnoreRoutesWithLinkdown6,
    /// net.ipv6.conf.IF.keep_addr_on_down
    KeepAddrOnDown,
    /// net.ipv6.conf.IF.ra_defrtr_metric (Linux 5.12)
    RaDefrtrMetric,
    /// net.ipv6.conf.IF.disable_ipv6; written on ports of laggs alone.
    DisableIpv6,
    /// net.ipv6.conf.IF.forwarding: this host is a router there; read, never written.
    Forwarding6,
}

impl Sysctl {
    /// All keys.
    pub const ALL: [Sysctl; 10] = [
        Sysctl::ArpIgnore,
        Sysctl::ArpAnnounce,
        Sysctl::RpFilter,
        Sysctl::PromoteSecondaries,
        Sysctl::IgnoreRoutesWithLinkdown4,
        Sysctl::IgnoreRoutesWithLinkdown6,
        Sysctl::KeepAddrOnDown,
        Sysctl::RaDefrtrMetric,
        Sysctl::DisableIpv6,
        Sysctl::Forwarding6,
    ];

    /// Read, never written.
    pub fn is_fixed(self) -> bool {
        matches!(self, Sysctl::Forwarding6)
    }

    /// Family directory and file name below /proc/sys/net/FAMILY/conf/IF/.
    pub fn path(self) -> (&'static str, &'static str) {
        match self {
            Sysctl::ArpIgnore => ("ipv4", "arp_ignore"),
            Sysctl::ArpAnnounce => ("ipv4", "arp_announce"),
            Sysctl::RpFilter => ("ipv4", "rp_filter"),
            Sysctl::PromoteSecondaries => ("ipv4", "promote_secondaries"),
            Sysctl::IgnoreRoutesWithLinkdown4 => ("ipv4", "ignore_routes_with_linkdown"),
            Sysctl::IgnoreRoutesWithLinkdown6 => ("ipv6", "ignore_routes_with_linkdown"),
            Sysctl::KeepAddrOnDown => ("ipv6", "keep_addr_on_down"),
            Sysctl::RaDefrtrMetric => ("ipv6", "ra_defrtr_metric"),
            Sysctl::DisableIpv6 => ("ipv6", "disable_ipv6"),
            Sysctl::Forwarding6 => ("ipv6", "forwarding"),
        }
    }
}
