//! What the kernel shows of a host: addresses, routes and neighbours. Read afresh each time.

use super::Lan;
use crate::error::{Context, Error};
use crate::host::Host;
use mpath_linux::Kernel;
use mpath_model::kernel::Inventory;
use mpath_model::{IfAddr, IfIndex, Mac};
use std::net::IpAddr;

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NicAddress {
    /// Interface name.
    pub nic: String,
    /// The address with its prefix length.
    pub addr: IfAddr,
}

impl Host {
    /// Everything the kernel shows in this namespace.
    pub fn inventory(&self) -> Result<Inventory, Error> {
        self.run(|| Kernel::open().and_then(|mut kernel| kernel.dump()))
            .context(|| format!("read links, addresses and routes of {}", self.name()))
    }

    /// All IPv4 and IPv6 addresses of the host, loopback and link-local ones included, sorted.
    pub fn addresses(&self) -> Result<Vec<NicAddress>, Error> {
        let inventory = self.inventory()?;
        let mut found: Vec<NicAddress> = inventory
            .addresses
            .iter()
            .map(|a| NicAddress { nic: name_of(&inventory, a.index), addr: a.addr })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Interfaces that have this address, given without prefix length.
    ///
    /// # Panics
    /// If `address` is none, or the kernel does not answer.
    #[track_caller]
    pub fn holders(&self, address: &str) -> Vec<String> {
        let wanted = ip(address);
        let all = self.addresses().unwrap_or_else(|e| panic!("{e}"));
        let holding = all.into_iter().filter(|a| a.addr.address == wanted);
        holding.map(|a| a.nic).collect()
    }

    /// Link-layer address that this host's neighbour table has for an address.
    ///
    /// # Panics
    /// If `address` is none, or the kernel does not answer.
    #[track_caller]
    pub fn neighbour_mac(&self, address: &str) -> Option<Mac> {
        let wanted = ip(address);
        let inventory = self.inventory().unwrap_or_else(|e| panic!("{e}"));
        inventory.neighbours.iter().find(|n| n.address == wanted).and_then(|n| n.mac)
    }

    /// Whether an interface exists, is up and has carrier.
    ///
    /// # Panics
    /// If the kernel does not answer.
    #[track_caller]
    pub fn is_running(&self, nic: &str) -> bool {
        let inventory = self.inventory().unwrap_or_else(|e| panic!("{e}"));
        inventory.links.iter().any(|l| l.name == nic && l.running)
    }
}

impl Lan {
    /// The one NIC of the server that has this address.
    ///
    /// # Panics
    /// If none or several have it; says what is where.
    #[track_caller]
    pub fn exactly_one_nic_has(&self, address: &str) -> String {
        let mut holders = self.server.holders(address);
        match (holders.pop(), holders.is_empty()) {
            (Some(nic), true) => nic,
            _ => panic!("{address} must be on exactly one NIC; the server has {:?}", self.server.addresses()),
        }
    }
}

fn name_of(inventory: &Inventory, index: IfIndex) -> String {
    let link = inventory.links.iter().find(|l| l.index == index);
    link.map_or_else(|| format!("if{index}"), |l| l.name.clone())
}

#[track_caller]
fn ip(address: &str) -> IpAddr {
    address.parse().unwrap_or_else(|_| panic!("'{address}' is not an address"))
}
