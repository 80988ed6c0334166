//! What must not be taken for a failure, and what must not be taken for a repair.

use crate::world::{SOON, World};
use mpath_model::status::{InterfaceState, LinkState, ProbeState};
use mpath_testkit::{GroupConfig, Hogs, LanOptions, poll_until, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::time::Duration;

/// How long each disturbance lasts here; `mpath-bench calm` makes it as long as one likes.
const DISTURBED: Duration = Duration::from_secs(5);

/// How long the daemon stands still.
const STOPPED: Duration = Duration::from_secs(4);

/// Longer than a repair takes with the detection time of these tests.
const REPAIRED_BY_NOW: Duration = Duration::from_secs(3);

fn fast() -> GroupConfig {
    GroupConfig { failure_detection_time: Duration::from_millis(100), ..GroupConfig::default() }
}

impl World {
    /// Watches for so long; nothing may fail or move.
    #[track_caller]
    fn stays_calm_for(&self, time: Duration) {
        let failed = poll_until(time, || self.failures().pop());
        assert_eq!(failed, None, "a failure without a fault:\n{}", self.daemon.log_text());
        self.expect_on("eth0");
    }

    /// Lines of the log that tell of a failure.
    fn failures(&self) -> Vec<String> {
        let bad = |text: &str| text.contains("failure detected") || text.contains("have failed");
        self.daemon.log().into_iter().map(|line| line.text).filter(|text| bad(text)).collect()
    }

    /// The daemon stands still while `f` runs.
    fn while_stopped(&self, f: impl FnOnce()) {
        self.daemon.signal(Signal::SIGSTOP).unwrap();
        f();
        self.daemon.signal(Signal::SIGCONT).unwrap();
    }
}

/// A machine with all its processors busy is no broken network.
#[test]
fn a_hog_on_every_processor_is_no_failure() {
    with_daemon("calm::a_hog_on_every_processor_is_no_failure", || {
        let world = World::start(fast());
        let _hogs = Hogs::start().unwrap();
        world.stays_calm_for(DISTURBED);
    });
}

/// A daemon that did not run has not asked, and what it has not asked is no loss.
#[test]
fn a_daemon_that_stood_still_blames_nobody() {
    with_daemon("calm::a_daemon_that_stood_still_blames_nobody", || {
        let world = World::start(fast());
        world.while_stopped(|| std::thread::sleep(STOPPED));
        world.daemon.wait_log(SOON, "missed sending ").unwrap();
        world.stays_calm_for(REPAIRED_BY_NOW);
    });
}

/// The cable is back, and the path behind it swallows everything: ten answers are what counts.
#[test]
fn carrier_back_on_a_path_that_stays_dead_brings_nothing_home() {
    with_daemon("calm::carrier_back_on_a_path_that_stays_dead_brings_nothing_home", || {
        let world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        world.lan.blackhole(0).unwrap();
        world.lan.plug(0).unwrap();
        wait_until(SOON, "eth0 has its link back", || world.interface("eth0").link == LinkState::Up);
        let home = poll_until(REPAIRED_BY_NOW, || (!world.addresses_on("eth1")).then_some(()));
        assert_eq!(home, None, "failback to a dead path:\n{}", world.daemon.log_text());
        let eth0 = world.interface("eth0");
        assert_eq!((eth0.state, eth0.probe), (InterfaceState::Failed, ProbeState::Failed));
        world.lan.heal(0).unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

/// Down and up again before anybody looked: both events lie in the socket, or the kernel has made none of them.
fn coalesced(late_carrier: bool) {
    let change = |lan: &mut LanOptions| lan.late_carrier = late_carrier;
    let world = World::start_on(GroupConfig::default(), change);
    let flap = || {
        world.lan.cut(0).unwrap();
        world.lan.plug(0).unwrap();
        wait_until(SOON, "the carrier is back", || world.lan.server.is_running("eth0"));
    };
    world.while_stopped(flap);
    world.expect_on("eth0");
    world.assert_tcp_survived();
    // The same on a path that dies: the link that came back is no reason to trust it.
    world.while_stopped(|| {
        world.lan.blackhole(0).unwrap();
        flap();
    });
    world.expect_on("eth1");
    let home = poll_until(REPAIRED_BY_NOW, || (!world.addresses_on("eth1")).then_some(()));
    assert_eq!(home, None, "failback to a dead path:\n{}", world.daemon.log_text());
    world.while_stopped(flap);
    let home = poll_until(REPAIRED_BY_NOW, || (!world.addresses_on("eth1")).then_some(()));
    assert_eq!(home, None, "failback to a dead path:\n{}", world.daemon.log_text());
    world.lan.heal(0).unwrap();
    world.expect_on("eth0");
    world.assert_tcp_survived();
}

#[test]
fn down_and_up_in_one_batch() {
    with_daemon("calm::down_and_up_in_one_batch", || coalesced(false));
}

#[test]
fn down_and_up_that_the_kernel_delays() {
    with_daemon("calm::down_and_up_that_the_kernel_delays", || coalesced(true));
}
