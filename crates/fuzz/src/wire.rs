//! Packets, as they come from the wire.

use crate::CASES;
use mpath_wire::{arp, beacon, carp, ethernet, icmp, icmp6, ipv4, ipv6, ndisc, probe};

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
