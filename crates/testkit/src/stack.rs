//! Which address families the server speaks.

use crate::lan::{DATA4, DATA6};
use mpath_model::Family;

/// The server's address families. Routers and clients always speak both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// IPv4 and IPv6.
    #[default]
    Dual,
    /// No IPv4 address at all, the loopback's neither.
    NoIpv4,
    /// `net.ipv6.conf.all.disable_ipv6=1` before there is a NIC.
    NoIpv6,
}

impl Stack {
    /// Whether the server speaks this family.
    pub fn has(self, family: Family) -> bool {
        match self {
            Stack::Dual => true,
            Stack::NoIpv4 => family == Family::Inet6,
            Stack::NoIpv6 => family == Family::Inet,
        }
    }

    /// The data addresses that the server can have, without prefix length.
    pub fn data(self) -> Vec<&'static str> {
        let all = [(Family::Inet, DATA4), (Family::Inet6, DATA6)];
        all.into_iter().filter(|(family, _)| self.has(*family)).map(|(_, data)| data).collect()
    }
}

/// An address of the standard network with the length of its prefix there.
pub fn with_prefix(address: &str) -> String {
    let length = if address.contains(':') { 64 } else { 24 };
    format!("{address}/{length}")
}
