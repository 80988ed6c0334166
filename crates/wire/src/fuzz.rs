//! Whatever the bytes are, no parser panics (the fixed fields are those of the RFCs each module cites).

use crate::{arp, beacon, ethernet, icmp, icmp6, ipv4, ipv6, ndisc, probe};
use proptest::prelude::*;

fn every_parser(bytes: &[u8]) {
    let _ = ethernet::parse(bytes);
    let _ = arp::parse(bytes);
    let _ = beacon::parse(bytes);
    let _ = ipv4::parse(bytes);
    let _ = ipv6::parse(bytes);
    let _ = icmp::parse_reply(bytes);
    let _ = icmp::parse_reply_packet(bytes);
    let _ = icmp6::parse_reply(bytes);
    let _ = icmp6::parse_frame(bytes);
    let _ = ndisc::parse(bytes);
    let _ = ndisc::parse_frame(bytes);
    let _ = probe::parse(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        every_parser(&bytes);
    }

    /// Damaged good packets get past the first checks.
    #[test]
    fn damaged_packets(which in 0..4usize, cut in 0..100usize, at in 0..100usize, value: u8) {
        let mac = mpath_model::Mac([2, 0, 0, 0, 0, 1]);
        let six = std::net::Ipv6Addr::LOCALHOST;
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
            every_parser(bytes.get(start..).unwrap_or_default());
        }
    }
}
