//! CARP advertisements (lagg-carp.md B.1 and B.2): the 36 octets, their checksum and digest, and the packets
//! around them. The same octets serve IPv4 and IPv6.

use crate::bytes::Reader;
use crate::ethernet::{self, ethertype};
use crate::{Error, checksum};
use hmac::{Hmac, KeyInit, Mac as _};
use mpath_model::Mac;
use mpath_model::addr::is_link_local6;
use mpath_model::carp::{Advert, Passphrase};
use sha1::Sha1;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol number, shared with VRRP.
pub const PROTOCOL: u8 = 112;
/// IPv4 multicast group.
pub const GROUP4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// IPv6 multicast group.
pub const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TTL and hop limit: proof that a packet comes from this link.
pub const HOPS: u8 = 255;
/// Type of service and traffic class: DSCP 56, as FreeBSD sends.
pub const TOS: u8 = 0xe0;
/// Octets of an advertisement.
pub const LEN: usize = 36;
/// The only version there is.
pub const VERSION: u8 = 2;

const TYPE_ADVERTISEMENT: u8 = 1;
/// Counter and digest in 32-bit words.
const AUTH_WORDS: u8 = 7;
const IPV4_HEADER: usize = 20;

/// 00:00:5e:00:01:VHID
pub fn virtual_mac(vhid: u8) -> Mac {
    Mac([0x00, 0x00, 0x5e, 0x00, 0x01, vhid])
}

/// An advertisement as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdu {
    /// Version, for the caller to look at: a check that comes after that of the vhid.
    pub version: u8,
    /// What it says.
    pub advert: Advert,
    /// The digest.
    pub md: [u8; 20],
}

/// What 36 octets or more say; only length and checksum are looked at. Type, authentication length and what is behind
/// the 36 octets nobody checks.
pub fn parse(payload: &[u8]) -> Result<Pdu, Error> {
    let mut r = Reader::new("CARP packet", payload, LEN)?;
    if checksum::internet(&payload[..LEN]) != 0 {
        return Err(Error::Checksum { what: "CARP packet" });
    }
    let version = r.u8()? >> 4;
    let (vhid, advskew) = (r.u8()?, r.u8()?);
    let _authlen = r.u8()?;
    let (demote, advbase) = (r.u8()?, r.u8()?);
    let _checksum = r.u16()?;
    let counter = r.u64()?;
    let advert = Advert { vhid, advbase, advskew, demote, counter };
    Ok(Pdu { version, advert, md: r.array()? })
}

/// Makes and checks the digests of one vhid. Key and addresses are worked in once; each packet costs a few rounds of
/// SHA-1.
#[derive(Clone)]
pub struct Authenticator {
    /// Over all addresses, as FreeBSD and ucarp do. This form is sent.
    full: Hmac<Sha1>,
    /// Without link-local addresses, as OpenBSD sends; only where it differs.
    without_link_local: Option<Hmac<Sha1>>,
}

impl Authenticator {
    /// For a vhid with these addresses, in any order.
    pub fn new(passphrase: &Passphrase, vhid: u8, addresses: &[IpAddr]) -> Authenticator {
        let keyed = |link_local: bool| {
            let mut mac = Hmac::<Sha1>::new_from_slice(passphrase.octets()).expect("HMAC takes any key");
            mac.update(&message_start(vhid, addresses, link_local));
            mac
        };
        let differs = addresses.iter().any(is_link_local6);
        Authenticator { full: keyed(true), without_link_local: differs.then(|| keyed(false)) }
    }

    /// The digest for a counter, in the form that is sent.
    pub fn digest(&self, counter: u64) -> [u8; 20] {
        let mut mac = self.full.clone();
        mac.update(&counter.to_be_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Whether a digest is right, in either form. Takes the same time wherever it is wrong.
    pub fn verify(&self, counter: u64, md: &[u8; 20]) -> bool {
        let fits = |mac: &Hmac<Sha1>| {
            let mut mac = mac.clone();
            mac.update(&counter.to_be_bytes());
            mac.verify_slice(md).is_ok()
        };
        let full = fits(&self.full);
        let without = self.without_link_local.as_ref().is_some_and(fits);
        full | without
    }

    /// The 36 octets.
    pub fn emit(&self, advert: &Advert) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[0] = VERSION << 4 | TYPE_ADVERTISEMENT;
        out[1] = advert.vhid;
        out[2] = advert.advskew;
        out[3] = AUTH_WORDS;
        out[4] = advert.demote;
        out[5] = advert.advbase;
        out[8..16].copy_from_slice(&advert.counter.to_be_bytes());
        out[16..].copy_from_slice(&self.digest(advert.counter));
        let sum = checksum::internet(&out);
        out[6..8].copy_from_slice(&sum.to_be_bytes());
        out
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator(not shown)")
    }
}

/// What the digest covers in front of the counter: version, type, vhid, then IPv4 and IPv6 addresses, each ascending,
/// each once, without unspecified and all-ones ones, link-local ones without their embedded scope.
fn message_start(vhid: u8, addresses: &[IpAddr], link_local: bool) -> Vec<u8> {
    let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
    for address in addresses {
        match address {
            IpAddr::V4(a) if !a.is_unspecified() && !a.is_broadcast() => {
                v4.insert(a.octets());
            }
            IpAddr::V6(a) if !a.is_unspecified() && a.to_bits() != u128::MAX => {
                let mut octets = a.octets();
                if is_link_local6(address) {
                    octets[2..4].fill(0);
                }
                if link_local || !is_link_local6(address) {
                    v6.insert(octets);
                }
            }
            _ => {}
        }
    }
    let mut message = vec![VERSION, TYPE_ADVERTISEMENT, vhid];
    message.extend(v4.iter().flatten());
    message.extend(v6.iter().flatten());
    message
}

/// An advertisement in its IPv4 packet to the multicast group: no options, DF, TTL 255.
pub fn packet4(source: Ipv4Addr, identification: u16, pdu: &[u8; LEN]) -> Vec<u8> {
    let mut out = Vec::with_capacity(IPV4_HEADER + LEN);
    let total = (IPV4_HEADER + LEN) as u16;
    out.extend([0x45, TOS]);
    out.extend(total.to_be_bytes());
    out.extend(identification.to_be_bytes());
    out.extend([0x40, 0, HOPS, PROTOCOL, 0, 0]);
    out.extend(source.octets());
    out.extend(GROUP4.octets());
    let sum = checksum::internet(&out);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(pdu);
    out
}

/// The same for IPv6.
pub fn packet6(source: Ipv6Addr, pdu: &[u8; LEN]) -> Vec<u8> {
    let mut out = Vec::with_capacity(crate::ipv6::HEADER_LEN + LEN);
    out.extend((6 << 28 | u32::from(TOS) << 20).to_be_bytes());
    out.extend((LEN as u16).to_be_bytes());
    out.extend([PROTOCOL, HOPS]);
    out.extend(source.octets());
    out.extend(GROUP6.octets());
    out.extend(pdu);
    out
}

/// The packet to the multicast group of the source's family in its frame.
pub fn frame(mac: Mac, source: IpAddr, advert: &Advert, pdu: &[u8; LEN]) -> Vec<u8> {
    let (destination, ethertype, packet) = match source {
        IpAddr::V4(a) => {
            let identification = advert.counter as u16;
            (ethernet::multicast4(GROUP4), ethertype::IPV4, packet4(a, identification, pdu))
        }
        IpAddr::V6(a) => (ethernet::multicast6(GROUP6), ethertype::IPV6, packet6(a, pdu)),
    };
    ethernet::Header { destination, source: mac, ethertype }.emit(&packet)
}

#[cfg(test)]
mod tests;
