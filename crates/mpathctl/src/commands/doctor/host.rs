//! What the host shows to whoever looks: interfaces and files.

use crate::netlink::link::Link;
use std::path::PathBuf;

/// The host. The root directory is another one in tests.
pub(super) struct Host {
    pub(super) root: PathBuf,
    pub(super) links: Vec<Link>,
    /// mpathd runs, and has set the sysctls of its NICs.
    pub(super) daemon: bool,
}

impl Host {
    /// An interface by name.
    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|l| l.name == name)
    }

    /// A file without blanks around its text; none if it cannot be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let path = self.root.join(path.trim_start_matches('/'));
        std::fs::read_to_string(path).ok().map(|t| t.trim().to_owned())
    }

    /// A number below /proc/sys.
    pub(super) fn sysctl(&self, key: &str) -> Option<i32> {
        self.read(&format!("proc/sys/{key}"))?.parse().ok()
    }

    /// An interface's sysctl where the larger of `all` and its own counts.
    pub(super) fn effective(&self, nic: &str, key: &str) -> Option<i32> {
        let of = |who: &str| self.sysctl(&format!("net/ipv4/conf/{who}/{key}"));
        of("all").max(of(nic))
    }
}
