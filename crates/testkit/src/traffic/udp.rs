//! The measuring UDP stream: numbered packets at a fixed rate to an echo service, and what came back when.

use super::Stop;
use super::timeline::{Gap, longest_gap};
use crate::error::{Context, Error};
use crate::host::Host;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Rate of the streams, packets per second, unless the caller takes another.
pub const DEFAULT_RATE: u32 = 1000;

/// Packets recorded by one stream; it ends then. An hour at 1 kHz.
const MAX_PACKETS: usize = 3_600_000;

/// How long a stopped stream still waits for answers that are under way.
const LINGER: Duration = Duration::from_millis(200);

/// Kernel receive buffer that is asked for, bytes: what comes back while this process waits for the processor.
const BUFFER: usize = 4 << 20;

/// Packets that are sent at once by a stream that was kept from the processor. It does not make up for more: a burst is
/// lost in the queues of the hosts' virtual links, not on the way.
const BURST: u32 = 32;

/// Bytes of a packet: sequence number and padding.
const PACKET: usize = 64;

/// What a client saw of its stream in a window of time.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Packets sent in the window.
    pub sent: usize,
    /// Of those, how many came back.
    pub received: usize,
    /// Of those, how many never came back.
    pub lost: usize,
    /// Packets that came back more than once, whole stream.
    pub duplicates: usize,
    /// Longest time without an answer in the window.
    pub outage: Duration,
    /// When that began.
    pub at: Instant,
}

#[derive(Default)]
struct Recording {
    /// Send time by sequence number.
    sent: Vec<Instant>,
    /// Whether it came back, by sequence number.
    back: Vec<bool>,
    /// Arrival times, first copies only.
    arrivals: Vec<Instant>,
    duplicates: usize,
}

/// A running stream.
pub struct UdpStream {
    recording: Arc<Mutex<Recording>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl UdpStream {
    /// Starts a stream of `rate` packets per second from `client` to the echo service at `target`.
    pub fn start(client: &Host, target: SocketAddr, rate: u32) -> Result<UdpStream, Error> {
        let wildcard: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = client
            .run(|| {
                let socket = UdpSocket::bind((wildcard, 0))?;
                socket.connect(target)?;
                socket.set_nonblocking(true)?;
                setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
                io::Result::Ok(socket)
            })
            .context(|| format!("open a UDP stream from {} to {target}", client.name()))?;
        let interval = Duration::from_secs(1) / rate.max(1);
        let stop = Stop::default();
        let recording = Arc::new(Mutex::new(Recording::default()));
        let (asked, record) = (stop.clone(), Arc::clone(&recording));
        let thread = client.spawn_thread("udp-stream", move || stream(&socket, interval, &asked, &record))?;
        Ok(UdpStream { recording, stop, thread: Some(thread) })
    }

    /// What was seen between two times. Packets sent just before `to` may still be under way: leave the window time
    /// to settle before asking.
    pub fn window(&self, from: Instant, to: Instant) -> Report {
        let recording = lock(&self.recording);
        let first = recording.sent.partition_point(|t| *t < from);
        let end = recording.sent.partition_point(|t| *t <= to);
        let received = recording.back[first..end].iter().filter(|b| **b).count();
        let Gap { at, length } = longest_gap(&recording.arrivals, from, to);
        Report {
            sent: end - first,
            received,
            lost: end - first - received,
            duplicates: recording.duplicates,
            outage: length,
            at,
        }
    }

    /// Whether an answer came after `since`.
    pub fn alive_since(&self, since: Instant) -> bool {
        lock(&self.recording).arrivals.last().is_some_and(|a| *a > since)
    }

    /// Stops sending, waits for what is under way, and reports on the whole stream.
    pub fn stop(mut self) -> Report {
        self.join();
        let (from, to) = {
            let recording = lock(&self.recording);
            let now = Instant::now();
            (recording.sent.first().copied().unwrap_or(now), recording.sent.last().copied().unwrap_or(now))
        };
        self.window(from, to)
    }

    fn join(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for UdpStream {
    fn drop(&mut self) {
        self.join();
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends on schedule and takes answers in between. A send that fails counts as sent: the packet is lost.
fn stream(socket: &UdpSocket, interval: Duration, stop: &Stop, recording: &Mutex<Recording>) {
    let mut next = Instant::now();
    let mut end = None;
    loop {
        let now = Instant::now();
        if end.is_none() && stop.asked() {
            end = Some(now + LINGER);
        }
        match end {
            Some(end) if now >= end => return,
            Some(_) => next = now + Duration::from_millis(5),
            None if now >= next => {
                if !send_next(socket, recording) {
                    stop.now();
                }
                next = (next + interval).max(now.checked_sub(interval * BURST).unwrap_or(now));
            }
            None => {}
        }
        let pause = TimeSpec::from_duration(next.saturating_duration_since(Instant::now()));
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if ppoll(&mut fds, Some(pause), None).is_ok_and(|ready| ready > 0) {
            receive_all(socket, recording);
        }
    }
}

/// False when the recording is full.
fn send_next(socket: &UdpSocket, recording: &Mutex<Recording>) -> bool {
    let mut packet = [0u8; PACKET];
    let number = {
        let mut recording = lock(recording);
        if recording.sent.len() >= MAX_PACKETS {
            return false;
        }
        recording.sent.push(Instant::now());
        recording.back.push(false);
        recording.sent.len() - 1
    };
    packet[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let _ = socket.send(&packet);
    true
}

fn receive_all(socket: &UdpSocket, recording: &Mutex<Recording>) {
    let mut packet = [0u8; PACKET];
    loop {
        let number = match socket.recv(&mut packet) {
            Ok(PACKET) => {
                let mut head = [0u8; 8];
                head.copy_from_slice(&packet[..8]);
                u64::from_be_bytes(head)
            }
            Ok(_) => continue,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP error that came back: part of being unreachable.
            Err(_) => continue,
        };
        let now = Instant::now();
        let mut recording = lock(recording);
        let Ok(number) = usize::try_from(number) else {
            continue;
        };
        match recording.back.get_mut(number) {
            Some(back) if !*back => {
                *back = true;
                recording.arrivals.push(now);
            }
            Some(_) => recording.duplicates += 1,
            None => {}
        }
    }
}
