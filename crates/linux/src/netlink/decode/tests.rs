//! Messages as they must never hurt; what real ones mean is tested against the kernel (tests/).

use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn link_message(family: u8, flags: u32, operstate: u8) -> Vec<u8> {
    let mut bytes = vec![family, 0, 1, 0, 7, 0, 0, 0];
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(attribute(ifla::IFNAME, b"eth0\0"));
    bytes.extend(attribute(ifla::OPERSTATE, &[operstate]));
    bytes.extend(attribute(ifla::ADDRESS, &[2, 0, 0, 0, 0, 1]));
    bytes
}

#[test]
fn running_needs_up_carrier_and_a_good_operstate() {
    let up = IFF_UP | IFF_LOWER_UP;
    for (flags, operstate, running) in [
        (up, OPER_UP, true),
        (up, OPER_UNKNOWN, true),
        (up, 5, false),
        (up, 2, false),
        (IFF_UP, OPER_UP, false),
        (IFF_LOWER_UP, OPER_UP, false),
    ] {
        let link = link(&link_message(0, flags, operstate)).unwrap().unwrap();
        assert_eq!(link.running, running, "{flags:x} {operstate}");
        assert_eq!((link.index, link.name.as_str()), (7, "eth0"));
        assert_eq!(link.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    }
}

#[test]
fn bridge_port_messages_are_not_links() {
    assert_eq!(link(&link_message(7, IFF_UP, OPER_UP)).unwrap(), None);
    assert_eq!(event(rtm::DELLINK, 0, &link_message(7, IFF_UP, OPER_UP)).unwrap(), None);
}

#[test]
fn no_truncation_panics() {
    let mut route_message = vec![2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    route_message.extend(attribute(rta::DST, &[10, 0, 0, 0]));
    route_message.extend(attribute(rta::MULTIPATH, &[16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1]));
    route_message.extend(attribute(rta::CACHEINFO, &[1; 32]));
    let whole = route(&route_message).unwrap().unwrap();
    assert_eq!(whole.hops.len(), 1);
    assert_eq!(whole.hops[0].gateway, Some("10.0.0.1".parse().unwrap()));
    let messages = [link_message(0, IFF_UP, OPER_UP), route_message];
    for message in messages {
        for length in 0..message.len() {
            for kind in 16..32 {
                let _ = event(kind, 0, &message[..length]);
            }
        }
        for at in 0..message.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut broken = message.clone();
                broken[at] = value;
                for kind in 16..32 {
                    let _ = event(kind, 0, &broken);
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_put_back_exactly_is_not_shown() {
    let plain = [2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    let with = |at: usize, value: u8| {
        let mut bytes = plain;
        bytes[at] = value;
        route(&bytes).unwrap()
    };
    assert!(with(0, 2).is_some());
    assert!(with(0, 28).is_none(), "another family");
    assert!(with(2, 64).is_none(), "source-specific");
    assert!(with(4, 255).is_none(), "table local");
    assert!(with(7, 6).is_none(), "blackhole");
    assert!(with(9, 2).is_none(), "cloned");
    let mut encapsulating = plain.to_vec();
    encapsulating.extend(attribute(rta::ENCAP, &[0; 4]));
    assert_eq!(route(&encapsulating).unwrap(), None);
}
