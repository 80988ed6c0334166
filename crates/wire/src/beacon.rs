//! Beacons: frames by which the members of a group find out whether they are on one link and their switch ports work. The EtherType is one for
//! local experiments (IEEE 802, section 9.2.4), so that nobody else takes notice.

use crate::bytes::{Reader, expect_field};
use crate::{Error, ethernet};
use mpath_model::Mac;

/// OUI Extended EtherType 1 for local experiments.
pub const ETHERTYPE: u16 = 0x88b5;

/// "MPTH", then format 1.
const MAGIC: u64 = 0x4d50_5448_0000_0001;

/// Bytes of the payload; what follows is padding.
const LEN: usize = 20;

/// What a beacon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Random, of one round of one daemon: nobody can make up or repeat it.
    pub round: u64,
    /// Interface that sent it.
    pub sender: u32,
}

/// The beacon behind an Ethernet header.
pub fn parse(payload: &[u8]) -> Result<Beacon, Error> {
    let mut r = Reader::new("beacon", payload, LEN)?;
    let magic = r.u64()?;
    expect_field("beacon format", magic, &[MAGIC])?;
    Ok(Beacon { round: r.u64()?, sender: r.u32()? })
}

impl Beacon {
    /// The whole frame, to everybody on the link.
    pub fn frame(&self, mac: Mac) -> Vec<u8> {
        self.frame_to(mac, Mac::BROADCAST)
    }

    /// The whole frame, to one interface.
    pub fn frame_to(&self, mac: Mac, destination: Mac) -> Vec<u8> {
        let mut payload = [0; LEN];
        payload[0..8].copy_from_slice(&MAGIC.to_be_bytes());
        payload[8..16].copy_from_slice(&self.round.to_be_bytes());
        payload[16..20].copy_from_slice(&self.sender.to_be_bytes());
        ethernet::Header { destination, source: mac, ethertype: ETHERTYPE }.emit(&payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_also_when_padded() {
        let beacon = Beacon { round: 0x0102_0304_0506_0708, sender: 9 };
        let mut frame = beacon.frame(Mac([2, 0, 0, 0, 0, 1]));
        frame.resize(60, 0);
        let (header, payload) = ethernet::parse(&frame).expect("made above");
        assert_eq!((header.ethertype, header.destination), (ETHERTYPE, Mac::BROADCAST));
        assert_eq!(parse(payload), Ok(beacon));
    }

    #[test]
    fn short_or_foreign() {
        assert_eq!(parse(&[0; 19]).unwrap_err().to_string(), "beacon has 19 bytes, 20 needed");
        assert!(parse(&[0; 20]).is_err());
    }
}
