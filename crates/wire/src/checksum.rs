//! The Internet checksum (RFC 1071) and the pseudo-header of IPv6 (RFC 8200, section 8.1).

use std::net::Ipv6Addr;

/// Running one's complement sum of 16-bit words (RFC 1071, section 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd last byte counts as the high half of a word. Only the last call may have an
    /// odd number of bytes.
    pub fn with(mut self, bytes: &[u8]) -> Sum {
        let (words, odd) = bytes.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = odd {
            self.0 += u64::from(u16::from_be_bytes([*last, 0]));
        }
        self
    }

    /// The checksum: the complement of the folded sum.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded to 16 bits just above")
    }
}

/// Checksum of `bytes`: what goes into a zeroed checksum field, and 0 for bytes whose checksum is right.
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::default().with(bytes).finish()
}

/// Checksum of an upper-layer packet over IPv6 with its pseudo-header (RFC 8200, section 8.1).
pub fn over_ipv6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, packet: &[u8]) -> u16 {
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    Sum::default()
        .with(&source.octets())
        .with(&destination.octets())
        .with(&length.to_be_bytes())
        .with(&u32::from(next_header).to_be_bytes())
        .with(packet)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet(&bytes), !0xddf2);
    }

    #[test]
    fn odd_and_empty() {
        assert_eq!(internet(&[]), 0xffff);
        assert_eq!(internet(&[0x12]), !0x1200);
        assert_eq!(internet(&[0xff, 0xff, 0x00, 0x01]), !0x0001);
    }

    proptest! {
        #[test]
        fn checksum_in_place_verifies(mut bytes in proptest::collection::vec(any::<u8>(), 2..200)) {
            bytes[0] = 0;
            bytes[1] = 0;
            let sum = internet(&bytes);
            bytes[..2].copy_from_slice(&sum.to_be_bytes());
            prop_assert_eq!(internet(&bytes), 0);
        }
    }
}
