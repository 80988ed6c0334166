//! Interface flags as the two ifconfigs write them.

use crate::netlink::link::Link;
use mpath_model::IfAddr;
use mpath_model::status::{Interface, InterfaceState};

/// Linux IFF_MULTICAST and IFF_LOWER_UP.
const MULTICAST: u32 = 0x1000;
const LOWER_UP: u32 = 0x1_0000;

/// Names of bits, in the order of the bits.
fn named(bits: u32, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    format!("flags={bits:x}<{}>", set.join(","))
}

pub(super) fn solaris(link: &Link, i: &Interface, address: Option<&IfAddr>, test: bool) -> String {
    const NAMES: &[(u32, &str)] = &[
        (0x1, "UP"),
        (0x2, "BROADCAST"),
        (0x40, "RUNNING"),
        (0x800, "MULTICAST"),
        (0x0004_0000, "DEPRECATED"),
        (0x0100_0000, "IPv4"),
        (0x0200_0000, "IPv6"),
        (0x0800_0000, "NOFAILOVER"),
        (0x1000_0000, "FAILED"),
        (0x2000_0000, "STANDBY"),
        (0x4000_0000, "INACTIVE"),
        (0x8000_0000, "OFFLINE"),
    ];
    let mut bits = link.flags & 0x43;
    let mut set = |on: bool, bit: u32| bits |= if on { bit } else { 0 };
    set(link.flags & MULTICAST != 0, 0x800);
    set(address.is_none_or(|a| a.address.is_ipv4()), 0x0100_0000);
    set(address.is_some_and(|a| a.address.is_ipv6()), 0x0200_0000);
    set(test, 0x0804_0000);
    set(i.state == InterfaceState::Failed, 0x1000_0000);
    set(i.standby, 0x2000_0000);
    set(i.state == InterfaceState::Ok && !i.active, 0x4000_0000);
    set(i.state == InterfaceState::Offline, 0x8000_0000);
    named(bits, NAMES)
}

pub(super) fn freebsd(link: &Link) -> String {
    const NAMES: &[(u32, &str)] = &[
        (0x1, "UP"),
        (0x2, "BROADCAST"),
        (0x8, "LOOPBACK"),
        (0x10, "POINTOPOINT"),
        (0x40, "RUNNING"),
        (0x80, "NOARP"),
        (0x100, "PROMISC"),
        (0x200, "ALLMULTI"),
        (0x800, "SIMPLEX"),
        (0x8000, "MULTICAST"),
        (0x0100_0000, "LOWER_UP"),
    ];
    let mut bits = link.flags & 0x3db;
    let mut set = |on: bool, bit: u32| bits |= if on { bit } else { 0 };
    set(link.flags & 0x2 != 0, 0x800);
    set(link.flags & MULTICAST != 0, 0x8000);
    set(link.flags & LOWER_UP != 0, 0x0100_0000);
    named(bits, NAMES)
}
