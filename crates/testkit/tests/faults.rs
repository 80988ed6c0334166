//! What goes wrong around the daemon: a kernel that refuses, and a hostile neighbour. `mpath-bench faults` measures it, and does
//! much more of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/world.rs"]
#[allow(dead_code, reason = "shared with the scenarios of a group")]
mod world;

use mpath_model::status::GroupState;
use mpath_testkit::hostile::{Attacker, Hostile};
use mpath_testkit::{Daemon, DaemonOptions, GroupConfig, Lan, LanOptions, wait_until, with_daemon};
use nix::errno::Errno;
use std::time::Duration;
use world::{SOON, World};

/// Every netlink call fails for a while, to send as to receive, in the middle of a move.
#[test]
#[ignore = "long: 15 s"]
fn a_kernel_that_refuses_is_asked_again() {
    with_daemon("a_kernel_that_refuses_is_asked_again", || {
        let lan = Lan::new(LanOptions::default()).unwrap();
        let config = GroupConfig::default();
        let options = DaemonOptions { config: config.text(), refusable: true, ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options).unwrap();
        daemon.wait_ready().unwrap();
        let all_on = |nic: &str| {
            config.data.iter().all(|(data, _)| {
                let plain = data.split('/').next().unwrap();
                lan.server.holders(plain) == [nic]
            })
        };
        wait_until(SOON, "the addresses are at home", || all_on("eth0"));
        wait_until(SOON, "every NIC has answers to its probes", || daemon.all_answered().unwrap());
        for errno in [Errno::EPERM, Errno::ENOBUFS, Errno::EBUSY] {
            let refusals = daemon.refusals().unwrap();
            let before = refusals.permit();
            refusals.refuse(errno, 1000);
            lan.cut(0).unwrap();
            // The poll of the carrier alone asks more often.
            let log = daemon.log().len();
            let says = if errno == Errno::ENOBUFS { "dropped events" } else { errno.desc() };
            daemon.wait_log_after(log, SOON, says).unwrap();
            assert!(refusals.permit() > before, "{errno}");
            wait_until(SOON, "the addresses have moved", || all_on("eth1"));
            lan.plug(0).unwrap();
            wait_until(SOON, "the addresses are at home again", || all_on("eth0"));
        }
    });
}

/// Thousands of packets change nothing, and hide nothing.
#[test]
#[ignore = "long: 10 s"]
fn hostile_packets_change_nothing() {
    with_daemon("hostile_packets_change_nothing", || {
        let world = World::start(GroupConfig::default());
        let attacker = Attacker::attach(&world.lan, &[0, 1], None, Duration::from_secs(1)).unwrap();
        assert!(attacker.overheard() > 0, "the attacker knows no answer");
        let before = world.daemon.log().len();
        let kinds = [Hostile::Icmp, Hostile::Arp, Hostile::Nd, Hostile::Malformed];
        let flood = attacker.flood(&kinds, 5000, 7).unwrap();
        flood.wait(10_000, SOON);
        assert_eq!(world.group().state, GroupState::Ok, "{}", world.daemon.log_text());
        assert!(world.addresses_on("eth0"));
        let told: Vec<_> = world.daemon.log().into_iter().skip(before).map(|line| line.text).collect();
        for word in ["failure", "repair", "alarm", "err "] {
            assert!(!told.iter().any(|line| line.contains(word)), "{told:#?}");
        }
        world.lan.blackhole(0).unwrap();
        world.expect_on("eth1");
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
    });
}
