//! Ports come and go, and what they show on the wire.

use crate::world::{LaggConfig, SOON, World};
use mpath_testkit::{Capture, isolated_for, poll_until, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Whoever sends with the lagg's address on a port that is not active teaches the switch the wrong port.
fn a_standby_never_speaks_for_the_lagg_in(time: Duration, backend: &'static str) {
    let more = "failure_detection_time = \"200ms\"".into();
    let world = World::start(LaggConfig { more, backend, ..LaggConfig::default() });
    let (lagg, own) = (world.lan.nic_mac(0), world.lan.nic_mac(1));
    let capture = Capture::incoming(&world.lan.switch, "p1").unwrap();
    // Long enough for many probes; nothing has to happen.
    std::thread::sleep(time);
    let seen = capture.senders();
    println!("{backend}, standby: {seen:?}");
    assert_eq!(seen.get(&lagg), None, "{seen:?}");
    assert!(seen.contains_key(&own), "the standby is probed: {seen:?}\n{}", world.picture());
    // Nor does the primary, whose own address is the lagg's, once it is not the active port.
    world.lan.blackhole(0).unwrap();
    world.expect_active("eth1");
    let capture = Capture::incoming(&world.lan.switch, "p0").unwrap();
    std::thread::sleep(time);
    let seen = capture.senders();
    println!("{backend}, primary that is not active: {seen:?}");
    assert_eq!(seen.get(&lagg), None, "{seen:?}");
    world.assert_tcp_survived();
}

#[test]
fn a_standby_never_speaks_for_the_lagg() {
    with_daemon("ports::a_standby_never_speaks_for_the_lagg", || {
        a_standby_never_speaks_for_the_lagg_in(Duration::from_secs(2), "redirect");
    });
}

#[test]
#[ignore = "long: a minute each way with each back-end"]
fn a_standby_is_silent_for_a_minute() {
    mpath_testkit::build_daemon();
    isolated_for("ports::a_standby_is_silent_for_a_minute", Duration::from_secs(300), || {
        for backend in ["redirect", "bridge"] {
            a_standby_never_speaks_for_the_lagg_in(Duration::from_secs(60), backend);
        }
    });
}

#[test]
fn a_silent_path_behind_a_living_link() {
    with_daemon("ports::a_silent_path_behind_a_living_link", || {
        let world = World::start(LaggConfig {
            more: "failure_detection_time = \"200ms\"".into(),
            ..LaggConfig::default()
        });
        wait_until(SOON, "both ports have answers", || world.daemon.all_answered().unwrap());
        world.lan.blackhole(0).unwrap();
        world.expect_active("eth1");
        world.lan.heal(0).unwrap();
        world.expect_active("eth0");
        world.assert_tcp_survived();
        // Nothing was to leave by a port that was not active any more.
        let log = world.daemon.log_text();
        assert!(!log.contains("sendto"), "{log}");
    });
}

#[test]
fn a_port_vanishes_and_returns() {
    with_daemon("ports::a_port_vanishes_and_returns", || {
        let world = World::start(LaggConfig::default());
        world.lan.remove(0).unwrap();
        world.expect_active("eth1");
        world.lan.recreate(0).unwrap();
        world.expect_active("eth0");
        world.lan.remove(1).unwrap();
        world.expect_active("eth0");
        world.assert_tcp_survived();
    });
}

#[test]
fn ports_join_and_leave_by_reload() {
    with_daemon("ports::ports_join_and_leave_by_reload", || {
        let lan = World::lan(3);
        let text = LaggConfig { ports: 3, ..LaggConfig::default() }.text();
        let two = LaggConfig { ports: 2, ..LaggConfig::default() };
        let world = World::start_on(lan, &two);
        world.daemon.set_config(&text).unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        wait_until(SOON, "three ports", || world.lagg().ports.len() == 3);
        world.lan.cut(0).unwrap();
        world.lan.cut(1).unwrap();
        world.expect_active("eth2");
        // The primary leaves: the lagg takes the address of the next one, and the leaving port has its own again.
        world.daemon.set_config(&text.replace("\"eth0\", ", "")).unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        wait_until(SOON, "two ports", || world.lagg().ports.len() == 2);
        let mac = |name: &str| {
            let links = world.lan.server.inventory().unwrap().links;
            links.iter().find(|l| l.name == name).and_then(|l| l.mac)
        };
        let (first, second) = (world.lan.nic_mac(0), world.lan.nic_mac(1));
        let done =
            || mac("eth0") == Some(first) && mac("lagg0") == Some(second) && mac("eth2") == Some(second);
        let there = poll_until(SOON, || done().then_some(()));
        assert!(there.is_some(), "{:?}\n{}", ["eth0", "lagg0", "eth2"].map(mac), world.picture());
        let changed = Instant::now();
        wait_until(SOON, "traffic flows with the new address", || world.flows_since(changed));
        world.lan.plug(1).unwrap();
        world.expect_active("eth1");
    });
}
