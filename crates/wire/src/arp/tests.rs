//! ARP bytes by hand from RFC 826 and RFC 5227.

use super::*;
use proptest::prelude::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Ethernet header, ARP constants, operation, sender, target.
#[rustfmt::skip]
const GRATUITOUS: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  2, 0, 0, 0, 0, 1,  0x08, 0x06,
    0, 1,  0x08, 0x00,  6,  4,  0, 1,
    2, 0, 0, 0, 0, 1,  192, 0, 2, 10,
    0, 0, 0, 0, 0, 0,  192, 0, 2, 10,
];

#[test]
fn gratuitous_request_bytes() {
    assert_eq!(gratuitous_frame(MAC, Ipv4Addr::new(192, 0, 2, 10)), GRATUITOUS);
    let mut unicast = GRATUITOUS;
    unicast[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    let ip = Ipv4Addr::new(192, 0, 2, 10);
    assert_eq!(gratuitous_frame_to(MAC, ip, Mac([2, 0, 0, 0, 0, 9])), unicast);
}

#[test]
fn gratuitous_reply_bytes() {
    let mut want = GRATUITOUS;
    want[21] = 2;
    want[32..38].copy_from_slice(&MAC.0);
    assert_eq!(gratuitous_reply_frame(MAC, Ipv4Addr::new(192, 0, 2, 10)), want);
}

#[test]
fn probe_bytes() {
    let frame = request_frame(MAC, Mac::BROADCAST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(192, 0, 2, 1));
    let mut want = GRATUITOUS;
    want[28..32].fill(0);
    want[41] = 1;
    assert_eq!(frame, want);
}

#[test]
fn every_fixed_field_is_checked() {
    let good = &GRATUITOUS[14..];
    assert!(parse(good).is_ok());
    let padded = [good, &[0; 18]].concat();
    assert_eq!(parse(&padded), parse(good), "Ethernet padding is not part of the packet");
    let table = [
        (1, 6, "ARP hardware type is 0x6"),
        (2, 0x86, "ARP protocol type is 0x8600"),
        (4, 8, "ARP hardware address length is 0x8"),
        (5, 16, "ARP protocol address length is 0x10"),
        (7, 0, "ARP operation is 0x0"),
        (7, 3, "ARP operation is 0x3"),
    ];
    for (offset, value, message) in table {
        let mut bad = good.to_vec();
        bad[offset] = value;
        assert_eq!(parse(&bad).unwrap_err().to_string(), message);
    }
    assert_eq!(parse(&good[..27]).unwrap_err().to_string(), "ARP packet has 27 bytes, 28 needed");
}

proptest! {
    #[test]
    fn round_trip(reply: bool, sm: [u8; 6], s: [u8; 4], tm: [u8; 6], t: [u8; 4]) {
        let operation = if reply { Operation::Reply } else { Operation::Request };
        let arp = Arp {
            operation,
            sender_mac: Mac(sm),
            sender_ip: s.into(),
            target_mac: Mac(tm),
            target_ip: t.into(),
        };
        prop_assert_eq!(parse(&arp.emit()), Ok(arp));
        let frame = arp.frame(Mac::BROADCAST);
        let (header, payload) = ethernet::parse(&frame).unwrap();
        prop_assert_eq!(header.ethertype, ethertype::ARP);
        prop_assert_eq!(header.source, arp.sender_mac);
        prop_assert_eq!(parse(payload), Ok(arp));
    }
}
