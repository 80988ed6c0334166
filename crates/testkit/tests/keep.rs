//! Never lose an address: the program replaced in place, its state directory taken away.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/world.rs"]
#[allow(dead_code, reason = "shared with the scenarios of a group")]
mod world;

use mpath_model::Family;
use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::{PORT, assert_nothing_lost};
use mpath_testkit::{GroupConfig, Lan, UdpStream, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use world::{SOON, World};

/// Packets per second of the streams of which no packet may be lost.
const DENSE: u32 = 10_000;

/// Streams to both data addresses from both clients.
fn dense(world: &World) -> Vec<UdpStream> {
    let clients = [(&world.lan.near, DATA4), (&world.lan.far, DATA6)];
    let target = |data: &str| SocketAddr::new(data.parse().unwrap(), PORT);
    clients.map(|(client, data)| UdpStream::start(client, target(data), DENSE).unwrap()).into()
}

/// Every packet has arrived.
#[track_caller]
fn nothing_lost(lan: &Lan, streams: Vec<UdpStream>) {
    assert_nothing_lost(&[&lan.server, &lan.near, &lan.far], streams, "");
}

/// The numbers in the lines of the probe statistics that begin so.
fn statistic(world: &World, beginning: &str) -> Vec<u64> {
    let before = world.daemon.log().len();
    world.daemon.signal(Signal::SIGUSR1).unwrap();
    world.daemon.wait_log_after(before, SOON, "Number of ambiguous").unwrap();
    let instances: usize = world.group().interfaces.iter().map(|i| i.instances.len()).sum();
    let number = |text: &str| text.split_once(beginning)?.1.split_whitespace().next()?.parse().ok();
    let numbers =
        || -> Vec<u64> { world.daemon.log().iter().skip(before).filter_map(|l| number(&l.text)).collect() };
    if !beginning.starts_with("Missed") {
        wait_until(SOON, "the statistics are complete", || numbers().len() >= instances);
    }
    numbers()
}

#[test]
fn the_program_runs_again_in_place_and_nobody_notices() {
    with_daemon("the_program_runs_again_in_place_and_nobody_notices", || {
        // A probe every two seconds: the next image starts within that also where its pages come from a busy disk.
        let detection = Duration::from_secs(14);
        let world = World::start(GroupConfig { failure_detection_time: detection, ..GroupConfig::default() });
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        let streams = dense(&world);
        let sent: u64 = statistic(&world, "Number of probes sent ").iter().sum();
        let pid = world.daemon.pid();
        for round in 0..5 {
            let before = world.daemon.log().len();
            world.daemon.signal(Signal::SIGUSR2).unwrap();
            world.daemon.wait_log_after(before, SOON, "mpathd is running").unwrap();
            world.daemon.wait_ready().unwrap();
            assert_eq!(world.daemon.pid(), pid, "round {round}");
        }
        let total = || statistic(&world, "Number of probes sent ").iter().sum::<u64>();
        assert!(total() >= sent, "history goes on");
        wait_until(SOON, "probes go on", || total() > sent);
        assert_eq!(statistic(&world, "Missed sending total of "), [0], "no probe was late by an interval");
        let log = world.daemon.log_text();
        assert_eq!(log.matches("runs its program file again").count(), 5, "{log}");
        assert_eq!(log.matches("failure detected").count(), 1, "{log}");
        nothing_lost(&world.lan, streams);
    });
}

#[test]
fn a_program_that_cannot_run_again_goes_on() {
    with_daemon("a_program_that_cannot_run_again_goes_on", || {
        let dir = std::env::temp_dir().join(format!("mpathd-gone-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let copy = dir.join("mpathd");
        fs::copy(mpath_testkit::daemon::find_daemon().unwrap(), &copy).unwrap();
        let world = World::start_program(GroupConfig::default(), copy.clone());
        fs::remove_dir_all(&dir).unwrap();
        world.daemon.signal(Signal::SIGUSR2).unwrap();
        world.daemon.wait_log(SOON, "cannot run the program file").unwrap();
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
    });
}

#[test]
fn a_state_directory_that_is_removed_comes_back() {
    with_daemon("a_state_directory_that_is_removed_comes_back", || {
        let mut world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        let state = world.daemon.state_dir();
        fs::remove_dir_all(&state).unwrap();
        fs::remove_file(world.daemon.socket()).unwrap();
        world.daemon.wait_log(SOON, "state has vanished").unwrap();
        world.daemon.wait_log(SOON, "control socket").unwrap();
        wait_until(SOON, "it is there again", || state.join("state.json").exists());
        world.daemon.wait_ready().unwrap();
        world.daemon.kill9();
        world.daemon.restart().unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
    });
}

/// Addresses, routes, rules and per-interface sysctls of the server, whatever their order.
fn picture(lan: &Lan) -> Vec<String> {
    let host = &lan.server;
    let kept = host.run(|| mpath_linux::kernel::Kernel::open().unwrap().dump().unwrap());
    // A busy kernel puts an address in force a moment after it has been added.
    use mpath_model::kernel::ifa::{SECONDARY, TENTATIVE};
    let unchanging = |a: &mut mpath_model::Address| a.flags &= !(SECONDARY | TENTATIVE);
    let addresses = kept.addresses.into_iter().map(|mut a| {
        unchanging(&mut a);
        format!("{a:?}")
    });
    let routes = kept.routes.iter().map(|r| format!("{r:?}"));
    let families = [Family::Inet, Family::Inet6].into_iter();
    let rules = families.flat_map(|f| host.rules(f).unwrap()).map(|r| format!("rule {r:?}"));
    let mut all: Vec<String> = addresses.chain(routes).chain(rules).chain(host.run(sysctls)).collect();
    all.sort();
    all
}

/// Every setting of every interface, as far as it can be read and does not change by itself.
fn sysctls() -> Vec<String> {
    let files = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let nics = ["ipv4", "ipv6"].into_iter().flat_map(|f| files(format!("/proc/sys/net/{f}/conf").into()));
    let all = nics.flat_map(files).filter(|f| !f.ends_with("mc_forwarding"));
    all.filter_map(|f| Some(format!("{}={}", f.display(), fs::read_to_string(&f).ok()?.trim()))).collect()
}

#[test]
fn release_takes_everything_back_exactly() {
    with_daemon("release_takes_everything_back_exactly", || {
        // Without test addresses, the administrator has put the data addresses there: they are adopted, and move.
        let config = GroupConfig { test_addresses: vec![], data: vec![], ..GroupConfig::default() };
        let (mut world, before) = World::start_after(config, picture);
        let more = "\n[[group.address]]\naddress = \"192.0.2.30/24\"\nhome = \"eth1\"\n";
        let config = GroupConfig { test_addresses: vec![], data: vec![], ..GroupConfig::default() }.text();
        world.daemon.set_config(&(config + more)).unwrap();
        world.daemon.signal(Signal::SIGHUP).unwrap();
        wait_until(SOON, "the declared address is there", || {
            world.lan.server.holders("192.0.2.30") == ["eth1"]
        });
        for moved in [false, true] {
            if moved {
                world.lan.cut(0).unwrap();
                world.expect_addresses_on("eth1");
                world.lan.plug(0).unwrap();
            }
            for kind in ["Address ", "Route ", "rule ", "/proc/sys/net/ipv4/", "/proc/sys/net/ipv6/"] {
                let new = |l: &String| l.starts_with(kind) && !before.contains(l);
                wait_until(SOON, &format!("{kind} is new"), || picture(&world.lan).iter().any(new));
            }
            world.daemon.kill9();
            let status = world.daemon.release().unwrap();
            assert!(status.success(), "{status} {}", world.daemon.log_text());
            let after = picture(&world.lan);
            let gone: Vec<_> = before.iter().filter(|l| !after.contains(l)).collect();
            let new: Vec<_> = after.iter().filter(|l| !before.contains(l)).collect();
            assert!(
                gone.is_empty() && new.is_empty(),
                "gone {gone:#?}\nnew {new:#?}\n{}",
                world.daemon.log_text()
            );
            assert!(!world.daemon.state_dir().join("state.json").exists());
            world.daemon.restart().unwrap();
        }
    });
}

/// A restart and a reload touch nothing that carries traffic.
#[test]
fn restart_and_reload_lose_no_packet() {
    with_daemon("restart_and_reload_lose_no_packet", || {
        let mut world = World::start(GroupConfig::default());
        let streams = dense(&world);
        for _ in 0..3 {
            world.daemon.restart().unwrap();
            world.daemon.signal(Signal::SIGHUP).unwrap();
            world.daemon.wait_ready().unwrap();
            world.daemon.kill9();
            std::thread::sleep(Duration::from_millis(50));
            world.daemon.restart().unwrap();
        }
        world.expect_on("eth0");
        nothing_lost(&world.lan, streams);
    });
}

/// Kills at random instants; `mpath-bench crash --runs 1000` does it as often as one likes.
#[test]
fn killed_at_random_instants() {
    with_daemon("killed_at_random_instants", || {
        let mut crashes = mpath_testkit::crash::Crashes::build(None, 7).unwrap();
        for _ in 0..10 {
            let (tally, complaint) = crashes.round().unwrap();
            assert_eq!((tally.lost, tally.astray), (0, 0), "round {}: {complaint:?}", tally.rounds);
        }
    });
}

/// A script that deletes an address ten times a second is not fought for ever, and is named.
#[test]
fn a_script_that_deletes_is_told_of_and_left_alone() {
    with_daemon("a_script_that_deletes_is_told_of_and_left_alone", || {
        let world = World::start(GroupConfig::default());
        let host = &world.lan.server;
        let mut deletions = 0;
        for _ in 0..50 {
            deletions += usize::from(host.del_address("eth0", "192.0.2.10/24").is_ok());
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = world.daemon.log_text();
        assert_eq!(deletions, 4, "the address and three repairs: {log}");
        assert!(log.contains("192.0.2.10/24 on eth0 has been taken away 3 times within a minute"), "{log}");
        let suspect = format!("process {}", std::process::id());
        assert!(log.lines().any(|l| l.contains("left alone") && l.contains(&suspect)), "{suspect}: {log}");
        // What is left alone on one NIC is put on another one all the same.
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
    });
}

#[test]
fn a_sysctl_changed_by_others_is_put_back_within_a_second_or_so() {
    with_daemon("a_sysctl_changed_by_others_is_put_back_within_a_second_or_so", || {
        const CONF: &str = "net/ipv4/conf/eth0/arp_ignore";
        let world = World::start(GroupConfig::default());
        world.lan.server.sysctl(CONF, "0").unwrap();
        wait_until(Duration::from_secs(5), "it is put back", || {
            world.lan.server.read_sysctl(CONF).unwrap() == "1"
        });
    });
}

/// The process stands still in the middle of a move.
#[test]
fn stopped_in_the_middle_of_a_move() {
    with_daemon("stopped_in_the_middle_of_a_move", || {
        let world = World::start(GroupConfig::default());
        world.lan.cut(0).unwrap();
        world.daemon.signal(Signal::SIGSTOP).unwrap();
        std::thread::sleep(Duration::from_secs(5));
        for data in [DATA4, DATA6] {
            assert!(!world.lan.server.holders(data).is_empty(), "{data} is nowhere");
        }
        world.daemon.signal(Signal::SIGCONT).unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        world.assert_tcp_survived();
    });
}

/// A thousand interfaces come and go: events are lost, and nothing of it matters.
#[test]
fn a_storm_of_interfaces() {
    with_daemon("a_storm_of_interfaces", || {
        let world = World::start(GroupConfig::default());
        let streams = dense(&world);
        for n in 0..200 {
            let (one, other) = (format!("a{n}"), format!("b{n}"));
            world.lan.server.macvlan(&one, "eth1", None).unwrap();
            world.lan.server.macvlan(&other, "eth1", None).unwrap();
            world.lan.server.delete(&one).unwrap();
            world.lan.server.delete(&other).unwrap();
        }
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        drop(streams);
        assert!(!world.daemon.log_text().contains("failure detected on eth1"), "{}", world.daemon.log_text());
    });
}
