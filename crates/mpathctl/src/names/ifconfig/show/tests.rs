use super::*;
use mpath_model::status::{
    AddressState, Carp, DataAddress, GroupState, InterfaceState, Lagg, Port, ProbeState, TargetMode,
};

const LINUX: u32 = 0x1_1043;

fn link(name: &str, addresses: &[&str]) -> Link {
    Link {
        index: 2,
        name: name.to_owned(),
        flags: LINUX,
        mtu: 1500,
        mac: "00:05:5d:71:8d:b8".parse().ok(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        ..Link::default()
    }
}

fn member(name: &str, state: InterfaceState, active: bool, standby: bool) -> Interface {
    Interface {
        name: name.to_owned(),
        state,
        active,
        standby,
        link: LinkState::Up,
        probe: ProbeState::Ok,
        mode: TargetMode::Routes,
        test_addresses: vec![],
        targets: vec![],
        addresses: vec![],
        instances: vec![],
        degraded: false,
        unmanaged: vec![],
    }
}

fn picture(text: &str, status: Status) -> Picture {
    let settings = mpath_config::parse(text, "f", &mpath_config::Defaults::default()).unwrap().settings;
    Picture { links: vec![], family: None, status, settings }
}

#[test]
fn a_member_is_printed_as_solaris_does() {
    let address = |text: &str| DataAddress {
        address: text.parse().unwrap(),
        home: "eth0".to_owned(),
        interface: Some("eth0".to_owned()),
        state: AddressState::Up,
        adopted: false,
    };
    let group = Group {
        name: "production".to_owned(),
        state: GroupState::Ok,
        failure_detection_time_ms: 10_000,
        requested_failure_detection_time_ms: 10_000,
        failback: true,
        interfaces: vec![
            member("eth0", InterfaceState::Ok, true, false),
            member("eth1", InterfaceState::Ok, false, true),
            member("eth2", InterfaceState::Failed, false, false),
            member("eth3", InterfaceState::Offline, false, false),
        ],
        addresses: vec![address("192.0.2.10/24"), address("2001:db8::10/64")],
    };
    let text = "[[group]]\nname = \"production\"\n\
        [[group.interface]]\nname = \"eth0\"\ntest_addresses = [\"192.0.2.11/24\"]\n\
        [[group.interface]]\nname = \"eth1\"\ntest_addresses = [\"192.0.2.12/24\"]\n\
        [[group.interface]]\nname = \"eth2\"\n[[group.interface]]\nname = \"eth3\"\n";
    let picture = picture(text, Status { groups: vec![group], ..Status::default() });
    assert_eq!(
        picture.block(&link("eth0", &["192.0.2.11/24", "192.0.2.10/24", "2001:db8::10/64"]), false),
        "\
eth0: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> mtu 1500 index 2
\tinet 192.0.2.10 netmask ffffff00 broadcast 192.0.2.255
\tgroupname production
\tether 00:05:5d:71:8d:b8
eth0:1: flags=2000843<UP,BROADCAST,RUNNING,MULTICAST,IPv6> mtu 1500 index 2
\tinet6 2001:db8::10/64
eth0:2: flags=9040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER> mtu 1500 index 2
\tinet 192.0.2.11 netmask ffffff00 broadcast 192.0.2.255
"
    );
    let first = |name: &str, addresses: &[&str]| {
        let text = picture.block(&link(name, addresses), false);
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        first("eth1", &["192.0.2.12/24"]),
        "eth1: flags=69040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,STANDBY,INACTIVE> mtu 1500 index 2"
    );
    assert_eq!(
        first("eth2", &[]),
        "eth2: flags=11000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4,FAILED> mtu 1500 index 2"
    );
    assert!(first("eth3", &[]).contains("OFFLINE"));
}

#[test]
fn a_lagg_is_printed_as_freebsd_does() {
    let port = |name: &str, flags: &[&str]| Port {
        name: name.to_owned(),
        flags: flags.iter().map(|f| (*f).to_owned()).collect(),
        link: LinkState::Up,
        probe: ProbeState::Ok,
        state: InterfaceState::Ok,
    };
    let status = Status {
        laggs: vec![Lagg {
            name: "lagg0".to_owned(),
            backend: "redirect".to_owned(),
            link: LinkState::Up,
            primary: "fxp0".to_owned(),
            active: Some("fxp0".to_owned()),
            ports: vec![port("fxp0", &["MASTER", "ACTIVE"]), port("fxp1", &[])],
        }],
        carps: vec![Carp {
            interface: Some("lagg0".to_owned()),
            group: None,
            vhid: 1,
            state: "BACKUP".to_owned(),
            advbase: 1,
            advskew: 100,
            demotion: 0,
            addresses: vec!["10.0.0.99/24".parse().unwrap()],
            device: None,
            peer: None,
            peer6: None,
            preempt: false,
        }],
        ..Status::default()
    };
    assert_eq!(
        picture("", status).block(&link("lagg0", &["10.0.0.15/24"]), false),
        "\
lagg0: flags=1008843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\tether 00:05:5d:71:8d:b8
\tinet 10.0.0.15 netmask 0xffffff00 broadcast 10.0.0.255
\tinet 10.0.0.99 netmask 0xffffff00 broadcast 10.0.0.255 vhid 1
\tcarp: BACKUP vhid 1 advbase 1 advskew 100
\t      peer 224.0.0.18 peer6 ff02::12
\tlaggproto failover lagghash l2,l3,l4
\tlaggport: fxp0 flags=5<MASTER,ACTIVE>
\tlaggport: fxp1 flags=0<>
\tgroups: lagg
\tmedia: Ethernet autoselect
\tstatus: active
"
    );
}
