//! The groups, and which of them need a look: one that something has changed, and one whose time has come. Of hundreds of
//! groups hardly any does at one moment, so that what a moment costs does not depend on their number.

use super::GroupId;
use crate::group::Group;
use mpath_model::Time;
use serde::{Deserialize, Serialize, Serializer};
use std::ops::{Deref, Index, IndexMut};

/// All groups. Whoever may write to one marks it as changed by that.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<Group>")]
pub(super) struct Groups {
    list: Vec<Group>,
    /// One for each group.
    wakes: Vec<Wake>,
}

/// When a group wants to be looked at.
#[derive(Clone, Copy, Debug)]
struct Wake {
    /// Written to since it was looked at.
    changed: bool,
    /// When it has something to do by itself; outer none: not known since it was written to.
    due: Option<Option<Time>>,
}

impl Default for Wake {
    fn default() -> Wake {
        Wake { changed: true, due: None }
    }
}

impl Groups {
    /// Something that all of them are judged by has changed.
    pub(super) fn touch(&mut self) {
        self.wakes.clear();
        self.wakes.resize_with(self.list.len(), Wake::default);
    }

    /// The groups that need a look now, in order. They count as looked at, and when they are due is not known any more.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<GroupId> {
        let mut found = Vec::new();
        for (g, wake) in self.wakes.iter_mut().enumerate() {
            if wake.changed || wake.due.is_none_or(|due| due.is_some_and(|t| t <= now)) {
                found.push(g);
                *wake = Wake { changed: false, due: None };
            }
        }
        found
    }

    /// Groups of which it is not known when they have something to do.
    pub(super) fn unknown(&self) -> impl Iterator<Item = GroupId> {
        self.wakes.iter().enumerate().filter(|(_, w)| w.due.is_none()).map(|(g, _)| g)
    }

    /// When a group has something to do by itself.
    pub(super) fn set_due(&mut self, g: GroupId, due: Option<Time>) {
        self.wakes[g].due = Some(due);
    }

    /// When a group has something to do by itself, if that is known.
    pub(super) fn due(&self, g: GroupId) -> Option<Option<Time>> {
        self.wakes[g].due
    }

    /// When the first of them has something to do by itself, as far as that is known.
    pub(super) fn next(&self) -> Option<Time> {
        self.wakes.iter().filter_map(|w| w.due.flatten()).min()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Group> {
        self.touch();
        self.list.iter_mut()
    }

    pub(super) fn push(&mut self, group: Group) {
        self.list.push(group);
        self.touch();
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Group) -> bool) {
        self.list.retain(keep);
        self.touch();
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl From<Vec<Group>> for Groups {
    fn from(list: Vec<Group>) -> Groups {
        let mut groups = Groups { list, wakes: Vec::new() };
        groups.touch();
        groups
    }
}

impl Deref for Groups {
    type Target = [Group];

    fn deref(&self) -> &[Group] {
        &self.list
    }
}

impl Index<GroupId> for Groups {
    type Output = Group;

    fn index(&self, g: GroupId) -> &Group {
        &self.list[g]
    }
}

impl IndexMut<GroupId> for Groups {
    fn index_mut(&mut self, g: GroupId) -> &mut Group {
        self.wakes[g] = Wake::default();
        &mut self.list[g]
    }
}

impl<'a> IntoIterator for &'a mut Groups {
    type Item = &'a mut Group;
    type IntoIter = std::slice::IterMut<'a, Group>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
