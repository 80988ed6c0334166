//! The standard network without any address on the server, and directories of this process's own where managers keep their
//! files: whatever they write or read below /etc, /run and /var/lib is nobody else's.

use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, GroupConfig, Lan, LanOptions, UdpStream, poll_until};
use nix::mount::{MsFlags, mount};
use std::cell::OnceCell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Generous: a loaded machine, not a measurement.
pub const SOON: Duration = Duration::from_secs(30);
/// Packets per second.
const RATE: u32 = 1000;
/// Directories that are replaced by empty ones.
const PRIVATE: [&str; 3] = ["/etc/systemd", "/etc/network", "/var/lib/systemd"];

pub struct Stage {
    echo: OnceCell<Echo>,
    daemon: OnceCell<Daemon>,
    pub lan: Lan,
}

/// Fails, saying so, where a program that the test is about is not installed.
pub fn program(path: &str) {
    assert!(Path::new(path).exists(), "{path} is not installed");
}

/// Writes a file and the directories above it.
pub fn write(path: &str, text: &str) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, text).unwrap_or_else(|e| panic!("write {path}: {e}"));
}

fn tmpfs(on: &str) {
    let none: Option<&str> = None;
    mount(Some("tmpfs"), on, Some("tmpfs"), MsFlags::empty(), none)
        .unwrap_or_else(|e| panic!("mount on {on}: {e}"));
}

fn replace(file: &str, text: &str) {
    let copy = format!("/run/copy{}", file.replace('/', "-"));
    write(&copy, text);
    let none: Option<&str> = None;
    mount(Some(copy.as_str()), file, none, MsFlags::MS_BIND, none)
        .unwrap_or_else(|e| panic!("replace {file}: {e}"));
}

impl Stage {
    pub fn new() -> Stage {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        tmpfs("/run");
        PRIVATE.iter().filter(|dir| Path::new(dir).is_dir()).for_each(|dir| tmpfs(dir));
        // Everybody is root here: no other user exists in this namespace.
        let users = ["root", "systemd-network"];
        let line = |user: &&str| format!("{user}:x:0:0::/:/bin/sh\n");
        replace("/etc/passwd", &users.iter().map(line).collect::<String>());
        let line = |user: &&str| format!("{user}:x:0:\n");
        replace("/etc/group", &users.iter().map(line).collect::<String>());
        write("/etc/systemd/network/99-none.network", "[Match]\nName=none\n");
        let hooks = ["pre-up", "up", "down", "post-down"].map(|when| format!("/etc/network/if-{when}.d"));
        let dirs = ["/run/systemd/netif", "/run/network"].map(str::to_owned);
        hooks.iter().chain(&dirs).for_each(|dir| fs::create_dir_all(dir).unwrap());
        // Without udev: programs that find /sys read-only do not wait for it.
        let none: Option<&str> = None;
        let sys = || mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::MS_RDONLY, none);
        lan.server.run(sys).unwrap();
        Stage { echo: OnceCell::new(), daemon: OnceCell::new(), lan }
    }

    /// Starts mpathd over both NICs: it adopts what it finds.
    pub fn start(&self, more: &str) {
        let config = GroupConfig {
            test_addresses: Vec::new(),
            data: Vec::new(),
            extra: more.to_owned(),
            ..GroupConfig::default()
        };
        let daemon = Daemon::start(&self.lan.server, &config.text()).unwrap();
        let answered = poll_until(SOON, || daemon.all_answered().unwrap().then_some(()));
        assert!(answered.is_some(), "not every NIC is answered:\n{}", daemon.log_text());
        assert!(self.daemon.set(daemon).is_ok(), "it runs already");
    }

    pub fn log(&self) -> String {
        self.daemon.get().map(Daemon::log_text).unwrap_or_default()
    }

    /// Streams to both data addresses, from both clients.
    pub fn streams(&self) -> Vec<UdpStream> {
        self.echo.get_or_init(|| Echo::start(&self.lan.server, PORT).unwrap());
        let target = |data: &str| SocketAddr::new(data.parse().unwrap(), PORT);
        let clients =
            [(&self.lan.near, mpath_testkit::lan::DATA4), (&self.lan.far, mpath_testkit::lan::DATA6)];
        clients.map(|(client, data)| UdpStream::start(client, target(data), RATE).unwrap()).into()
    }

    /// Waits until each address is on its NIC alone.
    #[track_caller]
    pub fn expect(&self, places: &[(&str, &str)]) {
        let is = || places.iter().all(|(a, nic)| self.lan.server.holders(a) == [*nic]).then_some(());
        if poll_until(SOON, is).is_none() {
            panic!("not {places:?}: {:?}\n{}", self.lan.server.addresses(), self.log());
        }
    }

    /// No stream was without answers for longer than this.
    #[track_caller]
    pub fn calm(&self, streams: Vec<UdpStream>, limit: Duration) {
        for report in streams.into_iter().map(UdpStream::stop) {
            assert!(report.received > 0 && report.outage < limit, "{report:?}\n{}", self.log());
        }
    }

    /// Nobody was fought.
    #[track_caller]
    pub fn no_fight(&self) {
        let log = self.log();
        assert!(!log.contains("times within a minute") && !log.contains("left alone"), "{log}");
    }
}
