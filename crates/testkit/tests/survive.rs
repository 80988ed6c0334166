//! Never lose an address, the long way: a daemon that stands still, has no disk, is upgraded with everything running, is told
//! to rearrange everything, or is fought.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "group/world.rs"]
#[allow(dead_code, reason = "shared with the scenarios of a group")]
mod world;

use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::traffic::{PORT, assert_nothing_lost};
use mpath_testkit::{Daemon, Echo, GroupConfig, Lan, LanOptions, UdpStream, isolated_for, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use world::{SOON, World};

const LONG: Duration = Duration::from_secs(300);

fn run(name: &str, body: impl FnOnce()) {
    if std::env::var_os("MPATH_TESTKIT_ISOLATED").is_none() {
        mpath_testkit::daemon::build_daemon();
    }
    isolated_for(name, LONG, body);
}

fn dense(lan: &Lan, targets: &[&str]) -> Vec<UdpStream> {
    let target = |data: &str| SocketAddr::new(data.parse().unwrap(), PORT);
    targets.iter().map(|data| UdpStream::start(&lan.near, target(data), 10_000).unwrap()).collect()
}

/// Every packet has arrived.
#[track_caller]
fn nothing_lost(lan: &Lan, streams: Vec<UdpStream>, log: &str) {
    assert_nothing_lost(&[&lan.server, &lan.near, &lan.far], streams, log);
}

/// SIGSTOP at several instants of a move: whatever was done by then stays, and is finished afterwards.
#[test]
#[ignore = "long: two minutes"]
fn stopped_for_half_a_minute_in_the_middle_of_a_move() {
    run("stopped_for_half_a_minute_in_the_middle_of_a_move", || {
        let world = World::start(GroupConfig::default());
        for (round, micros) in [0, 300, 1000].into_iter().enumerate() {
            world.lan.cut(0).unwrap();
            std::thread::sleep(Duration::from_micros(micros));
            world.daemon.signal(Signal::SIGSTOP).unwrap();
            let end = Instant::now() + Duration::from_secs(30);
            while Instant::now() < end {
                for data in [DATA4, DATA6] {
                    assert!(!world.lan.server.holders(data).is_empty(), "{data} is nowhere");
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            world.daemon.signal(Signal::SIGCONT).unwrap();
            world.expect_on("eth1");
            world.lan.plug(0).unwrap();
            world.expect_on("eth0");
            let log = world.daemon.log_text();
            assert!(!log.contains("failure detected on eth1"), "round {round}: {log}");
        }
    });
}

/// The state directory is on a file system without room: an alarm, and failovers go on; without a journal nothing is lost
/// either.
#[test]
#[ignore = "long: 20 s"]
fn a_full_disk_stops_nothing() {
    run("a_full_disk_stops_nothing", || {
        let mut world = World::start(GroupConfig::default());
        let state = world.daemon.state_dir();
        let options = Some("size=16k");
        mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), options).unwrap();
        let filler = vec![0; 1 << 20];
        std::fs::write(state.join("filler"), filler).unwrap_err();
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        let says = "state cannot be written: a restart may not find homes and verdicts";
        world.daemon.wait_log(SOON, says).unwrap();
        world.daemon.kill9();
        world.daemon.restart().unwrap();
        world.expect_on("eth1");
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        world.lan.cut(0).unwrap();
        world.expect_on("eth1");
        std::fs::remove_file(state.join("filler")).unwrap();
        world.daemon.wait_log(SOON, "state is written again").unwrap();
        world.lan.plug(0).unwrap();
        world.expect_on("eth0");
        umount2(&state, MntFlags::MNT_DETACH).unwrap();
    });
}

/// Ten times a second for a minute: three times it is put back, then an alarm within a second, and peace; when the script ends,
/// so does the quarrel.
#[test]
#[ignore = "long: two and a half minutes"]
fn a_script_that_deletes_for_a_minute() {
    run("a_script_that_deletes_for_a_minute", || {
        let world = World::start(GroupConfig::default());
        let host = &world.lan.server;
        let end = Instant::now() + Duration::from_secs(60);
        let (mut deletions, mut third) = (0, None);
        while Instant::now() < end {
            deletions += usize::from(host.del_address("eth0", "192.0.2.10/24").is_ok());
            if deletions == 3 {
                third = third.or(Some(Instant::now()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = world.daemon.log();
        assert_eq!(deletions, 4, "the address and three repairs: {}", world.daemon.log_text());
        let alarm = log.iter().find(|l| l.text.contains("3 times within a minute")).unwrap();
        assert!(alarm.at.duration_since(third.unwrap()) < Duration::from_secs(1), "{}", alarm.text);
        assert!(alarm.text.contains(&format!("process {}", std::process::id())), "{}", alarm.text);
        let patience = Duration::from_secs(75);
        wait_until(patience, "it is put back when nobody fights", || host.holders("192.0.2.10") == ["eth0"]);
        std::thread::sleep(Duration::from_secs(2));
        world.expect_on("eth0");
    });
}

/// A group, a lagg and a vhid as master, all of it handed over.
#[test]
#[ignore = "long: 20 s"]
fn the_program_runs_again_with_a_lagg_and_carp() {
    run("the_program_runs_again_with_a_lagg_and_carp", || {
        let lan = Lan::new(LanOptions { nics: 5, configured: false, ..LanOptions::default() }).unwrap();
        let key = std::env::temp_dir().join(format!("mpathd-key-{}", std::process::id()));
        std::fs::write(&key, "upgrade\n").unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let data = vec![("192.0.2.10/24".to_owned(), 0)];
        let group = GroupConfig { data, ..GroupConfig::default() }.text();
        let config = format!(
            "{group}\n[[lagg]]\nname = \"lagg0\"\nports = [\"eth2\", \"eth3\"]\naddresses = [\"192.0.2.60/24\"]\n\
             backend = \"redirect\"\n[[carp]]\ninterface = \"eth4\"\nvhid = 9\npassphrase_file = \"{}\"\n\
             addresses = [\"192.0.2.70/24\"]\n",
            key.display()
        );
        let daemon = Daemon::start(&lan.server, &config).unwrap();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let there = |a: &str| !lan.server.holders(a).is_empty();
        let all = ["192.0.2.10", "192.0.2.60", "192.0.2.70"];
        wait_until(SOON, "everything is there", || all.into_iter().all(there));
        let master = || daemon.status().unwrap().carps.first().is_some_and(|c| c.state == "MASTER");
        wait_until(SOON, "it is master", master);
        let active = || daemon.status().unwrap().laggs.first().and_then(|l| l.active.clone());
        wait_until(SOON, "the lagg has an active port", || active().as_deref() == Some("eth2"));
        std::thread::sleep(Duration::from_secs(3));
        let streams = dense(&lan, &all);
        for round in 0..5 {
            let before = daemon.log().len();
            daemon.signal(Signal::SIGUSR2).unwrap();
            daemon.wait_log_after(before, SOON, "mpathd is running").unwrap();
            daemon.wait_ready().unwrap();
            assert!(master() && active().as_deref() == Some("eth2"), "round {round}: {}", daemon.log_text());
        }
        let log = daemon.log_text();
        for never in ["of no use", "failure detected", "INIT", "BACKUP from MASTER"] {
            let later = log.split("runs its program file again").skip(1).any(|part| part.contains(never));
            assert!(!later, "{never}: {log}");
        }
        nothing_lost(&lan, streams, &log);
        std::fs::remove_file(&key).unwrap();
    });
}

/// NICs change groups, a group is renamed, addresses come and go: what stays where it is loses no packet.
#[test]
#[ignore = "long: 10 s of 40 kHz"]
fn everything_is_rearranged_under_traffic() {
    run("everything_is_rearranged_under_traffic", || {
        let lan = Lan::new(LanOptions { nics: 4, configured: false, ..LanOptions::default() }).unwrap();
        for address in ["192.0.2.40/24", "2001:db8:1::40/64"] {
            lan.server.add_address("eth1", address).unwrap();
        }
        let group = |name: &str, nics: &[usize], addresses: &[(&str, usize)]| {
            let mut text =
                format!("[[group]]\nname = \"{name}\"\nfailure_detection_time = \"1s\"\nprobe = \"link\"\n");
            nics.iter().for_each(|n| text += &format!("[[group.interface]]\nname = \"eth{n}\"\n"));
            for (address, home) in addresses {
                text += &format!("[[group.address]]\naddress = \"{address}\"\nhome = \"eth{home}\"\n");
            }
            text
        };
        let (a, b) = (("192.0.2.10/24", 0), ("192.0.2.20/24", 2));
        let configs = [
            group("a", &[0, 1], &[a]) + &group("b", &[2, 3], &[b]),
            group("a", &[0], &[a]) + &group("b", &[1, 2, 3], &[b]),
            group("a", &[0, 3], &[a, ("192.0.2.30/24", 3)]) + &group("b", &[1, 2], &[b]),
            group("renamed", &[0, 1, 2, 3], &[a, b]),
            group("a", &[0, 2], &[a, b]),
        ];
        let daemon = Daemon::start(&lan.server, &configs[0]).unwrap();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let kept = ["192.0.2.10", "192.0.2.20", "192.0.2.40", "2001:db8:1::40"];
        let there = |address: &str| lan.server.holders(address).len() == 1;
        wait_until(SOON, "all addresses are there", || kept.into_iter().all(there));
        std::thread::sleep(Duration::from_secs(1));
        let streams = dense(&lan, &kept);
        for config in configs.iter().cycle().skip(1).take(2 * configs.len()) {
            let before = daemon.log().len();
            daemon.set_config(config).unwrap();
            daemon.signal(Signal::SIGHUP).unwrap();
            daemon.wait_log_after(before, SOON, "reread config file").unwrap();
            let declared = config.contains("192.0.2.30");
            let is = || lan.server.holders("192.0.2.30").len() == usize::from(declared);
            wait_until(SOON, "what is removed is deleted", is);
            std::thread::sleep(Duration::from_millis(500));
            assert!(kept.into_iter().all(there), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
        }
        nothing_lost(&lan, streams, &daemon.log_text());
    });
}
