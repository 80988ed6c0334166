//! Who is at the other end of a control connection, and what that user may do.

use super::access::Access;
use mio::net::UnixStream;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::os::fd::AsFd;

/// What a peer may do; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rights {
    /// Ask who answers.
    None,
    /// See everything.
    Read,
    /// Change things.
    Control,
}

/// Credentials of a peer at the time it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// User; the overflow user if the kernel does not tell.
    pub(super) uid: u32,
    /// All its groups.
    groups: Vec<u32>,
}

/// The kernel's number for users it cannot express (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

impl Peer {
    /// Asks the kernel.
    pub(super) fn of(stream: &UnixStream) -> Peer {
        let Ok(credentials) = getsockopt(stream, PeerCredentials) else {
            return Peer { uid: NOBODY, groups: Vec::new() };
        };
        let mut groups = mpath_linux::sys::peer_groups(stream.as_fd()).unwrap_or_default();
        groups.push(credentials.gid());
        Peer { uid: credentials.uid(), groups }
    }

    /// Root, or the user the daemon itself runs as (in a user namespace nobody else is root).
    pub(super) fn is_root(&self) -> bool {
        self.uid == 0 || self.uid == geteuid().as_raw()
    }

    /// What the peer may do.
    pub(super) fn rights(&self, access: &Access) -> Rights {
        let member = |gid: Option<u32>| gid.is_some_and(|g| self.groups.contains(&g));
        if self.is_root() || member(access.control()) {
            Rights::Control
        } else if member(access.read()) {
            Rights::Read
        } else {
            Rights::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_follow_user_and_groups() {
        let access = Access::known(Some(7), Some(8));
        let me = geteuid().as_raw();
        let other = me + 12345;
        for (uid, groups, rights) in [
            (0, vec![], Rights::Control),
            (me, vec![], Rights::Control),
            (other, vec![5], Rights::None),
            (other, vec![8], Rights::Read),
            (other, vec![8, 7], Rights::Control),
        ] {
            assert_eq!(Peer { uid, groups }.rights(&access), rights);
        }
        let nobody = Peer { uid: other, groups: vec![0] };
        assert_eq!(nobody.rights(&Access::default()), Rights::None);
    }

    #[test]
    fn the_kernel_tells_the_groups_of_a_peer() {
        let (here, _there) = UnixStream::pair().unwrap();
        let mut groups = nix::unistd::getgroups().unwrap();
        groups.push(nix::unistd::getegid());
        let groups = groups.into_iter().map(nix::unistd::Gid::as_raw).collect::<Vec<_>>();
        assert_eq!(Peer::of(&here), Peer { uid: geteuid().as_raw(), groups });
    }
}
