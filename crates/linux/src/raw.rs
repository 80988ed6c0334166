//! What raw IP sockets have in common: they belong to one interface, and send out of it from an address of it. Which
//! protocol they speak is the affair of `echo` and `adverts`.

use crate::{Error, sys};
use mpath_model::IfIndex;
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, sockopt};
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Ties a socket to an interface, whatever becomes of its name, and has arrivals stamped. Returns the index as options of
/// sockets want it. `fail` makes the error of a step.
pub(crate) fn tie<F: FnOnce(Errno) -> Error>(
    fd: &OwnedFd,
    index: IfIndex,
    fail: impl Fn(&str) -> F,
) -> Result<i32, Error> {
    let device = i32::try_from(index).map_err(|_| Errno::ENODEV).map_err(fail("find interface"))?;
    sys::set_int_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, device)
        .map_err(fail("set SO_BINDTOIFINDEX"))?;
    net::setsockopt(fd, sockopt::ReceiveTimestampns, &true).map_err(fail("set SO_TIMESTAMPNS"))?;
    Ok(device)
}

/// Sends a message from an address of the interface to a target of the same family, without waiting for room.
pub(crate) fn send(
    fd: &OwnedFd,
    index: IfIndex,
    source: IpAddr,
    target: IpAddr,
    message: &[u8],
) -> Result<(), Errno> {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: index.cast_signed(),
                ipi_spec_dst: libc::in_addr { s_addr: source.to_bits().to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let [a, b, c, d] = target.octets();
            transmit(fd, message, ControlMessage::Ipv4PacketInfo(&info), &SockaddrIn::new(a, b, c, d, 0))
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                ipi6_ifindex: index,
            };
            // Only addresses of the link have a scope.
            let local = target.is_unicast_link_local() || target.is_multicast();
            let scope = if local { index } else { 0 };
            let to = SockaddrIn6::from(SocketAddrV6::new(target, 0, 0, scope));
            transmit(fd, message, ControlMessage::Ipv6PacketInfo(&info), &to)
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn transmit<A: SockaddrLike>(
    fd: &OwnedFd,
    message: &[u8],
    source: ControlMessage<'_>,
    to: &A,
) -> Result<(), Errno> {
    let (slices, control) = ([IoSlice::new(message)], [source]);
    loop {
        match net::sendmsg(fd.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(to)) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
