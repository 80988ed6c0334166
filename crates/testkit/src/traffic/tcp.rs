//! A paced TCP transfer from a server to a client that lasts until it is stopped: what matters is that the one
//! connection survives, how long it stalled, and that no byte is wrong.

use super::Stop;
use super::timeline::longest_gap;
use crate::error::{Context, Error};
use crate::host::Host;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes the source writes at a time.
const CHUNK: usize = 4096;

/// Pause between two writes: about 2 MB/s, which a loaded machine carries beside the UDP streams.
const PACE: Duration = Duration::from_millis(2);

/// How often a blocked thread looks whether it shall end.
const IDLE: Duration = Duration::from_millis(50);

/// Arrivals closer together than this are recorded as one.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Recorded arrivals of one transfer: an hour at one a millisecond.
const MAX_ARRIVALS: usize = 3_600_000;

/// Connections served by one source over its life.
const MAX_CONNECTIONS: usize = 128;

/// Byte at an offset of the transfer. A prime period, so that a lost or doubled segment shows.
fn byte_at(offset: u64) -> u8 {
    (offset % 251) as u8
}

/// The serving end: sends to everybody who connects, on the wildcard address of both families.
pub struct TcpSource {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl TcpSource {
    /// Starts the source on `host`.
    pub fn start(host: &Host, port: u16) -> Result<TcpSource, Error> {
        let listener = host
            .run(|| {
                let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
                listener.set_nonblocking(true)?;
                io::Result::Ok(listener)
            })
            .context(|| format!("listen on {} TCP port {port}", host.name()))?;
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = host.spawn_thread("tcp-source", move || serve(&listener, &asked))?;
        Ok(TcpSource { stop, thread: Some(thread) })
    }
}

impl Drop for TcpSource {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stop: &Stop) {
    let mut writers = Vec::new();
    while !stop.asked() {
        match listener.accept() {
            Ok((stream, _)) if writers.len() < MAX_CONNECTIONS => {
                let asked = stop.clone();
                writers.push(std::thread::spawn(move || write_on(stream, &asked)));
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(PACE),
        }
    }
    for writer in writers {
        let _ = writer.join();
    }
}

/// Writes the pattern at the set pace until told to stop or the connection breaks.
fn write_on(mut stream: TcpStream, stop: &Stop) {
    let ready = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_write_timeout(Some(IDLE)))
        .and_then(|()| stream.set_nodelay(true));
    if ready.is_err() {
        return;
    }
    let mut offset = 0u64;
    while !stop.asked() {
        let chunk: Vec<u8> = (offset..offset + CHUNK as u64).map(byte_at).collect();
        match stream.write(&chunk) {
            Ok(written) => offset += written as u64,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        std::thread::sleep(PACE);
    }
}

/// What the client saw of its transfer in a window of time.
#[derive(Clone, Debug)]
pub struct TcpReport {
    /// Bytes received, whole transfer.
    pub bytes: u64,
    /// Longest time without progress in the window.
    pub stall: Duration,
    /// When that began.
    pub at: Instant,
    /// Why the connection ended, if it has.
    pub broken: Option<String>,
}

#[derive(Default)]
struct Progress {
    bytes: u64,
    arrivals: Vec<Instant>,
    broken: Option<String>,
}

/// The receiving end: one connection, never opened again.
pub struct TcpBulk {
    progress: Arc<Mutex<Progress>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl TcpBulk {
    /// Connects from `client` to the source at `target` and starts to receive.
    pub fn start(client: &Host, target: SocketAddr) -> Result<TcpBulk, Error> {
        let stream = client
            .run(|| {
                let stream = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
                stream.set_read_timeout(Some(IDLE))?;
                io::Result::Ok(stream)
            })
            .context(|| format!("open a TCP connection from {} to {target}", client.name()))?;
        let stop = Stop::default();
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (asked, noted) = (stop.clone(), Arc::clone(&progress));
        let thread = client.spawn_thread("tcp-bulk", move || receive(stream, &asked, &noted))?;
        Ok(TcpBulk { progress, stop, thread: Some(thread) })
    }

    /// What was seen between two times.
    pub fn window(&self, from: Instant, to: Instant) -> TcpReport {
        let progress = lock(&self.progress);
        let gap = longest_gap(&progress.arrivals, from, to);
        TcpReport { bytes: progress.bytes, stall: gap.length, at: gap.at, broken: progress.broken.clone() }
    }

    /// Whether data came after `since` on the connection, and nothing broke it.
    pub fn alive_since(&self, since: Instant) -> bool {
        let progress = lock(&self.progress);
        progress.broken.is_none() && progress.arrivals.last().is_some_and(|a| *a > since)
    }
}

impl Drop for TcpBulk {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn receive(mut stream: TcpStream, stop: &Stop, progress: &Mutex<Progress>) {
    let mut buffer = [0u8; 16 * CHUNK];
    while !stop.asked() {
        let broken = match stream.read(&mut buffer) {
            Ok(0) => Some("the server closed it".to_owned()),
            Ok(n) => note(&buffer[..n], progress).err(),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(e) => Some(e.to_string()),
        };
        if let Some(cause) = broken {
            lock(progress).broken = Some(cause);
            return;
        }
    }
}

/// Records an arrival; an error if a byte is not the one that was sent.
fn note(data: &[u8], progress: &Mutex<Progress>) -> Result<(), String> {
    let now = Instant::now();
    let mut progress = lock(progress);
    let start = progress.bytes;
    if let Some(wrong) = (start..).zip(data).find(|(at, byte)| byte_at(*at) != **byte) {
        return Err(format!("wrong byte at offset {}", wrong.0));
    }
    progress.bytes += data.len() as u64;
    let close = progress.arrivals.last().is_some_and(|last| now.duration_since(*last) < RESOLUTION);
    if !close && progress.arrivals.len() < MAX_ARRIVALS {
        progress.arrivals.push(now);
    }
    Ok(())
}
