//! Interface sysctls below /proc/sys/net/ipv{4,6}/conf. Of the network namespace of the calling thread.

use mpath_model::kernel::Sysctl;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

/// Reads a key of an interface; `None` where the interface or the key does not exist or cannot be read.
pub fn read(interface: &str, key: Sysctl) -> Option<i32> {
    let mut text = String::new();
    // A sysctl is a number and a newline; anything longer is none.
    File::open(path(interface, key)?).and_then(|file| file.take(64).read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
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

/// Path of a key; `None` for a name that no interface can have, and for `all` and `default`, which concern
/// other interfaces.
fn path(interface: &str, key: Sysctl) -> Option<String> {
    let forbidden = ["", ".", "..", "all", "default"];
    if forbidden.contains(&interface) || interface.len() > 15 || interface.contains(['/', '\0']) {
        return None;
    }
    let (family, file) = key.path();
    Some(format!("/proc/sys/net/{family}/conf/{interface}/{file}"))
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
