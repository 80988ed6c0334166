//! Interfaces that stand on a lagg have addresses of their own, which follow its switches.

use crate::world::{LaggConfig, SOON, World};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{UdpStream, wait_until, with_daemon};
use std::net::SocketAddr;
use std::time::Instant;

/// A client beside the first NIC gets answers from `address` whatever happens to the cable of the active port.
fn follows(world: &World, address: &str) {
    let target = SocketAddr::new(address.parse().unwrap(), PORT);
    let stream = UdpStream::start(&world.lan.near, target, 100).unwrap();
    let alive = |what: &str| {
        let now = Instant::now();
        wait_until(SOON, what, || stream.alive_since(now));
    };
    alive("before a switch");
    world.lan.cut(0).unwrap();
    world.expect_active("eth1");
    alive("after a switch");
    world.lan.plug(0).unwrap();
    world.expect_active("eth0");
    alive("after the way back");
}

/// Its frames, from a link-layer address of its own, pass every port, and it is told of after a switch.
#[test]
fn a_macvlan() {
    with_daemon("above::a_macvlan", || {
        let world = World::start(LaggConfig::default());
        let mac = mpath_model::Mac([2, 0, 0, 0, 7, 7]);
        world.lan.server.macvlan("above0", "lagg0", Some(mac)).unwrap();
        world.lan.server.set_up("above0").unwrap();
        world.lan.server.add_address("above0", "192.0.2.77/32").unwrap();
        follows(&world, "192.0.2.77");
    });
}

fn vlan(backend: &'static str) {
    let world = World::start(LaggConfig { backend, ..LaggConfig::default() });
    let above = world.lan.server.vlan("lagg0", 10).unwrap();
    world.lan.server.add_address(&above, "10.10.0.10/24").unwrap();
    let beside = world.lan.near.vlan("eth0", 10).unwrap();
    world.lan.near.add_address(&beside, "10.10.0.200/24").unwrap();
    follows(&world, "10.10.0.10");
}

#[test]
#[ignore = "guest: needs vlan and bonding"]
fn a_vlan_redirect() {
    with_daemon("above::a_vlan_redirect", || vlan("redirect"));
}

#[test]
#[ignore = "guest: needs vlan and bonding"]
fn a_vlan_bridge() {
    with_daemon("above::a_vlan_bridge", || vlan("bridge"));
}

#[test]
#[ignore = "guest: needs vlan and bonding"]
fn a_vlan_bond() {
    with_daemon("above::a_vlan_bond", || vlan("bond"));
}
