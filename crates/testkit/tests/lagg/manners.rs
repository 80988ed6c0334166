//! What `[[lagg]]` can say beyond lagg(4): when the traffic goes back, how long frames from the old port are taken, who is told;
//! and laggs without IPv4.

use crate::storm::{MARK, Steady};
use crate::world::{LaggConfig, SOON, World};
use mpath_model::status::InterfaceState;
use mpath_testkit::{Capture, LanOptions, Sniffer, Stack, poll_until, wait_until, with_daemon};
use mpath_wire::ethernet;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_secs(1);

/// The traffic goes back after the delay, and an event program hears of both switches; with `failback = false` it stays.
#[test]
fn going_back_waits_or_never_happens() {
    with_daemon("manners::going_back_waits_or_never_happens", || {
        let dir = std::env::temp_dir().join(format!("mpathd-lagg-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (program, heard) = (dir.join("event"), dir.join("heard"));
        fs::write(&program, format!("#!/bin/sh\necho \"$MPATHD_EVENT\" >>{}\n", heard.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let more = format!(
            "probe = \"link\"\nfailback_delay = \"{}ms\"\n[daemon]\non_event = \"{}\"",
            DELAY.as_millis(),
            program.display()
        );
        let config = LaggConfig { more: more.clone(), ..LaggConfig::default() };
        let world = World::start(config.clone());
        let up = |n: usize| {
            let well = || (world.lagg().ports[n].state == InterfaceState::Ok).then_some(());
            assert!(poll_until(SOON, well).is_some(), "eth{n} is not well: {}", world.picture());
        };
        world.cut_and_plug_the_first();
        let at = |text: &str| world.daemon.wait_log(SOON, text).unwrap().at;
        let waited = at("changed from eth1 to eth0") - at("The link has come up on eth0");
        assert!(waited + Duration::from_millis(50) > DELAY, "{waited:?}");
        let told = || {
            let text = fs::read_to_string(&heard).unwrap_or_default();
            text.lines().filter(|l| l.contains("lagg_switch")).count()
        };
        wait_until(SOON, "the event program has heard of each switch", || told() == 2);

        let never =
            LaggConfig { more: more.replace("failback_delay", "failback = false\nfailback_delay"), ..config };
        world.daemon.set_config(&never.text()).unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        world.lan.cut(0).unwrap();
        world.expect_active("eth1");
        world.lan.plug(0).unwrap();
        up(0);
        std::thread::sleep(DELAY + Duration::from_millis(300));
        assert_eq!(world.lagg().active.as_deref(), Some("eth1"));
        world.lan.cut(1).unwrap();
        world.expect_active("eth0");
        world.assert_tcp_survived();
        fs::remove_dir_all(dir).unwrap();
    });
}

/// A switch that has not heard of the new port yet sends to the old one: that is taken for a while, unless it is for everybody.
#[test]
fn frames_from_the_old_port_are_taken_for_a_while() {
    with_daemon("manners::frames_from_the_old_port_are_taken_for_a_while", || {
        let more = "probe = \"link\"\nrx_grace = \"1s\"".into();
        let world = World::start(LaggConfig { more, ..LaggConfig::default() });
        let lagg = world.lan.nic_mac(0);
        // By both ports, to the lagg and to everybody: 1 to 4.
        let mut senders = Vec::new();
        for (n, to, number) in [(0, lagg, 1), (1, lagg, 2), (0, EVERYBODY, 3), (1, EVERYBODY, 4)] {
            senders.push(Steady::frames(&world.lan.switch, &format!("p{n}"), STRANGER, to, number));
        }
        let sniffer = Sniffer::start(&world.lan.server, "lagg0", |frame| {
            let (header, payload) = ethernet::parse(frame).ok()?;
            payload.first().copied().filter(|_| header.ethertype == MARK)
        })
        .unwrap();
        let seen = |since: Instant| -> Vec<u8> {
            let seen = sniffer.seen();
            (1..=4).filter(|number| seen.iter().any(|(at, n)| *at >= since && n == number)).collect()
        };
        let becomes = |what: &str, wanted: &[u8]| {
            let there = || {
                let since = Instant::now();
                std::thread::sleep(Duration::from_millis(100));
                (seen(since) == wanted).then_some(())
            };
            assert!(poll_until(SOON, there).is_some(), "{what}: {}", world.picture());
        };
        becomes("by the active port alone", &[1, 3]);
        world.lan.cut(0).unwrap();
        world.wait_active("eth1");
        world.lan.plug(0).unwrap();
        world.wait_active("eth0");
        let switched = world.daemon.wait_log(SOON, "changed from eth1 to eth0").unwrap().at;
        becomes("what is meant for the lagg by both", &[1, 2, 3]);
        becomes("by the active port alone again", &[1, 3]);
        assert!(switched.elapsed() >= Duration::from_secs(1), "the grace has its length");
        world.assert_tcp_survived();
    });
}

#[test]
fn without_ipv4() {
    with_daemon("manners::without_ipv4", || {
        let options = LanOptions { configured: false, stack: Stack::NoIpv4, ..LanOptions::default() };
        let more = "failure_detection_time = \"300ms\"".into();
        let config = LaggConfig { stack: Stack::NoIpv4, more, ..LaggConfig::default() };
        let world = World::start_on(mpath_testkit::Lan::new(options).unwrap(), &config);
        let answered = || world.daemon.all_answered().unwrap().then_some(());
        assert!(poll_until(SOON, answered).is_some(), "no answers: {}", world.picture());
        let (lagg, standby) = (world.lan.nic_mac(0), Capture::incoming(&world.lan.switch, "p1").unwrap());
        world.lan.blackhole(0).unwrap();
        assert_eq!(standby.senders().get(&lagg), None, "before it is active");
        world.expect_active("eth1");
        world.lan.heal(0).unwrap();
        world.expect_active("eth0");
        world.cut_and_plug_the_first();
        world.assert_tcp_survived();
    });
}

const EVERYBODY: mpath_model::Mac = mpath_model::Mac([0xff; 6]);
const STRANGER: mpath_model::Mac = mpath_model::Mac([2, 0, 0, 0, 8, 8]);
