//! What the kernel shows of a [`Lan`]: addresses on NICs. Read afresh each time.

use super::Lan;
use crate::error::{Context, Error};
use crate::host::Host;
use mpath_model::IfAddr;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;
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
    /// All IPv4 and IPv6 addresses of the host, loopback and link-local ones included, sorted.
    pub fn addresses(&self) -> Result<Vec<NicAddress>, Error> {
        let mut found: Vec<NicAddress> = self
            .run(|| getifaddrs().map(|all| all.filter_map(nic_address).collect()))
            .context(|| format!("list the addresses of {}", self.name()))?;
        found.sort();
        Ok(found)
    }

    /// Interfaces that have this address, given without prefix length.
    ///
    /// # Panics
    /// If `address` is none, or the kernel does not answer.
    pub fn holders(&self, address: &str) -> Vec<String> {
        let wanted: IpAddr = address.parse().expect("an address as text");
        let all = self.addresses().unwrap_or_else(|e| panic!("{e}"));
        let holding = all.into_iter().filter(|a| a.addr.address == wanted);
        holding.map(|a| a.nic).collect()
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
            _ => panic!(
                "{address} must be on exactly one NIC; the server has {:?}",
                self.server.addresses()
            ),
        }
    }
}

fn nic_address(entry: InterfaceAddress) -> Option<NicAddress> {
    let address = ip(entry.address.as_ref()?)?;
    let prefix_len = prefix(ip(entry.netmask.as_ref()?)?);
    Some(NicAddress {
        nic: entry.interface_name,
        addr: IfAddr { address, prefix_len },
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn prefix(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(m) => m.to_bits().count_ones(),
        IpAddr::V6(m) => m.to_bits().count_ones(),
    };
    u8::try_from(ones).unwrap_or(u8::MAX)
}
