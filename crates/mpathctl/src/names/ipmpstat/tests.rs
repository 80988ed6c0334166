use super::*;
use mpath_model::Family;
use mpath_model::status::{DataAddress, Instance, Method};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn nic(name: &str, state: InterfaceState, active: bool, standby: bool) -> Interface {
    let ok = state == InterfaceState::Ok;
    Interface {
        degraded: false,
        name: name.to_owned(),
        state,
        active,
        standby,
        link: if ok { LinkState::Up } else { LinkState::Down },
        probe: if ok { ProbeState::Ok } else { ProbeState::Failed },
        mode: TargetMode::Routes,
        test_addresses: vec![],
        targets: vec![],
        addresses: vec![],
        instances: vec![Instance {
            family: Family::Inet,
            methods: vec![Method::Icmp],
            mode: TargetMode::Routes,
            test_address: Some("192.0.2.11".parse().unwrap()),
            targets: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        }],
        unmanaged: vec![],
    }
}

fn status() -> Status {
    let address = |text: &str, up: bool| DataAddress {
        address: text.parse().unwrap(),
        home: "eth0".to_owned(),
        interface: up.then(|| "eth0".to_owned()),
        state: if up { AddressState::Up } else { AddressState::Down },
        adopted: false,
    };
    let group = Group {
        name: "production".to_owned(),
        state: GroupState::Degraded,
        failure_detection_time_ms: 10_000,
        requested_failure_detection_time_ms: 10_000,
        failback: true,
        interfaces: vec![
            nic("eth0", InterfaceState::Ok, true, false),
            nic("eth1", InterfaceState::Ok, false, true),
            nic("eth2", InterfaceState::Failed, false, false),
            Interface { instances: vec![], ..nic("eth3", InterfaceState::Offline, false, false) },
        ],
        addresses: vec![address("192.0.2.10/24", true), address("2001:db8::10/64", false)],
    };
    Status { groups: vec![group], ..Status::default() }
}

fn output(args: &str) -> String {
    let (wanted, format) = arguments(&words(args)).unwrap();
    let names = Names::default();
    let rows = match wanted.mode.unwrap() {
        'a' => addresses(&status(), &names),
        'g' => groups(&status()),
        'i' => interfaces(&status()),
        _ => targets(&status(), &names),
    };
    format.header() + &rows.iter().map(|r| format.row(r)).collect::<String>()
}

#[test]
fn the_views_are_those_of_ipmpstat() {
    assert_eq!(
        output("-a"),
        "\
ADDRESS                   STATE  GROUP       INBOUND     OUTBOUND
192.0.2.10                up     production  eth0        eth0
2001:db8::10              down   production  --          --
"
    );
    assert_eq!(
        output("-g"),
        "\
GROUP       GROUPNAME   STATE     FDT       INTERFACES
production  production  degraded  10.00s    eth0 (eth1) [eth2 eth3]
"
    );
    assert_eq!(
        output("-i"),
        "\
INTERFACE   ACTIVE  GROUP       FLAGS     LINK      PROBE     STATE
eth0        yes     production  --mbM--   up        ok        ok
eth1        no      production  is-----   up        ok        ok
eth2        no      production  -------   down      failed    failed
eth3        no      production  -----d-   down      failed    offline
"
    );
    assert_eq!(
        output("-nt"),
        "\
INTERFACE   MODE      TESTADDR            TARGETS
eth0        routes    192.0.2.11          192.0.2.1 192.0.2.2
eth1        routes    192.0.2.11          192.0.2.1 192.0.2.2
eth2        routes    192.0.2.11          192.0.2.1 192.0.2.2
eth3        disabled  --                  --
"
    );
}

#[test]
fn parsable_output_is_escaped() {
    assert_eq!(
        output("-P -o address,GROUP,inbound -a"),
        "192.0.2.10:production:eth0\n2001\\:db8\\:\\:10:production:\n"
    );
    assert!(output("-oall -p").starts_with(
        "TIME      INTERFACE   PROBE  NETRTT    RTT       RTTAVG    TARGET              RTTDEV\n"
    ));
    assert!(!output("-p").contains("RTTDEV"));
}

#[test]
fn wrong_usage_is_said() {
    for (args, says) in [
        ("", "usage: ipmpstat"),
        ("-a -g", "only one output format"),
        ("-x", "illegal option -- x"),
        ("-a extra", "usage: ipmpstat"),
        ("-a -P", "-P requires -o"),
        ("-a -o", "usage: ipmpstat"),
        ("-a -o NOPE", "unknown output field `NOPE'"),
    ] {
        let said = arguments(&words(args)).unwrap_err();
        assert!(said.contains(says), "{args}: {said}");
    }
}
