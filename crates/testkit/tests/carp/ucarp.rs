//! Debian's ucarp as the other host. Its scripts only write down what they are called for.

use mpath_testkit::{Host, Process};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running ucarp with vhid 1 for 10.77.0.100 on eth0.
pub struct Ucarp {
    process: Process,
    dir: PathBuf,
}

/// Whether ucarp is installed. In CI it has to be.
///
/// # Panics
/// In CI, if it is not.
pub fn installed() -> bool {
    let there = ["/usr/sbin/ucarp", "/usr/bin/ucarp", "/usr/local/sbin/ucarp"];
    let there = there.iter().any(|p| Path::new(p).exists());
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "ucarp is not installed");
    if !there {
        println!("ucarp is not installed: nothing is shown about it here");
    }
    there
}

impl Ucarp {
    pub fn start(host: &Host, source: &str, skew: u8, passphrase: &str, more: &[&str]) -> Ucarp {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("mpath-ucarp-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let script = |word: &str| {
            let path = dir.join(word);
            std::fs::write(&path, format!("#!/bin/sh\necho {word} >> {}\n", dir.join("said").display()))
                .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            path
        };
        let mut command = Command::new("ucarp");
        command
            .args(["-i", "eth0", "-s", source, "-v", "1", "-p", passphrase, "-a", "10.77.0.100"])
            .args(["-b", "1", "-k", &skew.to_string(), "-n"])
            .args(more)
            .arg("-u")
            .arg(script("up"))
            .arg("-d")
            .arg(script("down"))
            .stdout(std::process::Stdio::null());
        Ucarp { process: host.spawn(command).unwrap(), dir }
    }

    /// `up` and `down` as they were called.
    pub fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.join("said")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    pub fn is_up(&self) -> bool {
        self.said().last().is_some_and(|w| w == "up")
    }

    pub fn log(&self) -> String {
        self.process.log().into_iter().map(|l| l.text + "\n").collect()
    }

    pub fn kill9(&mut self) {
        self.process.kill9();
    }
}

impl Drop for Ucarp {
    fn drop(&mut self) {
        self.process.kill9();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
