//! Checks of what is configured against what the host shows (mpathd-behaviour.md 5.2 to 5.4). Each complaint is given
//! once, and withdrawn when what it is about has been mended.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag::{self, Message};
use crate::group::NicId;
use mpath_model::addr::Family;
use mpath_model::settings::TestAddress;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a complaint is about: one of these for one NIC of one group (and address or partner).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    /// The test address is on another NIC of this host too.
    DuplicateTestAddress,
    /// Two members share a link-layer address.
    SameMac,
    /// The member's MTU differs from the others'.
    Mtu,
    /// The member is a port of something else.
    Port,
    /// A family that the other members have is missing.
    Plumbing,
    /// The member and another one do not hear each other.
    Apart,
    /// Another host has a data address.
    Taken,
}

/// Kind, group, NIC, detail.
pub(super) type Key = (Kind, String, String, String);

/// Complaints in force, with what is said when one is withdrawn.
pub(super) type Complaints = BTreeMap<Key, Option<Message>>;

impl Engine {
    /// Compares complaints with those in force. Plumbing is looked at with each full scan only: addresses come and go
    /// while a NIC starts.
    pub(super) fn check(&mut self, out: &mut Vec<Action>) {
        let mut found: BTreeMap<Key, (Message, Option<Message>)> = BTreeMap::new();
        let scanned = std::mem::take(&mut self.scanned);
        for g in
            (0..self.groups.len()).filter(|g| !self.groups[*g].retiring && self.groups[*g].lagg.is_none())
        {
            for n in 0..self.groups[g].nics.len() {
                found.extend(self.duplicates(g, n));
                found.extend(self.same_mac(g, n));
                found.extend(self.mtu(g, n));
                found.extend(self.port(g, n));
                found.extend(self.apart(g, n));
                found.extend(self.taken(g, n));
                found.extend(self.plumbing(g, n).filter(|_| scanned));
            }
        }
        let checked = |key: &Key| scanned || key.0 != Kind::Plumbing;
        let cured: Vec<Key> =
            self.complaints.keys().filter(|k| checked(k) && !found.contains_key(*k)).cloned().collect();
        for key in cured {
            if let Some(message) = self.complaints.remove(&key).flatten() {
                self.tell(out, message);
            }
        }
        for (key, (message, cure)) in found {
            if self.complaints.insert(key, cure).is_none() {
                self.tell(out, message);
            }
        }
    }

    fn key(&self, kind: Kind, g: GroupId, n: NicId, detail: impl ToString) -> Key {
        let group = &self.groups[g];
        (kind, group.settings.name.clone(), group.nics[n].name().to_string(), detail.to_string())
    }

    /// Every test address must be unique on the host; a link-local address that two NICs share comes from equal MACs.
    fn duplicates(&self, g: GroupId, n: NicId) -> Vec<(Key, (Message, Option<Message>))> {
        let nic = &self.groups[g].nics[n];
        let written = nic.settings.test_addresses.iter().filter_map(|t| match t {
            TestAddress::Address(a) => Some(a.address),
            TestAddress::LinkLocal => nic.index.and_then(|i| self.inventory.link_local(i)),
        });
        written
            .filter(|a| nic.index.is_some() && !nic.offline && self.elsewhere(g, n, a))
            .map(|a| {
                let key = self.key(Kind::DuplicateTestAddress, g, n, a);
                let message = diag::duplicate_test_address(self.about(g, n), a);
                (key, (message, Some(diag::unique_test_address(self.about(g, n), a))))
            })
            .collect()
    }

    /// Whether an address is on an interface other than this NIC.
    pub(super) fn elsewhere(&self, g: GroupId, n: NicId, address: &IpAddr) -> bool {
        self.inventory.is_elsewhere(address, self.groups[g].nics[n].index)
    }

    fn same_mac(&self, g: GroupId, n: NicId) -> Option<(Key, (Message, Option<Message>))> {
        let group = &self.groups[g];
        let mac =
            |n: NicId| group.nics[n].index.and_then(|i| self.inventory.links.get(&i)).and_then(|l| l.mac);
        let mine = mac(n)?;
        let other = (0..n).find(|o| mac(*o) == Some(mine))?;
        let key = self.key(Kind::SameMac, g, n, group.nics[other].name());
        let message = diag::same_mac(self.about(g, n), group.nics[other].name(), mine);
        Some((key, (message, Some(diag::own_mac(self.about(g, n))))))
    }

    /// Members of a group must be on one link (in.mpathd(1M), DESCRIPTION).
    fn apart(&self, g: GroupId, n: NicId) -> Vec<(Key, (Message, Option<Message>))> {
        let group = &self.groups[g];
        let others = (0..n).filter(|o| group.apart(*o, n));
        others
            .map(|o| {
                let other = group.nics[o].name();
                let message = diag::not_on_one_link(self.about(g, n), other);
                let cure = diag::on_one_link(self.about(g, n), other);
                (self.key(Kind::Apart, g, n, other), (message, Some(cure)))
            })
            .collect()
    }

    /// Somebody else has a data address that is new to this host: it stays his (RFC 5227; RFC 4862, section 5.4).
    fn taken(&self, g: GroupId, n: NicId) -> Vec<(Key, (Message, Option<Message>))> {
        let taken = self.taken_from(g, n).into_iter();
        taken
            .map(|(address, mac)| {
                let key = self.key(Kind::Taken, g, n, address);
                let message = diag::address_taken(self.about(g, n), address, mac);
                (key, (message, Some(diag::address_free(self.about(g, n), address))))
            })
            .collect()
    }

    /// What fits one member may not fit another: probes pass, large packets do not (linux-failover.md, pitfall 31).
    fn mtu(&self, g: GroupId, n: NicId) -> Option<(Key, (Message, Option<Message>))> {
        let group = &self.groups[g];
        let link = |n: NicId| group.nics[n].index.and_then(|i| self.inventory.links.get(&i));
        let mine = link(n)?;
        let other = (0..n).find_map(link).filter(|o| o.mtu != mine.mtu)?;
        let key = self.key(Kind::Mtu, g, n, format!("{} ({} and {})", other.name, other.mtu, mine.mtu));
        let message = diag::other_mtu(self.about(g, n), mine.mtu, &other.name, other.mtu);
        Some((key, (message, Some(diag::same_mtu(self.about(g, n), &other.name)))))
    }

    /// A port of a bridge, bond or team holds no addresses of its own (linux-failover.md, pitfall 27).
    fn port(&self, g: GroupId, n: NicId) -> Option<(Key, (Message, Option<Message>))> {
        let group = &self.groups[g];
        let link = self.inventory.link_named(group.nics[n].name()).filter(|_| !group.anonymous)?;
        let master = self.inventory.links.get(&link.master?)?;
        let key = self.key(Kind::Port, g, n, &master.name);
        Some((key, (diag::enslaved(self.about(g, n), &master.name), None)))
    }

    /// All members must be plumbed alike. IPv4 is looked at first, and only one family is reported.
    fn plumbing(&self, g: GroupId, n: NicId) -> impl Iterator<Item = (Key, (Message, Option<Message>))> {
        let group = &self.groups[g];
        let relevant = !group.anonymous && group.nics[n].index.is_some() && !group.nics[n].offline;
        let lacking = Family::BOTH.into_iter().find(|f| relevant && self.lacks(g, n, *f));
        lacking
            .map(|family| {
                let key = self.key(Kind::Plumbing, g, n, family);
                let message = diag::not_plumbed(self.about(g, n), &group.settings.name, family);
                (key, (message, Some(diag::consistent(self.about(g, n), &group.settings.name))))
            })
            .into_iter()
    }

    /// IPv4: the others have test addresses of it and this one has neither a test nor a home address. IPv6: it is
    /// disabled here, or there is no link-local address although the link is up, while the group uses IPv6.
    fn lacks(&self, g: GroupId, n: NicId, family: Family) -> bool {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let tests = |nic: &crate::nic::Nic| {
            nic.settings.test_addresses.iter().any(|t| match t {
                TestAddress::Address(a) => a.family() == family,
                TestAddress::LinkLocal => family == Family::Inet6,
            })
        };
        let homes = |n: NicId| group.addresses.iter().any(|a| a.home == n && a.addr.family() == family);
        let used = group.nics.iter().any(tests);
        match family {
            Family::Inet => used && !tests(nic) && !homes(n),
            Family::Inet6 => {
                let used = used || group.addresses.iter().any(|a| a.addr.family() == family);
                let bare = nic.link && nic.index.is_some_and(|i| self.inventory.link_local(i).is_none());
                used && (!self.inventory.has_family(nic.name(), family) || bare)
            }
        }
    }
}
