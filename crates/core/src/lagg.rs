//! Laggs: several ports that look like one interface (lagg(4), `laggproto failover`). The ports are probed and judged like the
//! members of a group without test addresses, in a group that has this beside it. What is decided about a lagg lives here,
//! apart from effects; `engine/lagging` makes it so.

mod choose;
mod describe;
mod plan;

pub use choose::{Port, choose, link_up, steering};
pub use describe::describe;
pub(crate) use plan::{plan, port_sysctls, release};

use crate::inventory::Inventory;
use crate::nic::Nic;
use crate::persist::{LaggMemory, PortMemory};
use mpath_model::kernel::{LaggBackend, Link, Steering, inner_name};
use mpath_model::settings;
use mpath_model::{IfAddr, IfIndex, Mac, Time};
use serde::{Deserialize, Serialize};

/// Position of a port, in configuration order.
pub(crate) type PortId = usize;

/// Back-ends in the order in which they are tried.
const ORDER: [LaggBackend; 3] = [LaggBackend::Bond, LaggBackend::Redirect, LaggBackend::Bridge];

/// A lagg, apart from its ports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lagg {
    /// Settings in force.
    pub(crate) settings: settings::Lagg,
    /// How it is made, or is to be tried next.
    pub(crate) backend: LaggBackend,
    /// Back-ends that this kernel does not have.
    pub(crate) lacking: Vec<LaggBackend>,
    /// mpathd made the interface of this name, or is about to.
    pub(crate) ours: bool,
    /// Its index while it exists and is ours.
    pub(crate) index: Option<IfIndex>,
    /// Link-layer address that it is to have; none: the one it has.
    pub(crate) mac: Option<Mac>,
    /// Port whose own link-layer address it has.
    pub(crate) primary: Option<String>,
    /// The active port.
    pub(crate) active: Option<PortId>,
    /// A choice has been made since start.
    pub(crate) chosen: bool,
    /// The port that was active before, until nothing is taken from it any more.
    pub(crate) draining: Option<(PortId, Time)>,
    /// Which ports had a link when they were looked at last.
    pub(crate) links: Vec<bool>,
    /// Since when each port has been usable.
    pub(crate) since: Vec<Option<Time>>,
    /// Ports as they were found, those included that have left and are not yet as they were.
    pub(crate) found: Vec<PortMemory>,
    /// Addresses that mpathd put on it.
    pub(crate) installed: Vec<IfAddr>,
    /// Link-layer address for which its redirections were asked for last.
    pub(crate) guarded: Option<Mac>,
    /// Something else has its name, and that has been said.
    pub(crate) told: bool,
    /// It has just been made: it is set up once its ports are in order.
    pub(crate) fresh: bool,
}

impl Lagg {
    /// A lagg of which nothing is known yet.
    pub(crate) fn new(settings: settings::Lagg) -> Lagg {
        Lagg {
            backend: settings.backend.unwrap_or(ORDER[0]),
            lacking: Vec::new(),
            ours: false,
            index: None,
            mac: None,
            primary: None,
            active: None,
            chosen: false,
            draining: None,
            links: vec![false; settings.ports.len()],
            since: vec![None; settings.ports.len()],
            found: Vec::new(),
            installed: Vec::new(),
            guarded: None,
            told: false,
            fresh: false,
            settings,
        }
    }

    /// The same lagg with other settings.
    pub(crate) fn with(&self, settings: settings::Lagg) -> Lagg {
        let place = |old: PortId| {
            let name = self.settings.ports.get(old)?;
            settings.ports.iter().position(|p| p == name)
        };
        let since = settings.ports.iter().map(|name| {
            let old = self.settings.ports.iter().position(|p| p == name)?;
            self.since.get(old).copied().flatten()
        });
        let gone = |name: &String| !settings.ports.contains(name);
        let head = settings.ports.first();
        let heir = head.filter(|_| self.primary.as_ref().is_some_and(gone));
        let inherited = heir.and_then(|h| self.found.iter().find(|m| m.name == *h)).map(|m| m.mac);
        Lagg {
            // The primary has left: the lagg looks like the next one (lagg-carp.md A.5).
            primary: heir.cloned().or_else(|| self.primary.clone()),
            mac: inherited.or(self.mac),
            active: self.active.and_then(place),
            draining: self.draining.and_then(|(port, until)| Some((place(port)?, until))),
            links: vec![false; settings.ports.len()],
            since: since.collect(),
            backend: settings.backend.unwrap_or(self.backend),
            settings,
            ..self.clone()
        }
    }

    /// Takes over what an earlier run left.
    pub(crate) fn restore(&mut self, memory: &LaggMemory) {
        self.ours = true;
        self.backend = self.settings.backend.unwrap_or(memory.backend);
        self.primary = memory.primary.clone();
        self.installed = memory.installed.clone();
        self.found = memory.ports.clone();
    }

    /// What must survive the process.
    pub(crate) fn memory(&self) -> Option<LaggMemory> {
        self.ours.then(|| LaggMemory {
            name: self.settings.name.clone(),
            backend: self.backend,
            primary: self.primary.clone(),
            installed: self.installed.clone(),
            ports: self.found.clone(),
        })
    }

    /// The interface, if there is one that can be ours; an error names what is in its place.
    pub(crate) fn link<'a>(&self, inv: &'a Inventory) -> Result<Option<&'a Link>, &'a Link> {
        let Some(link) = inv.link_named(&self.settings.name) else { return Ok(None) };
        let kind = match self.backend {
            LaggBackend::Redirect => "veth",
            LaggBackend::Bridge => "bridge",
            LaggBackend::Bond => "bond",
        };
        let pair = self.inner(inv).is_some();
        let ours = self.ours || (self.backend == LaggBackend::Redirect && pair);
        if ours && link.kind.as_deref() == Some(kind) { Ok(Some(link)) } else { Err(link) }
    }

    /// The hidden end of a redirecting lagg.
    pub(crate) fn inner<'a>(&self, inv: &'a Inventory) -> Option<&'a Link> {
        let found = inv.link_named(&inner_name(&self.settings.name));
        found.filter(|l| self.backend == LaggBackend::Redirect && l.kind.as_deref() == Some("veth"))
    }

    /// The kernel does not have this back-end. True if there is another one to try.
    pub(crate) fn lacks(&mut self, backend: LaggBackend) -> bool {
        if !self.lacking.contains(&backend) {
            self.lacking.push(backend);
        }
        let next = ORDER.into_iter().find(|b| !self.lacking.contains(b));
        match next.filter(|_| self.settings.backend.is_none()) {
            Some(next) => {
                self.backend = next;
                true
            }
            None => false,
        }
    }

    /// A port as it was found, if it is still the same interface.
    pub(crate) fn found(&self, name: &str, index: IfIndex) -> Option<&PortMemory> {
        self.found.iter().find(|m| m.name == name && m.index == index)
    }

    /// Remembers ports as they are, before anything is done to them.
    pub(crate) fn remember(&mut self, nics: &[Nic], inv: &Inventory) {
        for nic in nics {
            let link = nic.index.and_then(|i| inv.links.get(&i));
            let Some((link, mac)) = link.and_then(|l| Some((l, l.mac?))) else { continue };
            if self.found(nic.name(), link.index).is_none() {
                self.found.retain(|m| m.name != nic.name());
                let (name, index) = (link.name.clone(), link.index);
                self.found.push(PortMemory { name, index, mac, mtu: link.mtu, promisc: link.promisc });
            }
        }
    }

    /// The link-layer address with which a port speaks for itself: its own, unless that is the lagg's; then one made from it
    /// that is locally administered (IEEE 802, bit 1 of the first octet) and differs from it in any case.
    pub(crate) fn voice(&self, name: &str, lagg: Option<Mac>) -> Option<Mac> {
        let own = self.found.iter().find(|m| m.name == name)?.mac;
        if Some(own) != lagg {
            return Some(own);
        }
        let mut other = own;
        other.0[0] = (own.0[0] ^ 0x40) | 0x02;
        Some(other)
    }

    /// Where frames go now, as the kernel shows it.
    pub(crate) fn shown(&self, inv: &Inventory, ports: &[IfIndex]) -> Option<Steering> {
        if self.backend == LaggBackend::Redirect {
            return inv.steering.get(&self.settings.name).cloned();
        }
        let mut shown = Steering::default();
        for port in ports {
            match inv.links.get(port).filter(|l| l.master == self.index).and_then(|l| l.passes)? {
                true if shown.active.is_none() => shown.active = Some(*port),
                true => return None, // two are open
                false => shown.blocked.push(*port),
            }
        }
        shown.blocked.sort_unstable();
        Some(shown)
    }
}
