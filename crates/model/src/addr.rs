//! Address families, link-layer addresses and interface addresses (`ADDRESS/PREFIX`).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Address family of a probe instance, as in.mpathd(1M) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::Inet, Family::Inet6];

    /// Family of an address.
    pub fn of(address: &IpAddr) -> Family {
        if address.is_ipv4() { Family::Inet } else { Family::Inet6 }
    }

    /// Bits in an address of this family.
    pub fn bits(self) -> u8 {
        match self {
            Family::Inet => 32,
            Family::Inet6 => 128,
        }
    }

    /// AF_INET or AF_INET6.
    pub fn af(self) -> u8 {
        match self {
            Family::Inet => 2,
            Family::Inet6 => 10,
        }
    }

    /// `IPv4` or `IPv6`, for texts.
    pub fn version(self) -> &'static str {
        match self {
            Family::Inet => "IPv4",
            Family::Inet6 => "IPv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Inet => "inet",
            Family::Inet6 => "inet6",
        })
    }
}

/// Ethernet address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// The IPv6 link-local address that is made from it (RFC 2464, section 4, modified EUI-64).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let half = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(half))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Mac, String> {
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or_else(|| bad_mac(text))?;
        }
        if parts.next().is_some() { Err(bad_mac(text)) } else { Ok(Mac(bytes)) }
    }
}

fn bad_mac(text: &str) -> String {
    format!("'{text}' is not a link-layer address like 02:00:00:00:00:01")
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Mac, String> {
        text.parse()
    }
}

/// An interface address with its prefix length, written `192.0.2.10/24`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct IfAddr {
    /// The address itself.
    pub address: IpAddr,
    /// Prefix length in bits: 0 to 32 or 0 to 128.
    pub prefix_len: u8,
}

impl IfAddr {
    /// Address with prefix length; the length is clamped to the family's bits.
    pub fn new(address: IpAddr, prefix_len: u8) -> IfAddr {
        IfAddr { address, prefix_len: prefix_len.min(Family::of(&address).bits()) }
    }

    /// Family of the address.
    pub fn family(&self) -> Family {
        Family::of(&self.address)
    }

    /// The network the address lies in, host bits zero.
    pub fn network(&self) -> IfAddr {
        IfAddr { address: mask(self.address, self.prefix_len), prefix_len: self.prefix_len }
    }

    /// Whether `other` lies in this address's network.
    pub fn contains(&self, other: &IpAddr) -> bool {
        Family::of(other) == self.family() && mask(*other, self.prefix_len) == self.network().address
    }

    /// /32 or /128: no network but the address itself.
    pub fn is_host(&self) -> bool {
        self.prefix_len == self.family().bits()
    }
}

/// `address` with all but the first `prefix_len` bits cleared.
pub fn mask(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
            IpAddr::V4((a.to_bits() & keep).into())
        }
        IpAddr::V6(a) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
            IpAddr::V6((a.to_bits() & keep).into())
        }
    }
}

/// IPv6 link-local unicast (fe80::/10).
pub fn is_link_local6(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.segments()[0] & 0xffc0 == 0xfe80)
}

impl fmt::Display for IfAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl fmt::Debug for IfAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<IfAddr> for String {
    fn from(a: IfAddr) -> String {
        a.to_string()
    }
}

impl FromStr for IfAddr {
    type Err = String;
    fn from_str(text: &str) -> Result<IfAddr, String> {
        let (address, length) = text
            .split_once('/')
            .ok_or_else(|| format!("'{text}' has no prefix length (write it like 192.0.2.10/24)"))?;
        let address: IpAddr =
            address.parse().map_err(|_| format!("'{address}' is not an IPv4 or IPv6 address"))?;
        let bits = Family::of(&address).bits();
        let prefix_len = length
            .parse::<u8>()
            .ok()
            .filter(|l| *l <= bits && length.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| format!("'{length}' is not a prefix length from 0 to {bits}"))?;
        Ok(IfAddr { address, prefix_len })
    }
}

impl TryFrom<String> for IfAddr {
    type Error = String;
    fn try_from(text: String) -> Result<IfAddr, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4291, appendix A.
    #[test]
    fn link_local_addresses_of_macs() {
        let mac: Mac = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn networks_and_membership() {
        let a: IfAddr = "192.0.2.10/24".parse().unwrap();
        assert_eq!(a.network().to_string(), "192.0.2.0/24");
        assert!(a.contains(&"192.0.2.255".parse().unwrap()));
        assert!(!a.contains(&"192.0.3.1".parse().unwrap()));
        assert!(!a.contains(&"2001:db8::1".parse().unwrap()));
        let all: IfAddr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(&"203.0.113.9".parse().unwrap()));
        let six: IfAddr = "2001:db8::10/64".parse().unwrap();
        assert_eq!(six.network().to_string(), "2001:db8::/64");
        assert!("2001:db8::1/128".parse::<IfAddr>().unwrap().is_host());
    }

    #[test]
    fn bad_texts_say_what_is_wrong() {
        for bad in ["192.0.2.10", "192.0.2.10/33", "192.0.2.300/24", "x/24", "192.0.2.1/+4", "::1/129"] {
            assert!(bad.parse::<IfAddr>().is_err(), "{bad}");
        }
        assert!("02:00:00:00:00".parse::<Mac>().is_err());
        assert_eq!("02:00:00:00:00:0a".parse::<Mac>().unwrap().to_string(), "02:00:00:00:00:0a");
    }
}
