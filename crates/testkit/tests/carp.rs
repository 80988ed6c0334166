//! CARP between real daemons in namespaces, and between mpathd and ucarp.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "carp/world.rs"]
mod world;

use mpath_model::Mac;
use mpath_testkit::{Side, UdpStream, isolated_for, wait_until};
use std::time::{Duration, Instant};
use world::{SOON, VIP4, VIP6, Vhid, World, target};

const LONG: Duration = Duration::from_secs(120);

fn carp(name: &str, body: impl FnOnce()) {
    if std::env::var_os("MPATH_TESTKIT_ISOLATED").is_none() {
        mpath_testkit::build_daemon();
    }
    isolated_for(name, LONG, body);
}

#[test]
fn the_address_outlives_its_host() {
    carp("the_address_outlives_its_host", || {
        let mut world = World::start(Vhid { skew: [0, 100], ..Vhid::default() });
        world.expect_master(Side::A);
        let answers = [VIP4, VIP6].map(|vip| UdpStream::start(&world.pair.client, target(vip), 200).unwrap());
        let alive = |since| answers.iter().all(|s| s.alive_since(since));
        wait_until(SOON, "answers of the first master", || alive(Instant::now() - SOON));
        let vmac = Mac([0, 0, 0x5e, 0, 1, 1]);
        assert_eq!(world.pair.client.neighbour_mac(VIP4), Some(vmac));
        assert_eq!(world.pair.client.neighbour_mac(VIP6), Some(vmac));

        let killed = world.kill(Side::A);
        world.expect_master(Side::B);
        assert!(killed.elapsed() > Duration::from_secs(2), "B did not wait for A's silence");
        wait_until(SOON, "A's addresses have vanished by themselves", || world.holders(Side::A).is_empty());
        let since = Instant::now();
        wait_until(SOON, "answers of the second", || alive(since));

        // A comes back, and without preempt B stays.
        world.restart(Side::A);
        world.expect_state(Side::A, "BACKUP");
        let again = Instant::now();
        wait_until(SOON, "still answers", || alive(again) && again.elapsed() > Duration::from_secs(4));
        world.expect_master(Side::B);

        // A clean stop hands over at once.
        let took = world.stop(Side::B);
        world.expect_master(Side::A);
        assert!(took.elapsed() < Duration::from_secs(3), "nobody had to wait for silence");
        assert!(world.holders(Side::B).is_empty(), "B has withdrawn its addresses");
    });
}
