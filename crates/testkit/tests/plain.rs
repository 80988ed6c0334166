//! The kit itself, without a daemon: the network carries traffic, faults do what they say, gaps are measured.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{
    Echo, Lan, LanOptions, TcpBulk, TcpSource, UdpStream, isolated, isolated_for, wait_until,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Generous: a loaded machine, not a measurement.
const SOON: Duration = Duration::from_secs(10);

fn target(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), PORT)
}

/// The standard network with both data addresses on the first NIC.
fn lan() -> Lan {
    lan_of(2)
}

fn lan_of(nics: usize) -> Lan {
    let options = LanOptions { nics, ..LanOptions::default() };
    let lan = Lan::new(options).unwrap();
    lan.server.add_address("eth0", "192.0.2.10/24").unwrap();
    lan.server.add_address("eth0", "2001:db8:1::10/64").unwrap();
    lan
}

#[test]
fn traffic_flows_both_ways_of_both_families() {
    isolated("traffic_flows_both_ways_of_both_families", || {
        let lan = lan();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let streams: Vec<UdpStream> =
            [(&lan.near, DATA4), (&lan.near, DATA6), (&lan.far, DATA4), (&lan.far, DATA6)]
                .into_iter()
                .map(|(client, data)| UdpStream::start(client, target(data), 1000).unwrap())
                .collect();
        for stream in &streams {
            wait_until(SOON, "an answer", || stream.alive_since(Instant::now() - SOON));
        }
        std::thread::sleep(Duration::from_millis(500));
        for stream in streams {
            let report = stream.stop();
            println!("{report:?}");
            assert!(report.sent > 100, "{report:?}");
            assert!(report.received * 10 > report.sent * 9, "{report:?}");
            assert_eq!(report.sent, report.received + report.lost);
            assert_eq!(report.duplicates, 0);
        }
    });
}

#[test]
fn cut_makes_a_gap_and_plug_ends_it() {
    isolated("cut_makes_a_gap_and_plug_ends_it", || {
        let lan = lan();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let stream = UdpStream::start(&lan.near, target(DATA4), 1000).unwrap();
        wait_until(SOON, "an answer", || stream.alive_since(Instant::now() - SOON));
        let cut = lan.cut(0).unwrap();
        wait_until(SOON, "no carrier", || !lan.server.is_running("eth0"));
        std::thread::sleep(Duration::from_millis(300));
        let plugged = lan.plug(0).unwrap();
        wait_until(SOON, "carrier", || lan.server.is_running("eth0"));
        wait_until(SOON, "answers again", || stream.alive_since(plugged));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(lan.near.neighbour_mac(DATA4), Some(lan.nic_mac(0)));
        let report = stream.window(cut, Instant::now());
        println!("{report:?}");
        assert!(report.outage >= plugged - cut, "{report:?}");
        assert!(report.lost > 0, "{report:?}");
        assert!(report.at <= plugged, "the gap is the cut's: {report:?}");
    });
}

#[test]
fn blackhole_keeps_the_carrier_and_passes_nothing() {
    isolated("blackhole_keeps_the_carrier_and_passes_nothing", || {
        let lan = lan();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let four = UdpStream::start(&lan.far, target(DATA4), 1000).unwrap();
        let six = UdpStream::start(&lan.near, target(DATA6), 1000).unwrap();
        wait_until(SOON, "answers", || {
            let since = Instant::now() - SOON;
            four.alive_since(since) && six.alive_since(since)
        });
        let closed = lan.blackhole(0).unwrap();
        std::thread::sleep(Duration::from_millis(500)); // what was on its way has arrived
        let quiet = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        assert!(lan.server.is_running("eth0"));
        assert!(!four.alive_since(quiet) && !six.alive_since(quiet), "something passes");
        let healed = lan.heal(0).unwrap();
        wait_until(SOON, "answers again", || four.alive_since(healed) && six.alive_since(healed));
        for stream in [&four, &six] {
            let report = stream.window(closed, Instant::now());
            println!("{report:?}");
            assert!(report.outage >= Duration::from_millis(300), "{report:?}");
        }
    });
}

#[test]
fn one_way_faults_stop_one_way() {
    isolated("one_way_faults_stop_one_way", || {
        // One NIC: with two, Linux answers ARP for an address on any of them.
        let lan = lan_of(1);
        let count = |host: &mpath_testkit::Host| {
            let text = host.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
            // The second line that starts with "Udp:" holds values; the first of them is InDatagrams.
            let values = text.lines().filter(|l| l.starts_with("Udp:")).nth(1).unwrap();
            values.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let stream = UdpStream::start(&lan.near, target(DATA4), 1000).unwrap();
        wait_until(SOON, "an answer", || stream.alive_since(Instant::now() - SOON));
        for outbound in [true, false] {
            let fault = if outbound { lan.blackhole_outbound(0) } else { lan.blackhole_inbound(0) };
            fault.unwrap();
            std::thread::sleep(Duration::from_millis(500)); // what was on its way has arrived
            let (quiet, before) = (Instant::now(), count(&lan.server));
            std::thread::sleep(Duration::from_millis(300));
            let arrived = count(&lan.server) - before;
            assert!(!stream.alive_since(quiet), "an answer in spite of it");
            assert!(
                if outbound { arrived > 100 } else { arrived == 0 },
                "outbound {outbound}: {arrived} arrived"
            );
            let healed = lan.heal(0).unwrap();
            wait_until(SOON, "answers again", || stream.alive_since(healed));
        }
    });
}

#[test]
fn tcp_survives_a_short_cut_and_notes_the_stall() {
    isolated("tcp_survives_a_short_cut_and_notes_the_stall", || {
        let lan = lan();
        let _source = TcpSource::start(&lan.server, PORT).unwrap();
        let bulk = TcpBulk::start(&lan.far, target(DATA6)).unwrap();
        wait_until(SOON, "data", || bulk.alive_since(Instant::now() - SOON));
        let closed = lan.blackhole(0).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let healed = lan.heal(0).unwrap();
        wait_until(SOON, "data again", || bulk.alive_since(healed));
        let report = bulk.window(closed, Instant::now());
        println!("{report:?}");
        assert!(report.broken.is_none(), "{report:?}");
        assert!(report.bytes > 0);
        assert!(report.stall >= Duration::from_millis(250), "{report:?}");
    });
}

#[test]
fn nics_come_and_go_and_change_names() {
    isolated("nics_come_and_go_and_change_names", || {
        let mut lan = lan();
        assert_eq!(lan.exactly_one_nic_has(DATA4), "eth0");
        assert_eq!(lan.exactly_one_nic_has("192.0.2.12"), "eth1");
        let before = lan.server.index_of("eth0").unwrap();
        lan.remove(0).unwrap();
        assert!(!lan.server.has("eth0"));
        assert!(lan.server.holders(DATA4).is_empty());
        lan.recreate(0).unwrap();
        assert_ne!(lan.server.index_of("eth0").unwrap(), before);
        lan.rename(0, "lan0").unwrap();
        assert!(lan.server.has("lan0") && !lan.server.has("eth0"));
        lan.admin_down(0).unwrap();
        assert!(!lan.server.is_running("lan0"));
        lan.admin_up(0).unwrap();
        wait_until(SOON, "carrier", || lan.server.is_running("lan0"));
    });
}

#[test]
fn late_carrier_gives_both_ends_one_index() {
    isolated("late_carrier_gives_both_ends_one_index", || {
        let options = LanOptions { late_carrier: true, ..LanOptions::default() };
        let lan = Lan::new(options).unwrap();
        let inside = lan.server.index_of("eth1").unwrap();
        assert_eq!(inside, lan.switch.index_of("p1").unwrap());
    });
}

#[test]
fn a_failure_inside_is_shown_outside() {
    let name = "a_failure_inside_is_shown_outside";
    let caught = std::panic::catch_unwind(|| isolated(name, || panic!("this is the reason")));
    // In the child this assertion fails, as it must.
    let message = *caught.unwrap_err().downcast::<String>().expect("the kit's own message");
    assert!(message.contains("isolated test") && message.contains("this is the reason"), "{message}");
}

#[test]
fn a_test_that_hangs_is_ended() {
    let name = "a_test_that_hangs_is_ended";
    let hang = || std::thread::sleep(Duration::from_secs(3600));
    let caught = std::panic::catch_unwind(|| isolated_for(name, Duration::from_millis(500), hang));
    let message = *caught.unwrap_err().downcast::<String>().expect("the kit's own message");
    assert!(message.contains("not finished within 500ms"), "{message}");
}
