//! The payload of a probe (mpathd-behaviour.md 1.6): the bytes behind the echo header (RFC 792; RFC 4443,
//! section 4.1), which come back unchanged. The nonce is ours: with it nobody off the path can make up answers.

use crate::Error;
use crate::bytes::Reader;
use mpath_model::Time;

/// Bytes of the payload.
pub const LEN: usize = 20;

/// The probe kinds (mpathd-behaviour.md 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Failure and repair detection.
    Unicast,
    /// Discovery of host targets.
    Multicast,
    /// Round-trip time only.
    Rtt,
    /// Settles a doubt about a NIC. Ours: the original has no such thing.
    Confirm,
    /// As large as the MTU: whether large frames pass. Ours, too.
    Large,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Unicast, Kind::Multicast, Kind::Rtt, Kind::Confirm, Kind::Large];

    /// The number in the packet.
    pub fn number(self) -> u32 {
        match self {
            Kind::Unicast => 0x1234,
            Kind::Multicast => 0x5678,
            Kind::Rtt => 0x9abc,
            Kind::Confirm => 0xdef0,
            Kind::Large => 0x2468,
        }
    }
}

/// The payload of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// When the probe was sent, ns of the sender's monotonic clock.
    pub sent: Time,
    /// What it is for.
    pub kind: Kind,
    /// Random number that the answer must bring back.
    pub nonce: u64,
}

/// The payload from the bytes behind an echo header. More bytes than ours are ignored, as in.mpathd does
/// (mpathd-behaviour.md 1.7).
pub fn parse(bytes: &[u8]) -> Result<Payload, Error> {
    let mut r = Reader::new("probe payload", bytes, LEN)?;
    let sent = Time(r.u64()?);
    let number = r.u32()?;
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.number() == number)
        .ok_or(Error::Field { what: "probe kind", value: number.into() })?;
    Ok(Payload { sent, kind, nonce: r.u64()? })
}

impl Payload {
    /// The bytes, in network order.
    pub fn emit(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[0..8].copy_from_slice(&self.sent.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.kind.number().to_be_bytes());
        out[12..20].copy_from_slice(&self.nonce.to_be_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_by_hand() {
        let payload = Payload { sent: Time(0x0102), kind: Kind::Rtt, nonce: 0xdead_beef };
        #[rustfmt::skip]
        let want = [
            0, 0, 0, 0, 0, 0, 1, 2,  0, 0, 0x9a, 0xbc,  0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef,
        ];
        assert_eq!(payload.emit(), want);
    }

    #[test]
    fn short_or_unknown() {
        assert_eq!(parse(&[0; 19]).unwrap_err().to_string(), "probe payload has 19 bytes, 20 needed");
        assert_eq!(parse(&[0; 20]).unwrap_err().to_string(), "probe kind is 0x0");
    }

    proptest! {
        #[test]
        fn round_trip(sent: u64, kind in 0..5usize, nonce: u64, more: Vec<u8>) {
            let payload = Payload { sent: Time(sent), kind: Kind::ALL[kind], nonce };
            let mut bytes = payload.emit().to_vec();
            prop_assert_eq!(parse(&bytes), Ok(payload));
            bytes.extend(more);
            prop_assert_eq!(parse(&bytes), Ok(payload));
        }
    }
}
