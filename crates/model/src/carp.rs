//! What is said of CARP on all sides: who takes part, what an advertisement says, and the passphrase, which nothing
//! here ever shows.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What a vhid runs over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// A NIC or a lagg, by name.
    Interface(String),
    /// Whichever member of a group is active.
    Group(String),
}

impl Over {
    /// The name of the interface or the group.
    pub fn name(&self) -> &str {
        match self {
            Over::Interface(name) | Over::Group(name) => name,
        }
    }

    /// Interface, if it is one.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Over::Interface(name) => Some(name),
            Over::Group(_) => None,
        }
    }

    /// Group, if it is one.
    pub fn group(&self) -> Option<&str> {
        match self {
            Over::Group(name) => Some(name),
            Over::Interface(_) => None,
        }
    }
}

/// One vhid of this host, as the kernel's log of FreeBSD writes it: `1@em0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CarpId {
    /// What it runs over.
    pub over: Over,
    /// 1 to 255.
    pub vhid: u8,
}

impl fmt::Display for CarpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.vhid, self.over.name())
    }
}

/// What an advertisement says, its proof of authenticity apart (lagg-carp.md B.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// 1 to 255.
    pub vhid: u8,
    /// Seconds between adverts.
    pub advbase: u8,
    /// 1/256 seconds more.
    pub advskew: u8,
    /// Demotion counter of OpenBSD; 0 from everybody else.
    pub demote: u8,
    /// Counter that enters the digest.
    pub counter: u64,
}

/// A packet of CARP's protocol number that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardAdvert {
    /// Source address.
    pub from: IpAddr,
    /// TTL or hop limit.
    pub hops: u8,
    /// What was in it.
    pub content: Content,
}

/// What the packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Fewer than 36 octets.
    Short,
    /// The checksum is wrong.
    BadChecksum,
    /// A well-formed packet.
    Advert {
        /// CARP version, which must be 2.
        version: u8,
        /// What it says.
        advert: Advert,
        /// The digest is right for the passphrase and the addresses of this vhid on this interface.
        authentic: bool,
    },
}

/// An advertisement to send. Its digest is made where the passphrases are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAdvert {
    /// Interface it leaves through.
    pub index: crate::IfIndex,
    /// Whose passphrase and addresses make the digest.
    pub id: CarpId,
    /// Source address, also says the family; unspecified where the interface has none.
    pub source: IpAddr,
    /// Sender's link-layer address: the virtual one, or none for the interface's own.
    pub mac: Option<crate::Mac>,
    /// Peer instead of the multicast group.
    pub peer: Option<IpAddr>,
    /// What it says.
    pub advert: Advert,
}

/// A passphrase. It is never shown, logged or serialised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Passphrase(Vec<u8>);

impl Passphrase {
    /// Octets that count; more are cut off (lagg-carp.md B.2).
    pub const LONGEST: usize = 19;

    /// From its octets.
    pub fn new(octets: impl Into<Vec<u8>>) -> Passphrase {
        Passphrase(octets.into())
    }

    /// The octets that count.
    pub fn octets(&self) -> &[u8] {
        &self.0[..self.0.len().min(Self::LONGEST)]
    }

    /// Whether some of it does not count.
    pub fn is_too_long(&self) -> bool {
        self.0.len() > Self::LONGEST
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(not shown)")
    }
}

impl Drop for Passphrase {
    /// As far as safe code can: the memory is not left to the next owner as it was.
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_not_shown_and_end_after_19_octets() {
        let p = Passphrase::new(b"0123456789abcdefghij".to_vec());
        assert_eq!(p.octets(), b"0123456789abcdefghi");
        assert!(p.is_too_long() && !Passphrase::new(*b"mekmitasdigoat").is_too_long());
        assert!(!format!("{p:?}").contains('5'));
    }

    #[test]
    fn a_vhid_is_called_as_freebsd_calls_it() {
        let id = CarpId { over: Over::Interface("em0".into()), vhid: 1 };
        assert_eq!(id.to_string(), "1@em0");
    }
}
