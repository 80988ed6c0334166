//! AF_PACKET sockets: complete Ethernet frames out of an interface, and ARP as it comes in.

use crate::{Error, clock, sys};
use mpath_model::kernel::{Heard, Packet};
use mpath_model::{IfIndex, Time};
use mpath_wire::{arp, ethernet};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, sockopt};
use nix::sys::time::TimeSpec;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
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

/// Hears the ARP packets that come in on one interface.
#[derive(Debug)]
pub struct ArpListener {
    fd: OwnedFd,
    index: IfIndex,
}

impl ArpListener {
    /// Listens on an interface, whatever becomes of its name.
    pub fn open(index: IfIndex) -> Result<ArpListener, Error> {
        let fail = |what: &str| {
            let operation = format!("{what} of ARP socket on interface {index}");
            move |errno| Error::system(operation, errno)
        };
        let fd = open(SockType::Datagram)?;
        // Own packets are no evidence. Older kernels mark them, see `receive`.
        let _ = sys::set_int_option(fd.as_fd(), libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
        net::setsockopt(&fd, sockopt::ReceiveTimestampns, &true).map_err(fail("set SO_TIMESTAMPNS"))?;
        let address = sys::link_address(index, ethernet::ethertype::ARP)
            .ok_or(Errno::ENODEV)
            .map_err(fail("find address"))?;
        net::bind(fd.as_raw_fd(), &address).map_err(fail("bind"))?;
        Ok(ArpListener { fd, index })
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
        Ok(arp::parse(&bytes[..length]).ok().map(|packet| Heard {
            index: self.index,
            at,
            what: Packet::Arp {
                reply: packet.operation == arp::Operation::Reply,
                sender_mac: packet.sender_mac,
                sender: packet.sender_ip,
                target_mac: packet.target_mac,
                target: packet.target_ip,
            },
        }))
    }

    /// Whether the interface it listened on is gone, even if another one has the same index now.
    pub fn is_dead(&self) -> bool {
        net::getsockname::<LinkAddr>(self.fd()).is_ok_and(|a| a.ifindex() != self.index as usize)
    }
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
