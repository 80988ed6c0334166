use super::text::render;
use super::*;
use mpath_model::status::*;

fn nic(name: &str, state: InterfaceState) -> Interface {
    let ok = state == InterfaceState::Ok;
    Interface {
        degraded: false,
        name: name.to_owned(),
        state,
        active: ok,
        standby: false,
        link: if ok { LinkState::Up } else { LinkState::Down },
        probe: if ok { ProbeState::Ok } else { ProbeState::Failed },
        mode: TargetMode::Routes,
        test_addresses: vec![],
        targets: vec!["192.0.2.1".parse().unwrap()],
        addresses: vec![],
        instances: vec![],
        unmanaged: vec![],
    }
}

fn address(address: &str, home: &str, on: Option<&str>) -> DataAddress {
    DataAddress {
        address: address.parse().unwrap(),
        home: home.to_owned(),
        interface: on.map(str::to_owned),
        state: if on.is_some() { AddressState::Up } else { AddressState::Down },
        adopted: false,
    }
}

fn group(state: GroupState, interfaces: Vec<Interface>, addresses: Vec<DataAddress>) -> Status {
    let group = Group {
        name: "production".to_owned(),
        state,
        failure_detection_time_ms: 10_000,
        requested_failure_detection_time_ms: 10_000,
        failback: true,
        interfaces,
        addresses,
    };
    Status { version: "0.1.0".to_owned(), groups: vec![group], ..Status::default() }
}

fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn all_is_well() {
    let mut spare = nic("eth1", InterfaceState::Ok);
    (spare.active, spare.standby) = (false, true);
    let addresses = vec![
        address("192.0.2.10/24", "eth0", Some("eth0")),
        address("2001:db8::10/64", "eth0", Some("eth0")),
    ];
    let status = group(GroupState::Ok, vec![nic("eth0", InterfaceState::Ok), spare], addresses);
    let text = render(&status, false);
    let golden = "\
mpathd 0.1.0

group production: ok, detection time 10 s, failback
  NIC   STATE  LINK  PROBE  ROLE     TARGETS
  eth0  ok     up    ok     active   192.0.2.1
  eth1  ok     up    ok     standby  192.0.2.1
  ADDRESS          STATE  ON    HOME
  192.0.2.10/24    up     eth0  eth0
  2001:db8::10/64  up     eth0  eth0
";
    assert_eq!(text, golden);
    assert_eq!(health(&status), 0);
}

#[test]
fn a_failed_nic_leaves_no_spare_and_that_is_said() {
    let mut spare = nic("eth1", InterfaceState::Ok);
    spare.standby = true;
    spare.unmanaged = vec![Unmanaged {
        address: "2001:db8::a00:27ff:fe4e:66a1/64".parse().unwrap(),
        reason: "configured by router advertisements".to_owned(),
    }];
    let interfaces = vec![nic("eth0", InterfaceState::Failed), spare];
    let mut status =
        group(GroupState::Degraded, interfaces, vec![address("192.0.2.10/24", "eth0", Some("eth1"))]);
    status.groups[0].failure_detection_time_ms = 12_340;
    status.groups[0].failback = false;
    let text = render(&status, false);
    let golden = "\
mpathd 0.1.0

group production: degraded, detection time 12.34 s, no failback
  the detection time asked for, 10 s, cannot be met: answers are too slow
  NO SPARE: eth1 is the only usable NIC, its failure will not be survived
  NIC   STATE   LINK  PROBE   ROLE            TARGETS
  eth0  FAILED  DOWN  FAILED  -               192.0.2.1
  eth1  ok      up    ok      standby in use  192.0.2.1
  ADDRESS        STATE  ON    HOME
  192.0.2.10/24  up     eth1  eth0
  left alone: 2001:db8::a00:27ff:fe4e:66a1/64 on eth1, configured by router
    advertisements
";
    assert_eq!(text, golden);
    assert_eq!(health(&status), 1);
    fits(&text);
}

#[test]
fn a_nic_that_loses_probes_is_named() {
    let mut lossy = nic("eth0", InterfaceState::Ok);
    (lossy.degraded, lossy.active) = (true, false);
    let interfaces = vec![lossy, nic("eth1", InterfaceState::Ok)];
    let text = render(&group(GroupState::Degraded, interfaces, vec![]), false);
    assert!(text.contains("LOSES PROBES: eth0"), "{text}");
    assert!(!text.contains("LOSES PROBES: eth1"), "{text}");
    fits(&text);
}

#[test]
fn all_nics_dead() {
    let mut absent = nic("eth1", InterfaceState::Unknown);
    (absent.link, absent.probe, absent.targets) = (LinkState::Unknown, ProbeState::Unknown, vec![]);
    let interfaces = vec![nic("eth0", InterfaceState::Failed), absent];
    let status = group(GroupState::Failed, interfaces, vec![address("192.0.2.10/24", "eth0", None)]);
    let text = render(&status, false);
    let golden = "\
mpathd 0.1.0

group production: FAILED, detection time 10 s, failback
  NO USABLE NIC: the addresses of group production cannot be reached
  NIC   STATE   LINK  PROBE      ROLE  TARGETS
  eth0  FAILED  DOWN  FAILED     -     192.0.2.1
  eth1  absent  -     no target  -
  ADDRESS        STATE  ON  HOME
  192.0.2.10/24  DOWN   -   eth0
";
    assert_eq!(text, golden);
    assert_eq!(health(&status), 2);
}

#[test]
fn nothing_configured_is_said() {
    let status = Status { version: "0.1.0".to_owned(), frozen: true, ..Status::default() };
    let text = render(&status, false);
    let golden = "\
mpathd 0.1.0
  FROZEN: probe verdicts move nothing until the daemon is thawed

No group is configured: no address of this host is protected.
";
    assert_eq!(text, golden);
    assert_eq!(health(&status), 0);
}

#[test]
fn the_longest_names_fit() {
    let name = |n: u8| format!("enp123s0f{n}np567");
    let six = "2001:1db8:1111:2222:3333:4444:5555:666";
    let mut interfaces: Vec<Interface> = (0..3)
        .map(|n| {
            let mut i = nic(&name(n), if n == 0 { InterfaceState::Offline } else { InterfaceState::Ok });
            i.standby = true;
            i.targets = (0..5).map(|t| format!("{six}{t}").parse().unwrap()).collect();
            i
        })
        .collect();
    interfaces[1].probe = ProbeState::Unknown;
    let addresses = (0..3).map(|n| address(&format!("{six}{n}/128"), &name(n), Some(&name(1)))).collect();
    let mut status = group(GroupState::Degraded, interfaces, addresses);
    status.groups[0].name = "g".repeat(31);
    fits(&render(&status, false));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let interfaces = vec![nic("eth0", InterfaceState::Failed), nic("eth1", InterfaceState::Ok)];
    let status = group(GroupState::Degraded, interfaces, vec![address("192.0.2.10/24", "eth0", None)]);
    let coloured = render(&status, true);
    assert!(coloured.contains("\x1b[1;31mFAILED\x1b[0m"));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert_eq!(stripped, render(&status, false));
}

#[test]
fn sixty_four_nics_are_a_line_each() {
    let interfaces: Vec<Interface> =
        (0..64).map(|n| nic(&format!("enp{n}s0f0np0"), InterfaceState::Ok)).collect();
    let addresses =
        (0..64).map(|n| address(&format!("192.0.2.{n}/24"), &format!("enp{n}s0f0np0"), None)).collect();
    let text = render(&group(GroupState::Ok, interfaces, addresses), false);
    fits(&text);
    assert_eq!(text.lines().count(), 2 + 1 + 1 + 64 + 1 + 64);
}

/// Every NIC is well, and an address is nowhere; a lagg has carrier, and every port of it is silent.
#[test]
fn what_does_not_serve_is_not_well() {
    let eth0 = || nic("eth0", InterfaceState::Ok);
    let status = group(GroupState::Ok, vec![eth0()], vec![address("192.0.2.10/24", "eth0", None)]);
    assert_eq!(health(&status), 1);
    let port = |state| Port {
        name: "em0".to_owned(),
        flags: vec![],
        link: LinkState::Up,
        probe: ProbeState::Failed,
        state,
    };
    let lagg = |state, link| Lagg {
        name: "lagg0".to_owned(),
        backend: "bond".to_owned(),
        link,
        primary: "em0".to_owned(),
        active: None,
        ports: vec![port(InterfaceState::Failed), port(state)],
    };
    let of = |lagg| health(&Status { laggs: vec![lagg], ..Status::default() });
    assert_eq!(of(lagg(InterfaceState::Ok, LinkState::Up)), 1);
    assert_eq!(of(lagg(InterfaceState::Failed, LinkState::Up)), 2);
    assert_eq!(of(lagg(InterfaceState::Ok, LinkState::Down)), 2);
}
