//! Who stamps what the kernel tells of a host: the loss of a NIC's carrier, the arrival of addresses on another, and the
//! announcements that leave there. Spins while it is armed, so that its own waking up is in no figure, and gives way to whoever
//! waits for its processor: the kernel tells of an IPv6 address from a worker.

use crate::machine;
use mpath_linux::netlink::Socket;
use mpath_model::IfIndex;
use mpath_testkit::{Error, Host};
use nix::errno::Errno;
use nix::sched::sched_yield;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket, sockopt,
};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR.
const GROUPS: [u32; 3] = [1, 5, 9];
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
/// IFF_LOWER_UP.
const LOWER_UP: u32 = 0x10000;

/// The observer of one host.
pub(crate) struct Observer {
    orders: Option<Sender<usize>>,
    results: Receiver<Seen>,
    ready: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// From the carrier event to the last of the addresses, and to the last of those that is announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) present: Duration,
    pub(crate) announced: Duration,
    /// Longest time that the observer did not look, until all were present: somebody else had its processor.
    pub(crate) blind: Duration,
}

/// An observation under way.
pub(crate) struct Armed<'a>(&'a Observer);

impl Observer {
    /// Watches for the loss of the carrier of `from` and for addresses on `to`.
    pub(crate) fn start(host: &Host, from: &str, to: &str) -> Result<Observer, Error> {
        let (from, to) = (host.index_of(from)?, host.index_of(to)?);
        let socket = host
            .run(|| {
                let socket = Socket::open()?;
                GROUPS.iter().try_for_each(|group| socket.join(*group))?;
                Ok::<Socket, mpath_linux::Error>(socket)
            })
            .map_err(|e| Error::new("open the observer's socket", e))?;
        let wire = host.run(|| wire(to)).map_err(|e| Error::new("open the observer's packet socket", e))?;
        let (orders, taken) = channel();
        let (done, results) = channel();
        let (armed, ready) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let observe = move || {
            let mut socket = socket;
            machine::move_to_the_last_processor();
            while let Ok(count) = taken.recv() {
                clear(&mut socket);
                while announced(&wire).is_some() {}
                let _ = armed.send(());
                if let Some(took) = observation(&mut socket, &wire, (from, to), count, &asked) {
                    let _ = done.send(took);
                }
            }
        };
        let thread = Some(host.spawn_thread("observer", observe)?);
        Ok(Observer { orders: Some(orders), results, ready, thread, stop })
    }

    /// From now on: the next loss of carrier, and `count` addresses after it.
    pub(crate) fn arm(&self, count: usize) -> Armed<'_> {
        if let Some(orders) = &self.orders {
            let _ = orders.send(count);
        }
        let _ = self.ready.recv();
        Armed(self)
    }
}

impl Armed<'_> {
    /// What was seen of `who`.
    pub(crate) fn wait(self, who: &str, patience: Duration) -> Result<Seen, Error> {
        match self.0.results.recv_timeout(patience) {
            Ok(took) => Ok(took),
            Err(RecvTimeoutError::Timeout) => {
                self.0.stop.store(true, Ordering::Relaxed);
                Err(Error::new(
                    format!("observe a move by {who}"),
                    format!("not all addresses came and were announced within {patience:?}"),
                ))
            }
            Err(e) => Err(Error::new("observe a move", e)),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn clear(socket: &mut Socket) {
    let _ = socket.drain(|_, _, _, _| Ok(()));
}

/// Hears everything on an interface.
fn wire(index: IfIndex) -> Result<OwnedFd, Errno> {
    /// ETH_P_ALL (linux/if_ether.h).
    const EVERYTHING: u16 = 3;
    /// Bytes of the receive buffer: every announcement of some thousand addresses.
    const BUFFER: usize = 1 << 24;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None::<SockProtocol>)?;
    setsockopt(&fd, sockopt::RcvBufForce, &BUFFER).or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &BUFFER))?;
    let at = mpath_linux::sys::link_address(index, EVERYTHING).ok_or(Errno::ENODEV)?;
    bind(fd.as_raw_fd(), &at)?;
    Ok(fd)
}

/// The next frame: the address that it announces by gratuitous ARP or neighbour advertisement, if it does, and leaves (what
/// another NIC announces arrives here). None: no frame is there.
fn announced(wire: &OwnedFd) -> Option<Result<IpAddr, ()>> {
    /// PACKET_OUTGOING (linux/if_packet.h).
    const OUTGOING: u8 = 4;
    let mut frame = [0u8; 128];
    let (length, from) = recvfrom::<LinkAddr>(wire.as_raw_fd(), &mut frame).ok()?;
    if from.is_none_or(|from| from.pkttype() != OUTGOING) {
        return Some(Err(()));
    }
    let frame = &frame[..length.min(frame.len())];
    let address = match frame.get(12..14) {
        // Sender and target are the same.
        Some([8, 6]) if frame.len() >= 42 && frame[28..32] == frame[38..42] => {
            <[u8; 4]>::try_from(&frame[28..32]).ok().map(|a| Ipv4Addr::from(a).into())
        }
        // ICMPv6, type 136.
        Some([0x86, 0xdd]) if frame.len() >= 78 && (frame[20], frame[54]) == (58, 136) => {
            <[u8; 16]>::try_from(&frame[62..78]).ok().map(|a| Ipv6Addr::from(a).into())
        }
        _ => None,
    };
    Some(address.ok_or(()))
}

fn observation(
    socket: &mut Socket,
    wire: &OwnedFd,
    (from, to): (IfIndex, IfIndex),
    count: usize,
    stop: &AtomicBool,
) -> Option<Seen> {
    let (mut begun, mut present) = (None, None);
    let (mut looked, mut blind) = (Instant::now(), Duration::ZERO);
    let mut arrived = 0;
    let mut told = HashSet::new();
    while !stop.load(Ordering::Relaxed) {
        let _ = sched_yield();
        let _ = socket.read_ahead();
        let now = Instant::now();
        // What is late before the end of a move makes it look shorter or longer; what comes before the cut does neither.
        blind = if begun.is_none() { now - looked } else { blind.max(now - looked) };
        looked = now;
        socket.hand_out(|kind, _, _, payload| {
            let word =
                |at: usize| payload.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
            match kind {
                RTM_NEWLINK if word(4) == Some(from) && word(8).is_some_and(|f| f & LOWER_UP == 0) => {
                    begun = begun.or(Some(now));
                }
                RTM_NEWADDR if word(4) == Some(to) => arrived += 1,
                _ => {}
            }
            Ok(())
        });
        while let Some(heard) = announced(wire) {
            told.extend(heard);
        }
        let Some(begun) = begun else { continue };
        if arrived >= count && present.is_none() {
            present = Some(now - begun);
        }
        if let Some(present) = present.filter(|_| told.len() >= count) {
            return Some(Seen { present, announced: begun.elapsed(), blind });
        }
    }
    None
}
