//! What the kernel is asked to do, one request each. The order of requests is the engine's affair.

use super::{Address, LaggOp, Route, Rule, Sysctl};
use crate::IfIndex;
use crate::addr::{IfAddr, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How a route is put beside routes with the same destination and metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placing {
    /// In front of equals (NLM_F_CREATE alone): wins at once, the old one is deleted afterwards. IPv4.
    Before,
    /// In place of the equal (NLM_F_CREATE | NLM_F_REPLACE). IPv6.
    Replace,
    /// Behind equals (NLM_F_CREATE | NLM_F_APPEND).
    After,
}

/// One request to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KernelOp {
    /// RTM_NEWADDR, create or change.
    AddAddress(Address),
    /// RTM_DELADDR.
    DelAddress {
        /// Interface.
        index: IfIndex,
        /// Address and prefix length as installed.
        addr: IfAddr,
    },
    /// RTM_NEWROUTE.
    AddRoute(Route, Placing),
    /// RTM_DELROUTE of exactly this route.
    DelRoute(Route),
    /// RTM_NEWRULE with mpathd's mark.
    AddRule(Rule),
    /// RTM_DELRULE of exactly this rule.
    DelRule(Rule),
    /// RTM_DELNEIGH for every learnt entry of the interface.
    FlushNeighbours(IfIndex),
    /// RTM_DELNEIGH of one entry, so that its resolution starts afresh: an unresolved entry makes packets
    /// wait for a retransmit timer of a second.
    DelNeighbour {
        /// Interface.
        index: IfIndex,
        /// The neighbour.
        address: IpAddr,
    },
    /// Tells the neighbours where the address lives now: gratuitous ARP in request form, or unsolicited
    /// neighbour advertisement with override, sent with the MAC the interface has at that moment.
    Announce {
        /// Interface the address is on.
        index: IfIndex,
        /// The address.
        address: IpAddr,
        /// R flag of the advertisement.
        router: bool,
    },
    /// The same to one neighbour alone: a copy for hosts that broadcasts do not reach.
    AnnounceTo {
        /// Interface the address is on.
        index: IfIndex,
        /// The address.
        address: IpAddr,
        /// R flag of the advertisement.
        router: bool,
        /// Who is told.
        neighbour: IpAddr,
        /// Its link-layer address.
        mac: Mac,
    },
    /// Asks `target` (a gateway, usually) for its MAC from the new interface, so that the first packet
    /// need not wait and the switch learns the port.
    Solicit {
        /// Interface to ask from.
        index: IfIndex,
        /// Address that asks; lives on the interface.
        source: IpAddr,
        /// Who is asked.
        target: IpAddr,
    },
    /// Anything about a lagg or its ports.
    Lagg(LaggOp),
    /// Makes a device with a virtual MAC on top of an interface: a macvlan that is down, makes no addresses of
    /// its own and answers only for what is put on it (lagg-carp.md C.8).
    AddVirtual {
        /// Name of the device.
        name: String,
        /// Interface below it.
        parent: IfIndex,
        /// The virtual MAC.
        mac: Mac,
    },
    /// RTM_DELLINK.
    DelLink(IfIndex),
    /// Administratively up or down.
    SetLink {
        /// Interface.
        index: IfIndex,
        /// Up rather than down.
        up: bool,
    },
    /// Asks the routers on an interface for an advertisement (RFC 4861, section 6.3.7).
    SolicitRouters(IfIndex),
    /// Writes an interface sysctl.
    SetSysctl {
        /// Interface name.
        interface: String,
        /// Which.
        key: Sysctl,
        /// Value to write.
        value: i32,
    },
}

impl KernelOp {
    /// The interface the request is about, where it names one by index.
    pub fn index(&self) -> Option<IfIndex> {
        match self {
            KernelOp::AddAddress(a) => Some(a.index),
            KernelOp::AddRoute(r, _) | KernelOp::DelRoute(r) => r.hops.first().map(|h| h.index),
            KernelOp::DelAddress { index, .. }
            | KernelOp::FlushNeighbours(index)
            | KernelOp::AddVirtual { parent: index, .. }
            | KernelOp::DelLink(index)
            | KernelOp::SetLink { index, .. }
            | KernelOp::SolicitRouters(index)
            | KernelOp::DelNeighbour { index, .. }
            | KernelOp::Announce { index, .. }
            | KernelOp::AnnounceTo { index, .. }
            | KernelOp::Solicit { index, .. } => Some(*index),
            KernelOp::Lagg(op) => op.index(),
            KernelOp::AddRule(_) | KernelOp::DelRule(_) | KernelOp::SetSysctl { .. } => None,
        }
    }
}
