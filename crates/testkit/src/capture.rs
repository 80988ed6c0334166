//! What passes on an interface: echo requests in both directions, counted by family, who sends what comes in, and ARP.

use crate::error::{Context, Error};
use crate::host::Host;
use crate::traffic::Stop;
use mpath_linux::sys::{link_address, set_int_option};
use mpath_model::Mac;
use mpath_wire::arp::{self, Arp};
use mpath_wire::ethernet::Header;
use mpath_wire::{ethernet, icmp, icmp6, ipv4, ipv6};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, bind, recv, setsockopt, socket, sockopt};
use nix::sys::socket::{MsgFlags, SockProtocol};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread::JoinHandle;

/// Every Ethernet type (ETH_P_ALL, linux/if_ether.h).
const EVERYTHING: u16 = 3;

/// Level of packet sockets' options (linux/socket.h).
const SOL_PACKET: i32 = 263;

/// Linux 4.20 (linux/if_packet.h).
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// How often an idle capture looks whether it shall end.
const IDLE_MS: i64 = 50;

/// Kernel receive buffer, bytes: far more than a link without bulk traffic brings in while the machine is busy.
const BUFFER: usize = 1 << 22;

/// ARP packets kept.
const MAX_ARPS: usize = 100_000;

/// What has been seen.
#[derive(Default)]
struct Seen {
    echoes: EchoRequests,
    senders: BTreeMap<Mac, u64>,
    arps: Vec<(Header, Arp)>,
}

/// Echo requests that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoRequests {
    /// ICMP.
    pub inet: u64,
    /// ICMPv6.
    pub inet6: u64,
}

/// A running capture.
pub struct Capture {
    stop: Stop,
    thread: JoinHandle<Seen>,
}

impl Capture {
    /// Captures on one interface from now on.
    pub fn start(host: &Host, interface: &str) -> Result<Capture, Error> {
        Capture::begin(host, interface, false)
    }

    /// Captures what comes in on one interface from now on.
    pub fn incoming(host: &Host, interface: &str) -> Result<Capture, Error> {
        Capture::begin(host, interface, true)
    }

    fn begin(host: &Host, interface: &str, incoming: bool) -> Result<Capture, Error> {
        let what = || format!("capture on {interface} of {}", host.name());
        let index = host.index_of(interface)?;
        let fd = host.run(|| open(index, incoming)).context(what)?;
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = host.spawn_thread("capture", move || count(&fd, &asked))?;
        Ok(Capture { stop, thread })
    }

    /// Ends it.
    ///
    /// # Panics
    /// If the capturing thread has.
    pub fn stop(self) -> EchoRequests {
        self.end().echoes
    }

    /// Ends it: frames by the link-layer address of their sender.
    ///
    /// # Panics
    /// If the capturing thread has.
    pub fn senders(self) -> BTreeMap<Mac, u64> {
        self.end().senders
    }

    /// Ends it: ARP packets in the order in which they came.
    ///
    /// # Panics
    /// If the capturing thread has.
    pub fn arps(self) -> Vec<(Header, Arp)> {
        self.end().arps
    }

    fn end(self) -> Seen {
        self.stop.now();
        self.thread.join().expect("the capturing thread does not panic")
    }
}

/// A socket for all that passes, or all that comes in, on an interface; reading gives up now and then.
pub(crate) fn open(index: u32, incoming: bool) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(IDLE_MS))?;
    setsockopt(&fd, sockopt::RcvBuf, &BUFFER)?;
    set_int_option(fd.as_fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, i32::from(incoming))?;
    bind(fd.as_raw_fd(), &link_address(index, EVERYTHING).ok_or(Errno::ENODEV)?)?;
    Ok(fd)
}

fn count(fd: &OwnedFd, stop: &Stop) -> Seen {
    let mut seen = Seen::default();
    let mut frame = [0u8; 2048];
    loop {
        let ending = if stop.asked() { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
        match recv(fd.as_raw_fd(), &mut frame, MsgFlags::MSG_TRUNC | ending) {
            Ok(length) => {
                let frame = &frame[..length.min(frame.len())];
                seen.add(frame);
            }
            // Only when nothing is left to read.
            Err(_) if stop.asked() => return seen,
            Err(_) => {}
        }
    }
}

impl Seen {
    fn add(&mut self, frame: &[u8]) {
        let Ok((header, packet)) = ethernet::parse(frame) else { return };
        *self.senders.entry(header.source).or_insert(0) += 1;
        match arp::parse(packet) {
            Ok(arp) if header.ethertype == ethernet::ethertype::ARP && self.arps.len() < MAX_ARPS => {
                self.arps.push((header, arp));
            }
            _ => self.echoes.add(&header, packet),
        }
    }
}

impl EchoRequests {
    fn add(&mut self, header: &Header, packet: &[u8]) {
        let (counter, wanted, message) = match header.ethertype {
            ethernet::ethertype::IPV4 => match ipv4::parse(packet) {
                Ok((ip, message)) if ip.protocol == ipv4::PROTOCOL_ICMP => {
                    (&mut self.inet, icmp::ECHO_REQUEST, message)
                }
                _ => return,
            },
            ethernet::ethertype::IPV6 => match ipv6::parse(packet) {
                Ok((ip, message)) if ip.next_header == ipv6::NEXT_HEADER_ICMP6 => {
                    (&mut self.inet6, icmp6::ECHO_REQUEST, message)
                }
                _ => return,
            },
            _ => return,
        };
        *counter += u64::from(message.first() == Some(&wanted));
    }
}
