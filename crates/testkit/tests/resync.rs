//! The picture of the kernel after storms and lost events, and NICs that change their name, index or namespace.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/world.rs"]
#[allow(dead_code, reason = "shared with the scenarios of a group")]
mod world;

use mpath_linux::netlink::create::End;
use mpath_model::status::{GroupState, InterfaceState};
use mpath_testkit::lan::{DATA4, DATA6, ROUTER4};
use mpath_testkit::{GroupConfig, Host, isolated_for, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::Duration;
use world::{SOON, World};

const LONG: Duration = Duration::from_secs(300);

#[track_caller]
fn expect_state(world: &World, nic: &str, state: InterfaceState) {
    let is = || world.group().interfaces.iter().any(|i| i.name == nic && i.state == state);
    wait_until(SOON, &format!("{nic} is {state:?}"), is);
}

/// Messages that the kernel did not find room for, in all netlink sockets beside the daemon's.
fn dropped(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/netlink")).unwrap();
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    text.lines().skip(1).filter_map(|l| l.split_whitespace().nth(8)?.parse::<u64>().ok()).sum()
}

/// While the daemon stands still, the kernel drops what does not fit into the socket; among it what matters.
#[test]
fn dropped_events_are_noticed_and_made_up_for() {
    with_daemon("dropped_events_are_noticed_and_made_up_for", || {
        let world = World::start(GroupConfig::default());
        let (host, pid) = (&world.lan.server, world.daemon.pid().unwrap());
        host.veth(end("other0"), &world.lan.switch, end("other1")).unwrap();
        world.lan.switch.set_up("other1").unwrap();
        host.set_up("other0").unwrap();
        host.add_address("other0", "203.0.113.1/24").unwrap();
        world.daemon.signal(Signal::SIGSTOP).unwrap();
        let mut far = (0..1_000_000u32).map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255));
        while dropped(pid) == 0 {
            for route in far.by_ref().take(500) {
                host.add_route("other0", &route, "203.0.113.2").unwrap();
            }
        }
        let before = dropped(pid);
        world.lan.cut(0).unwrap();
        host.del_address("eth1", "192.0.2.12/24").unwrap();
        assert!(dropped(pid) > before, "the daemon was told of it after all");
        world.daemon.signal(Signal::SIGCONT).unwrap();
        world.daemon.wait_log(SOON, "the kernel dropped events: looking at everything again").unwrap();
        world.expect_on("eth1");
        wait_until(SOON, "the test address is back", || host.holders("192.0.2.12") == ["eth1"]);
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        assert_eq!(world.daemon.log_text().matches("failure detected on eth1").count(), 0);
    });
}

#[test]
#[ignore = "long: 100,000 routes, half a minute"]
fn a_hundred_thousand_routes() {
    if !std::env::args().any(|a| a == "--exact") {
        mpath_testkit::daemon::build_daemon();
    }
    isolated_for("a_hundred_thousand_routes", LONG, || {
        let world = World::start(GroupConfig::default());
        let host = &world.lan.server;
        let far = |n: u32| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255);
        // Another NIC's: they are nobody's business, and must not be in the way of what is.
        host.veth(end("other0"), &world.lan.switch, end("other1")).unwrap();
        world.lan.switch.set_up("other1").unwrap();
        host.set_up("other0").unwrap();
        host.add_address("other0", "203.0.113.1/24").unwrap();
        for n in 0..100_000 {
            host.add_route("other0", &far(n), "203.0.113.2").unwrap();
        }
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        // They go all at once.
        host.delete("other0").unwrap();
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        let log = world.daemon.log_text();
        assert_eq!(log.matches("failure detected on eth1").count(), 0, "{log}");
    });
}

#[test]
#[ignore = "long: 15 s"]
fn a_member_is_renamed_and_another_takes_its_name() {
    with_daemon("a_member_is_renamed_and_another_takes_its_name", || {
        let mut world = World::start(GroupConfig::default());
        let host = std::sync::Arc::clone(&world.lan.server);
        let index = host.index_of("eth0").unwrap();
        host.set_admin(index, false).unwrap();
        world.lan.rename(0, "old0").unwrap();
        world.expect_on("eth1");
        expect_state(&world, "eth0", InterfaceState::Unknown);
        wait_until(SOON, "nothing of ours is left on it", || host.holders("192.0.2.10") == ["eth1"]);
        world.lan.rename(0, "eth0").unwrap();
        host.set_admin(index, true).unwrap();
        host.add_route("eth0", "0.0.0.0/0", ROUTER4).ok();
        world.expect_addresses_on("eth0");
        wait_until(SOON, "the group is well", || world.group().state == GroupState::Ok);
    });
}

/// A NIC vanishes while it holds the addresses; another device gets its index.
#[test]
#[ignore = "long: 15 s"]
fn a_nic_vanishes_with_its_addresses_and_its_index_is_used_again() {
    with_daemon("a_nic_vanishes_with_its_addresses_and_its_index_is_used_again", || {
        let world = World::start(GroupConfig::default());
        let host = &world.lan.server;
        let index = host.index_of("eth0").unwrap();
        world.lan.remove(0).unwrap();
        let stranger = End { name: "stranger".into(), index: Some(index), ..End::default() };
        host.veth(stranger, &world.lan.switch, end("peer")).unwrap();
        host.set_up("stranger").unwrap();
        world.lan.switch.set_up("peer").unwrap();
        world.expect_addresses_on("eth1");
        expect_state(&world, "eth0", InterfaceState::Unknown);
        let ours = |a: &&mpath_testkit::lan::NicAddress| !mpath_model::addr::is_link_local6(&a.addr.address);
        let on = |nic: &str| host.addresses().unwrap().iter().filter(|a| a.nic == nic).filter(ours).count();
        assert_eq!(on("stranger"), 0, "{:?}", host.addresses());
        world.lan.recreate(0).unwrap();
        world.expect_addresses_on("eth0");
        assert_eq!(on("stranger"), 0, "{:?}", host.addresses());
    });
}

#[test]
#[ignore = "long: 15 s"]
fn a_nic_moves_to_another_namespace_and_comes_back() {
    with_daemon("a_nic_moves_to_another_namespace_and_comes_back", || {
        let world = World::start(GroupConfig::default());
        let host = &world.lan.server;
        let elsewhere = Host::new("elsewhere").unwrap();
        for _ in 0..2 {
            host.give("eth0", &elsewhere).unwrap();
            world.expect_addresses_on("eth1");
            expect_state(&world, "eth0", InterfaceState::Unknown);
            elsewhere.give("eth0", host).unwrap();
            host.set_up("eth0").unwrap();
            world.expect_addresses_on("eth0");
            expect_state(&world, "eth0", InterfaceState::Ok);
        }
        for data in [DATA4, DATA6] {
            assert_eq!(host.holders(data), ["eth0"]);
        }
    });
}

fn end(name: &str) -> End {
    End { name: name.to_owned(), ..End::default() }
}
