use super::super::Weight;
use super::nftables::{chain, rule};
use super::*;
use proptest::prelude::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(value.len() + 4).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    let name = attribute(1, format!("{name}\0").as_bytes());
    attribute(1, &[name, attribute(2, &data.concat())].concat())
}

fn be(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn equal(value: &[u8]) -> Vec<u8> {
    expression("cmp", &[be(1, 1), be(2, 0), attribute(3, &attribute(1, value))])
}

fn message(expressions: &[Vec<u8>]) -> Vec<u8> {
    let rule = [
        attribute(1, b"filter\0"),
        attribute(2, b"input\0"),
        attribute(3, &7u64.to_be_bytes()),
        attribute(4, &expressions.concat()),
    ];
    [vec![0; 4], rule.concat()].concat()
}

fn drop() -> Vec<u8> {
    let verdict = attribute(2, &be(1, 0));
    expression("immediate", &[be(1, 0), attribute(2, &verdict)])
}

fn settings() -> Settings {
    let text = "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n";
    mpath_config::parse(text, "f", &Default::default()).unwrap().settings
}

fn of(rules: &[&Rule]) -> Filter {
    Filter { rules: rules.iter().map(|r| (*r).clone()).collect(), chains: vec![], forward: vec![] }
}

#[test]
fn a_chain_that_drops_by_policy_is_named_unless_it_accepts_echo() {
    let hook = |n| attribute(4, &[be(1, n), be(2, 0)].concat());
    let base = |n, policy| {
        [vec![INET, 0, 0, 0], attribute(1, b"filter\0"), attribute(3, b"input\0"), hook(n), be(5, policy)]
            .concat()
    };
    assert_eq!(chain(&base(1, 1)), None, "accepts");
    assert_eq!(chain(&base(2, 0)), None, "only forwards");
    let mut filter = Filter { chains: vec![chain(&base(1, 0)).unwrap()], rules: vec![], forward: vec![] };
    let found = judge(&filter, &settings());
    assert_eq!(
        found[0].what,
        "chain input of table inet filter drops what no rule accepts, and none names icmp or icmpv6: probes may stay unanswered"
    );
    assert_eq!(found[0].remedy, "nft insert rule inet filter input meta l4proto { icmp, icmpv6 } accept");
    assert_eq!(found[0].weight, super::super::Weight::Obstacle);

    let accept = |protocol| Rule {
        family: INET,
        table: "filter".into(),
        chain: "input".into(),
        accepts: true,
        protocol,
        ..Rule::default()
    };
    filter.rules = vec![accept(None)];
    assert_eq!(judge(&filter, &settings())[0].weight, super::super::Weight::Hint, "it may look at states");
    filter.rules = vec![accept(Some(ICMP)), accept(Some(ICMPV6))];
    assert_eq!(judge(&filter, &settings()), []);
}

#[test]
fn rules_that_get_in_the_way_are_named() {
    let iifname = |name: &[u8; 16]| [expression("meta", &[be(1, 1), be(2, 6)]), equal(name)].concat();
    let eth0 = rule(&message(&[iifname(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"), drop()]));
    assert_eq!((eth0.handle, eth0.drops), (7, true));
    assert_eq!(eth0.interfaces, [Named::Name("eth0".into())]);
    let eth1 = rule(&message(&[iifname(b"eth1\0\0\0\0\0\0\0\0\0\0\0\0"), drop()]));
    let found = judge(&of(&[&eth0]), &settings());
    assert!(
        found[0].about == "eth0" && found[0].what.contains("rule 7 of chain input, table filter"),
        "{found:?}"
    );
    assert_eq!(judge(&of(&[&eth0, &eth1]), &settings()), [], "the same for every member");

    let echo = [
        expression("meta", &[be(1, 1), be(2, 16)]),
        equal(&[1]),
        expression("payload", &[be(1, 1), be(2, 2), be(3, 0), be(4, 1)]),
        equal(&[8]),
        expression("counter", &[]),
        drop(),
    ];
    let echo = rule(&message(&echo));
    // That others cannot ask this host is no harm to its own questions.
    let asked = judge(&of(&[&echo]), &settings());
    assert!(asked[0].what.contains("drops echo requests") && asked[0].weight == Weight::Hint, "{asked:?}");
    let echo = Rule { icmp_type: Some(0), ..echo };
    let blind = judge(&of(&[&echo]), &settings());
    assert!(blind[0].what.contains("drops echo: probes") && blind[0].weight == Weight::Obstacle, "{blind:?}");
    let limited = judge(&of(&[&Rule { narrow: true, ..echo.clone() }]), &settings());
    assert!(
        limited[0].what.contains("may be in the way") && limited[0].weight == Weight::Hint,
        "{limited:?}"
    );
    let forward = Chain { family: echo.family, table: echo.table.clone(), name: echo.chain.clone() };
    let passed_on = Filter { forward: vec![forward], ..of(&[&echo]) };
    assert_eq!(judge(&passed_on, &settings()), [], "what is passed on is nothing of this host's own");
    let set = [
        expression("meta", &[be(1, 1), be(2, 16)]),
        equal(&[1]),
        expression("payload", &[be(1, 1), be(2, 2), be(3, 0), be(4, 1)]),
        expression("lookup", &[]),
        drop(),
    ];
    assert!(rule(&message(&set)).narrow, "which types are in a set is not known here");
    assert_eq!(judge(&of(&[&Rule { drops: false, ..echo.clone() }]), &settings()), []);
    assert_eq!(
        judge(&of(&[&Rule { icmp_type: Some(5), ..echo }]), &settings()),
        [],
        "redirects may be dropped"
    );
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let _ = (rule(&bytes), chain(&bytes));
    }
}
