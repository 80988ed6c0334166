use super::*;
use proptest::prelude::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../../docs/reference/carp_vectors.json");
const PCAP: &[u8] = include_bytes!("../../../../docs/reference/ucarp.pcap");

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|b| (b as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn octet(vector: &Value, key: &str) -> u8 {
    u8::try_from(vector[key].as_u64().unwrap()).unwrap()
}

/// Vectors are compared with the form that hashes all addresses, except the one that leaves link-local ones out.
#[test]
fn every_vector() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 6);
    for v in &vectors {
        let name = text(v, "name");
        let vhid = octet(v, "vhid");
        let addresses: Vec<IpAddr> =
            v["addrs"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().parse().unwrap()).collect();
        let openbsd = name.starts_with('D');
        let counter = u64::from_str_radix(text(v, "counter"), 16).unwrap();
        let mut message = message_start(vhid, &addresses, !openbsd);
        message.extend(counter.to_be_bytes());
        assert_eq!(hex(&message), text(v, "hmac_message"), "{name}");

        let auth = Authenticator::new(&Passphrase::new(text(v, "passphrase")), vhid, &addresses);
        let md: [u8; 20] = unhex(text(v, "md")).try_into().unwrap();
        assert!(auth.verify(counter, &md), "{name}");
        let pdu: [u8; LEN] = unhex(text(v, "pdu")).try_into().unwrap();
        let parsed = parse(&pdu).unwrap();
        assert_eq!((parsed.version, parsed.md), (VERSION, md), "{name}");
        let (advbase, advskew, demote) = (octet(v, "advbase"), octet(v, "advskew"), octet(v, "pad"));
        let advert = Advert { vhid, advbase, advskew, demote, counter };
        assert_eq!(parsed.advert, advert, "{name}");
        assert_eq!(hex(&pdu[6..8]), text(v, "cksum"), "{name}");
        if openbsd {
            assert_ne!(auth.digest(counter), md, "{name}: sent is the full form");
            continue;
        }
        assert_eq!(hex(&auth.emit(&advert)), text(v, "pdu"), "{name}");
        frames_of_vector(v, &advert, &pdu);
    }
}

fn frames_of_vector(v: &Value, advert: &Advert, pdu: &[u8; LEN]) {
    let header = unhex(text(v, "ethernet_header"));
    if let Some(packet) = v["ipv4_packet"].as_str() {
        let packet = unhex(packet);
        let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
        assert_eq!(hex(&packet4(source, 0x1234, pdu)), hex(&packet));
        let frame = frame(virtual_mac(advert.vhid), source.into(), advert, pdu);
        assert_eq!(frame[..14], header);
        let (ip, payload) = crate::ipv4::parse(&frame[14..]).unwrap();
        assert_eq!((ip.source, ip.destination, ip.protocol, ip.ttl), (source, GROUP4, PROTOCOL, HOPS));
        assert_eq!(payload, pdu);
        assert_eq!(checksum::internet(&frame[14..34]), 0);
    }
    if let Some(packet) = v["ipv6_packet"].as_str() {
        let packet = unhex(packet);
        let source = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[8..24]).unwrap());
        let ours = packet6(source, pdu);
        // The vectors have traffic class 0xe0 too.
        assert_eq!(hex(&ours), hex(&packet));
        let frame = frame(virtual_mac(advert.vhid), source.into(), advert, pdu);
        assert_eq!(frame[..14], header);
    }
}

#[test]
fn an_empty_key_is_the_key_of_freebsd_without_pass() {
    let auth = Authenticator::new(&Passphrase::default(), 9, &["192.0.2.1".parse().unwrap()]);
    assert_eq!(hex(&auth.digest(0)), "2f293b9c82d9b60951d3d29ce6213c425b21665a");
}

#[test]
fn only_19_octets_of_a_passphrase_count() {
    let at: [IpAddr; 1] = ["192.0.2.1".parse().unwrap()];
    let digest = |p: &str| Authenticator::new(&Passphrase::new(p), 1, &at).digest(7);
    assert_eq!(digest("0123456789012345678"), digest("0123456789012345678 and more"));
    assert_ne!(digest("0123456789012345678"), digest("012345678901234567"));
}

/// All adverts that two real ucarp daemons sent, rebuilt bit for bit.
#[test]
fn every_packet_of_ucarp() {
    let auth = Authenticator::new(&Passphrase::new("lagg-carp-lab"), 42, &["10.77.0.100".parse().unwrap()]);
    let wrong = Authenticator::new(&Passphrase::new("lagg-carp-lab"), 42, &["10.77.0.101".parse().unwrap()]);
    let (mut rest, mut adverts, mut frames) = (&PCAP[24..], 0, 0);
    while !rest.is_empty() {
        let captured = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let frame = &rest[16..16 + captured];
        rest = &rest[16 + captured..];
        frames += 1;
        let (ethernet, packet) = crate::ethernet::parse(frame).unwrap();
        if ethernet.ethertype != ethertype::IPV4 || packet[9] != PROTOCOL {
            continue;
        }
        let (ip, payload) = crate::ipv4::parse(packet).unwrap();
        assert_eq!((ip.destination, ip.ttl, payload.len()), (GROUP4, HOPS, LEN));
        let pdu = parse(payload).unwrap();
        assert_eq!((pdu.version, pdu.advert.vhid, pdu.advert.advbase), (VERSION, 42, 1));
        assert!(auth.verify(pdu.advert.counter, &pdu.md));
        assert!(!wrong.verify(pdu.advert.counter, &pdu.md));
        assert_eq!(auth.emit(&pdu.advert), payload);
        adverts += 1;
    }
    assert_eq!((frames, adverts), (39, 15));
}

#[test]
fn short_and_damaged_packets() {
    let auth = Authenticator::new(&Passphrase::new("s"), 1, &["192.0.2.1".parse().unwrap()]);
    let advert = Advert { vhid: 1, advbase: 1, advskew: 0, demote: 0, counter: 1 };
    let good = auth.emit(&advert);
    assert!(matches!(parse(&good[..35]), Err(Error::Short { need: 36, have: 35, .. })));
    let mut bad = good;
    bad[5] ^= 1;
    assert!(matches!(parse(&bad), Err(Error::Checksum { .. })));
    let longer = [&good[..], &[9; 10]].concat();
    assert_eq!(parse(&longer).unwrap().advert, advert, "what is behind is not looked at");
}

fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let one = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<u16>().prop_map(|n| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, n])),
    ];
    proptest::collection::vec(one, 1..6)
}

proptest! {
    #[test]
    fn round_trip(vhid: u8, advbase: u8, advskew: u8, demote: u8, counter: u64, list in addresses()) {
        let auth = Authenticator::new(&Passphrase::new("proptest"), vhid, &list);
        let advert = Advert { vhid, advbase, advskew, demote, counter };
        let octets = auth.emit(&advert);
        prop_assert_eq!(checksum::internet(&octets), 0);
        let pdu = parse(&octets).unwrap();
        prop_assert_eq!(pdu.advert, advert);
        prop_assert!(auth.verify(counter, &pdu.md));
        prop_assert!(!auth.verify(counter.wrapping_add(1), &pdu.md));
    }

    #[test]
    fn order_and_repetition_of_addresses_do_not_matter(mut list in addresses(), counter: u64) {
        let digest = |l: &[IpAddr]| Authenticator::new(&Passphrase::new("x"), 1, l).digest(counter);
        let before = digest(&list);
        list.reverse();
        let first = list[0];
        list.push(first);
        prop_assert_eq!(digest(&list), before);
    }

    #[test]
    fn any_other_address_or_vhid_changes_the_digest(list in addresses(), bit in 0..32u32) {
        let digest = |v: u8, l: &[IpAddr]| Authenticator::new(&Passphrase::new("x"), v, l).digest(5);
        let mut other = list.clone();
        other.push(Ipv4Addr::from_bits(0x0a00_0001 ^ (1 << bit)).into());
        let mut one: Vec<IpAddr> = list.clone();
        one.push(Ipv4Addr::from_bits(0x0a00_0001).into());
        prop_assert_ne!(digest(1, &one), digest(1, &other));
        prop_assert_ne!(digest(1, &one), digest(2, &one));
    }

    #[test]
    fn anything_may_come_in(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}
