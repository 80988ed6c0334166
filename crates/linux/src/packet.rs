//! AF_PACKET sockets: complete Ethernet frames out of an interface, and ARP as it comes in.

use crate::{Error, clock, sys};
use mpath_model::kernel::{Heard, Packet};
use mpath_model::{IfIndex, Mac, Time};
use mpath_wire::{arp, beacon, ethernet, icmp6, ipv6, ndisc};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, sockopt};
use nix::sys::time::TimeSpec;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// PACKET_IGNORE_OUTGOING (linux/if_packet.h, Linux 4.20).
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// Packets taken from a socket in one call; what is left comes with the next one.
pub(crate) const BURST: usize = 256;

/// Sends frames out of any interface; receives nothing.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
}

impl Sender {
    /// Opens the socket.
    pub fn open() -> Result<Sender, Error> {
        Ok(Sender { fd: open(SockType::Raw)? })
    }

    /// Sends one frame, Ethernet header and all, without waiting for room.
    pub fn send(&self, index: IfIndex, frame: &[u8]) -> Result<(), Errno> {
        let address = sys::link_address(index, 0).ok_or(Errno::ENODEV)?;
        loop {
            match net::sendto(self.fd.as_raw_fd(), frame, &address, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Hears the packets of one kind, ARP or beacons, that come in on one interface.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    index: IfIndex,
    ethertype: u16,
    /// Of a port of a lagg: the link-layer address that it speaks with.
    voice: Option<Mac>,
}

/// ARP and Neighbour Advertisements without VLAN tag, of all that comes in. (Numbers of linux/filter.h and
/// linux/bpf_common.h.)
const ONLY_ANSWERS: [libc::sock_filter; 11] = {
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const PROTOCOL: u32 = 0xffff_f000; // SKF_AD_OFF + SKF_AD_PROTOCOL
    const TAGGED: u32 = 0xffff_f000 + 48; // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
    const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code, jt, jf, k }
    }
    [
        step(LOAD_BYTE, 0, 0, TAGGED),
        step(JUMP_IF_EQUAL, 0, 8, 0),
        step(LOAD_HALF, 0, 0, PROTOCOL),
        step(JUMP_IF_EQUAL, 5, 0, ethernet::ethertype::ARP as u32),
        step(JUMP_IF_EQUAL, 0, 5, ethernet::ethertype::IPV6 as u32),
        step(LOAD_BYTE, 0, 0, 6), // next header
        step(JUMP_IF_EQUAL, 0, 3, ipv6::NEXT_HEADER_ICMP6 as u32),
        step(LOAD_BYTE, 0, 0, ipv6::HEADER_LEN as u32), // type
        step(JUMP_IF_EQUAL, 0, 1, ndisc::NEIGHBOUR_ADVERTISEMENT as u32),
        step(RETURN, 0, 0, 128),
        step(RETURN, 0, 0, 0),
    ]
};
/// ETH_P_ALL
const EVERYTHING: u16 = 3;

impl Listener {
    /// Listens on an interface, whatever becomes of its name.
    pub fn open(index: IfIndex, ethertype: u16) -> Result<Listener, Error> {
        Ok(Listener { fd: bound(index, ethertype, None)?, index, ethertype, voice: None })
    }

    /// Listens on a port of a lagg: also to what is dropped or redirected before a protocol sees it, and to answers that go to
    /// `mac` although that is not the port's own address at the moment.
    pub fn open_port(index: IfIndex, mac: Mac) -> Result<Listener, Error> {
        let fd = bound(index, EVERYTHING, Some(&ONLY_ANSWERS))?;
        // struct packet_mreq: index, type, length, address. The kernel takes it back when the socket is closed.
        let mut request = [0u8; 16];
        request[0..4].copy_from_slice(&index.to_ne_bytes());
        request[4..6].copy_from_slice(&(libc::PACKET_MR_UNICAST as u16).to_ne_bytes());
        request[6..8].copy_from_slice(&6u16.to_ne_bytes());
        request[8..14].copy_from_slice(&mac.0);
        sys::set_option(fd.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(failed(index, EVERYTHING, "add address"))?;
        Ok(Listener { fd, index, ethertype: ethernet::ethertype::ARP, voice: Some(mac) })
    }

    /// The descriptor, to wait on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Takes what is there, up to a bound of 256 packets. Whether more may be waiting.
    pub fn receive(&self, out: &mut Vec<Heard>) -> bool {
        drain(|| self.receive_one().map(|heard| out.extend(heard)))
    }

    fn receive_one(&self) -> Result<Option<Heard>, Errno> {
        let mut space = cmsg_space!(TimeSpec);
        let mut bytes = [0u8; 128];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let got = net::recvmsg::<LinkAddr>(self.fd(), &mut slices, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
        let outgoing = got.address.is_some_and(|a| a.pkttype() == libc::PACKET_OUTGOING);
        let at = stamp(got.cmsgs().into_iter().flatten());
        let length = got.bytes;
        if outgoing {
            return Ok(None);
        }
        let what = match self.ethertype {
            beacon::ETHERTYPE => beacon::parse(&bytes[..length]).ok().map(beacon_packet),
            _ => arp::parse(&bytes[..length])
                .ok()
                .map(arp_packet)
                .or_else(|| advertisement(&bytes[..length], self.voice?)),
        };
        Ok(what.map(|what| Heard { index: self.index, at, what }))
    }

    /// Whether the interface it listened on is gone, even if another one has the same index now.
    pub fn is_dead(&self) -> bool {
        net::getsockname::<LinkAddr>(self.fd()).is_ok_and(|a| a.ifindex() != self.index as usize)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An answer to a Neighbour Solicitation from the link-local address that this link-layer address makes.
fn advertisement(packet: &[u8], asker: Mac) -> Option<Packet> {
    let (ip, message) = icmp6::parse_packet(packet).ok()?;
    let ndisc::Message::Advertisement(said) = ndisc::parse(message).ok()? else { return None };
    let right = said.solicited && ip.hop_limit == ndisc::HOP_LIMIT && ip.destination == asker.link_local();
    right.then_some(Packet::Advertisement { from: ip.source, to: ip.destination, target: said.target })
}

fn arp_packet(packet: arp::Arp) -> Packet {
    Packet::Arp {
        reply: packet.operation == arp::Operation::Reply,
        sender_mac: packet.sender_mac,
        sender: packet.sender_ip,
        target_mac: packet.target_mac,
        target: packet.target_ip,
    }
}

fn beacon_packet(beacon: beacon::Beacon) -> Packet {
    Packet::Beacon { round: beacon.round, sender: beacon.sender }
}

/// Receives until nothing is left, or [`BURST`] times. Whether more may be waiting.
pub(crate) fn drain(mut receive: impl FnMut() -> Result<(), Errno>) -> bool {
    let mut errors = 0;
    for _ in 0..BURST {
        match receive() {
            Ok(()) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return false,
            // Reading clears a pending error of the socket (the interface went down, say). One that stays
            // must not spin.
            Err(_) if errors < 8 => errors += 1,
            Err(_) => return false,
        }
    }
    true
}

/// A socket that hears frames of a protocol on one interface, stamped, and of those only what `filter` lets through.
fn bound(index: IfIndex, protocol: u16, filter: Option<&[libc::sock_filter]>) -> Result<OwnedFd, Error> {
    let fail = |what| failed(index, protocol, what);
    let fd = open(SockType::Datagram)?;
    if let Some(filter) = filter {
        // Before it is bound, lest it be filled with anything else.
        sys::attach_filter(fd.as_fd(), filter).map_err(fail("set filter"))?;
    }
    // Own packets are no evidence. Older kernels mark them, see `receive`.
    let _ = sys::set_int_option(fd.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    net::setsockopt(&fd, sockopt::ReceiveTimestampns, &true).map_err(fail("set SO_TIMESTAMPNS"))?;
    let address = sys::link_address(index, protocol).ok_or(Errno::ENODEV).map_err(fail("find address"))?;
    net::bind(fd.as_raw_fd(), &address).map_err(fail("bind"))?;
    Ok(fd)
}

/// The error of a step on the way to a socket that hears.
fn failed(index: IfIndex, protocol: u16, what: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| {
        Error::system(format!("{what} of packet socket ({protocol:#06x}) on interface {index}"), errno)
    }
}

fn open(kind: SockType) -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    net::socket(AddressFamily::Packet, kind, flags, None).map_err(|e| Error::system("open packet socket", e))
}

/// When the kernel received a packet, by its control messages; now where they do not say.
pub(crate) fn stamp(messages: impl Iterator<Item = ControlMessageOwned>) -> Time {
    let stamp = messages.into_iter().find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    });
    stamp.map_or_else(clock::now, clock::from_realtime)
}
