//! Echo bytes by hand from RFC 792.

use super::*;
use proptest::prelude::*;

#[test]
fn request_bytes() {
    let echo = Echo { ident: 0x1234, seq: 1, payload: &[0xab, 0xcd] };
    // 0800 + 1234 + 0001 + abcd = c602, complement 39fd.
    assert_eq!(echo.emit_request(), [8, 0, 0x39, 0xfd, 0x12, 0x34, 0, 1, 0xab, 0xcd]);
}

#[rustfmt::skip]
const REPLY: [u8; 30] = [
    0x45, 0, 0, 30,  0, 0, 0, 0,  64, 1, 0, 0,  192, 0, 2, 1,  192, 0, 2, 11,
    // 0000 + 1234 + 0001 + abcd = be02, complement 41fd.
    0, 0, 0x41, 0xfd,  0x12, 0x34,  0, 1,  0xab, 0xcd,
];

#[test]
fn reply_with_its_ipv4_header() {
    let (header, reply) = parse_reply_packet(&REPLY).unwrap();
    assert_eq!(header.source.to_string(), "192.0.2.1");
    assert_eq!(reply, EchoReply { code: 0, ident: 0x1234, seq: 1, payload: &[0xab, 0xcd] });
}

#[test]
fn what_is_no_echo_reply() {
    let table: [(usize, u8, &str); 4] = [
        (9, 17, "IPv4 protocol is 0x11"),
        (20, 8, "ICMP type is 0x8"),
        (22, 0, "ICMP echo reply has a wrong checksum"),
        (3, 27, "ICMP echo reply has 7 bytes, 8 needed"),
    ];
    for (offset, value, message) in table {
        let mut bad = REPLY;
        bad[offset] = value;
        assert_eq!(parse_reply_packet(&bad).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_code_is_kept_for_the_engine() {
    let mut odd = REPLY;
    odd[21] = 1;
    odd[23] -= 1;
    assert_eq!(parse_reply_packet(&odd).unwrap().1.code, 1);
}

proptest! {
    #[test]
    fn round_trip(ident: u16, seq: u16, payload: Vec<u8>) {
        let message = Echo { ident, seq, payload: &payload }.emit_reply();
        let want = EchoReply { code: 0, ident, seq, payload: &payload };
        prop_assert_eq!(parse_reply(&message), Ok(want));
        prop_assert_eq!(checksum::internet(&Echo { ident, seq, payload: &payload }.emit_request()), 0);
    }
}
