//! Raw ICMP and ICMPv6 sockets for echo probes: one for each interface and family, which sends from any
//! address of that interface, only out of it, and hears only what comes in on it. Packet layouts are
//! mpath-wire's.

use crate::packet::{drain, stamp};
use crate::{Error, raw, sys};
use mpath_model::kernel::{Heard, Packet};
use mpath_model::{Family, IfIndex};
use mpath_wire::{icmp, icmp6, ndisc};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
};
use nix::sys::time::TimeSpec;
use std::cell::Cell;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// ICMP_FILTER (linux/icmp.h), at level SOL_RAW.
const ICMP_FILTER: i32 = 1;
/// ICMPV6_FILTER (linux/icmpv6.h), at level IPPROTO_ICMPV6.
const ICMPV6_FILTER: i32 = 1;
/// SOL_RAW (linux/socket.h).
const SOL_RAW: i32 = 255;
/// Hop limit of probes (mpathd-behaviour.md 1.6): a target behind a router proves nothing about the link.
const HOPS: i32 = 1;
/// Bytes kept of an answer's payload.
const PAYLOAD: usize = 64;
/// Bytes read of a packet: a jumbo frame.
const PACKET: usize = 9216;
/// IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE (linux/in.h): nothing is cut on the way, whatever the path is thought to carry.
const PROBE: i32 = 3;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Source address, on the interface; unspecified lets the kernel choose.
    pub source: IpAddr,
    /// Target.
    pub target: IpAddr,
    /// The echo request.
    pub echo: icmp::Echo<'a>,
}

/// An echo socket. From its first request on it hears answers to requests with the identifier of the last one only: what else
/// answers to this host, be it a flood, neither fills its queue nor wakes anybody.
#[derive(Debug)]
pub struct EchoSocket {
    fd: OwnedFd,
    index: IfIndex,
    family: Family,
    ident: Cell<Option<u16>>,
}

impl EchoSocket {
    /// Opens a socket that belongs to one interface, whatever becomes of its name.
    pub fn open(index: IfIndex, family: Family) -> Result<EchoSocket, Error> {
        let fail = |what: &str| {
            let operation = format!("{what} of {} echo socket on interface {index}", family.version());
            move |errno| Error::system(operation, errno)
        };
        let (af, protocol) = match family {
            Family::Inet => (AddressFamily::Inet, SockProtocol::Icmp),
            Family::Inet6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = net::socket(af, SockType::Raw, flags, protocol).map_err(fail("open"))?;
        let device = raw::tie(&fd, index, fail)?;
        let options = match family {
            Family::Inet => options4(&fd, device),
            Family::Inet6 => options6(&fd, device),
        };
        options.map_err(fail("set options"))?;
        Ok(EchoSocket { fd, index, family, ident: Cell::new(None) })
    }

    /// The descriptor, to wait on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Sends an echo request.
    pub fn send(&self, request: Request<'_>) -> Result<(), Errno> {
        if Family::of(&request.source) != self.family {
            return Err(Errno::EAFNOSUPPORT);
        }
        let ident = Some(request.echo.ident);
        if self.ident.replace(ident) != ident {
            // A refinement: every answer is looked at anyway.
            let _ = sys::attach_filter(self.fd.as_fd(), &only_answers(self.family, request.echo.ident));
        }
        let message = match self.family {
            Family::Inet => request.echo.emit_request(),
            Family::Inet6 => icmp6::emit_request(&request.echo),
        };
        raw::send(&self.fd, self.index, request.source, request.target, &message)
    }

    /// Takes the echo replies that are there, up to a bound. Whether more may be waiting.
    pub fn receive(&self, out: &mut Vec<Heard>) -> bool {
        drain(|| {
            let heard = match self.family {
                Family::Inet => self.receive4()?,
                Family::Inet6 => self.receive6()?,
            };
            out.extend(heard);
            Ok(())
        })
    }

    fn receive4(&self) -> Result<Option<Heard>, Errno> {
        let mut bytes = [0u8; PACKET];
        let mut space = cmsg_space!(TimeSpec, libc::in_pktinfo);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = net::recvmsg::<SockaddrIn>(self.fd(), &mut slices, Some(&mut space), flags)?;
        let control: Vec<_> = got.cmsgs().into_iter().flatten().collect();
        let length = got.bytes;
        let ingress = control.iter().find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_ifindex.cast_unsigned()),
            _ => None,
        });
        let Ok((header, reply)) = icmp::parse_reply_packet(&bytes[..length]) else {
            return Ok(None);
        };
        if ingress != Some(self.index) {
            return Ok(None);
        }
        let (from, to) = (header.source.into(), header.destination.into());
        Ok(Some(self.heard(control, from, to, &reply)))
    }

    fn receive6(&self) -> Result<Option<Heard>, Errno> {
        let mut bytes = [0u8; PACKET];
        let mut space = cmsg_space!(TimeSpec, libc::in6_pktinfo, i32);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = net::recvmsg::<SockaddrIn6>(self.fd(), &mut slices, Some(&mut space), flags)?;
        let from = got.address.map(|a| a.ip());
        let control: Vec<_> = got.cmsgs().into_iter().flatten().collect();
        let length = got.bytes;
        let info = control.iter().find_map(|message| match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(*info),
            _ => None,
        });
        let (Some(from), Some(info)) = (from, info) else {
            return Ok(None);
        };
        if info.ipi6_ifindex != self.index {
            return Ok(None);
        }
        if bytes[0] == ndisc::NEIGHBOUR_ADVERTISEMENT {
            let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            return Ok(self.advertisement(control, (from, to), &bytes[..length]));
        }
        let Ok(reply) = icmp6::parse_reply(&bytes[..length]) else {
            return Ok(None);
        };
        let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
        Ok(Some(self.heard(control, from.into(), to.into(), &reply)))
    }

    /// An answer to a solicitation; from beyond a router it would have lost hops (RFC 4861, section 7.1.2).
    fn advertisement(
        &self,
        control: Vec<ControlMessageOwned>,
        (from, to): (Ipv6Addr, Ipv6Addr),
        bytes: &[u8],
    ) -> Option<Heard> {
        let hops = control.iter().find_map(|message| match message {
            ControlMessageOwned::Ipv6HopLimit(hops) => Some(*hops),
            _ => None,
        });
        let Ok(ndisc::Message::Advertisement(said)) = ndisc::parse(bytes) else {
            return None;
        };
        (hops == Some(ndisc::HOP_LIMIT.into()) && said.solicited).then(|| Heard {
            index: self.index,
            at: stamp(control.into_iter()),
            what: Packet::Advertisement { from, to, target: said.target },
        })
    }

    fn heard(
        &self,
        control: Vec<ControlMessageOwned>,
        from: IpAddr,
        to: IpAddr,
        reply: &icmp::EchoReply<'_>,
    ) -> Heard {
        Heard {
            index: self.index,
            at: stamp(control.into_iter()),
            what: Packet::EchoReply {
                from,
                to,
                code: reply.code,
                ident: reply.ident,
                seq: reply.seq,
                payload: reply.payload[..reply.payload.len().min(PAYLOAD)].to_vec(),
            },
        }
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Echo replies with this identifier and, for IPv6, solicited advertisements. (The program sees what is read from the
/// socket: for IPv4 with the IP header. Numbers of linux/filter.h.)
fn only_answers(family: Family, ident: u16) -> Vec<libc::sock_filter> {
    const HEADER_LENGTH: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    const LOAD_HALF_BEHIND: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    /// Where the identifier of an echo is, and the flags of an advertisement.
    const FOURTH: u32 = 4;
    /// SOLICITED, in the first byte of those flags.
    const SOLICITED: u32 = 0x40;
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let ident = u32::from(ident);
    match family {
        Family::Inet => vec![
            step(HEADER_LENGTH, 0, 0, 0),
            step(LOAD_HALF_BEHIND, 0, 0, FOURTH),
            step(EQUAL, 0, 1, ident),
            step(RETURN, 0, 0, u32::MAX),
            step(RETURN, 0, 0, 0),
        ],
        Family::Inet6 => vec![
            step(LOAD_BYTE, 0, 0, 0),
            step(EQUAL, 0, 2, icmp6::ECHO_REPLY.into()),
            step(LOAD_HALF, 0, 0, FOURTH),
            step(EQUAL, 2, 3, ident),
            step(LOAD_BYTE, 0, 0, FOURTH),
            step(ANY_BIT, 0, 1, SOLICITED),
            step(RETURN, 0, 0, u32::MAX),
            step(RETURN, 0, 0, 0),
        ],
    }
}

fn options4(fd: &OwnedFd, device: i32) -> Result<(), Errno> {
    let set = |name, value| sys::set_int_option(fd.as_fd(), libc::IPPROTO_IP, name, value);
    set(libc::IP_TTL, HOPS)?;
    set(libc::IP_MULTICAST_TTL, HOPS)?;
    set(libc::IP_MULTICAST_LOOP, 0)?;
    set(libc::IP_PKTINFO, 1)?;
    set(libc::IP_MTU_DISCOVER, PROBE)?;
    // struct ip_mreqn: group, address, interface.
    let mut interface = [0u8; 12];
    interface[8..].copy_from_slice(&device.to_ne_bytes());
    sys::set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &interface)?;
    // A set bit keeps a type out.
    let filter = !(1u32 << icmp::ECHO_REPLY);
    sys::set_option(fd.as_fd(), SOL_RAW, ICMP_FILTER, &filter.to_ne_bytes())
}

fn options6(fd: &OwnedFd, device: i32) -> Result<(), Errno> {
    let set = |name, value| sys::set_int_option(fd.as_fd(), libc::IPPROTO_IPV6, name, value);
    set(libc::IPV6_UNICAST_HOPS, HOPS)?;
    set(libc::IPV6_MULTICAST_HOPS, HOPS)?;
    set(libc::IPV6_MULTICAST_LOOP, 0)?;
    set(libc::IPV6_MULTICAST_IF, device)?;
    set(libc::IPV6_RECVPKTINFO, 1)?;
    set(libc::IPV6_MTU_DISCOVER, PROBE)?;
    set(libc::IPV6_RECVHOPLIMIT, 1)?;
    // A set bit keeps a type out: 256 bits in words of 32.
    let mut filter = [u32::MAX; 8];
    for wanted in [icmp6::ECHO_REPLY, ndisc::NEIGHBOUR_ADVERTISEMENT] {
        filter[usize::from(wanted) / 32] &= !(1 << (wanted % 32));
    }
    let filter: Vec<u8> = filter.iter().flat_map(|word| word.to_ne_bytes()).collect();
    sys::set_option(fd.as_fd(), libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)
}
