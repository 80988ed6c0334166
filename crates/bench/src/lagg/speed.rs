//! What passes through a lagg, as a share of what passes through a bare NIC of the same host: TCP both ways at once, and
//! small UDP packets. Bare NIC and lagg take turns, so that what else the machine does falls on both.

use super::Stage;
use crate::cli::Backend;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::Site;
use crate::stats::Summary;
use mpath_testkit::lan::DATA4;
use mpath_testkit::{Error, Host};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses of the bare NIC and of the client on its network.
const BARE: &str = "198.51.100.2";
const CLIENT: &str = "198.51.100.9/24";
const PORT: u16 = 7100;
const STREAMS: usize = 8;
/// Payload of a UDP packet whose frame is 64 bytes long with its checksum: 14 + 20 + 8 + 18 + 4.
const PAYLOAD: usize = 18;
const PAIRS: u32 = 5;
/// How long each figure is measured, after the streams have got going.
const MEASURED: Duration = Duration::from_millis(1500);
const WARM: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_millis(50);
const LEAST: f64 = 0.9;

pub(super) fn case(site: &Site, backend: Backend) -> Result<Case, Error> {
    let progress = Progress::new(format!("lagg, {}, throughput", backend.name()), PAIRS);
    let stage = Stage::build(site, backend, 3, "probe = \"link\"")?;
    let (server, client) = (&stage.lan.server, &stage.lan.near);
    server.add_address("eth2", &format!("{BARE}/24"))?;
    client.add_address("eth0", CLIENT)?;
    let sinks = Sinks::start(server)?;
    let (bare, lagg) = (address(BARE), address(DATA4));
    let mut all: [Vec<f64>; 6] = Default::default();
    for pair in 1..=PAIRS {
        let tcp = [tcp(client, bare)?, tcp(client, lagg)?];
        let udp = [udp(client, bare, &sinks)?, udp(client, lagg, &sinks)?];
        let figures = [tcp[0], tcp[1], tcp[1] / tcp[0], udp[0], udp[1], udp[1] / udp[0]];
        all.iter_mut().zip(figures).for_each(|(samples, figure)| samples.push(figure));
        progress.done(pair, &format!("TCP {:.2}, UDP {:.2} of the bare NIC", figures[2], figures[5]));
    }
    let check = |key, what: &str, ratios: &[f64]| {
        let p50 = Summary::of(ratios).map_or(0.0, |s| s.p50);
        let label = format!("{what} through the lagg at least {LEAST} of the bare NIC, p50");
        Check { key, label, found: format!("{p50:.3}"), ok: p50 >= LEAST }
    };
    let checks = vec![check("tcp", "TCP", &all[2]), check("udp", "64-byte UDP", &all[5])];
    let names = [
        ("tcp_bare_mbit", "TCP both ways, bare NIC, Mbit/s"),
        ("tcp_lagg_mbit", "TCP both ways, lagg, Mbit/s"),
        ("tcp_ratio", "TCP, lagg : bare"),
        ("udp_bare_kpps", "64-byte UDP, bare NIC, thousand packets/s"),
        ("udp_lagg_kpps", "64-byte UDP, lagg, thousand packets/s"),
        ("udp_ratio", "UDP, lagg : bare"),
    ];
    Ok(Case {
        title: format!("lagg by {}, throughput, {STREAMS} TCP streams, {PAIRS} pairs", backend.name()),
        settings: vec![("streams", STREAMS as f64), ("udp_payload", PAYLOAD as f64)],
        measures: names.into_iter().zip(all).map(|((key, label), s)| Measure::new(key, label, s)).collect(),
        checks,
    })
}

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(text.parse::<Ipv4Addr>().expect("a constant address")), PORT)
}

/// The server's ends: TCP connections that are filled and emptied, and UDP packets that are counted.
struct Sinks {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sinks {
    fn start(server: &Host) -> Result<Sinks, Error> {
        let open = || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            listener.set_nonblocking(true)?;
            let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
            udp.set_read_timeout(Some(IDLE))?;
            Ok::<_, std::io::Error>((listener, udp))
        };
        let (listener, udp) = server.run(open).map_err(|e| Error::new("open the sinks", e))?;
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ends, asked) = (Arc::clone(&received), Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            server.spawn_thread("sink-tcp", move || {
                while !ends.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((stream, _)) => drop(exchange(stream, Arc::default(), Arc::clone(&ends))),
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            })?,
            server.spawn_thread("sink-udp", move || {
                let mut packet = [0u8; 64];
                while !asked.load(Ordering::Relaxed) {
                    if udp.recv(&mut packet).is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })?,
        ];
        Ok(Sinks { received, stop, threads })
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|t| drop(t.join()));
    }
}

/// Fills and empties one connection until it breaks or is told to stop; counts the bytes that come.
fn exchange(stream: TcpStream, count: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> [JoinHandle<()>; 2] {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(IDLE));
    let _ = stream.set_write_timeout(Some(IDLE));
    let other = stream.try_clone();
    let (ends, mut reader) = (Arc::clone(&stop), stream);
    let passing = |e: &std::io::Error| {
        matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    let read = std::thread::spawn(move || {
        let mut buffer = vec![0u8; 1 << 17];
        while !ends.load(Ordering::Relaxed) {
            match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => drop(count.fetch_add(n as u64, Ordering::Relaxed)),
                Err(e) if passing(&e) => {}
                Err(_) => return,
            }
        }
    });
    let write = std::thread::spawn(move || {
        let buffer = vec![0u8; 1 << 17];
        let Ok(mut writer) = other else { return };
        while !stop.load(Ordering::Relaxed) {
            match writer.write(&buffer) {
                Ok(_) => {}
                Err(e) if passing(&e) => {}
                Err(_) => return,
            }
        }
        let _ = writer.shutdown(std::net::Shutdown::Both);
    });
    [read, write]
}

/// Mbit/s that come back to the client, while as much goes out as will.
fn tcp(client: &Host, target: SocketAddr) -> Result<f64, Error> {
    let connect = || {
        let one = |_| TcpStream::connect_timeout(&target, Duration::from_secs(5));
        (0..STREAMS).map(one).collect::<Result<Vec<_>, _>>()
    };
    let streams = client.run(connect).map_err(|e| Error::new(format!("connect to {target}"), e))?;
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<JoinHandle<()>> =
        streams.into_iter().flat_map(|s| exchange(s, Arc::clone(&count), Arc::clone(&stop))).collect();
    let bytes = rate(&count);
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|t| drop(t.join()));
    Ok(bytes * 8.0 / 1e6)
}

/// Thousand packets a second that arrive at the server, while as many are sent as will.
fn udp(client: &Host, target: SocketAddr, sinks: &Sinks) -> Result<f64, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let open = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(target).map(|()| s));
    let socket = client.run(open).map_err(|e| Error::new(format!("open a socket to {target}"), e))?;
    let send = move || {
        while !asked.load(Ordering::Relaxed) {
            let _ = socket.send(&[0u8; PAYLOAD]);
        }
    };
    let thread = std::thread::spawn(send);
    let packets = rate(&sinks.received);
    stop.store(true, Ordering::Relaxed);
    let _ = thread.join();
    Ok(packets / 1e3)
}

/// How fast a count grows, per second.
fn rate(count: &AtomicU64) -> f64 {
    std::thread::sleep(WARM);
    let (before, begun) = (count.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(MEASURED);
    (count.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64()
}
