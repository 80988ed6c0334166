use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 1, 7]);

/// Attribute: length, type, value, padding.
fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(((4 + value.len()) as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn nested(kind: u16, inside: &[Vec<u8>]) -> Vec<u8> {
    nla(kind | 0x8000, &inside.concat())
}

/// By the numbers of linux/netfilter/nf_tables.h, written out a second time.
#[test]
fn a_rule_byte_for_byte() {
    let rule = Rule { only: None, deed: Deed::Forward(7) };
    let mut bytes = Vec::new();
    Message::new_rule("t", "c", &rule).frame(&mut bytes, 1, 9);
    let load = [nla(1, &[0, 0, 0, 1]), nested(2, &[nla(1, &7u32.to_ne_bytes())])];
    let expressions = [
        nested(1, &[nla(1, b"immediate\0"), nested(2, &load)]),
        nested(1, &[nla(1, b"fwd\0"), nested(2, &[nla(1, &[0, 0, 0, 1])])]),
    ];
    let body = [vec![5, 0, 0, 0], nla(1, b"t\0"), nla(2, b"c\0"), nested(4, &expressions)].concat();
    let mut expected = Vec::new();
    expected.extend(((16 + body.len()) as u32).to_ne_bytes());
    expected.extend((10u16 << 8 | 6).to_ne_bytes()); // NFT_MSG_NEWRULE
    expected.extend(0xc01u16.to_ne_bytes()); // REQUEST | CREATE | APPEND
    expected.extend(9u32.to_ne_bytes());
    expected.extend([0; 4]);
    expected.extend(body);
    assert_eq!(bytes, expected);
}

#[test]
fn rules_come_back() {
    let rules = [
        Rule { only: None, deed: Deed::Forward(7) },
        Rule { only: None, deed: Deed::Drop },
        Rule { only: Some((Side::To, MAC)), deed: Deed::Forward(70_000) },
        Rule { only: Some((Side::From, MAC)), deed: Deed::Drop },
    ];
    for rule in rules {
        let message = Message::new_rule("mpathd-lagg0", "port-3", &rule);
        let parsed = parse_rule(&message.payload[4..]);
        assert_eq!(parsed, Some(("mpathd-lagg0".into(), "port-3".into(), Some(rule))));
    }
}

/// What mpathd never makes is not taken for its own.
#[test]
fn a_lossy_rule_is_foreign() {
    let message = Message::new_rule("t", "c", &Rule { only: None, deed: Deed::Lose(200) });
    assert_eq!(parse_rule(&message.payload[4..]), Some(("t".into(), "c".into(), None)));
}

#[test]
fn hostile_bytes_are_survived() {
    let message = Message::new_rule("t", "c", &Rule { only: Some((Side::To, MAC)), deed: Deed::Drop });
    for cut in 0..message.payload.len() {
        let _ = parse_rule(&message.payload[..cut]);
        let mut damaged = message.payload.clone();
        damaged[cut] ^= 0xff;
        let _ = parse_rule(&damaged[4..]);
    }
}
