//! Laggs from end to end: the real daemon, a real kernel, cables cut and plugged, traffic both ways.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "lagg/above.rs"]
mod above;
#[path = "lagg/manners.rs"]
mod manners;
#[path = "lagg/ports.rs"]
mod ports;
#[path = "lagg/storm.rs"]
mod storm;
#[path = "lagg/world.rs"]
mod world;

use mpath_model::Status;
use mpath_model::status::LinkState;
use mpath_testkit::{Daemon, Lan, poll_until, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use world::{LaggConfig, SOON, World};

#[test]
fn redirect_cable_cut_and_back() {
    with_daemon("redirect_cable_cut_and_back", || cable_cut_and_back("redirect"));
}

#[test]
fn bridge_cable_cut_and_back() {
    with_daemon("bridge_cable_cut_and_back", || cable_cut_and_back("bridge"));
}

#[test]
#[ignore = "guest: needs vlan and bonding"]
fn bond_cable_cut_and_back() {
    with_daemon("bond_cable_cut_and_back", || cable_cut_and_back("bond"));
}

/// Whatever this kernel has.
#[test]
fn auto_cable_cut_and_back() {
    with_daemon("auto_cable_cut_and_back", || cable_cut_and_back("auto"));
}

fn cable_cut_and_back(backend: &'static str) {
    let world = World::start(LaggConfig { backend, ..LaggConfig::default() });
    world.cut_and_plug_the_first();
    world.lan.cut(1).unwrap();
    world.expect_active("eth0");
    world.assert_tcp_survived();
}

/// kill -9 leaves the traffic alone, the next daemon adopts what it finds, and what leaves the configuration leaves no trace.
#[test]
fn killed_restarted_and_released() {
    with_daemon("killed_restarted_and_released", || {
        let lan = World::lan(2);
        let found = [0, 1].map(|n| port(&lan, n));
        let mut world = World::start_on(lan, &LaggConfig::default());
        world.lan.cut(0).unwrap();
        world.expect_active("eth1");
        world.daemon.kill9();
        let killed = Instant::now();
        wait_until(SOON, "traffic goes on without a daemon", || world.flows_since(killed));
        world.daemon.restart().unwrap();
        world.expect_active("eth1");
        world.lan.plug(0).unwrap();
        world.expect_active("eth0");
        world.assert_tcp_survived();
        world.daemon.set_config("").unwrap();
        world.daemon.kill9();
        // The daemon dies before it has seen that the lagg has left the configuration: the next one destroys it.
        world.daemon.restart().unwrap();
        let gone = || (0..2).all(|n| port(&world.lan, n) == found[n]) && !world.lan.server.has("lagg0");
        let done = poll_until(SOON, || gone().then_some(()));
        assert!(
            done.is_some(),
            "{:?} was {found:?}\n{}",
            [0, 1].map(|n| port(&world.lan, n)),
            world.picture()
        );
    });
}

/// What a port looks like: link-layer address, MTU, promiscuity, and the sysctls that laggs change.
fn port(lan: &Lan, n: usize) -> String {
    let name = format!("eth{n}");
    let inventory = lan.server.inventory().unwrap();
    let link = inventory.links.iter().find(|l| l.name == name).unwrap();
    let read = |key: &str| lan.server.read_sysctl(&format!("net/{}", key.replace('@', &name))).unwrap();
    let sysctls = ["ipv6/conf/@/disable_ipv6", "ipv4/conf/@/arp_ignore"].map(read);
    format!("{:?} {} {} {:?} {sysctls:?}", link.mac, link.mtu, link.promisc, link.master)
}

/// The daemon dies while it takes a lagg apart, at one moment after the other: the next one finishes.
#[test]
fn killed_while_it_destroys() {
    with_daemon("killed_while_it_destroys", || {
        for backend in ["redirect", "bridge"] {
            let lan = World::lan(2);
            let found = [0, 1].map(|n| port(&lan, n));
            let text = LaggConfig { backend, ..LaggConfig::default() }.text();
            let mut daemon = Daemon::start(&lan.server, &text).unwrap();
            let mut partly = 0;
            for moment in 0..4 {
                let made = |s: &Status| s.laggs.first().is_some_and(|l| l.active.as_deref() == Some("eth0"));
                daemon.wait_status(SOON, "the lagg is there", made).unwrap();
                let there =
                    || [0, 1].map(|n| port(&lan, n)).iter().zip(&found).filter(|(a, b)| a == b).count();
                wait_until(SOON, "both ports are ports", || there() == 0);
                daemon.set_config("").unwrap();
                daemon.signal(Signal::SIGHUP).unwrap();
                // From the first sign of it on.
                let begun = Instant::now();
                while lan.server.has("lagg0") && begun.elapsed() < SOON {}
                std::thread::sleep(Duration::from_micros(200 * moment));
                daemon.kill9();
                partly += usize::from(lan.server.has("lagg0") != (there() == 0));
                daemon.restart().unwrap();
                let whole = || there() == 2 && !lan.server.has("lagg0") && !lan.server.has("lagg0-p");
                let done = poll_until(SOON, || whole().then_some(()));
                let now = [0, 1].map(|n| port(&lan, n));
                assert!(done.is_some(), "{backend}: {now:?} was {found:?}\n{}", daemon.log_text());
                daemon.set_config(&text).unwrap();
                daemon.signal(Signal::SIGHUP).unwrap();
            }
            println!("{backend}: {partly} of 4 died half way");
        }
    });
}

#[test]
fn all_cables_cut_and_one_plugged() {
    with_daemon("all_cables_cut_and_one_plugged", || {
        let world = World::start(LaggConfig { ports: 3, ..LaggConfig::default() });
        for n in [0, 2, 1] {
            world.lan.cut(n).unwrap();
        }
        world.wait_link(LinkState::Down);
        assert_eq!(world.lagg().active, None);
        world.lan.plug(2).unwrap();
        world.wait_link(LinkState::Up);
        world.expect_active("eth2");
        world.lan.plug(0).unwrap();
        world.expect_active("eth0");
        world.assert_tcp_survived();
    });
}
