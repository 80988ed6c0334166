use super::*;
use proptest::prelude::*;

fn read(line: &str) -> Result<Vec<Change>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    parse(0, &words).map_err(|e| e.message)
}

fn address(action: Action, text: &str, failover: Option<bool>) -> Change {
    Change::Address(AddressChange { action, address: text.parse().unwrap(), failover, vhid: None })
}

#[test]
fn lines_as_administrators_write_them() {
    let table = [
        ("up", vec![Change::Admin(true)]),
        ("create", vec![Change::Create]),
        (
            "laggproto failover laggport em0 laggport em1 192.0.2.5 netmask 255.255.255.0",
            vec![
                Change::Port("em0".into()),
                Change::Port("em1".into()),
                address(Action::Set, "192.0.2.5/24", None),
            ],
        ),
        ("group production", vec![Change::Group("production".into())]),
        (
            "addif 192.0.2.11/24 deprecated -failover up",
            vec![Change::Admin(true), address(Action::Add, "192.0.2.11/24", Some(false))],
        ),
        // The order of hostname files: the group comes first all the same.
        (
            "plumb 192.0.2.10 netmask + broadcast + group production up addif 192.0.2.11 deprecated -failover netmask + broadcast + up",
            vec![
                Change::Group("production".into()),
                Change::Admin(true),
                address(Action::Set, "192.0.2.10/24", None),
                Change::Admin(true),
                address(Action::Add, "192.0.2.11/24", Some(false)),
            ],
        ),
        ("failover", vec![Change::Failover { unit: 0, family: Family::Inet, may: true }]),
        (
            "inet6 group production -failover up",
            vec![
                Change::Group("production".into()),
                Change::Failover { unit: 0, family: Family::Inet6, may: false },
                Change::Admin(true),
            ],
        ),
        ("standby", vec![Change::Standby(true)]),
        ("-standby", vec![Change::Standby(false)]),
        ("removeif 192.0.2.11", vec![address(Action::Remove, "192.0.2.11/24", None)]),
        ("inet6 2001:db8::1/64 alias", vec![address(Action::Add, "2001:db8::1/64", None)]),
        ("inet6 2001:db8::1 prefixlen 60", vec![address(Action::Set, "2001:db8::1/60", None)]),
        ("inet 10.0.0.1 netmask 0xffffff00 -alias", vec![address(Action::Remove, "10.0.0.1/24", None)]),
        ("-laggport em1", vec![Change::NoPort("em1".into())]),
        (
            "vhid 1 advskew 100 pass s3cret alias 192.0.2.10/32",
            vec![
                Change::Vhid(VhidChange {
                    vhid: 1,
                    advskew: Some(100),
                    passphrase: Some("s3cret".into()),
                    ..VhidChange::default()
                }),
                Change::Address(AddressChange {
                    action: Action::Add,
                    address: "192.0.2.10/32".parse().unwrap(),
                    failover: None,
                    vhid: Some(1),
                }),
            ],
        ),
    ];
    for (line, expect) in table {
        assert_eq!(read(line), Ok(expect), "{line}");
    }
}

#[test]
fn lines_that_cannot_be_used() {
    for (line, message) in [
        ("laggproto failover laggport em0 laggport em1 netmask", "'netmask' requires argument"),
        ("laggproto lacp", "laggproto lacp: mpathd does failover, nothing else"),
        ("laggproto fialover", "Invalid aggregation protocol: fialover"),
        ("lagghash l2,l5", "Invalid lagghash option: l5"),
        ("flowid_shift 40", "Invalid flowid_shift option: 40"),
        ("advskew 100", "advskew requires vhid"),
        ("pass x", "passwd requires vhid"),
        ("vhid 0", "vhid must be greater than 0 and less than 256"),
        ("vhid 1 state sleeping", "unknown state"),
        ("vhid 1 vrrpprio 7", "vrrpprio: mpathd speaks CARP, not VRRP"),
        ("netmask 255.255.255.0", "'netmask' without an address in front of it"),
        ("10.0.0.1 netmask 255.0.255.0", "'netmask': bad value '255.0.255.0'"),
        ("10.0.0.1/33", "bad prefix length 33 of 10.0.0.1"),
        ("addif", "'addif' requires argument"),
        ("addif gateway", "'addif': bad address 'gateway'"),
        ("alias", "an address is missing behind 'alias'"),
        ("2001:db8::1/64", "2001:db8::1 is an IPv6 address: write inet6 in front of it"),
        ("fialover", "'fialover' is neither a word of ifconfig nor an address; did you mean 'failover'?"),
    ] {
        assert_eq!(read(line), Err(message.to_owned()), "{line}");
    }
}

#[test]
fn passphrases_are_not_shown() {
    let shown = format!("{:?}", read("vhid 1 pass s3cret").unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}

proptest! {
    #[test]
    fn any_words(words in proptest::collection::vec(
        prop_oneof![proptest::sample::select(KNOWN).prop_map(str::to_owned), "[0-9a-f.:/+]{0,12}", ".{0,6}"], 0..12))
    {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Ok(changes) = parse(0, &words) {
            let mut settings = mpath_model::Settings::default();
            let _ = apply::apply(&mut settings, "lagg0", &changes, &apply::Surroundings::default());
            let _ = apply::apply(&mut settings, "eth0", &changes, &apply::Surroundings::default());
            // Whatever came out: a text that can be read, or errors about it.
            let _ = crate::parse(&crate::render(&settings), "f", &crate::Defaults::default());
        }
    }
}

/// What is said of one address never reaches the NIC or another address.
#[test]
fn a_unit_is_one_address() {
    let of_unit = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        parse(1, &words).map_err(|e| e.message)
    };
    assert_eq!(
        of_unit("deprecated -failover up"),
        Ok(vec![Change::Failover { unit: 1, family: Family::Inet, may: false }])
    );
    assert_eq!(of_unit("plumb"), Ok(vec![]));
    assert!(of_unit("down").unwrap_err().contains("an address is never down by itself"));
    for text in ["192.0.2.11 netmask + -failover up", "group g", "standby", "vhid 1", "mtu 9000", "create"] {
        assert!(of_unit(text).unwrap_err().contains("of IF:N"), "{text}");
    }
    assert!(read("addif 192.0.2.30/24 down").unwrap_err().contains("an address is never down by itself"));
}
