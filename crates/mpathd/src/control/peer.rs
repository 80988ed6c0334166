//! Who is at the other end of a control connection, and what that user may do.

use mio::net::UnixStream;
use mpath_core::diag::Line;
use mpath_model::event::Level;
use mpath_model::settings::Daemon;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Group, geteuid};
use std::os::fd::AsFd;
use std::time::Duration;

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

/// The groups of `[daemon]`, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Members may change things.
    pub(crate) control: Option<u32>,
    /// Members may read.
    pub(crate) read: Option<u32>,
}

impl Access {
    /// Looks the groups up. The lines tell of groups that do not exist: nobody gets a right by those.
    /// Asks the user database, so for start and reload only.
    pub(crate) fn of(settings: &Daemon) -> (Access, Vec<Line>) {
        let mut lines = Vec::new();
        let mut gid = |key: &str, name: &Option<String>| {
            let name = name.as_ref()?;
            let cause = match in_time(name, |name| Group::from_name(&name)) {
                Some(Ok(Some(group))) => return Some(group.gid.as_raw()),
                Some(Ok(None)) => "no such group",
                Some(Err(e)) => e.desc(),
                None => "the user database does not answer; reload when it does",
            };
            lines.push(Line {
                level: Level::Warning,
                text: format!("{key} {name} not found: nobody but root has its rights"),
                fields: vec![("group".to_owned(), name.clone()), ("cause".to_owned(), cause.to_owned())],
            });
            None
        };
        let access = Access {
            control: gid("control_group", &settings.control_group),
            read: gid("read_group", &settings.read_group),
        };
        (access, lines)
    }
}

/// How long the user database may take. It may be in the network, which stands still meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// The answer, unless it takes too long: then it finds nobody.
fn in_time<T: Send + 'static>(name: &str, ask: impl FnOnce(String) -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = std::sync::mpsc::channel();
    let name = name.to_owned();
    let asking = std::thread::Builder::new().name("groups".to_owned());
    asking.spawn(move || drop(answer.send(ask(name)))).ok()?;
    answered.recv_timeout(PATIENCE).ok()
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
        if self.is_root() || member(access.control) {
            Rights::Control
        } else if member(access.read) {
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
        let access = Access { control: Some(7), read: Some(8) };
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

    #[test]
    fn unknown_groups_give_no_rights_and_a_line() {
        let settings = Daemon { control_group: Some("no-such-group-here".to_owned()), ..Daemon::default() };
        let (access, lines) = Access::of(&settings);
        assert_eq!(access, Access::default());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].text.contains("no-such-group-here"));
    }

    #[test]
    fn a_user_database_that_does_not_answer_is_not_waited_for() {
        assert_eq!(in_time("x", |name| name + "y").as_deref(), Some("xy"));
        let (_answer, never) = std::sync::mpsc::channel::<()>();
        assert_eq!(in_time("x", move |_| never.recv()), None);
    }
}
