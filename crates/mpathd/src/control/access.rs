//! The groups of `[daemon]`, as numbers. The user database knows them, which may be in the network and stand still with it: it
//! is waited for briefly, and rights that are in force do not depend on whether it answers.

use mpath_core::diag::Line;
use mpath_model::Time;
use mpath_model::event::Level;
use mpath_model::settings::Daemon;
use nix::unistd::Group;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long the user database may take. Nothing else is done meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause before it is asked again, or looked whether it has answered at last.
const AGAIN: Duration = Duration::from_secs(10);

/// Who may do what besides root.
#[derive(Debug, Default)]
pub(crate) struct Access {
    control: Right,
    read: Right,
    /// When to ask again.
    again: Option<Time>,
}

/// What the members of a group may do.
#[derive(Debug, Default)]
struct Right {
    group: Option<String>,
    gid: Option<u32>,
    /// The question that has no answer yet.
    asked: Option<Receiver<Answer>>,
    /// The user database could not say.
    open: bool,
}

/// The number, none if there is no such group, or why neither is known.
type Answer = Result<Option<u32>, &'static str>;

impl Access {
    /// Members of this group may change things.
    pub(super) fn control(&self) -> Option<u32> {
        self.control.gid
    }

    /// Members of this group may read.
    pub(super) fn read(&self) -> Option<u32> {
        self.read.gid
    }

    /// Looks the groups of these settings up. The lines tell of those that are not found: nobody gets a right by them.
    pub(crate) fn change(&mut self, now: Time, settings: &Daemon) -> Vec<Line> {
        let control = self.control.change("control_group", settings.control_group.as_ref());
        let read = self.read.change("read_group", settings.read_group.as_ref());
        self.wait(now);
        control.into_iter().chain(read).collect()
    }

    /// When [`Access::look`] wants to be called.
    pub(crate) fn next(&self) -> Option<Time> {
        self.again
    }

    /// Asks again, without waiting, what could not be answered.
    pub(crate) fn look(&mut self, now: Time) -> Vec<Line> {
        if self.again.is_none_or(|t| t > now) {
            return Vec::new();
        }
        let control = self.control.ask("control_group", Duration::ZERO);
        let read = self.read.ask("read_group", Duration::ZERO);
        self.wait(now);
        control.into_iter().chain(read).collect()
    }

    fn wait(&mut self, now: Time) {
        self.again = (self.control.open || self.read.open).then(|| now + AGAIN);
    }
}

impl Right {
    fn change(&mut self, key: &str, group: Option<&String>) -> Option<Line> {
        if self.group.as_ref() != group {
            *self = Right { group: group.cloned(), ..Right::default() };
        }
        self.open = group.is_some();
        self.asked = None;
        self.ask(key, PATIENCE)
    }

    /// The line tells of what has changed for the worse.
    fn ask(&mut self, key: &str, patience: Duration) -> Option<Line> {
        let group = self.group.clone().filter(|_| self.open)?;
        let asked = self.asked.take().or_else(|| question(&group))?;
        let first = patience > Duration::ZERO;
        let cause = match asked.recv_timeout(patience) {
            Ok(Ok(gid)) => {
                (self.gid, self.open) = (gid, false);
                gid.is_none().then_some("no such group")
            }
            Ok(Err(cause)) => first.then_some(cause),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.asked = Some(asked);
                first.then_some("the user database does not answer")
            }
        };
        let text = match self.gid {
            None => format!("{key} {group} not found: nobody but root has its rights"),
            Some(_) => format!("{key} {group} not found now: its members keep their rights"),
        };
        let fields = vec![("group".to_owned(), group), ("cause".to_owned(), cause?.to_owned())];
        Some(Line { level: Level::Warning, text, fields })
    }
}

/// Asks in a thread of its own: nobody can say when the answer comes.
fn question(group: &str) -> Option<Receiver<Answer>> {
    let (answer, asked) = channel();
    let group = group.to_owned();
    let ask = move || {
        let found = Group::from_name(&group).map(|found| found.map(|g| g.gid.as_raw()));
        // The group may have been changed meanwhile.
        let _ = answer.send(found.map_err(nix::errno::Errno::desc));
    };
    std::thread::Builder::new().name("groups".to_owned()).spawn(ask).ok()?;
    Some(asked)
}

#[cfg(test)]
impl Access {
    /// As if these groups had been found.
    pub(super) fn known(control: Option<u32>, read: Option<u32>) -> Access {
        let right = |gid| Right { group: Some("known".to_owned()), gid, ..Right::default() };
        Access { control: right(control), read: right(read), again: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Time = Time(1_000_000_000);

    fn settings(group: &str) -> Daemon {
        Daemon { control_group: Some(group.to_owned()), ..Daemon::default() }
    }

    #[test]
    fn unknown_groups_give_no_rights_and_a_line() {
        let mut access = Access::default();
        let lines = access.change(T, &settings("no-such-group-here"));
        assert_eq!((access.control(), access.read(), access.next()), (None, None, None));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].text.contains("no-such-group-here"));
        assert!(access.change(T, &settings("root")).is_empty());
        assert_eq!(access.control(), Some(0));
        access.change(T, &Daemon::default());
        assert_eq!(access.control(), None);
    }

    /// What was found stays found while the user database does not answer, and is asked for again.
    #[test]
    fn a_user_database_that_does_not_answer_takes_no_right_away() {
        let (answer, asked) = channel();
        let mut right = Right { group: Some("ops".to_owned()), gid: Some(7), asked: Some(asked), open: true };
        let line = right.ask("control_group", Duration::from_millis(1)).unwrap();
        assert!(line.text.ends_with("its members keep their rights"), "{line:?}");
        assert_eq!((right.gid, right.open), (Some(7), true));
        assert!(right.ask("control_group", Duration::ZERO).is_none(), "told once");
        answer.send(Ok(Some(8))).unwrap();
        assert!(right.ask("control_group", Duration::ZERO).is_none());
        assert_eq!((right.gid, right.open), (Some(8), false));

        let (answer, asked) = channel();
        answer.send(Err("Input/output error")).unwrap();
        (right.asked, right.open) = (Some(asked), true);
        assert!(right.ask("control_group", PATIENCE).is_some());
        assert_eq!((right.gid, right.open), (Some(8), true));

        let mut access = Access { control: right, ..Access::default() };
        access.wait(T);
        assert_eq!(access.next(), Some(T + AGAIN));
        assert!(access.look(T).is_empty());
    }
}
