//! What passes on the wire while ports change, frame by frame: numbered broadcasts from the lagg and from a client, and who is
//! seen to send them.

use crate::world::{LaggConfig, SOON, World};
use mpath_linux::packet::Sender;
use mpath_model::Mac;
use mpath_model::status::LinkState;
use mpath_testkit::lan::DATA4;
use mpath_testkit::{Host, Sniffer, isolated_for, poll_until, with_daemon};
use mpath_wire::ethernet;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ethernet type for experiments (IEEE 802, local experimental 1).
pub const MARK: u16 = 0x88b5;
const BROADCAST: Mac = Mac([0xff; 6]);
/// Of the client's broadcasts.
const STRANGER: Mac = Mac([2, 0, 0, 0, 8, 8]);
const LONG: Duration = Duration::from_secs(600);

/// Does something again and again until it goes away.
pub struct Steady(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Steady {
    fn start(host: &Host, pause: Duration, mut each: impl FnMut(u64) + Send + 'static) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let run = move || {
            for number in 0.. {
                if asked.load(Ordering::Relaxed) {
                    return;
                }
                each(number);
                std::thread::sleep(pause);
            }
        };
        Steady(stop, Some(host.spawn_thread("steady", run).unwrap()))
    }

    /// The same small frame again and again.
    pub fn frames(host: &Host, interface: &str, source: Mac, destination: Mac, number: u8) -> Steady {
        let (sender, index) = (host.run(Sender::open).unwrap(), host.index_of(interface).unwrap());
        let frame = ethernet::Header { destination, source, ethertype: MARK }.emit(&[number; 46]);
        Steady::start(host, Duration::from_millis(5), move |_| {
            let _ = sender.send(index, &frame);
        })
    }

    /// Numbered broadcasts from this link-layer address.
    fn broadcasts(host: &Host, interface: &str, source: Mac) -> Steady {
        let (sender, index) = (host.run(Sender::open).unwrap(), host.index_of(interface).unwrap());
        let header = ethernet::Header { destination: BROADCAST, source, ethertype: MARK };
        Steady::start(host, Duration::from_micros(500), move |number| {
            let mut payload = [0u8; 46];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let _ = sender.send(index, &header.emit(&payload));
        })
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

/// A frame: who sent it, and its number if it is one of ours.
type Seen = (Mac, Option<u64>);

fn sniff(world: &World, n: usize) -> Sniffer<Seen> {
    Sniffer::start(&world.lan.switch, &format!("p{n}"), |frame| {
        let (header, payload) = ethernet::parse(frame).ok()?;
        let number = payload.first_chunk().map(|b| u64::from_be_bytes(*b));
        Some((header.source, number.filter(|_| header.ethertype == MARK)))
    })
    .unwrap()
}

/// Cables of both ports are cut and plugged at random: never does a broadcast of a client come back, and none of the lagg's
/// leaves by both ports, but for what a bridge sends in the moment in which one port is open and the other not yet closed.
fn storm(backend: &'static str, more: &str, events: u32, pause: Duration) {
    let world = World::start(LaggConfig { backend, more: more.into(), ..LaggConfig::default() });
    let lagg = world.lan.nic_mac(0);
    let sniffers = [0, 1].map(|n| sniff(&world, n));
    let ours = Steady::broadcasts(&world.lan.server, "lagg0", lagg);
    let theirs = Steady::broadcasts(&world.lan.near, "eth0", STRANGER);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..events {
        let n = random(2) as usize;
        if random(3) == 0 {
            world.lan.cut(n).unwrap()
        } else {
            world.lan.plug(n).unwrap()
        };
        std::thread::sleep(Duration::from_micros(random(pause.as_micros() as u64)));
    }
    for n in 0..2 {
        world.lan.plug(n).unwrap();
    }
    world.expect_traffic();
    let calm = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    drop((ours, theirs));
    let numbers = |n: usize, since: Option<Instant>| -> BTreeSet<u64> {
        let seen = sniffers[n].seen();
        let wanted =
            |(at, (mac, _)): &&(Instant, Seen)| *mac == lagg && since.is_none_or(|since| *at >= since);
        seen.iter().filter(wanted).filter_map(|(_, (_, number))| *number).collect()
    };
    let [a, b] = [numbers(0, None), numbers(1, None)];
    let both = a.intersection(&b).count();
    let switches = world.daemon.log_text().matches("Active port of lagg0 changed").count();
    println!(
        "{backend}: {both} of {} broadcasts left by both ports, {events} link events, {switches} switches",
        a.union(&b).count()
    );
    let allowed = if backend == "bridge" { switches } else { 0 };
    assert!(both <= allowed, "{both} left by both ports, {switches} switches");
    let later = [numbers(0, Some(calm)), numbers(1, Some(calm))];
    assert_eq!(later[0].intersection(&later[1]).count(), 0, "both ports stay open");
    assert!(a.len() > 10 && b.len() > 10, "both ports had their time: {} and {}", a.len(), b.len());
    for sniffer in &sniffers {
        let looped = sniffer.seen().iter().filter(|(_, (mac, _))| *mac == STRANGER).count();
        assert_eq!(looped, 0, "broadcasts of a client came back");
    }
    world.assert_tcp_survived();
}

#[test]
fn a_bridge_never_makes_a_loop() {
    with_daemon("storm::a_bridge_never_makes_a_loop", || {
        storm("bridge", "probe = \"link\"", 100, Duration::from_millis(20));
    });
}

#[test]
#[ignore = "long: a thousand link events with each back-end"]
fn a_thousand_link_events() {
    mpath_testkit::build_daemon();
    isolated_for("storm::a_thousand_link_events", LONG, || {
        for backend in ["bridge", "redirect"] {
            // Long enough for ports to be repaired now and then.
            storm(backend, "failure_detection_time = \"100ms\"", 1000, Duration::from_millis(200));
        }
    });
}

/// Number, time of sending, and whether it arrived.
type Sent = Arc<Mutex<Vec<(Instant, bool)>>>;

/// A stream from the client that nobody answers: only what the switch has learnt brings it to the right port.
fn one_way(world: &World) -> (Sent, [Steady; 2]) {
    let sent = Sent::default();
    let sink = world.lan.server.run(|| UdpSocket::bind("0.0.0.0:7200")).unwrap();
    sink.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let source = world.lan.near.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    source.connect(format!("{DATA4}:7200")).unwrap();
    let (arrived, leaving) = (Arc::clone(&sent), Arc::clone(&sent));
    let take = Steady::start(&world.lan.server, Duration::ZERO, move |_| {
        let mut number = [0u8; 8];
        if sink.recv(&mut number).is_ok() {
            let mut sent = arrived.lock().unwrap();
            if let Some(one) = sent.get_mut(u64::from_be_bytes(number) as usize) {
                one.1 = true;
            }
        }
    });
    let give = Steady::start(&world.lan.near, Duration::from_millis(1), move |number| {
        leaving.lock().unwrap().push((Instant::now(), false));
        let _ = source.send(&number.to_be_bytes());
    });
    (sent, [give, take])
}

/// The cable of the active port is cut, and plugged in again when the other port has taken over, which stays: every frame with
/// the lagg's address leaves by the active port, and what a client sends without being answered arrives as soon as a
/// switch is over.
fn switches(backend: &'static str, rounds: usize) {
    let more = "probe = \"link\"\nfailback = false".into();
    let world = World::start(LaggConfig { backend, more, ..LaggConfig::default() });
    let lagg = world.lan.nic_mac(0);
    let sniffers = [0, 1].map(|n| sniff(&world, n));
    let (sent, traffic) = one_way(&world);
    let ours = Steady::broadcasts(&world.lan.server, "lagg0", lagg);
    let rest = Duration::from_millis(20);
    let mut busy = Vec::new();
    for round in 0..rounds {
        let (from, to) = (round % 2, 1 - round % 2);
        let begun = Instant::now();
        world.lan.cut(from).unwrap();
        world.wait_active(&format!("eth{to}"));
        busy.push((begun, Instant::now() + rest / 2));
        std::thread::sleep(rest);
        world.lan.plug(from).unwrap();
        let linked = || (world.lagg().ports[from].link == LinkState::Up).then_some(());
        assert!(poll_until(SOON, linked).is_some(), "eth{from} has no link: {}", world.picture());
        std::thread::sleep(rest);
    }
    drop(ours);
    drop(traffic);
    let mut all: Vec<(Instant, usize)> = Vec::new();
    for (n, sniffer) in sniffers.iter().enumerate() {
        all.extend(sniffer.seen().iter().filter(|(_, (mac, _))| *mac == lagg).map(|(at, _)| (*at, n)));
    }
    all.sort();
    let changes = all.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    println!("{backend}: {} frames of the lagg changed their port {changes} times", all.len());
    assert_eq!(changes, rounds, "a port that was not active had the lagg's address");
    let sent = sent.lock().unwrap();
    let calm = |at: &Instant| !busy.iter().any(|(from, to)| at >= from && at <= to);
    let lost = sent.iter().filter(|(at, arrived)| !arrived && calm(at)).count();
    assert_eq!(lost, 0, "of {} packets of one way, although nothing happened", sent.len());
    world.assert_tcp_survived();
}

#[test]
fn every_frame_of_the_lagg_leaves_by_its_active_port() {
    with_daemon("storm::every_frame_of_the_lagg_leaves_by_its_active_port", || switches("redirect", 20));
}

#[test]
#[ignore = "long: a thousand switches with each back-end"]
fn a_thousand_switches() {
    mpath_testkit::build_daemon();
    isolated_for("storm::a_thousand_switches", LONG, || {
        for backend in ["bridge", "redirect"] {
            switches(backend, 1000);
        }
    });
}
