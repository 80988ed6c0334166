//! Interface sysctls below /proc/sys/net/ipv{4,6}/conf. Of the network namespace of the calling thread.

use mpath_model::kernel::Sysctl;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

/// Files of so many interfaces stay open, each of [`Sysctl::ALL`].
const KEPT: usize = 8;

/// The keys of interfaces that are looked at all the time: where there are few, their files stay open.
#[derive(Debug, Default)]
pub struct Watched(HashMap<String, Vec<(Sysctl, File)>>);

impl Watched {
    /// Like [`all`].
    pub fn all(&mut self, interface: &str) -> Vec<(Sysctl, i32)> {
        // The files of an interface that is gone or renamed cannot be read any more.
        if let Some(found) = self.0.get(interface).and_then(|files| files.iter().map(value).collect()) {
            return found;
        }
        self.0.remove(interface);
        let files = files(interface);
        let found = files.iter().filter_map(value).collect();
        if self.0.len() < KEPT && files.len() == Sysctl::ALL.len() {
            self.0.insert(interface.to_owned(), files);
        }
        found
    }

    /// Closes the files of all other interfaces.
    pub fn keep(&mut self, interfaces: &[&String]) {
        self.0.retain(|name, _| interfaces.contains(&name));
    }
}

/// The keys of an interface as they are now; those that do not exist or cannot be read are left out.
pub fn all(interface: &str) -> Vec<(Sysctl, i32)> {
    files(interface).iter().filter_map(value).collect()
}

/// The files of an interface: one walk down the tree for each directory.
fn files(interface: &str) -> Vec<(Sysctl, File)> {
    let mut found = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = directory(interface, family).and_then(|d| open(d.as_str(), flags, Mode::empty()).ok());
        let Some(directory) = opened else { continue };
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = |key: &Sysctl| openat(&directory, key.path().1, flags, Mode::empty()).map(File::from);
        let keys = Sysctl::ALL.into_iter().filter(|key| key.path().0 == family);
        found.extend(keys.filter_map(|key| Some((key, file(&key).ok()?))));
    }
    found
}

fn value((key, file): &(Sysctl, File)) -> Option<(Sysctl, i32)> {
    // A sysctl is a number and a newline; anything longer is none.
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0).ok()?;
    Some((*key, std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()?))
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
