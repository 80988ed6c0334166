//! The real daemon on the standard network: what a group of NICs goes through, and that clients keep their answers.
//!
//! No milliseconds are asserted here; the demo and the benches measure.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/world.rs"]
mod world;

use mpath_model::status::{GroupState, InterfaceState, TargetMode};
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::{GroupConfig, poll_until, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use world::{SOON, World};

#[test]
fn cable_cut_and_way_home() {
    with_daemon("cable_cut_and_way_home", || {
        let world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        let state = world.interface("eth0").state;
        assert_eq!(state, InterfaceState::Failed);
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        world.wait_group(GroupState::Ok);
        world.assert_tcp_survived();
    });
}

#[test]
fn silent_path_is_found_by_probes() {
    with_daemon("silent_path_is_found_by_probes", || {
        let world = World::start(GroupConfig::default());
        world.lan.blackhole(0).unwrap();
        world.expect_on("eth1");
        assert!(world.lan.server.is_running("eth0"), "the carrier stays");
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

/// The kernel holds packets back while it asks for a neighbour, and hands them over a second late: neither may that
/// pass for a slow network, nor may a NIC be called repaired while its gateway cannot be reached in one family.
#[test]
fn silent_path_again_and_again() {
    with_daemon("silent_path_again_and_again", || {
        let world = World::start(GroupConfig::default());
        for round in 0..8u32 {
            world.lan.blackhole(0).unwrap();
            world.expect_on("eth1");
            // Another moment of the kernel's retransmission second each time.
            std::thread::sleep(Duration::from_millis(900) + Duration::from_millis(130) * round);
            world.lan.heal(0).unwrap();
            world.expect_on("eth0");
            let group = world.group();
            assert_eq!(group.failure_detection_time_ms, group.requested_failure_detection_time_ms);
        }
        world.assert_tcp_survived();
    });
}

#[test]
fn silent_path_without_test_addresses() {
    with_daemon("silent_path_without_test_addresses", || {
        let world = World::start(GroupConfig { test_addresses: false, ..GroupConfig::default() });
        world.lan.blackhole(0).unwrap();
        world.expect_on("eth1");
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn one_way_silence_is_a_failure() {
    with_daemon("one_way_silence_is_a_failure", || {
        let world = World::start(GroupConfig::default());
        world.lan.blackhole_outbound(0).unwrap();
        world.expect_on("eth1");
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
        world.lan.blackhole_inbound(0).unwrap();
        world.expect_on("eth1");
    });
}

/// The only router stops answering pings while the link lives: the neighbours say so, and nothing fails or moves.
#[test]
fn a_dead_gateway_on_a_living_link_fails_nothing() {
    with_daemon("a_dead_gateway_on_a_living_link_fails_nothing", || {
        let world = World::start(GroupConfig::default());
        // The host knows its neighbour of both families, as any server with a client on the link does.
        let deaf = |value| {
            world.lan.router.sysctl("net/ipv4/icmp_echo_ignore_all", value).unwrap();
            world.lan.router.sysctl("net/ipv6/icmp/echo_ignore_all", value).unwrap();
        };
        deaf("1");
        let hosts = || world.group().interfaces.iter().all(|i| i.mode == TargetMode::Multicast);
        wait_until(SOON, "the neighbours have taken the router's place as targets", hosts);
        // A dead path is still told from a dead router.
        world.lan.blackhole(0).unwrap();
        world.expect_on("eth1");
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
        deaf("0");
        let failures =
            world.daemon.log().iter().filter(|l| l.text.contains("failure detected on eth1")).count();
        assert_eq!(failures, 0, "{}", world.daemon.log_text());
        assert!(!world.daemon.log_text().contains("All Interfaces"), "{}", world.daemon.log_text());
    });
}

#[test]
fn standby_takes_over_and_gives_back() {
    with_daemon("standby_takes_over_and_gives_back", || {
        let world = World::start(GroupConfig { nics: 3, standby: vec![2], ..GroupConfig::default() });
        assert!(!world.interface("eth2").active);
        world.lan.cut(0).unwrap();
        world.expect_on("eth2");
        assert!(world.interface("eth2").active);
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        wait_until(SOON, "the standby rests again", || !world.interface("eth2").active);
    });
}

#[test]
fn three_nics_one_after_the_other() {
    with_daemon("three_nics_one_after_the_other", || {
        let world = World::start(GroupConfig { nics: 3, ..GroupConfig::default() });
        world.lan.cut(0).unwrap();
        let second = world.expect_off("eth0");
        let n = if second == "eth1" { 1 } else { 2 };
        world.lan.blackhole(n).unwrap();
        world.expect_on(if n == 1 { "eth2" } else { "eth1" });
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn addresses_stay_away_without_failback() {
    with_daemon("addresses_stay_away_without_failback", || {
        let world = World::start(GroupConfig { failback: false, ..GroupConfig::default() });
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        wait_until(SOON, "eth0 is repaired", || world.interface("eth0").state == InterfaceState::Ok);
        let moved = poll_until(Duration::from_secs(2), || world.addresses_on("eth0").then_some(()));
        assert!(moved.is_none(), "they went home");
        world.expect_on("eth1");
        // An operator's word brings them home all the same.
        world.daemon().offline("eth0").unwrap();
        world.daemon().online("eth0").unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn all_nics_dead_at_once_and_back() {
    with_daemon("all_nics_dead_at_once_and_back", || {
        let world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.lan.cut(1).unwrap();
        world.wait_group(GroupState::Failed);
        for data in [DATA4, DATA6] {
            world.lan.exactly_one_nic_has(data);
        }
        world.lan.plug(1).unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        world.wait_group(GroupState::Ok);
    });
}

#[test]
fn daemon_killed_and_restarted_mid_failure() {
    with_daemon("daemon_killed_and_restarted_mid_failure", || {
        let mut world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        world.daemon.kill9();
        let killed = Instant::now();
        wait_until(SOON, "traffic goes on without a daemon", || world.flows_since(killed));
        world.lan.plug(0).unwrap();
        world.daemon.restart().unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

#[test]
fn failure_while_the_daemon_is_dead() {
    with_daemon("failure_while_the_daemon_is_dead", || {
        let mut world = World::start(GroupConfig::default());
        world.daemon.kill9();
        world.lan.cut(0).unwrap();
        world.daemon.restart().unwrap();
        world.expect_on("eth1");
        world.daemon.term().unwrap();
        let stopped = Instant::now();
        wait_until(SOON, "a stop changes nothing", || world.flows_since(stopped));
        world.expect_addresses_on("eth1");
    });
}

#[test]
fn admin_down_of_the_active_nic() {
    with_daemon("admin_down_of_the_active_nic", || {
        let world = World::start(GroupConfig::default());
        world.lan.admin_down(0).unwrap();
        world.expect_on("eth1");
        world.lan.admin_up(0).unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

#[test]
fn declared_address_deleted_by_hand_is_put_back() {
    with_daemon("declared_address_deleted_by_hand_is_put_back", || {
        let world = World::start(GroupConfig::default());
        world.lan.server.del_address("eth0", "192.0.2.10/24").unwrap();
        world.lan.server.del_address("eth0", "2001:db8:1::10/64").unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn nic_removed_and_made_again() {
    with_daemon("nic_removed_and_made_again", || {
        let world = World::start(GroupConfig::default());
        world.lan.remove(0).unwrap();
        world.expect_on("eth1");
        wait_until(SOON, "eth0 is unknown", || world.interface("eth0").state == InterfaceState::Unknown);
        world.lan.recreate(0).unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

#[test]
fn nic_renamed_away_and_back() {
    with_daemon("nic_renamed_away_and_back", || {
        let mut world = World::start(GroupConfig::default());
        world.lan.rename(0, "other0").unwrap();
        world.expect_on("eth1");
        world.lan.rename(0, "eth0").unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn member_absent_at_start() {
    with_daemon("member_absent_at_start", || {
        let world = World::start_without(GroupConfig::default(), &[0]);
        world.expect_on("eth1");
        assert_eq!(world.interface("eth0").state, InterfaceState::Unknown);
        world.lan.recreate(0).unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn offline_is_refused_for_the_last_nic() {
    with_daemon("offline_is_refused_for_the_last_nic", || {
        let world = World::start(GroupConfig::default());
        world.daemon().offline("eth0").unwrap();
        world.expect_on("eth1");
        world.daemon().offline("eth1").unwrap_err();
        world.expect_on("eth1");
        world.daemon().online("eth0").unwrap();
        world.expect_on("eth0");
    });
}

#[test]
fn a_late_carrier_event_is_not_waited_for() {
    with_daemon("a_late_carrier_event_is_not_waited_for", || {
        let world = World::start_on(GroupConfig::default(), |lan| lan.late_carrier = true);
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        std::thread::sleep(Duration::from_millis(100));
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
    });
}

/// What a member needs from its sysctls is put back when it leaves, with the addresses that were put on it.
#[test]
fn a_nic_leaves_the_group_by_reload() {
    with_daemon("a_nic_leaves_the_group_by_reload", || {
        const CONF: &str = "net/ipv4/conf/eth0/arp_ignore";
        let world = World::start(GroupConfig { nics: 3, ..GroupConfig::default() });
        assert_eq!(world.lan.server.read_sysctl(CONF).unwrap(), "1");
        let rest = GroupConfig { nics: 3, data: vec![], ..GroupConfig::default() }.text();
        let rest = rest.replacen("[[group.interface]]\nname = \"eth0\"\ntest_addresses", "[[gone]]\nx", 1);
        let (head, tail) = rest.split_once("[[gone]]").unwrap();
        let tail = &tail[tail.find("[[group.interface]]").unwrap()..];
        let data = "\n[[group.address]]\naddress = \"192.0.2.10/24\"\n\n[[group.address]]\naddress = \"2001:db8:1::10/64\"\n";
        world.daemon.set_config(&format!("{head}{tail}{data}")).unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        world.expect_on("eth1");
        wait_until(SOON, "eth0 is as it was found", || {
            let data =
                [DATA4, DATA6].iter().any(|d| world.lan.server.holders(d).contains(&"eth0".to_string()));
            !data && world.lan.server.read_sysctl(CONF).unwrap() == "0"
        });
        assert_eq!(world.lan.server.read_sysctl("net/ipv4/conf/eth1/arp_ignore").unwrap(), "1");
        world.assert_tcp_survived();
    });
}

/// A file with errors is refused and changes nothing.
#[test]
fn a_bad_file_is_refused_by_reload() {
    with_daemon("a_bad_file_is_refused_by_reload", || {
        let world = World::start(GroupConfig::default());
        world.daemon.set_config("[[group]]\nnmae = \"x\"\n").unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        world.daemon.wait_log(SOON, "configuration refused").unwrap();
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
    });
}
