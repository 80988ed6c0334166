//! CARP between real daemons in namespaces, and between mpathd and ucarp.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "carp/ucarp.rs"]
mod ucarp;
#[path = "carp/wire.rs"]
mod wire;
#[path = "carp/world.rs"]
mod world;

use mpath_model::Mac;
use mpath_testkit::{Side, UdpStream, Witness, isolated_for, poll_until, wait_until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use ucarp::Ucarp;
use world::{PASSPHRASE, SOON, VIP4, VIP6, Vhid, World, target};

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

/// A vhid as ucarp can have it: one IPv4 address.
fn plain(skew: u8, extra: &'static str) -> Vhid {
    Vhid { skew: [skew, skew], extra, addresses: "\"10.77.0.100/24\"", ..Vhid::default() }
}

#[test]
fn ucarp_and_mpathd_stand_in_for_each_other() {
    carp("ucarp_and_mpathd_stand_in_for_each_other", || {
        if !ucarp::installed() {
            return;
        }
        let mut world = World::start_one(plain(0, ""));
        world.expect_state(Side::A, "MASTER");
        let mut other = Ucarp::start(&world.pair.b, "10.77.0.2", 100, PASSPHRASE, &["-z"]);
        let listening = Instant::now();
        let longer_than_its_patience = Duration::from_secs(6);
        wait_until(SOON, "ucarp has listened for a while", || listening.elapsed() > longer_than_its_patience);
        assert_eq!(other.said(), [""; 0], "ucarp stays down: {}", other.log());

        world.kill(Side::A);
        wait_until(SOON, "ucarp takes over from a killed mpathd", || other.is_up());
        wait_until(SOON, "our address has vanished by itself", || world.holders(Side::A).is_empty());

        world.restart(Side::A);
        world.expect_state(Side::A, "BACKUP");
        let listening = Instant::now();
        wait_until(SOON, "we have listened for a while", || listening.elapsed() > longer_than_its_patience);
        assert_eq!(world.state(Side::A).as_deref(), Some("BACKUP"), "{}", world.picture());
        assert!(other.is_up() && world.holders(Side::A).is_empty());

        other.kill9();
        world.expect_state(Side::A, "MASTER");
        let again = Ucarp::start(&world.pair.b, "10.77.0.2", 100, PASSPHRASE, &["-z"]);
        let listening = Instant::now();
        wait_until(SOON, "ucarp has listened", || listening.elapsed() > Duration::from_secs(2));
        let stopped = world.stop(Side::A);
        wait_until(SOON, "ucarp takes over from an mpathd that resigns", || again.is_up());
        assert!(stopped.elapsed() < Duration::from_secs(3), "without waiting for silence");
    });
}

#[test]
fn ucarp_yields_to_preemption_and_is_not_believed_with_another_password() {
    carp("ucarp_yields_to_preemption_and_is_not_believed_with_another_password", || {
        if !ucarp::installed() {
            return;
        }
        let mut world = World::start_one(plain(0, "preempt = true"));
        world.expect_state(Side::A, "MASTER");
        world.kill(Side::A);
        let other = Ucarp::start(&world.pair.b, "10.77.0.2", 100, PASSPHRASE, &["-z"]);
        wait_until(SOON, "ucarp is master", || other.is_up());
        world.restart(Side::A);
        world.expect_state(Side::A, "MASTER");
        wait_until(SOON, "ucarp yields", || !other.is_up());
        drop(other);

        let stranger = Ucarp::start(&world.pair.b, "10.77.0.2", 0, "another", &["-z"]);
        wait_until(SOON, "ucarp hears nobody it believes", || stranger.is_up());
        let told = "wrong digest from 10.77.0.2";
        world.daemon(Side::A).wait_log(SOON, told).unwrap();
        assert_eq!(world.state(Side::A).as_deref(), Some("MASTER"), "{}", world.picture());
        assert!(world.daemon(Side::A).status().unwrap().carp_counters.badauth > 0);
        let text = world.daemon(Side::A).log_text();
        assert!(!text.contains(PASSPHRASE), "the passphrase is in the log");
    });
}

#[test]
fn faults_of_a_nic_stay_inside_the_host() {
    carp("faults_of_a_nic_stay_inside_the_host", || {
        let group = "[[group]]\nname = \"g\"\nprobe = \"link\"\n[[group.interface]]\nname = \"eth0\"\n\
                     [[group.interface]]\nname = \"eth1\"\n";
        let vhid = Vhid {
            over: "group = \"g\"",
            nics: 2,
            head: [group.to_string(), group.to_string()],
            ..Vhid::default()
        };
        let world = World::start(vhid);
        world.expect_master(Side::A);
        let answers = [VIP4, VIP6].map(|vip| UdpStream::start(&world.pair.client, target(vip), 200).unwrap());
        let flows = || {
            let since = Instant::now();
            wait_until(SOON, "answers", || answers.iter().all(|s| s.alive_since(since)));
        };
        let device = |nic: &str| {
            let index = world.pair.a.index_of(nic).unwrap();
            format!("carp1-{index:x}")
        };
        flows();
        for (cut, serves) in [(0, "eth1"), (1, "eth0")] {
            world.pair.cable(Side::A, cut, false).unwrap();
            let there = [device(serves), device(serves)];
            wait_until(SOON, "the addresses are on the other NIC", || world.holders(Side::A) == there);
            flows();
            world.pair.cable(Side::A, cut, true).unwrap();
            let ok = |s: mpath_model::Status| s.groups[0].state == mpath_model::status::GroupState::Ok;
            wait_until(SOON, "the group is whole", || world.daemon(Side::A).status().is_ok_and(ok));
        }
        assert!(!world.daemon(Side::B).log_text().contains("-> MASTER"), "{}", world.picture());
        // Now the host itself.
        for nic in 0..2 {
            world.pair.cable(Side::A, nic, false).unwrap();
        }
        world.expect_state(Side::A, "INIT");
        world.expect_master(Side::B);
        flows();
    });
}

/// A lagg changes its port, and nobody outside notices; it loses its last one, and the other host takes over.
#[test]
fn a_lagg_below_changes_ports_unnoticed() {
    carp("a_lagg_below_changes_ports_unnoticed", || {
        let lagg = |n: u8| {
            format!(
                "[[lagg]]\nname = \"lagg0\"\nports = [\"eth0\", \"eth1\"]\nprobe = \"link\"\n\
                 addresses = [\"10.77.0.{n}/24\", \"fd77::{n}/64\"]\n"
            )
        };
        let over = "interface = \"lagg0\"";
        let world = World::start(Vhid {
            over,
            nics: 2,
            addressed: false,
            head: [lagg(1), lagg(2)],
            ..Vhid::default()
        });
        world.expect_master(Side::A);
        let answers = [VIP4, VIP6].map(|vip| UdpStream::start(&world.pair.client, target(vip), 200).unwrap());
        let flows = || {
            let since = Instant::now();
            wait_until(SOON, "answers", || answers.iter().all(|s| s.alive_since(since)));
        };
        flows();
        world.pair.cable(Side::A, 0, false).unwrap();
        world.daemon(Side::A).wait_log(SOON, "eth1").unwrap();
        flows();
        world.pair.cable(Side::A, 0, true).unwrap();
        let back = |s: mpath_model::Status| s.laggs[0].active.as_deref() == Some("eth0");
        wait_until(SOON, "the primary is back", || world.daemon(Side::A).status().is_ok_and(back));
        flows();
        // The switch of the active ports of both hosts.
        let standby = |s: mpath_model::Status| s.laggs[0].active.as_deref() == Some("eth1");
        world.pair.power(0, false).unwrap();
        for side in [Side::A, Side::B] {
            wait_until(SOON, "by the other switch", || world.daemon(side).status().is_ok_and(standby));
        }
        flows();
        world.pair.power(0, true).unwrap();
        wait_until(SOON, "the primary is back", || world.daemon(Side::A).status().is_ok_and(back));
        flows();
        assert!(!world.daemon(Side::B).log_text().contains("-> MASTER"), "{}", world.picture());
        for nic in 0..2 {
            world.pair.cable(Side::A, nic, false).unwrap();
        }
        world.expect_state(Side::A, "INIT");
        let told = "carp: demoted by 240 to 240 (interface down)";
        world.daemon(Side::A).wait_log(SOON, told).unwrap();
        world.expect_master(Side::B);
        flows();
    });
}

/// A master that stands still for longer than others wait finds its addresses gone and another host in its place.
#[test]
fn a_master_that_slept_gives_up_when_it_wakes() {
    carp("a_master_that_slept_gives_up_when_it_wakes", || {
        let world = World::start(Vhid::default());
        world.expect_master(Side::A);
        let witness = Witness::start(&world.pair, VIP4.parse().unwrap()).unwrap();
        world.daemon(Side::A).signal(Signal::SIGSTOP).unwrap();
        world.expect_state(Side::B, "MASTER");
        wait_until(SOON, "the sleeper's addresses have vanished", || world.holders(Side::A).is_empty());
        let woken = world.daemon(Side::A).signal(Signal::SIGCONT).map(|()| Instant::now()).unwrap();
        world.expect_state(Side::A, "BACKUP");
        world.expect_master(Side::B);
        assert_eq!(witness.adverts(Side::A, woken), [], "it has nothing to say");
        let tally = witness.tally();
        assert!(tally.by_both == 0 && tally.answered > 0, "{tally:?}");
    });
}

/// With an MTU below 1280 the kernel takes all that is IPv6 off an interface, the memberships of sockets too, and never gives
/// those back.
#[test]
fn an_interface_that_had_no_ipv6_for_a_while_is_listened_to_again() {
    carp("an_interface_that_had_no_ipv6_for_a_while_is_listened_to_again", || {
        let world = World::start(Vhid { addresses: "\"fd77::100/64\"", ..Vhid::default() });
        world.expect_master(Side::A);
        let b = world.pair.host(Side::B);
        b.set_mtu("eth0", 1200).unwrap();
        b.set_mtu("eth0", 1500).unwrap();
        let changed = Instant::now();
        let listened = Duration::from_secs(8);
        wait_until(SOON, "B would have lost its patience", || changed.elapsed() > listened);
        world.expect_state(Side::B, "BACKUP");
        let heard = Instant::now();
        wait_until(SOON, "B has listened for a while", || {
            assert_eq!(world.state(Side::B).as_deref(), Some("BACKUP"), "{}", world.picture());
            heard.elapsed() > Duration::from_secs(5)
        });
        world.expect_state(Side::A, "MASTER");
    });
}

#[test]
fn demotion_hands_everything_to_a_host_that_preempts() {
    carp("demotion_hands_everything_to_a_host_that_preempts", || {
        let world = World::start(Vhid { extra: "preempt = true", ..Vhid::default() });
        world.expect_master(Side::A);
        world.daemon(Side::A).demote(240).unwrap();
        world.expect_master(Side::B);
        world.daemon(Side::A).wait_log(SOON, "carp: demoted by 240 to 240 (operator)").unwrap();
        world.daemon(Side::A).demote(-240).unwrap();
        world.expect_master(Side::A);
    });
}

/// A NIC without a link, one whose path is silent, and all of them silent: all vhids go to the host that has no such trouble, also
/// those over a NIC that is well, and come back.
#[test]
fn a_host_in_trouble_hands_over_everything() {
    carp("a_host_in_trouble_hands_over_everything", || {
        let group = "[[group]]\nname = \"g\"\nfailure_detection_time = \"300ms\"\ntargets = [\"10.77.0.9\"]\n\
                     [[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n";
        let vhid = Vhid {
            over: "group = \"g\"",
            nics: 3,
            head: [group.to_string(), group.to_string()],
            extra: "preempt = true\n[[carp]]\ninterface = \"eth2\"\nvhid = 2\nadvskew = SKEW\npreempt = true\n\
                    passphrase_file = \"KEY\"\naddresses = [\"10.77.0.102/24\"]",
            ..Vhid::default()
        };
        let world = World::start(vhid);
        world.expect_all(Side::A);
        let whole = |s: mpath_model::Status| s.groups[0].state == mpath_model::status::GroupState::Ok;
        let well = || {
            let a = world.daemon(Side::A);
            let there = || (a.status().is_ok_and(whole)).then_some(());
            assert!(poll_until(SOON, there).is_some(), "the group is not whole: {}", world.picture());
        };
        let told = |text: &str| {
            let line = format!("carp: demoted by {text} (group health)");
            world.daemon(Side::A).wait_log(SOON, &line).unwrap();
        };
        well();
        world.pair.cable(Side::A, 0, false).unwrap();
        told("120 to 120");
        world.expect_all(Side::B);
        world.pair.cable(Side::A, 0, true).unwrap();
        well();
        told("-120 to 0");
        world.expect_all(Side::A);
        for (nic, text) in [(1, "120 to 120"), (0, "120 to 240")] {
            world.pair.port(Side::A, nic, false).unwrap();
            told(text);
            world.expect_all(Side::B);
        }
    });
}

#[test]
fn a_new_program_image_goes_on_as_master() {
    carp("a_new_program_image_goes_on_as_master", || {
        let world = World::start(Vhid::default());
        world.expect_master(Side::A);
        let answers = UdpStream::start(&world.pair.client, target(VIP4), 200).unwrap();
        let since = Instant::now();
        wait_until(SOON, "answers", || answers.alive_since(since));
        world.daemon(Side::A).signal(Signal::SIGUSR2).unwrap();
        let begun = Instant::now();
        wait_until(SOON, "longer than patience", || begun.elapsed() > Duration::from_secs(5));
        world.expect_master(Side::A);
        assert!(!world.daemon(Side::B).log_text().contains("-> MASTER"), "{}", world.picture());
        let since = Instant::now();
        wait_until(SOON, "answers", || answers.alive_since(since));
    });
}
