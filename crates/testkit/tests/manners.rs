//! Without test addresses nothing that is sent disturbs anybody: no neighbour's cache, no switch's table, and no neighbour that
//! is just checking its address for conflicts (RFC 5227).

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_model::Mac;
use mpath_model::status::{GroupState, InterfaceState};
use mpath_testkit::claimant::Claimant;
use mpath_testkit::{Capture, Daemon, GroupConfig, Lan, LanOptions, Stack, with_daemon};
use mpath_testkit::{isolated_for, wait_until};
use mpath_wire::arp::{Arp, Operation};
use mpath_wire::ethernet::Header;
use std::net::Ipv4Addr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const DATA: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// The next number from 0 to 1.
fn chance(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 11) as f64 / (1u64 << 53) as f64
}

/// Nobody starts in less, the daemon believes: whoever has fallen silent is asked for so long.
const OFF: Duration = Duration::from_secs(3);

/// IPv4 alone, no test addresses: eth0 has the data address, eth1 has none. `peers` neighbours that are targets start again
/// `rounds` times each; `second` is theirs, and they are off for up to so many of it beyond [`OFF`].
fn reboots(fdt: Duration, peers: u8, rounds: u32, second: Duration, off: f64) {
    let stack = Stack::NoIpv6;
    let lan = Lan::new(LanOptions { configured: false, stack, ..LanOptions::default() }).unwrap();
    lan.configure_plainly().unwrap();
    let ports = ["p0", "p1"].map(|port| Capture::incoming(&lan.switch, port).unwrap());
    let peers: Vec<Claimant> = (0..peers).map(|n| Claimant::attach(&lan, n, second).unwrap()).collect();
    let named: Vec<String> = peers.iter().map(|p| format!("\"{}\"", p.address())).collect();
    let extra = format!("targets = [\"192.0.2.1\", {}]\n", named.join(", "));
    let config = GroupConfig {
        stack,
        failure_detection_time: fdt,
        test_addresses: vec![],
        extra,
        ..GroupConfig::default()
    };
    let daemon = Daemon::start(&lan.server, &config.text()).unwrap();
    wait_until(SOON, "every NIC has answers to its probes", || daemon.all_answered().unwrap());
    std::thread::scope(|scope| {
        for (n, peer) in peers.iter().enumerate() {
            scope.spawn(move || {
                let mut seed = 77 + n as u64;
                for round in 0..rounds {
                    peer.shut_down().unwrap();
                    std::thread::sleep(OFF + second.mul_f64(off * chance(&mut seed)));
                    let objections = peer.start(|| chance(&mut seed)).unwrap();
                    assert_eq!(objections, [], "{} in round {round}", peer.address());
                    std::thread::sleep(second.mul_f64(chance(&mut seed)));
                }
            });
        }
    });
    let status = daemon.status().unwrap();
    assert_eq!(status.groups[0].state, GroupState::Ok, "{status:?}\n{}", daemon.log_text());
    assert!(status.groups[0].interfaces.iter().all(|i| i.state == InterfaceState::Ok));
    let near = lan.near.inventory().unwrap();
    let wrong = |mac: Option<Mac>| mac.is_some_and(|mac| mac != lan.nic_mac(0));
    let of_data = near.neighbours.iter().filter(|n| n.address == DATA);
    assert!(of_data.clone().all(|n| !wrong(n.mac)), "{:?}", near.neighbours);
    assert!(near.neighbours.iter().all(|n| !n.address.is_unspecified()), "{:?}", near.neighbours);
    for (n, port) in ports.into_iter().enumerate() {
        let frames = port.arps();
        assert!(frames.len() > 20, "eth{n} has asked: {}", frames.len());
        frames.iter().for_each(|(header, arp)| assert_harmless(&lan, n, header, arp));
    }
}

/// What a NIC may send: from its own address alone; without one from 0.0.0.0, and then to one neighbour alone.
#[track_caller]
fn assert_harmless(lan: &Lan, n: usize, header: &Header, arp: &Arp) {
    let own = lan.nic_mac(n);
    assert_eq!((header.source, arp.sender_mac), (own, own), "the switch learns where eth{n} is: {arp:?}");
    let unicast = header.destination.0[0] & 1 == 0;
    let polite = arp.sender_ip.is_unspecified() && arp.operation == Operation::Request && unicast;
    let own_address = n == 0 && arp.sender_ip == DATA;
    assert!(polite || own_address, "eth{n} sent {arp:?} to {}", header.destination);
}

#[test]
fn a_neighbour_that_checks_its_address_keeps_it() {
    with_daemon("a_neighbour_that_checks_its_address_keeps_it", || {
        reboots(Duration::from_secs(1), 3, 1, Duration::from_millis(300), 3.0);
    });
}

/// Twenty reboots by the times of the RFC.
fn twenty(name: &str, fdt: Duration) {
    if std::env::var_os("MPATH_TESTKIT_ISOLATED").is_none() {
        mpath_testkit::build_daemon();
    }
    isolated_for(name, Duration::from_secs(300), || reboots(fdt, 4, 5, Duration::from_secs(1), 12.0));
}

#[test]
#[ignore = "long: two minutes"]
fn twenty_reboots() {
    twenty("twenty_reboots", Duration::from_secs(1));
}

#[test]
#[ignore = "long: two minutes"]
fn twenty_reboots_at_ten_seconds() {
    twenty("twenty_reboots_at_ten_seconds", Duration::from_secs(10));
}
