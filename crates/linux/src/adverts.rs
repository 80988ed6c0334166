//! CARP's sockets (lagg-carp.md C.7): raw IP sockets of protocol 112, one for each interface and family, and what makes
//! and proves digests. Frames from a virtual MAC are handed back to be sent as they are; everything else the kernel
//! addresses.

use crate::membership::members;
use crate::packet::{drain, stamp};
use crate::probes::Keys;
use crate::{Error, raw, sys};
use mpath_model::carp::{CarpId, Content, HeardAdvert, SendAdvert};
use mpath_model::kernel::{Heard, Packet};
use mpath_model::{Family, IfIndex};
use mpath_wire::carp::{self, GROUP4, GROUP6, HOPS, PROTOCOL, TOS};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6};
use nix::sys::time::TimeSpec;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// Bytes read of a packet: the longest IPv4 header and far more than an advert.
const PACKET: usize = 256;

/// The sockets and the keys.
#[derive(Debug, Default)]
pub(crate) struct Adverts {
    sockets: BTreeMap<(IfIndex, Family), AdvertSocket>,
    /// Which vhid of which interface is whose.
    ids: HashMap<(IfIndex, u8), CarpId>,
    keys: Keys,
}

impl Adverts {
    pub(crate) fn set_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// Opens and closes sockets as wanted; says whether any was, and what could not be opened.
    pub(crate) fn listen(
        &mut self,
        wanted: &[(IfIndex, Family, CarpId)],
        changed: &mut bool,
    ) -> Vec<(IfIndex, Error)> {
        self.ids = wanted.iter().map(|(index, _, id)| ((*index, id.vhid), id.clone())).collect();
        let wanted: BTreeSet<(IfIndex, Family)> = wanted.iter().map(|(i, f, _)| (*i, *f)).collect();
        let before = self.sockets.len();
        let members =
            Family::BOTH.map(|f| self.sockets.keys().any(|k| k.1 == f).then(|| members(f)).flatten());
        // An interface that goes, or whose MTU is too small for IPv6 for a while, forgets its groups: such a socket is deaf.
        let held = |(index, family): &(IfIndex, Family)| match family {
            Family::Inet => members[0].as_ref().is_none_or(|all| all.contains(&(*index, GROUP4.into()))),
            Family::Inet6 => members[1].as_ref().is_none_or(|all| all.contains(&(*index, GROUP6.into()))),
        };
        self.sockets.retain(|key, _| wanted.contains(key) && held(key));
        *changed |= self.sockets.len() != before;
        let mut errors = Vec::new();
        for (index, family) in wanted {
            if let Entry::Vacant(place) = self.sockets.entry((index, family)) {
                match AdvertSocket::open(index, family) {
                    Ok(socket) => {
                        place.insert(socket);
                        *changed = true;
                    }
                    Err(error) => errors.push((index, error)),
                }
            }
        }
        errors
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = RawFd> {
        self.sockets.values().map(|s| s.fd.as_raw_fd())
    }

    /// Takes what a descriptor has, up to a bound. Whether more may be waiting.
    pub(crate) fn receive(&self, fd: RawFd, out: &mut Vec<Heard>) -> bool {
        let Some(socket) = self.sockets.values().find(|s| s.fd.as_raw_fd() == fd) else {
            return false;
        };
        drain(|| {
            let (from, hops, at, payload) = match socket.family {
                Family::Inet => socket.receive4()?,
                Family::Inet6 => socket.receive6()?,
            };
            let content = self.content(socket.index, &payload);
            let what = Packet::Carp(HeardAdvert { from, hops, content });
            out.push(Heard { index: socket.index, at, what });
            Ok(())
        })
    }

    fn content(&self, index: IfIndex, payload: &[u8]) -> Content {
        match carp::parse(payload) {
            Ok(pdu) => {
                let key = self.ids.get(&(index, pdu.advert.vhid)).and_then(|id| self.keys.get(id));
                let authentic = key.is_some_and(|k| k.verify(pdu.advert.counter, &pdu.md));
                Content::Advert { version: pdu.version, advert: pdu.advert, authentic }
            }
            Err(mpath_wire::Error::Checksum { .. }) => Content::BadChecksum,
            Err(_) => Content::Short,
        }
    }

    /// Sends an advert, or gives back the frame to send where it has a virtual MAC. ENOKEY without a key.
    pub(crate) fn send(&self, what: &SendAdvert) -> Result<Option<Vec<u8>>, Errno> {
        let pdu = self.keys.get(&what.id).ok_or(Errno::ENOKEY)?.emit(&what.advert);
        match (what.mac, what.peer) {
            (Some(mac), None) => Ok(Some(carp::frame(mac, what.source, &what.advert, &pdu))),
            (_, peer) => {
                let key = (what.index, Family::of(&what.source));
                let socket = self.sockets.get(&key).ok_or(Errno::ENOTCONN)?;
                socket.send(what.source, peer, &pdu).map(|()| None)
            }
        }
    }
}

#[derive(Debug)]
struct AdvertSocket {
    fd: OwnedFd,
    index: IfIndex,
    family: Family,
}

/// Source, hops, time of arrival, payload.
type Arrival = (IpAddr, u8, mpath_model::Time, Vec<u8>);

impl AdvertSocket {
    /// Opens a socket that belongs to one interface, whatever becomes of its name, and joins the group there.
    fn open(index: IfIndex, family: Family) -> Result<AdvertSocket, Error> {
        let fail = |what: &str| {
            let operation = format!("{what} of {} CARP socket on interface {index}", family.version());
            move |errno| Error::system(operation, errno)
        };
        let af = match family {
            Family::Inet => libc::AF_INET,
            Family::Inet6 => libc::AF_INET6,
        };
        let fd = open(af).map_err(fail("open"))?;
        let device = raw::tie(&fd, index, fail)?;
        let options = match family {
            Family::Inet => options4(&fd, device),
            Family::Inet6 => options6(&fd, device),
        };
        options.map_err(fail("set options"))?;
        Ok(AdvertSocket { fd, index, family })
    }

    fn receive4(&self) -> Result<Arrival, Errno> {
        let mut bytes = [0u8; PACKET];
        let mut space = cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = net::recvmsg::<SockaddrIn>(self.fd.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let from = got.address.map_or(Ipv4Addr::UNSPECIFIED, |a| a.ip());
        let at = stamp(got.cmsgs().into_iter().flatten());
        let length = got.bytes;
        // What is not even a whole IP packet counts as one without content.
        let (hops, payload) = match mpath_wire::ipv4::parse(&bytes[..length]) {
            Ok((header, payload)) => (header.ttl, payload.to_vec()),
            Err(_) => (0, Vec::new()),
        };
        Ok((from.into(), hops, at, payload))
    }

    fn receive6(&self) -> Result<Arrival, Errno> {
        let mut bytes = [0u8; PACKET];
        let mut space = cmsg_space!(TimeSpec, i32);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = net::recvmsg::<SockaddrIn6>(self.fd.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let from = got.address.map_or(Ipv6Addr::UNSPECIFIED, |a| a.ip());
        let control: Vec<_> = got.cmsgs().into_iter().flatten().collect();
        let length = got.bytes;
        let hops = control.iter().find_map(|message| match message {
            ControlMessageOwned::Ipv6HopLimit(hops) => u8::try_from(*hops).ok(),
            _ => None,
        });
        Ok((from.into(), hops.unwrap_or(0), stamp(control.into_iter()), bytes[..length].to_vec()))
    }

    /// To the peer, or to the group.
    fn send(&self, source: IpAddr, peer: Option<IpAddr>, pdu: &[u8]) -> Result<(), Errno> {
        let group = match self.family {
            Family::Inet => IpAddr::V4(GROUP4),
            Family::Inet6 => IpAddr::V6(GROUP6),
        };
        raw::send(&self.fd, self.index, source, peer.unwrap_or(group), pdu)
    }
}

/// A raw socket of CARP's protocol, which nix has no name for.
fn open(family: i32) -> Result<OwnedFd, Errno> {
    let (domain, kind) = (socket2::Domain::from(family), socket2::Type::RAW);
    let protocol = socket2::Protocol::from(i32::from(PROTOCOL));
    let socket = socket2::Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol));
    socket.map(OwnedFd::from).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

fn options4(fd: &OwnedFd, device: i32) -> Result<(), Errno> {
    let set = |name, value| sys::set_int_option(fd.as_fd(), libc::IPPROTO_IP, name, value);
    set(libc::IP_TTL, HOPS.into())?;
    set(libc::IP_MULTICAST_TTL, HOPS.into())?;
    set(libc::IP_MULTICAST_LOOP, 0)?;
    set(libc::IP_TOS, TOS.into())?;
    set(libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?;
    // struct ip_mreqn: group, address, interface.
    let mut request = [0u8; 12];
    request[8..].copy_from_slice(&device.to_ne_bytes());
    sys::set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)?;
    request[..4].copy_from_slice(&GROUP4.octets());
    sys::set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)
}

fn options6(fd: &OwnedFd, device: i32) -> Result<(), Errno> {
    let set = |name, value| sys::set_int_option(fd.as_fd(), libc::IPPROTO_IPV6, name, value);
    set(libc::IPV6_UNICAST_HOPS, HOPS.into())?;
    set(libc::IPV6_MULTICAST_HOPS, HOPS.into())?;
    set(libc::IPV6_MULTICAST_LOOP, 0)?;
    set(libc::IPV6_TCLASS, TOS.into())?;
    set(libc::IPV6_MULTICAST_IF, device)?;
    set(libc::IPV6_RECVHOPLIMIT, 1)?;
    // struct ipv6_mreq: group, interface.
    let mut request = [0u8; 20];
    request[..16].copy_from_slice(&GROUP6.octets());
    request[16..].copy_from_slice(&device.to_ne_bytes());
    sys::set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)
}
