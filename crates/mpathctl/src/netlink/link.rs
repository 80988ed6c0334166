//! Interfaces and their addresses (rtnetlink(7)).

use super::{Netlink, attributes, text, u32_at};
use mpath_model::{IfAddr, Mac};
use nix::sys::socket::SockProtocol;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

/// IFF_UP (netdevice(7)).
pub(crate) const UP: u32 = 0x1;
/// IFF_RUNNING
pub(crate) const RUNNING: u32 = 0x40;
/// IFF_LOOPBACK
pub(crate) const LOOPBACK: u32 = 0x8;

/// An interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// IFF_*
    pub(crate) flags: u32,
    /// Bytes.
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Mac>,
    /// The address burnt in, where the driver tells.
    pub(crate) permanent: Option<Mac>,
    /// Interface it is a port of.
    pub(crate) master: Option<u32>,
    /// Interface it sits upon.
    pub(crate) parent: Option<u32>,
    /// `bridge`, `bond`, `macvlan`; empty for real ones.
    pub(crate) kind: String,
    pub(crate) addresses: Vec<IfAddr>,
}

/// All interfaces, by index.
pub(crate) fn links() -> io::Result<Vec<Link>> {
    let netlink = Netlink::open(SockProtocol::NetlinkRoute)?;
    let mut links = Vec::new();
    // struct ifinfomsg
    netlink.dump(RTM_GETLINK, &[0; 16], |kind, body| {
        if kind == RTM_NEWLINK {
            links.extend(link(body));
        }
    })?;
    // struct ifaddrmsg
    netlink.dump(RTM_GETADDR, &[0; 8], |kind, body| {
        let Some((index, addr)) = address(body).filter(|_| kind == RTM_NEWADDR) else { return };
        let on = links.iter_mut().find(|l: &&mut Link| l.index == index);
        on.into_iter().for_each(|l| l.addresses.push(addr));
    })?;
    Ok(links)
}

fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link { index: u32_at(body, 4)?, flags: u32_at(body, 8)?, ..Link::default() };
    for (kind, value) in attributes(body, 16) {
        let mac = || value.try_into().ok().map(Mac);
        match kind {
            1 => link.mac = mac(),
            3 => link.name = text(value),
            4 => link.mtu = u32_at(value, 0)?,
            5 => link.parent = u32_at(value, 0),
            10 => link.master = u32_at(value, 0),
            18 => {
                // IFLA_LINKINFO, in it IFLA_INFO_KIND
                let found = attributes(value, 0).into_iter().find(|(kind, _)| *kind == 1);
                link.kind = found.map(|(_, value)| text(value)).unwrap_or_default();
            }
            54 => link.permanent = mac(),
            _ => {}
        }
    }
    Some(link)
}

fn address(body: &[u8]) -> Option<(u32, IfAddr)> {
    let prefix_len = *body.get(1)?;
    let index = u32_at(body, 4)?;
    let found = attributes(body, 8);
    // IFA_LOCAL, which IPv6 has not; else IFA_ADDRESS.
    let value = found.iter().find(|(kind, _)| *kind == 2).or(found.iter().find(|(kind, _)| *kind == 1))?.1;
    let address = match value.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => return None,
    };
    Some((index, IfAddr::new(address, prefix_len)))
}

/// Sets an interface up or down, or its MTU in bytes.
pub(crate) fn set(index: u32, admin: Option<bool>, mtu: Option<u32>) -> io::Result<()> {
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = admin {
        body[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
        body[12..16].copy_from_slice(&UP.to_ne_bytes());
    }
    if let Some(mtu) = mtu {
        body.extend([8, 0, 4, 0]);
        body.extend(mtu.to_ne_bytes());
    }
    Netlink::open(SockProtocol::NetlinkRoute)?.change(RTM_NEWLINK, &body)
}
