//! A UDP echo service on the wildcard address of both families. Answers leave from the address that was asked, as a
//! well-made server's do.

use super::Stop;
use crate::error::{Context, Error};
use crate::host::Host;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    SockaddrIn6, SockaddrLike, bind, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread::JoinHandle;

/// How often an idle service looks whether it shall end.
const IDLE_MS: i64 = 50;

/// Kernel receive buffer that is asked for, bytes: a second of several 1 kHz streams.
const BUFFER: usize = 4 << 20;

/// A running echo service.
pub struct Echo {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    /// Starts the service on `host` for IPv4 and IPv6.
    pub fn start(host: &Host, port: u16) -> Result<Echo, Error> {
        let stop = Stop::default();
        let (four, six) = host
            .run(|| Ok::<_, Errno>((open4(port)?, open6(port)?)))
            .context(|| format!("open the UDP echo service on {} port {port}", host.name()))?;
        let (stop4, stop6) = (stop.clone(), stop.clone());
        let threads = vec![
            host.spawn_thread("echo4", move || serve::<SockaddrIn>(&four, &stop4))?,
            host.spawn_thread("echo6", move || serve::<SockaddrIn6>(&six, &stop6))?,
        ];
        Ok(Echo { stop, threads })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.now();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn common(fd: &OwnedFd) -> Result<(), Errno> {
    setsockopt(fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(IDLE_MS))?;
    setsockopt(fd, sockopt::RcvBuf, &BUFFER)
}

fn open4(port: u16) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    common(&fd)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(fd)
}

fn open6(port: u16) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    common(&fd)?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)))?;
    Ok(fd)
}

/// Sends every datagram back where it came from. A send that fails is a lost packet, which the client counts.
fn serve<A: SockaddrLike>(fd: &OwnedFd, stop: &Stop) {
    let mut data = [0u8; 2048];
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    while !stop.asked() {
        let (length, from, asked) = {
            let mut slices = [IoSliceMut::new(&mut data)];
            let Ok(message) =
                recvmsg::<A>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
            else {
                continue;
            };
            let asked = message.cmsgs().ok().and_then(|mut list| list.find_map(reply_from));
            (message.bytes, message.address, asked)
        };
        let payload = [IoSlice::new(&data[..length])];
        let _ = match &asked {
            Some(Asked::V4(info)) => {
                send(fd, &payload, &[ControlMessage::Ipv4PacketInfo(info)], from.as_ref())
            }
            Some(Asked::V6(info)) => {
                send(fd, &payload, &[ControlMessage::Ipv6PacketInfo(info)], from.as_ref())
            }
            None => Ok(0),
        };
    }
}

fn send<A: SockaddrLike>(
    fd: &OwnedFd,
    payload: &[IoSlice<'_>],
    control: &[ControlMessage<'_>],
    to: Option<&A>,
) -> Result<usize, Errno> {
    sendmsg(fd.as_raw_fd(), payload, control, MsgFlags::MSG_DONTWAIT, to)
}

/// The address that was asked, as the source of the answer; any interface.
enum Asked {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

fn reply_from(message: ControlMessageOwned) -> Option<Asked> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Asked::V4(libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: info.ipi_addr,
            ipi_addr: info.ipi_addr,
        })),
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Asked::V6(libc::in6_pktinfo { ipi6_addr: info.ipi6_addr, ipi6_ifindex: 0 }))
        }
        _ => None,
    }
}
