//! Neighbour Discovery bytes by hand from RFC 4861, sections 4.3, 4.4 and 4.6.1.

use super::*;
use proptest::prelude::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn six(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn unsolicited_advertisement_bytes() {
    #[rustfmt::skip]
    let want: [u8; 86] = [
        0x33, 0x33, 0, 0, 0, 1,  2, 0, 0, 0, 0, 1,  0x86, 0xdd,
        0x60, 0, 0, 0,  0, 32,  58,  255,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
        // Pseudo-header 2001+0db8+0010 + ff02+0001 + 0020 + 003a = 12d26; message without checksum
        // 8800+2000 + 2001+0db8+0010 + 0201+0200+0000+0001 = d9cb; sum 206f1, folded 06f3, complement f90c.
        136, 0, 0xf9, 0x0c,  0x20, 0, 0, 0,
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        2, 1,  2, 0, 0, 0, 0, 1,
    ];
    let frame = unsolicited_na_frame(MAC, six("2001:db8::10"), false);
    assert_eq!(frame, want);
    let router = unsolicited_na_frame(MAC, six("2001:db8::10"), true);
    assert_eq!(router[14 + 40 + 4], 0xa0);
}

#[test]
fn solicitation_bytes() {
    let frame = solicitation_frame(MAC, six("fe80::1"), six("fe80::12:3456"));
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert_eq!(frame[14 + 24..14 + 40], six("ff02::1:ff12:3456").octets());
    assert_eq!(frame[54..56], [135, 0]);
    assert_eq!(frame[58..62], [0; 4]);
    assert_eq!(frame[62..78], six("fe80::12:3456").octets());
    assert_eq!(frame[78..], [1, 1, 2, 0, 0, 0, 0, 1]);
    let (envelope, message) = parse_frame(&frame).unwrap();
    assert_eq!(envelope.hop_limit, 255);
    let want = Solicitation { target: six("fe80::12:3456"), source_mac: Some(MAC) };
    assert_eq!(message, Message::Solicitation(want));
}

#[test]
fn dad_solicitation_has_no_option() {
    let frame = solicitation_frame(MAC, Ipv6Addr::UNSPECIFIED, six("fe80::2"));
    assert_eq!(frame.len(), 78);
    let want = Solicitation { target: six("fe80::2"), source_mac: None };
    assert_eq!(parse_frame(&frame).unwrap().1, Message::Solicitation(want));
}

#[test]
fn unicast_forms_go_to_the_neighbour() {
    let peer = Mac([2, 0, 0, 0, 0, 9]);
    let ask = unicast_solicitation_frame(MAC, peer, six("fe80::1"), six("fe80::9"));
    let tell = unsolicited_na_frame_to(MAC, peer, six("fe80::9"), six("2001:db8::1"), false);
    for frame in [ask, tell] {
        let (envelope, _) = parse_frame(&frame).unwrap();
        assert_eq!((envelope.destination_mac, envelope.destination), (peer, six("fe80::9")));
    }
}

#[test]
fn invalid_messages_are_refused() {
    let good = Advertisement {
        target: six("fe80::1"),
        router: false,
        solicited: false,
        override_entry: true,
        target_mac: Some(MAC),
    }
    .emit();
    let table: [(usize, u8, &str); 5] = [
        (0, 134, "ICMPv6 type is 0x86"),
        (1, 1, "ICMPv6 code is 0x1"),
        (8, 0xff, "Neighbour Discovery target is 0xff80"),
        (25, 0, "Neighbour Discovery option length is 0x0"),
        (25, 2, "Neighbour Discovery option has 8 bytes, 16 needed"),
    ];
    for (offset, value, message) in table {
        let mut bad = good.clone();
        bad[offset] = value;
        assert_eq!(parse(&bad).unwrap_err().to_string(), message);
    }
    assert!(parse(&good[..23]).is_err());
    assert!(parse(&good[..25]).is_err(), "half an option");
    let mut unknown = good.clone();
    unknown[24] = 14;
    unknown.extend([2, 1, 2, 0, 0, 0, 0, 1]);
    let Ok(Message::Advertisement(a)) = parse(&unknown) else { panic!("unknown options are skipped") };
    assert_eq!(a.target_mac, Some(MAC));
}

#[test]
fn rules_that_need_the_ipv6_header() {
    let link_local = six("fe80::1");
    let table = [
        (
            Envelope { hop_limit: 254, ..envelope(MAC, MAC, link_local, link_local) },
            None,
            "IPv6 hop limit is 0xfe",
        ),
        (
            envelope(MAC, MAC, Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(link_local)),
            Some(MAC),
            "source link-layer option in a DAD solicitation is 0x1",
        ),
        (
            envelope(MAC, MAC, Ipv6Addr::UNSPECIFIED, ipv6::ALL_NODES),
            None,
            "DAD solicitation to its solicited-node address is 0x0",
        ),
    ];
    for (envelope, source_mac, message) in table {
        let frame = envelope.frame(Solicitation { target: link_local, source_mac }.emit());
        assert_eq!(parse_frame(&frame).unwrap_err().to_string(), message);
    }
    let solicited = Advertisement {
        target: link_local,
        router: false,
        solicited: true,
        override_entry: false,
        target_mac: None,
    };
    let frame = envelope(MAC, MAC, link_local, ipv6::ALL_NODES).frame(solicited.emit());
    assert!(parse_frame(&frame).is_err(), "RFC 4861, section 7.1.2");
}

proptest! {
    #[test]
    fn round_trip(t: [u8; 16], mac: Option<[u8; 6]>, router: bool, solicited: bool, override_entry: bool) {
        let target = Ipv6Addr::from(t);
        prop_assume!(!target.is_multicast());
        let mac = mac.map(Mac);
        let s = Solicitation { target, source_mac: mac };
        prop_assert_eq!(parse(&s.emit()), Ok(Message::Solicitation(s)));
        let a = Advertisement { target, router, solicited, override_entry, target_mac: mac };
        prop_assert_eq!(parse(&a.emit()), Ok(Message::Advertisement(a)));
    }
}
