//! `mpath-floor HOME OTHER MAC ADDRESS/LENGTH...`: what a failover takes at least. Waits until the interface with index HOME
//! loses its carrier, puts the addresses and a route to each of their networks on the one with index OTHER, and announces them
//! from its link-layer address MAC: the messages of mpathd in their order, assembled beforehand, and nothing else. Says `ready`
//! on stderr when it waits. `mpath-bench addresses` starts it. It shares with mpathd what a frame looks like, and nothing else.

#![forbid(unsafe_code)]

use mpath_model::{IfAddr, Mac};
use mpath_wire::{arp, ndisc};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    sendto, setsockopt, socket, sockopt,
};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

// linux/rtnetlink.h, linux/netlink.h, linux/if_addr.h, linux/if.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTMGRP_LINK: u32 = 1;
const NLMSG_ERROR: u16 = 2;
/// NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE.
const MAKE: u16 = 0x401 | 0x4;
const NLM_F_REPLACE: u16 = 0x100;
/// IFA_F_NODAD, IFA_F_NOPREFIXROUTE.
const ADDRESS_FLAGS: u32 = 0x02 | 0x200;
/// IFF_UP, IFF_LOWER_UP.
const CARRIER: u32 = 0x1 | 0x10000;
const MAIN_TABLE: u32 = 254;
const METRIC6: u32 = 128;
/// Whose addresses and routes they are: mpathd's.
const PROTOCOL: u8 = 77;
/// As many requests go out with one system call, so that their acks fit the receive buffer.
const PIECE: usize = 64;
const RECEIVE_BUFFER: usize = 4 << 20;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: mpath-floor HOME OTHER MAC ADDRESS/LENGTH...");
    let (home, other, mac) = (next()?.parse::<u32>()?, next()?.parse::<u32>()?, next()?);
    let mac: Mac = mac.parse()?;
    let addresses: Vec<IfAddr> = arguments.map(|a| a.parse()).collect::<Result<_, _>>()?;
    let mut networks: Vec<IfAddr> = addresses.iter().map(IfAddr::network).collect();
    networks.dedup();
    let mut requests: Vec<Vec<u8>> = addresses.iter().map(|a| put_address(other, a)).collect();
    requests.extend(networks.iter().map(|n| put_route(other, n)));
    let pieces: Vec<(usize, Vec<u8>)> = requests.chunks(PIECE).map(|c| (c.len(), c.concat())).collect();
    let frames: Vec<Vec<u8>> = addresses.iter().map(|a| announcement(mac, &a.address)).collect();

    let asking = netlink(0)?;
    let hearing = netlink(RTMGRP_LINK)?;
    let wire = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)?;
    let out = mpath_linux::sys::link_address(other, 0).ok_or("no such interface")?;
    eprintln!("ready");
    let mut buffer = vec![0; 64 * 1024];
    let mut carrier = true;
    loop {
        let mut lost = false;
        for (kind, payload) in receive(&hearing, &mut buffer)? {
            if kind == RTM_NEWLINK && payload.first() == Some(&0) && word(payload, 4) == Some(home) {
                let now = word(payload, 8).is_some_and(|flags| flags & CARRIER == CARRIER);
                lost |= std::mem::replace(&mut carrier, now) && !now;
            }
        }
        if lost {
            reflex(&asking, &pieces, (&wire, &out), &frames, &mut buffer)?;
        }
    }
}

fn reflex(
    asking: &OwnedFd,
    pieces: &[(usize, Vec<u8>)],
    (wire, out): (&OwnedFd, &LinkAddr),
    frames: &[Vec<u8>],
    buffer: &mut [u8],
) -> Result<(), Failure> {
    for (count, bytes) in pieces {
        send(asking.as_raw_fd(), bytes, MsgFlags::empty())?;
        let mut missing = *count;
        while missing > 0 {
            for (kind, payload) in receive(asking, buffer)? {
                match word(payload, 0) {
                    Some(0) if kind == NLMSG_ERROR => missing -= 1,
                    errno => return Err(format!("refused: {errno:?}").into()),
                }
            }
        }
    }
    for frame in frames {
        sendto(wire.as_raw_fd(), frame, out, MsgFlags::MSG_DONTWAIT)?;
    }
    Ok(())
}

fn netlink(groups: u32) -> Result<OwnedFd, Errno> {
    let kind = (SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
    let fd = socket(AddressFamily::Netlink, kind.0, kind.1, kind.2)?;
    setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        .or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// The messages of a datagram: type and payload.
fn receive<'a>(
    fd: &OwnedFd,
    buffer: &'a mut [u8],
) -> Result<impl Iterator<Item = (u16, &'a [u8])> + use<'a>, Errno> {
    let length = recv(fd.as_raw_fd(), buffer, MsgFlags::empty())?;
    let mut rest = &buffer[..length];
    Ok(std::iter::from_fn(move || {
        let length = word(rest, 0)? as usize;
        let (kind, payload) = (u16::from_ne_bytes([rest[4], rest[5]]), rest.get(16..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, payload))
    }))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn bytes(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn family(address: &[u8]) -> u8 {
    (if address.len() == 4 { AddressFamily::Inet } else { AddressFamily::Inet6 }) as u8
}

fn put_address(index: u32, new: &IfAddr) -> Vec<u8> {
    let address = bytes(&new.address);
    let mut head = vec![family(&address), new.prefix_len, ADDRESS_FLAGS as u8, 0];
    head.extend(index.to_ne_bytes());
    let for_ever = [[0xff; 8], [0; 8]].concat();
    // IFA_LOCAL, IFA_ADDRESS, IFA_FLAGS, IFA_PROTO, IFA_CACHEINFO
    let flags = ADDRESS_FLAGS.to_ne_bytes();
    let all = [(2, &address[..]), (1, &address[..]), (8, &flags[..]), (11, &[PROTOCOL]), (6, &for_ever[..])];
    message(RTM_NEWADDR, MAKE | NLM_F_REPLACE, head, &all)
}

fn put_route(index: u32, to: &IfAddr) -> Vec<u8> {
    let network = bytes(&to.address);
    let four = network.len() == 4;
    let scope = if four { 253 } else { 0 }; // RT_SCOPE_LINK, RT_SCOPE_UNIVERSE; then RTN_UNICAST
    let head = [&[family(&network), to.prefix_len, 0, 0, MAIN_TABLE as u8, PROTOCOL, scope, 1][..], &[0; 4]];
    let [table, metric, index] = [MAIN_TABLE, METRIC6, index].map(u32::to_ne_bytes);
    // RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_OIF
    let mut all = vec![(15, &table[..]), (1, &network[..]), (6, &metric[..]), (4, &index[..])];
    all.retain(|(kind, _)| *kind != 6 || !four);
    message(RTM_NEWROUTE, MAKE, head.concat(), &all)
}

fn message(kind: u16, flags: u16, head: Vec<u8>, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut all = vec![0; 16];
    all.extend(head);
    for (kind, value) in attributes {
        all.extend((4 + value.len() as u16).to_ne_bytes());
        all.extend(kind.to_ne_bytes());
        all.extend(*value);
        all.resize(all.len().next_multiple_of(4), 0);
    }
    let length = all.len() as u32;
    all[0..4].copy_from_slice(&length.to_ne_bytes());
    all[4..6].copy_from_slice(&kind.to_ne_bytes());
    all[6..8].copy_from_slice(&flags.to_ne_bytes());
    all
}

fn announcement(mac: Mac, address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => arp::gratuitous_frame(mac, *a),
        IpAddr::V6(a) => ndisc::unsolicited_na_frame(mac, *a, false),
    }
}
