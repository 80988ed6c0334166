//! Which addresses found on a member are data addresses, and why others are left alone.

use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{Address, FOREVER, ifa};
use mpath_model::settings::{Adopt, Group, TestAddress};
use mpath_model::{IfAddr, PROTO_MPATHD};
use std::net::IpAddr;

/// The configured test addresses of the members of a group, link-local ones aside.
pub fn test_addresses(group: &Group) -> impl Iterator<Item = IpAddr> + '_ {
    let written = group.interfaces.iter().flat_map(|i| &i.test_addresses);
    written.filter_map(TestAddress::address).map(|a| a.address)
}

/// Whether an address is a configured test address of any member of the group.
pub fn is_test_address(group: &Group, addr: &IfAddr) -> bool {
    test_addresses(group).any(|t| t == addr.address)
}

/// Decides about an address found on a member: adopt it, or the reason why not.
pub fn judge(group: &Group, a: &Address) -> Result<(), &'static str> {
    if is_test_address(group, &a.addr) {
        return Err("test address");
    }
    if is_link_local6(&a.addr.address) {
        return Err("link-local address");
    }
    if a.scope != 0 || is_special(&a.addr.address) {
        return Err("not of global scope");
    }
    if a.protocol != 0 && a.protocol != PROTO_MPATHD {
        return Err("belongs to another program (IFA_PROTO)");
    }
    let lasting = a.valid_lft == FOREVER;
    match (group.adopt, a.addr.family()) {
        (Adopt::None, _) => Err("adopt = \"none\""),
        (_, Family::Inet6) if a.has(ifa::SECONDARY) || a.has(ifa::MANAGETEMPADDR) => {
            Err("autoconfigured or temporary address")
        }
        (_, Family::Inet6) if !lasting => Err("DHCPv6 or autoconfigured address"),
        (Adopt::Static, Family::Inet) if !lasting => Err("DHCP address (adopt = \"all\" takes it)"),
        _ if a.peer.is_some() => Err("point-to-point address"),
        _ => Ok(()),
    }
}

fn is_special(a: &IpAddr) -> bool {
    a.is_unspecified() || a.is_loopback() || a.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::settings::Interface;

    fn group(adopt: Adopt) -> Group {
        let interface = |n: &str, t: &str| Interface {
            name: n.into(),
            test_addresses: vec![TestAddress::Address(t.parse().unwrap())],
            standby: false,
        };
        Group {
            name: "g".into(),
            failure_detection_time: std::time::Duration::from_secs(1),
            failback: true,
            probe: Default::default(),
            targets: vec![],
            adopt,
            confirm: Default::default(),
            thresholds: Default::default(),
            interfaces: vec![interface("eth0", "192.0.2.11/24")],
            addresses: vec![],
        }
    }

    #[test]
    fn what_is_adopted() {
        let plain = |t: &str| Address::plain(1, t.parse().unwrap());
        let lease = |t: &str| Address { valid_lft: 3600, flags: 0, ..plain(t) };
        let cases = [
            (Adopt::Static, plain("192.0.2.10/24"), true),
            (Adopt::Static, plain("192.0.2.11/24"), false),
            (Adopt::Static, plain("2001:db8::10/64"), true),
            (Adopt::Static, plain("fe80::1/64"), false),
            (Adopt::Static, lease("192.0.2.10/24"), false),
            (Adopt::All, lease("192.0.2.10/24"), true),
            (Adopt::All, lease("2001:db8::10/64"), false),
            (Adopt::None, plain("192.0.2.10/24"), false),
            (Adopt::Static, Address { protocol: 18, ..plain("192.0.2.10/24") }, false),
            (Adopt::Static, Address { protocol: PROTO_MPATHD, ..plain("192.0.2.10/24") }, true),
            (Adopt::Static, Address { scope: 253, ..plain("192.0.2.10/24") }, false),
        ];
        for (adopt, a, expect) in cases {
            assert_eq!(judge(&group(adopt), &a).is_ok(), expect, "{adopt:?} {a:?}");
        }
    }
}
