//! One-way traffic to both data addresses, cheap enough for 10 kHz on a small machine: nobody answers, and the server's
//! end is read in bulk. And who stamps the first packet that arrives by a NIC: the kernel does, so that nobody's waking
//! up is in the figure.

use super::Stop;
use crate::error::{Context, Error};
use crate::host::Host;
use mpath_linux::sys::{link_address, set_int_option};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of a packet: family and sequence number, and padding.
const PACKET: usize = 64;
/// How often the server's end is read.
const READ: Duration = Duration::from_millis(5);
/// Kernel receive buffer of the server's end, bytes: a second at 10 kHz and more.
const BUFFER: usize = 1 << 24;
/// Time for packets under way.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Send times and arrivals by family and sequence number.
#[derive(Default)]
struct Record {
    sent: [Vec<Instant>; 2],
    arrived: [Vec<bool>; 2],
}

/// A running flow: packets of both families at a fixed rate each.
pub struct Flow {
    record: Arc<Mutex<Record>>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Flow {
    /// Starts it from `client` to a port of both `targets` (IPv4, IPv6) on `server`, `rate` packets a second each.
    pub fn start(client: &Host, server: &Host, targets: [SocketAddr; 2], rate: u32) -> Result<Flow, Error> {
        let sink = server
            .run(|| {
                let sink = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, targets[0].port()))?;
                setsockopt(&sink, sockopt::RcvBufForce, &BUFFER)
                    .or_else(|_| setsockopt(&sink, sockopt::RcvBuf, &BUFFER))?;
                sink.set_nonblocking(true)?;
                io::Result::Ok(sink)
            })
            .context(|| format!("open the end of a flow on {}", server.name()))?;
        let source = client
            .run(|| {
                let open = |wildcard: &str, target| {
                    let source = UdpSocket::bind(wildcard)?;
                    source.connect(target)?;
                    source.set_nonblocking(true)?;
                    io::Result::Ok(source)
                };
                Ok::<_, io::Error>([open("0.0.0.0:0", targets[0])?, open("[::]:0", targets[1])?])
            })
            .context(|| format!("open a flow from {}", client.name()))?;
        let (stop, record) = (Stop::default(), Arc::new(Mutex::new(Record::default())));
        let interval = Duration::from_secs(1) / rate.max(1);
        let (asked, sending) = (stop.clone(), Arc::clone(&record));
        let sender = client.spawn_thread("flow", move || send(&source, interval, &asked, &sending))?;
        let (asked, reading) = (stop.clone(), Arc::clone(&record));
        let reader = server.spawn_thread("sink", move || read(&sink, &asked, &reading))?;
        Ok(Flow { record, stop, threads: vec![sender, reader] })
    }

    /// Packets sent between two times, and how many of them never arrived, IPv4 and IPv6. Waits for what is under way.
    pub fn lost(&self, from: Instant, to: Instant) -> [(usize, usize); 2] {
        std::thread::sleep(UNDER_WAY);
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        [0, 1].map(|family| {
            let first = record.sent[family].partition_point(|t| *t < from);
            let end = record.sent[family].partition_point(|t| *t <= to);
            let lost = record.arrived[family][first..end].iter().filter(|a| !**a).count();
            (end - first, lost)
        })
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.now();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn send(sources: &[UdpSocket; 2], interval: Duration, stop: &Stop, record: &Mutex<Record>) {
    let mut next = Instant::now();
    while !stop.asked() {
        let number = {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            for family in 0..2 {
                record.sent[family].push(now);
                record.arrived[family].push(false);
            }
            record.sent[0].len() - 1
        };
        for (family, source) in sources.iter().enumerate() {
            let mut packet = [0u8; PACKET];
            packet[0] = family as u8;
            packet[8..16].copy_from_slice(&(number as u64).to_be_bytes());
            let _ = source.send(&packet); // one that fails is lost
        }
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn read(sink: &UdpSocket, stop: &Stop, record: &Mutex<Record>) {
    let mut packet = [0u8; PACKET];
    let mut seen = Vec::new();
    while !stop.asked() {
        while let Ok(length) = sink.recv(&mut packet) {
            if length == PACKET && packet[0] < 2 {
                let number = u64::from_be_bytes(packet[8..16].try_into().expect("eight bytes"));
                seen.push((usize::from(packet[0]), number as usize));
            }
        }
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        for (family, number) in seen.drain(..) {
            if let Some(arrived) = record.arrived[family].get_mut(number) {
                *arrived = true;
            }
        }
        drop(record);
        std::thread::sleep(READ);
    }
}

/// Waits for the first UDP packet of each family that arrives by a NIC.
pub struct FirstPackets {
    stop: Stop,
    threads: Vec<JoinHandle<Option<Instant>>>,
}

impl FirstPackets {
    /// From now on.
    pub fn watch(host: &Host, nic: &str) -> Result<FirstPackets, Error> {
        let index = host.index_of(nic)?;
        let stop = Stop::default();
        let mut threads = Vec::new();
        for family in 0..2 {
            let fd = host
                .run(|| open(index, [0x0800, 0x86dd][family]))
                .context(|| format!("watch {nic} of {}", host.name()))?;
            let asked = stop.clone();
            threads.push(host.spawn_thread("first", move || first(&fd, family, &asked))?);
        }
        Ok(FirstPackets { stop, threads })
    }

    /// When they arrived, IPv4 and IPv6; none for one that has not come by the deadline.
    pub fn wait(mut self, deadline: Duration) -> [Option<Instant>; 2] {
        let end = Instant::now() + deadline;
        while Instant::now() < end && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(READ);
        }
        self.stop.now();
        let mut found = self.threads.drain(..).map(|t| t.join().ok().flatten());
        [found.next().flatten(), found.next().flatten()]
    }
}

fn open(index: u32, ethertype: u16) -> Result<OwnedFd, Errno> {
    /// Level of packet sockets' options, and PACKET_IGNORE_OUTGOING (linux/if_packet.h).
    const PACKET_IGNORE_OUTGOING: (i32, i32) = (263, 23);
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50))?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    set_int_option(fd.as_fd(), PACKET_IGNORE_OUTGOING.0, PACKET_IGNORE_OUTGOING.1, 1)?;
    bind(fd.as_raw_fd(), &link_address(index, ethertype).ok_or(Errno::ENODEV)?)?;
    Ok(fd)
}

/// The protocol field of an IPv4 or IPv6 packet in its Ethernet frame.
const PROTOCOL: [usize; 2] = [14 + 9, 14 + 6];
/// IPPROTO_UDP.
const UDP: u8 = 17;

fn first(fd: &OwnedFd, family: usize, stop: &Stop) -> Option<Instant> {
    let mut frame = [0u8; 256];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    while !stop.asked() {
        let stamp = {
            let mut slices = [IoSliceMut::new(&mut frame)];
            let Ok(message) =
                recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())
            else {
                continue;
            };
            message.cmsgs().ok().and_then(|mut list| {
                list.find_map(|c| match c {
                    ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                    _ => None,
                })
            })
        };
        if frame[PROTOCOL[family]] == UDP {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
            return Some(Instant::now() - now.saturating_sub(stamp?));
        }
    }
    None
}
