//! The real daemon on the standard network: what a group of NICs goes through, and that clients keep their answers.
//!
//! No milliseconds are asserted here; the demo and the benches measure.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/calm.rs"]
mod calm;
#[path = "group/wire.rs"]
mod wire;
#[path = "group/world.rs"]
#[allow(dead_code, reason = "shared with other scenarios")]
mod world;

use mpath_model::status::{GroupState, InterfaceState, TargetMode};
use mpath_testkit::stack::with_prefix;
use mpath_testkit::{GroupConfig, Stack, poll_until, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use world::{SOON, World};

/// The scenarios as tests on one kind of host.
macro_rules! on_host {
    ($module:ident, $stack:expr, $attribute:meta, $($name:ident)*) => {
        mod $module {
            use super::*;
            $(#[test]
            #[$attribute]
            fn $name() {
                with_daemon(concat!(stringify!($module), "::", stringify!($name)), || super::$name($stack));
            })*
        }
    };
}

/// Every scenario on a host with both families; on one without IPv4 and on one without IPv6 those that come first here, and
/// the others on demand (CONTRIBUTING.md): each takes seconds of real time.
macro_rules! on_every_host {
    ([$($short:ident)*] [$($long:ident)*]) => {
        on_host!(dual, Stack::Dual, cfg(all()), $($short)* $($long)*);
        on_host!(no_ipv4, Stack::NoIpv4, cfg(all()), $($short)*);
        on_host!(no_ipv6, Stack::NoIpv6, cfg(all()), $($short)*);
        on_host!(long_no_ipv4, Stack::NoIpv4, ignore = "long", $($long)*);
        on_host!(long_no_ipv6, Stack::NoIpv6, ignore = "long", $($long)*);
    };
}

on_every_host! {
    [
        cable_cut_and_way_home
        silent_path_is_found_by_probes
        a_dead_gateway_on_a_living_link_fails_nothing
        standby_takes_over_and_gives_back
    ] [
        silent_path_again_and_again
        silent_path_without_test_addresses
        one_way_silence_is_a_failure
        three_nics_one_after_the_other
        addresses_stay_away_without_failback
        all_nics_dead_at_once_and_back
        daemon_killed_and_restarted_mid_failure
        failure_while_the_daemon_is_dead
        admin_down_of_the_active_nic
        declared_address_deleted_by_hand_is_put_back
        nic_removed_and_made_again
        nic_renamed_away_and_back
        member_absent_at_start
        offline_is_refused_for_the_last_nic
        a_late_carrier_event_is_not_waited_for
        a_nic_leaves_the_group_by_reload
        a_bad_file_is_refused_by_reload
    ]
}

/// Two NICs on such a host.
fn config(stack: Stack) -> GroupConfig {
    GroupConfig { stack, ..GroupConfig::default() }
}

fn cable_cut_and_way_home(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.cut(0).unwrap();
    world.expect_on("eth1");
    let state = world.interface("eth0").state;
    assert_eq!(state, InterfaceState::Failed);
    world.lan.plug(0).unwrap();
    world.expect_on("eth0");
    world.wait_group(GroupState::Ok);
    world.assert_tcp_survived();
}

fn silent_path_is_found_by_probes(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.blackhole(0).unwrap();
    world.expect_on("eth1");
    assert!(world.lan.server.is_running("eth0"), "the carrier stays");
    world.lan.heal(0).unwrap();
    world.expect_on("eth0");
    world.assert_tcp_survived();
}

/// The kernel holds packets back while it asks for a neighbour, and hands them over a second late: neither may that
/// pass for a slow network, nor may a NIC be called repaired while its gateway cannot be reached in one family.
fn silent_path_again_and_again(stack: Stack) {
    let world = World::start(config(stack));
    for round in [0, 3, 6] {
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
}

fn silent_path_without_test_addresses(stack: Stack) {
    let world = World::start(GroupConfig { test_addresses: vec![], ..config(stack) });
    world.lan.blackhole(0).unwrap();
    world.expect_on("eth1");
    world.lan.heal(0).unwrap();
    world.expect_on("eth0");
}

fn one_way_silence_is_a_failure(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.blackhole_outbound(0).unwrap();
    world.expect_on("eth1");
    world.lan.heal(0).unwrap();
    world.expect_on("eth0");
    world.lan.blackhole_inbound(0).unwrap();
    world.expect_on("eth1");
}

/// The only router stops answering pings while the link lives: the neighbours say so, and nothing fails or moves.
fn a_dead_gateway_on_a_living_link_fails_nothing(stack: Stack) {
    let world = World::start(config(stack));
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
    let failures = world.daemon.log().iter().filter(|l| l.text.contains("failure detected on eth1")).count();
    assert_eq!(failures, 0, "{}", world.daemon.log_text());
    assert!(!world.daemon.log_text().contains("All Interfaces"), "{}", world.daemon.log_text());
}

fn standby_takes_over_and_gives_back(stack: Stack) {
    let world = World::start(GroupConfig { nics: 3, standby: vec![2], ..config(stack) });
    assert!(!world.interface("eth2").active);
    world.lan.cut(0).unwrap();
    world.expect_on("eth2");
    assert!(world.interface("eth2").active);
    world.lan.plug(0).unwrap();
    world.expect_on("eth0");
    wait_until(SOON, "the standby rests again", || !world.interface("eth2").active);
}

fn three_nics_one_after_the_other(stack: Stack) {
    let world = World::start(GroupConfig { nics: 3, ..config(stack) });
    world.lan.cut(0).unwrap();
    let second = world.expect_off("eth0");
    let n = if second == "eth1" { 1 } else { 2 };
    world.lan.blackhole(n).unwrap();
    world.expect_on(if n == 1 { "eth2" } else { "eth1" });
    world.lan.plug(0).unwrap();
    world.expect_on("eth0");
}

fn addresses_stay_away_without_failback(stack: Stack) {
    let world = World::start(GroupConfig { failback: false, ..config(stack) });
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
}

fn all_nics_dead_at_once_and_back(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.cut(0).unwrap();
    world.lan.cut(1).unwrap();
    world.wait_group(GroupState::Failed);
    for data in world.data() {
        world.lan.exactly_one_nic_has(data);
    }
    world.lan.plug(1).unwrap();
    world.expect_on("eth1");
    world.lan.plug(0).unwrap();
    world.expect_on("eth0");
    world.wait_group(GroupState::Ok);
}

fn daemon_killed_and_restarted_mid_failure(stack: Stack) {
    let mut world = World::start(config(stack));
    world.lan.cut(0).unwrap();
    world.expect_on("eth1");
    world.daemon.kill9();
    let killed = Instant::now();
    wait_until(SOON, "traffic goes on without a daemon", || world.flows_since(killed));
    world.lan.plug(0).unwrap();
    world.daemon.restart().unwrap();
    world.expect_on("eth0");
    world.assert_tcp_survived();
}

fn failure_while_the_daemon_is_dead(stack: Stack) {
    let mut world = World::start(config(stack));
    world.daemon.kill9();
    world.lan.cut(0).unwrap();
    world.daemon.restart().unwrap();
    world.expect_on("eth1");
    world.daemon.term().unwrap();
    let stopped = Instant::now();
    wait_until(SOON, "a stop changes nothing", || world.flows_since(stopped));
    world.expect_addresses_on("eth1");
}

fn admin_down_of_the_active_nic(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.admin_down(0).unwrap();
    world.expect_on("eth1");
    world.lan.admin_up(0).unwrap();
    world.expect_on("eth0");
    world.assert_tcp_survived();
}

fn declared_address_deleted_by_hand_is_put_back(stack: Stack) {
    let world = World::start(config(stack));
    for data in world.data() {
        world.lan.server.del_address("eth0", &with_prefix(data)).unwrap();
    }
    world.expect_on("eth0");
}

fn nic_removed_and_made_again(stack: Stack) {
    let world = World::start(config(stack));
    world.lan.remove(0).unwrap();
    world.expect_on("eth1");
    wait_until(SOON, "eth0 is unknown", || world.interface("eth0").state == InterfaceState::Unknown);
    world.lan.recreate(0).unwrap();
    world.expect_on("eth0");
    world.assert_tcp_survived();
}

fn nic_renamed_away_and_back(stack: Stack) {
    let mut world = World::start(config(stack));
    world.lan.rename(0, "other0").unwrap();
    world.expect_on("eth1");
    world.lan.rename(0, "eth0").unwrap();
    world.expect_on("eth0");
}

fn member_absent_at_start(stack: Stack) {
    let world = World::start_without(config(stack), &[0]);
    world.expect_on("eth1");
    assert_eq!(world.interface("eth0").state, InterfaceState::Unknown);
    world.lan.recreate(0).unwrap();
    world.expect_on("eth0");
}

fn offline_is_refused_for_the_last_nic(stack: Stack) {
    let world = World::start(config(stack));
    world.daemon().offline("eth0").unwrap();
    world.expect_on("eth1");
    world.daemon().offline("eth1").unwrap_err();
    world.expect_on("eth1");
    world.daemon().online("eth0").unwrap();
    world.expect_on("eth0");
}

fn a_late_carrier_event_is_not_waited_for(stack: Stack) {
    let world = World::start_on(config(stack), |lan| lan.late_carrier = true);
    world.lan.cut(0).unwrap();
    world.expect_on("eth1");
    std::thread::sleep(Duration::from_millis(100));
    world.lan.plug(0).unwrap();
    world.expect_on("eth0");
}

/// What a member needs from its sysctls is put back when it leaves, with the addresses that were put on it.
fn a_nic_leaves_the_group_by_reload(stack: Stack) {
    const CONF: &str = "net/ipv4/conf/eth0/arp_ignore";
    let world = World::start(GroupConfig { nics: 3, ..config(stack) });
    assert_eq!(world.lan.server.read_sysctl(CONF).unwrap(), "1");
    let data = config(stack).data.into_iter().map(|(data, _)| (data, 1)).collect();
    let all = GroupConfig { nics: 3, data, ..config(stack) }.text();
    let tables = all.split("\n\n").filter(|table| !table.contains("name = \"eth0\""));
    world.daemon.set_config(&tables.collect::<Vec<_>>().join("\n\n")).unwrap();
    world.daemon.signal(Signal::SIGHUP).unwrap();
    world.expect_on("eth1");
    wait_until(SOON, "eth0 is as it was found", || {
        let data = world.data().iter().any(|d| world.lan.server.holders(d).contains(&"eth0".to_string()));
        !data && world.lan.server.read_sysctl(CONF).unwrap() == "0"
    });
    assert_eq!(world.lan.server.read_sysctl("net/ipv4/conf/eth1/arp_ignore").unwrap(), "1");
    world.assert_tcp_survived();
}

/// A file with errors is refused and changes nothing.
fn a_bad_file_is_refused_by_reload(stack: Stack) {
    let world = World::start(config(stack));
    world.daemon.set_config("[[group]]\nnmae = \"x\"\n").unwrap();
    world.daemon.signal(Signal::SIGHUP).unwrap();
    world.daemon.wait_log(SOON, "configuration refused").unwrap();
    world.lan.cut(0).unwrap();
    world.expect_on("eth1");
}
