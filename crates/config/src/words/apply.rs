//! Changes of one interface put into settings. Whether the settings that come out are free of contradictions is found by
//! reading them again as a file.

use super::{Action, AddressChange, Change, VhidChange};
use mpath_model::carp::Over;
use mpath_model::settings::{
    Adopt, Carp, Confirm, DataAddress, Group, Interface, Lagg, PassphraseSource, ProbeMode, TestAddress,
    Thresholds,
};
use mpath_model::{Family, IfAddr, Settings};
use std::path::{Path, PathBuf};

/// What the settings do not say and the changes need.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Data addresses that were found on the NIC and adopted.
    pub adopted: Vec<IfAddr>,
    /// Directory for passphrases.
    pub keys: PathBuf,
}

/// A passphrase that has to be put into a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Name of the file in [`Surroundings::keys`].
    pub name: String,
    /// The passphrase.
    pub passphrase: String,
}

impl std::fmt::Debug for Key {
    /// Does not show the passphrase.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// What came of the changes besides new settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// To be done to the interface itself: up or down.
    pub admin: Option<bool>,
    /// To be done to the interface itself: MTU, bytes.
    pub mtu: Option<u32>,
    /// Passphrases.
    pub keys: Vec<Key>,
    /// What could not be done while the rest was; the exit status tells of it.
    pub warnings: Vec<String>,
    /// What was done otherwise than the words might suggest.
    pub notes: Vec<String>,
}

/// Puts the changes into the settings. On an error they are of no use any more. The errors are sentences.
pub fn apply(
    settings: &mut Settings,
    interface: &str,
    changes: &[Change],
    around: &Surroundings,
) -> Result<Outcome, String> {
    let mut job = Job { settings, interface, around, outcome: Outcome::default() };
    for change in changes {
        job.change(change)?;
    }
    Ok(job.outcome)
}

struct Job<'a> {
    settings: &'a mut Settings,
    interface: &'a str,
    around: &'a Surroundings,
    outcome: Outcome,
}

impl Job<'_> {
    fn change(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Create => self.create(),
            Change::Destroy => self.destroy(),
            Change::Admin(up) => {
                // A lagg is up as long as mpathd keeps it.
                if self.lagg().is_none() {
                    self.outcome.admin = Some(*up);
                } else if !up {
                    return Err(format!("{}: a lagg is kept up; destroy it instead", self.interface));
                }
                Ok(())
            }
            Change::Mtu(mtu) => {
                self.outcome.mtu = Some(*mtu);
                Ok(())
            }
            Change::Group(name) if name.is_empty() => self.leave(),
            Change::Group(name) => self.join(name),
            Change::Standby(standby) => {
                let name = self.interface.to_owned();
                self.member("standby")?.standby = *standby;
                let default_home =
                    || format!("{name} keeps its addresses as home, and is empty while another is usable");
                if *standby && self.units().iter().any(|u| matches!(u, Unit::Data(_))) {
                    self.outcome.notes.push(default_home());
                }
                Ok(())
            }
            Change::Failover { unit, family, may } => self.failover(*unit, *family, *may),
            Change::Address(change) => self.address(change),
            Change::Port(port) => self.add_port(port),
            Change::NoPort(port) => self.remove_port(port),
            Change::Vhid(change) => self.vhid(change),
        }
    }

    fn create(&mut self) -> Result<(), String> {
        if !is_lagg(self.interface) {
            return Err(format!("SIOCIFCREATE2 ({}): only laggN can be created", self.interface));
        }
        if self.lagg().is_some() {
            return Err(format!("SIOCIFCREATE2 ({}): File exists", self.interface));
        }
        let lagg = Lagg::new(self.interface, &self.settings.detection);
        self.settings.laggs.push(lagg);
        Ok(())
    }

    fn destroy(&mut self) -> Result<(), String> {
        if self.lagg().is_none() {
            return Err(format!("SIOCIFDESTROY: {} is no lagg of mpathd", self.interface));
        }
        self.settings.laggs.retain(|l| l.name != self.interface);
        self.settings.carps.retain(|c| c.over.interface() != Some(self.interface));
        Ok(())
    }

    fn lagg(&mut self) -> Option<&mut Lagg> {
        self.settings.laggs.iter_mut().find(|l| l.name == self.interface)
    }

    fn need_lagg(&mut self) -> Result<&mut Lagg, String> {
        let name = self.interface;
        self.lagg().ok_or_else(|| format!("interface {name} does not exist: write {name} create first"))
    }

    fn add_port(&mut self, port: &str) -> Result<(), String> {
        let name = self.interface;
        let taken = self.settings.laggs.iter().any(|l| l.name != name && l.ports.iter().any(|p| p == port));
        let member = self.settings.group_of(port).map(|g| g.name.clone());
        let lagg = self.need_lagg()?;
        if port == name || port.starts_with("lagg") {
            return Err(format!("{name} {port}: SIOCSLAGGPORT: Invalid argument: a lagg cannot be a port"));
        }
        if taken || member.is_some() {
            // As on FreeBSD: one port that is busy does not take down the lagg.
            let why = member.map_or("another lagg".to_owned(), |g| format!("group {g}"));
            self.outcome.warnings.push(format!("{name} {port}: SIOCSLAGGPORT: Device busy ({why} has it)"));
        } else if !lagg.ports.iter().any(|p| p == port) {
            lagg.ports.push(port.to_owned());
        }
        Ok(())
    }

    fn remove_port(&mut self, port: &str) -> Result<(), String> {
        let lagg = self.need_lagg()?;
        if !lagg.ports.iter().any(|p| p == port) {
            return Err(format!("SIOCSLAGGDELPORT: {port} is not a port of {}", self.interface));
        }
        lagg.ports.retain(|p| p != port);
        Ok(())
    }

    fn group(&mut self) -> Option<&mut Group> {
        let name = self.interface;
        self.settings.groups.iter_mut().find(|g| g.interfaces.iter().any(|i| i.name == name))
    }

    fn member(&mut self, word: &str) -> Result<&mut Interface, String> {
        let name = self.interface;
        let member = self.group().and_then(|g| g.interfaces.iter_mut().find(|i| i.name == name));
        member.ok_or_else(|| format!("'{word}': {name} is in no group; write group NAME, here or before"))
    }

    fn join(&mut self, name: &str) -> Result<(), String> {
        if self.group().is_some_and(|g| g.name == name) {
            return Ok(());
        }
        let (interface, addresses) = match self.group() {
            None => (
                Interface { name: self.interface.to_owned(), test_addresses: vec![], standby: false },
                vec![],
            ),
            Some(_) => self.take_out(),
        };
        let detection = &self.settings.detection;
        let (fdt, failback) = (detection.failure_detection_time, detection.failback);
        let group = match self.settings.groups.iter_mut().position(|g| g.name == name) {
            Some(n) => &mut self.settings.groups[n],
            None => {
                self.settings.groups.push(Group {
                    name: name.to_owned(),
                    failure_detection_time: fdt,
                    failback,
                    probe: ProbeMode::Auto,
                    targets: Vec::new(),
                    adopt: Adopt::Static,
                    confirm: Confirm::All,
                    thresholds: Thresholds::default(),
                    interfaces: Vec::new(),
                    addresses: Vec::new(),
                });
                self.settings.groups.last_mut().expect("pushed just now")
            }
        };
        group.interfaces.push(interface);
        group.addresses.extend(addresses);
        Ok(())
    }

    /// The NIC leaves its group and takes its addresses along.
    fn take_out(&mut self) -> (Interface, Vec<DataAddress>) {
        let name = self.interface;
        let group = self.group().expect("the caller found it");
        let at = group.interfaces.iter().position(|i| i.name == name).expect("it is a member");
        let interface = group.interfaces.remove(at);
        let (gone, stay) = std::mem::take(&mut group.addresses).into_iter().partition(|a| a.home == name);
        group.addresses = stay;
        self.settings.groups.retain(|g| !g.interfaces.is_empty());
        (interface, gone)
    }

    fn leave(&mut self) -> Result<(), String> {
        let name = self.interface;
        let Some(group) = self.group() else { return Ok(()) };
        let heir = group.interfaces.iter().filter(|i| i.name != name).min_by_key(|i| i.standby);
        let heir = heir.map(|i| i.name.clone());
        let declared = group.addresses.iter().any(|a| a.home == name);
        let Some(heir) = heir else {
            if declared {
                return Err(format!(
                    "{name} is the last of its group and has data addresses: removeif them first"
                ));
            }
            self.take_out();
            return Ok(());
        };
        let group_name = group.name.clone();
        let (_, addresses) = self.take_out();
        for a in &addresses {
            self.outcome
                .notes
                .push(format!("{} stays in group {group_name} and has {heir} as its home", a.address));
        }
        let group = self.settings.groups.iter_mut().find(|g| g.name == group_name);
        let moved = addresses.into_iter().map(|a| DataAddress { home: heir.clone(), ..a });
        group.expect("the heir is in it").addresses.extend(moved);
        Ok(())
    }

    /// The addresses of the NIC, in the order of its units: data addresses, then test addresses.
    fn units(&mut self) -> Vec<Unit> {
        let name = self.interface;
        let adopted = self.around.adopted.clone();
        let Some(group) = self.group() else { return Vec::new() };
        let declared: Vec<IfAddr> =
            group.addresses.iter().filter(|a| a.home == name).map(|a| a.address).collect();
        let found = adopted.into_iter().filter(|a| !declared.iter().any(|d| d.address == a.address));
        let found: Vec<Unit> = found.map(Unit::Adopted).collect();
        let tests = group.interfaces.iter().filter(|i| i.name == name).flat_map(|i| i.test_addresses.clone());
        let tests: Vec<Unit> = tests.filter_map(|t| t.address()).map(Unit::Test).collect();
        let found = found.into_iter().filter(|u| !tests.iter().any(|t| t.address() == u.address()));
        let found: Vec<Unit> = found.collect();
        declared.into_iter().map(Unit::Data).chain(found).chain(tests).collect()
    }

    fn failover(&mut self, unit: usize, family: Family, may: bool) -> Result<(), String> {
        let (name, word) = (self.interface, if may { "failover" } else { "-failover" });
        if (unit, family) == (0, Family::Inet6) {
            return self.link_local(word, !may);
        }
        self.member(word)?;
        let units = self.units();
        let is_as_wanted = |u: &Unit| matches!(u, Unit::Test(_)) != may;
        let of_family = |u: &&Unit| u.address().family() == family;
        let chosen = match units.get(unit) {
            None if unit > 0 => return Err(format!("{name}:{unit}: no such address")),
            Some(u) if unit > 0 || of_family(&u) && !is_as_wanted(u) => Some(u),
            // Said of the NIC as a whole: the one address that it can mean.
            _ => {
                let mut candidates = units.iter().filter(of_family).filter(|u| !is_as_wanted(u));
                match (candidates.next(), candidates.next()) {
                    (one, None) => one,
                    _ => return Err(format!("which address of {name}? write {name}:1, {name}:2, ...")),
                }
            }
        };
        match chosen {
            Some(unit) => self.classify(unit.address(), may),
            None if units.iter().any(|u| of_family(&u)) => Ok(()),
            None => Err(format!(
                "'{word}': {name} has no IPv4 address; of its link-local one, write inet6 {word}"
            )),
        }
    }

    /// `inet6 -failover`: the link-local address of the NIC is its test address for IPv6.
    fn link_local(&mut self, word: &str, tests: bool) -> Result<(), String> {
        let addresses = &mut self.member(word)?.test_addresses;
        let known = addresses.iter().position(|t| *t == TestAddress::LinkLocal);
        match (known, tests) {
            (None, true) => addresses.push(TestAddress::LinkLocal),
            (Some(n), false) => drop(addresses.remove(n)),
            _ => {}
        }
        Ok(())
    }

    /// Makes an address of a member a data address or a test address.
    fn classify(&mut self, address: IfAddr, may: bool) -> Result<(), String> {
        let name = self.interface.to_owned();
        if let Some(known) = self.declared(&address).filter(|_| may) {
            *known = address;
            return Ok(());
        }
        if let Some(known) = self.tested(&address).filter(|_| !may) {
            *known = TestAddress::Address(address);
            return Ok(());
        }
        self.forget(&address, None);
        if may {
            let group = self.group().ok_or_else(|| format!("{name} is in no group"))?;
            group.addresses.push(DataAddress { address, home: name });
        } else {
            self.member("-failover")?.test_addresses.push(TestAddress::Address(address));
        }
        Ok(())
    }

    /// The address as a data address of the NIC.
    fn declared(&mut self, address: &IfAddr) -> Option<&mut IfAddr> {
        let name = self.interface;
        let mut data = self.group()?.addresses.iter_mut().filter(|a| a.home == name).map(|a| &mut a.address);
        data.find(|a| a.address == address.address)
    }

    /// The address as a test address of the NIC.
    fn tested(&mut self, address: &IfAddr) -> Option<&mut TestAddress> {
        let name = self.interface;
        let nic = self.group()?.interfaces.iter_mut().find(|i| i.name == name)?;
        let at = |t: &TestAddress| matches!(t, TestAddress::Address(a) if a.address == address.address);
        nic.test_addresses.iter_mut().find(|t| at(t))
    }

    /// Takes an address out of all that the NIC has but the vhid `keeper`. True if it was there.
    fn forget(&mut self, address: &IfAddr, keeper: Option<u8>) -> bool {
        let name = self.interface;
        let same = |a: &IfAddr| a.address == address.address;
        let mut found = false;
        if let Some(group) = self.group() {
            let before = group.addresses.len();
            group.addresses.retain(|a| a.home != name || !same(&a.address));
            found |= before != group.addresses.len();
            for i in group.interfaces.iter_mut().filter(|i| i.name == name) {
                let before = i.test_addresses.len();
                i.test_addresses.retain(|t| !matches!(t, TestAddress::Address(a) if same(a)));
                found |= before != i.test_addresses.len();
            }
        }
        if let Some(lagg) = self.lagg() {
            let before = lagg.addresses.len();
            lagg.addresses.retain(|a| !same(a));
            found |= before != lagg.addresses.len();
        }
        let mut emptied = Vec::new();
        for (n, carp) in self.settings.carps.iter_mut().enumerate() {
            if carp.over.interface() == Some(name) && Some(carp.vhid) != keeper {
                let before = carp.addresses.len();
                carp.addresses.retain(|a| !same(a));
                found |= before != carp.addresses.len();
                if before > 0 && carp.addresses.is_empty() {
                    emptied.push(n);
                }
            }
        }
        // The last address gone, the vhid is destroyed.
        emptied.into_iter().rev().for_each(|n| drop(self.settings.carps.remove(n)));
        found
    }

    fn address(&mut self, change: &AddressChange) -> Result<(), String> {
        let (name, address) = (self.interface, change.address);
        if change.action == Action::Remove {
            if self.forget(&address, None) {
                return Ok(());
            }
            if self.around.adopted.iter().any(|a| a.address == address.address) {
                return Err(format!(
                    "{address} was found on {name}, not configured: delete it there and mpathd forgets it"
                ));
            }
            return Err(format!("{name} has no address {}", address.address));
        }
        if let Some(vhid) = change.vhid {
            self.forget(&address, Some(vhid));
            let addresses = &mut self.vhid_numbered(vhid).addresses;
            match addresses.iter_mut().find(|a| a.address == address.address) {
                Some(known) => *known = address,
                None => addresses.push(address),
            }
            return Ok(());
        }
        let in_group = self.group().is_some();
        if let Some(lagg) = self.lagg() {
            let first = lagg.addresses.iter().position(|a| a.family() == address.family());
            let known = lagg.addresses.iter().position(|a| a.address == address.address);
            match known.or(first.filter(|_| change.action == Action::Set)) {
                Some(n) => lagg.addresses[n] = address,
                None => lagg.addresses.push(address),
            }
            return Ok(());
        }
        if !in_group {
            return Err(format!(
                "{name} is in no group and no lagg, so that mpathd has no say in its addresses; write group NAME, here \
                 or before, or use `ip address add {address} dev {name}`"
            ));
        }
        if change.action == Action::Set {
            self.replace_first(&address);
        }
        // Said again, a test address stays one.
        let tested = self.tested(&address).is_some();
        self.classify(address, change.failover.unwrap_or(!tested))
    }

    /// A bare address takes the place of the first configured one of its family, unless it is there already.
    fn replace_first(&mut self, address: &IfAddr) {
        let units = self.units();
        let known = |u: &Unit| u.address().address == address.address;
        if units.iter().any(known) {
            return;
        }
        let first = units.iter().find(|u| u.address().family() == address.family());
        if let Some(Unit::Data(old)) = first {
            let old = *old;
            self.forget(&old, None);
            self.outcome
                .notes
                .push(format!("{address} takes the place of {old}; alias or addif would add it"));
        }
    }

    /// The vhid of the interface, made if it is not there.
    fn vhid_numbered(&mut self, vhid: u8) -> &mut Carp {
        let over = Over::Interface(self.interface.to_owned());
        let at = self.settings.carps.iter().position(|c| c.over == over && c.vhid == vhid);
        let n = at.unwrap_or_else(|| {
            self.settings.carps.push(Carp::new(over, vhid));
            self.settings.carps.len() - 1
        });
        &mut self.settings.carps[n]
    }

    fn vhid(&mut self, change: &VhidChange) -> Result<(), String> {
        let passphrase = change.passphrase.as_ref().map(|passphrase| {
            let name = format!("carp-{}-{}.key", self.interface, change.vhid);
            let file = self.around.keys.join(Path::new(&name));
            self.outcome.keys.push(Key { name, passphrase: passphrase.clone() });
            PassphraseSource::File(file)
        });
        let carp = self.vhid_numbered(change.vhid);
        carp.advbase = change.advbase.unwrap_or(carp.advbase);
        carp.advskew = change.advskew.unwrap_or(carp.advskew);
        carp.peer = change.peer.unwrap_or(carp.peer);
        carp.peer6 = change.peer6.unwrap_or(carp.peer6);
        if let Some(passphrase) = passphrase {
            carp.passphrase = passphrase;
        }
        Ok(())
    }
}

/// `laggN`, and not the VLAN `laggN.5` over it.
pub(crate) fn is_lagg(name: &str) -> bool {
    let digits = name.strip_prefix("lagg").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// An address of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Declared data address.
    Data(IfAddr),
    /// Found data address.
    Adopted(IfAddr),
    /// Test address. The link-local one has no number.
    Test(IfAddr),
}

impl Unit {
    fn address(&self) -> IfAddr {
        match self {
            Unit::Data(a) | Unit::Adopted(a) | Unit::Test(a) => *a,
        }
    }
}

#[cfg(test)]
mod tests;
