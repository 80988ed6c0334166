//! The daemon among other programs: event programs, the sandbox, strangers at its control socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_testkit::daemon::find_daemon;
use mpath_testkit::{Daemon, GroupConfig, Lan, LanOptions, wait_until, with_daemon};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Generous: a loaded machine, not a measurement.
const SOON: Duration = Duration::from_secs(15);

/// Two NICs in a group, and an event program of this text.
fn daemon_with(lan: &Lan, script: &str) -> (Daemon, PathBuf) {
    let dir = std::env::temp_dir().join(format!("mpathd-event-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let program = dir.join("event");
    fs::write(&program, format!("#!/bin/sh\ncd {}\n{script}\n", dir.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let on_event = format!("[daemon]\non_event = \"{}\"\n\n", program.display());
    let config = on_event + &GroupConfig::default().text();
    let daemon = Daemon::start(&lan.server, &config).unwrap();
    daemon.wait_status(SOON, "eth0 is ok", |s| format!("{:?}", s.groups[0].state) == "Ok").unwrap();
    (daemon, dir)
}

/// Whether the data addresses are on this NIC.
fn all_on(nic: &str) -> impl Fn(&mpath_model::Status) -> bool {
    move |s| s.groups[0].addresses.iter().all(|a| a.interface.as_deref() == Some(nic))
}

fn lan() -> Lan {
    Lan::new(LanOptions { configured: true, ..LanOptions::default() }).unwrap()
}

/// The value of a line of /proc/PID/status.
fn of_process(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim().to_owned()
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|p| p.parse().unwrap()).collect()
}

#[test]
fn programs_are_told_of_events_also_after_an_upgrade() {
    with_daemon("programs_are_told_of_events_also_after_an_upgrade", || {
        let lan = lan();
        let (daemon, dir) = daemon_with(&lan, "echo \"$MPATHD_EVENT $MPATHD_INTERFACE\" >>told; echo heard");
        let told =
            |line: &str| fs::read_to_string(dir.join("told")).is_ok_and(|t| t.lines().any(|l| l == line));
        let pid = daemon.pid().unwrap();
        daemon.wait_log(SOON, "in the sandbox").unwrap();
        assert_eq!(of_process(pid, "NoNewPrivs:"), "1");
        #[cfg(target_arch = "x86_64")]
        assert_eq!(of_process(pid, "Seccomp:"), "2");
        let [helper] = children(pid)[..] else { panic!("one helper: {:?}", children(pid)) };
        assert_eq!(
            of_process(helper, "Seccomp:"),
            of_process(std::process::id(), "Seccomp:"),
            "it is outside"
        );

        daemon.offline("eth0").unwrap();
        wait_until(SOON, "the program was told", || told("offline eth0"));
        daemon.wait_log(SOON, "event program: heard").unwrap();

        let (before, lock) = (daemon.log().len(), lock_of(pid));
        // As `pkill -USR2 mpathd` has it, which is the name of both.
        for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper as i32), signal).unwrap();
        }
        daemon.signal(Signal::SIGUSR2).unwrap();
        daemon.wait_log_after(before, SOON, "mpathd is running").unwrap();
        daemon.wait_ready().unwrap();
        assert!(lock.is_some() && lock_of(pid) == lock, "it is never free in between");
        daemon.online("eth0").unwrap();
        wait_until(SOON, "it is told by the next program image", || told("online eth0"));
        assert_eq!(children(pid), [helper]);
        lan.cut(0).unwrap();
        wait_until(SOON, "and of faults", || told("nic_failed eth0"));
        fs::remove_dir_all(dir).unwrap();
    });
}

/// The inode of the socket with the abstract name that keeps a second daemon out.
fn lock_of(pid: u32) -> Option<String> {
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap();
    let lock = sockets.lines().find(|line| line.ends_with(" @mpathd"))?;
    lock.split_whitespace().nth(6).map(str::to_owned)
}

#[test]
fn a_program_that_hangs_holds_up_nobody() {
    with_daemon("a_program_that_hangs_holds_up_nobody", || {
        let lan = lan();
        let (mut daemon, dir) = daemon_with(&lan, "echo $$ >>running; sleep 60");
        let running = || fs::read_to_string(dir.join("running")).map_or(0, |t| t.lines().count());
        daemon.offline("eth0").unwrap();
        daemon.online("eth0").unwrap();
        // More than may wait here and in the socket to the helper.
        let full = || daemon.log_text().contains("the event program does not keep up");
        for _ in 0..2000 {
            daemon.offline("eth0").unwrap();
            daemon.online("eth0").unwrap();
            if full() {
                break;
            }
        }
        daemon.wait_log(SOON, "events it was not run for since the start count=").unwrap();
        wait_until(SOON, "four run", || running() == 4);
        // Nor does an upgrade lose the helper that has no room for more.
        let before = daemon.log().len();
        daemon.signal(Signal::SIGUSR2).unwrap();
        daemon.wait_log_after(before, SOON, "mpathd is running").unwrap();
        daemon.wait_ready().unwrap();
        assert!(!daemon.log_text().contains("none are run"), "{}", daemon.log_text());
        lan.cut(0).unwrap();
        daemon.wait_status(SOON, "addresses move all the same", all_on("eth1")).unwrap();
        assert_eq!(running(), 4, "no more than that at once");
        let helper = children(daemon.pid().unwrap());
        daemon.kill9();
        for pid in helper.into_iter().flat_map(|h| [children(h), vec![h]].concat()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGKILL);
        }
        fs::remove_dir_all(dir).unwrap();
    });
}

/// A small generator of noise, the same at every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes, or a request with some of them changed.
    fn blob(&mut self) -> Vec<u8> {
        const REQUESTS: [&str; 4] = [
            "{\"method\":\"org.mpathd.Status\",\"parameters\":{}}\0",
            "{\"method\":\"org.mpathd.Explain\",\"parameters\":{\"interface\":\"eth0\"}}\0",
            "{\"method\":\"org.mpathd.PlanConfiguration\",\"parameters\":{\"text\":\"[[group]]\",\"name\":\"x\"}}\0",
            "{\"method\":\"org.mpathd.Watch\",\"parameters\":{},\"more\":true}\0",
        ];
        let mut bytes = match self.next() % 3 {
            0 => (0..self.next() % 4096).map(|_| self.next() as u8).collect(),
            _ => REQUESTS[self.next() as usize % REQUESTS.len()]
                .repeat(1 + self.next() as usize % 20)
                .into_bytes(),
        };
        for _ in 0..self.next() % 8 {
            let at = self.next() as usize % bytes.len().max(1);
            let value = self.next() as u8;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes
    }
}

fn shout(socket: &Path, blob: &[u8]) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_nonblocking(true)?;
    let _ = stream.write(blob);
    let mut answer = [0; 4096];
    let _ = stream.read(&mut answer);
    Ok(())
}

#[test]
fn noise_on_the_control_socket_disturbs_nobody() {
    with_daemon("noise_on_the_control_socket_disturbs_nobody", || {
        let lan = lan();
        let mut daemon = Daemon::start(&lan.server, &GroupConfig::default().text()).unwrap();
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let mut kept = Vec::new();
        let mut slowest = Duration::ZERO;
        daemon.wait_status(SOON, "it is at home", all_on("eth0")).unwrap();
        for round in 0..400 {
            if round == 200 {
                lan.cut(0).unwrap();
            }
            let blob = noise.blob();
            shout(&daemon.socket(), &blob).unwrap();
            // Some stay and say nothing more, or never end what they have begun.
            if round % 20 == 0 && kept.len() < 10 {
                let mut stream = UnixStream::connect(daemon.socket()).unwrap();
                stream.write_all(b"{\"method\":\"org.mpathd.St").unwrap();
                kept.push(stream);
            }
            let asked = Instant::now();
            daemon.status().unwrap();
            slowest = slowest.max(asked.elapsed());
        }
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        assert!(daemon.is_running());
        let log = daemon.log_text();
        daemon.wait_status(SOON, "addresses move all the same", all_on("eth1")).unwrap();
        assert!(!log.contains("failure detected on eth1") && !log.contains("panicked"), "{log}");
    });
}

#[test]
fn the_service_manager_is_kept_informed() {
    with_daemon("the_service_manager_is_kept_informed", || {
        let dir = std::env::temp_dir().join(format!("mpathd-notify-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("mpathd.toml"), "").unwrap();
        let manager = UnixDatagram::bind(dir.join("notify")).unwrap();
        manager.set_read_timeout(Some(SOON)).unwrap();
        let mut daemon = Command::new(find_daemon().unwrap())
            .current_dir(&dir)
            .args(["--config", "mpathd.toml", "--defaults", "none", "--state-dir", "state"])
            .env("NOTIFY_SOCKET", dir.join("notify"))
            .env("WATCHDOG_USEC", "300000")
            .env("MPATHD_SANDBOX", "strict")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
        // Waits for a message; other signs of life may come before it.
        let expect = |wanted: &str| {
            let mut bytes = [0; 512];
            loop {
                let n = manager.recv(&mut bytes).unwrap_or_else(|e| panic!("{wanted}: {e}"));
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                if text.lines().any(|l| l == wanted) {
                    return text;
                }
                assert!(text.starts_with("WATCHDOG=1"), "{text} instead of {wanted}");
            }
        };
        expect("READY=1");
        expect("WATCHDOG=1");
        nix::sys::signal::kill(pid, Signal::SIGHUP).unwrap();
        let reloading = expect("RELOADING=1");
        assert!(reloading.lines().any(|l| l.starts_with("MONOTONIC_USEC=")), "{reloading}");
        expect("READY=1");
        nix::sys::signal::kill(pid, Signal::SIGUSR2).unwrap();
        expect("READY=1");
        expect("WATCHDOG=1");
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        expect("STOPPING=1");
        assert!(daemon.wait().unwrap().success());
        fs::remove_dir_all(dir).unwrap();
    });
}
