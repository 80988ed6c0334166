//! Packets, as they come from the wire.

use crate::CASES;
use mpath_model::Mac;
use mpath_wire::{arp, beacon, carp, ethernet, icmp, icmp6, ipv4, ipv6, ndisc, probe};
use proptest::prelude::*;
use std::net::Ipv6Addr;

/// What a parser gives can be written, and then reads as the same.
fn again(bytes: &[u8]) {
    if let Ok(packet) = arp::parse(bytes) {
        assert_eq!(arp::parse(&packet.emit()), Ok(packet));
    }
    match ndisc::parse(bytes) {
        Ok(ndisc::Message::Advertisement(a)) => {
            assert!(matches!(ndisc::parse(&a.emit()), Ok(ndisc::Message::Advertisement(b)) if a == b));
        }
        Ok(ndisc::Message::Solicitation(s)) => {
            assert!(matches!(ndisc::parse(&s.emit()), Ok(ndisc::Message::Solicitation(t)) if s == t));
        }
        _ => {}
    }
    if let Ok(payload) = probe::parse(bytes) {
        assert_eq!(probe::parse(&payload.emit()), Ok(payload));
    }
}

/// Every parser there is.
fn parse(bytes: &[u8]) {
    let _ = ethernet::parse(bytes);
    let _ = beacon::parse(bytes);
    let _ = carp::parse(bytes);
    let _ = ipv4::parse(bytes);
    let _ = ipv6::parse(bytes);
    let _ = icmp::parse_reply(bytes);
    let _ = icmp::parse_reply_packet(bytes);
    let _ = icmp6::parse_reply(bytes);
    let _ = icmp6::parse_frame(bytes);
    let _ = ndisc::parse_frame(bytes);
    again(bytes);
}

#[test]
fn packets() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        // A frame, and what is in it.
        [0, 14, 34, 54].into_iter().filter_map(|at| bytes.get(at..)).for_each(parse);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        parse(&bytes);
    }

    /// Damaged good packets get past the first checks.
    #[test]
    fn damaged_packets(which in 0..4usize, cut in 0..100usize, at in 0..100usize, value: u8) {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let six = Ipv6Addr::LOCALHOST;
        let frame = match which {
            0 => arp::gratuitous_frame(mac, [192, 0, 2, 1].into()),
            1 => ndisc::unsolicited_na_frame(mac, six, true),
            2 => ndisc::solicitation_frame(mac, six, six),
            _ => icmp::Echo { ident: 1, seq: 2, payload: &[3; 30] }.emit_reply(),
        };
        let mut bytes = frame[..frame.len().min(cut)].to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        for start in [0, 14, 54] {
            parse(bytes.get(start..).unwrap_or_default());
        }
    }
}
