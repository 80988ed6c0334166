//! Interface sysctls below /proc/sys/net/ipv{4,6}/conf. Of the network namespace of the calling thread.

use mpath_model::kernel::Sysctl;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

/// The keys of an interface as they are now; those that do not exist or cannot be read are left out.
pub fn all(interface: &str) -> Vec<(Sysctl, i32)> {
    let mut found = Vec::new();
    // Members are looked at all the time: one walk down the tree for each directory, one read for each file.
    for family in ["ipv4", "ipv6"] {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = directory(interface, family).and_then(|d| open(d.as_str(), flags, Mode::empty()).ok());
        let Some(directory) = opened else { continue };
        let keys = Sysctl::ALL.into_iter().filter(|key| key.path().0 == family);
        found.extend(keys.filter_map(|key| Some((key, read(&directory, key.path().1)?))));
    }
    found
}

fn read(directory: &OwnedFd, name: &str) -> Option<i32> {
    let opened = openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    // A sysctl is a number and a newline; anything longer is none.
    let mut text = [0; 64];
    let length = File::from(opened.ok()?).read(&mut text).ok()?;
    std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
}

/// Writes a key of an interface.
pub fn write(interface: &str, key: Sysctl, value: i32) -> Result<(), Errno> {
    if key.is_fixed() {
        return Err(Errno::EPERM);
    }
    write_file(&path(interface, key).ok_or(Errno::EINVAL)?, value)
}

/// Writes a number to a file below /proc/sys.
pub(crate) fn write_file(path: &str, value: i32) -> Result<(), Errno> {
    let written = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()));
    written.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Path of a key of an interface.
fn path(interface: &str, key: Sysctl) -> Option<String> {
    let (family, file) = key.path();
    Some(format!("{}/{file}", directory(interface, family)?))
}

/// Path of the keys of an interface; `None` for a name that no interface can have, and for `all` and `default`, which
/// concern other interfaces.
fn directory(interface: &str, family: &str) -> Option<String> {
    let forbidden = ["", ".", "..", "all", "default"];
    if forbidden.contains(&interface) || interface.len() > 15 || interface.contains(['/', '\0']) {
        return None;
    }
    Some(format!("/proc/sys/net/{family}/conf/{interface}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_interfaces_become_paths() {
        for bad in ["", ".", "..", "all", "default", "../all", "a/b", "sixteen-letters-"] {
            assert_eq!(path(bad, Sysctl::ArpIgnore), None, "{bad}");
        }
        assert_eq!(
            path("eth0.10", Sysctl::KeepAddrOnDown).as_deref(),
            Some("/proc/sys/net/ipv6/conf/eth0.10/keep_addr_on_down")
        );
    }
}
