//! NICs of other kinds as members: taps, macvlans, VLANs and bonds. What this kernel may lack is left to a guest
//! (CONTRIBUTING.md).

use super::*;
use mpath_testkit::Tap;

/// Two members by these names; test addresses and data addresses in 10.10.0.0/24 and 2001:db8:10::/64.
fn members(one: &str, other: &str) -> String {
    format!(
        r#"
[[group]]
name = "production"
failure_detection_time = "1s"
[[group.interface]]
name = "{one}"
test_addresses = ["10.10.0.11/24", "link-local"]
[[group.interface]]
name = "{other}"
test_addresses = ["10.10.0.12/24", "link-local"]
[[group.address]]
address = "10.10.0.10/24"
[[group.address]]
address = "2001:db8:10::10/64"
"#
    )
}

const DATA: [&str; 2] = ["10.10.0.10", "2001:db8:10::10"];

struct Scene<'a> {
    lan: &'a Lan,
    daemon: Daemon,
    streams: Vec<UdpStream>,
    _echo: Echo,
}

impl<'a> Scene<'a> {
    /// The daemon on members of these names, and a client on the interface `nic` of the near host.
    fn start(lan: &'a Lan, one: &str, other: &str, nic: &str) -> Scene<'a> {
        lan.near.add_address(nic, "10.10.0.200/24").unwrap();
        lan.near.add_address(nic, "2001:db8:10::200/64").unwrap();
        let daemon = Daemon::start(&lan.server, &members(one, other)).unwrap();
        let _echo = Echo::start(&lan.server, PORT).unwrap();
        let start = |a: &str| UdpStream::start(&lan.near, target(a), 50).unwrap();
        Scene { lan, daemon, streams: DATA.map(start).into(), _echo }
    }

    /// Both data addresses are on this member alone, and answer.
    #[track_caller]
    fn serves(&self, nic: &str, when: &str) {
        let on = || DATA.iter().all(|a| self.lan.server.holders(a) == [nic]).then_some(());
        let there = poll_until(SOON, on);
        assert!(there.is_some(), "{when}: {:?}\n{}", self.lan.server.addresses(), self.daemon.log_text());
        let now = Instant::now();
        let answers = || self.streams.iter().all(|s| s.alive_since(now)).then_some(());
        let i = || format!("{:#?}", self.lan.server.inventory().unwrap().routes);
        assert!(
            poll_until(SOON, answers).is_some(),
            "{when}: no answer\n{}\n{}",
            i(),
            self.daemon.log_text()
        );
    }

    /// Cables and paths of the first two NICs fail in turn.
    fn fail_in_turn(&self, one: &str, other: &str) {
        self.serves(one, "at first");
        self.lan.cut(0).unwrap();
        self.serves(other, "the first cable is cut");
        self.lan.plug(0).unwrap();
        self.serves(one, "plugged in");
        self.lan.blackhole(0).unwrap();
        self.serves(other, "the first path is silent");
        self.lan.heal(0).unwrap();
        self.serves(one, "healed");
    }
}

/// The kernel's event for a plain NIC may be a second late: a tap has no peer that would make it come at once.
#[test]
fn taps() {
    with_daemon("kinds::taps", || {
        let host = Arc::new(Host::new("server").unwrap());
        let taps = ["tap0", "tap1"].map(|name| Tap::new(&host, name).unwrap());
        let config = members("tap0", "tap1").replace("\"1s\"", "\"1s\"\nprobe = \"link\"");
        let config = config.replace("test_addresses = [\"10.10.0.11/24\", \"link-local\"]", "");
        let config = config.replace("test_addresses = [\"10.10.0.12/24\", \"link-local\"]", "");
        let daemon = Daemon::start(&host, &config).unwrap();
        let serves = |nic: &str| {
            let on = || DATA.iter().all(|a| host.holders(a) == [nic]).then_some(());
            assert!(poll_until(SOON, on).is_some(), "{:?}\n{}", host.addresses(), daemon.log_text());
        };
        serves("tap0");
        // A third time within a minute would disable failback.
        for _ in 0..2 {
            taps[0].set_carrier(false).unwrap();
            serves("tap1");
            taps[0].set_carrier(true).unwrap();
            taps[1].set_carrier(false).unwrap();
            serves("tap0");
            taps[1].set_carrier(true).unwrap();
        }
    });
}

#[test]
fn macvlans() {
    with_daemon("kinds::macvlans", || {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        for (name, parent) in [("mv0", "eth0"), ("mv1", "eth1")] {
            lan.server.macvlan(name, parent, None).unwrap();
            lan.server.set_up(name).unwrap();
        }
        Scene::start(&lan, "mv0", "mv1", "eth0").fail_in_turn("mv0", "mv1");
    });
}

#[test]
#[ignore = "guest: needs vlan and bonding"]
fn vlans() {
    with_daemon("kinds::vlans", || {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        let [one, other] = ["eth0", "eth1"].map(|nic| lan.server.vlan(nic, 10).unwrap());
        let nic = lan.near.vlan("eth0", 10).unwrap();
        Scene::start(&lan, &one, &other, &nic).fail_in_turn(&one, &other);
    });
}

/// A bond of two NICs beside another one: what a bond can bear itself moves nothing.
#[test]
#[ignore = "guest: needs vlan and bonding"]
fn bonds() {
    with_daemon("kinds::bonds", || {
        let lan = Lan::new(LanOptions { nics: 4, configured: false, ..LanOptions::default() }).unwrap();
        lan.server.bond("bond0", &["eth0", "eth2"]).unwrap();
        lan.server.bond("bond1", &["eth1", "eth3"]).unwrap();
        let run = || ["bond0", "bond1"].iter().all(|nic| lan.server.is_running(nic)).then_some(());
        assert!(poll_until(SOON, run).is_some(), "bonds without a link");
        let scene = Scene::start(&lan, "bond0", "bond1", "eth0");
        scene.serves("bond0", "at first");
        lan.cut(0).unwrap();
        scene.serves("bond0", "one port of two is dead");
        let log = scene.daemon.log_text();
        assert!(!log.contains("failure detected on bond0"), "{log}");
        lan.cut(2).unwrap();
        scene.serves("bond1", "the bond is dead");
        lan.plug(0).unwrap();
        scene.serves("bond0", "one port is back");
        lan.blackhole(0).unwrap();
        scene.serves("bond1", "the path of the bond is silent");
    });
}

/// A NIC that is a port of a bond cannot be a member, and the daemon says what to do.
#[test]
#[ignore = "guest: needs vlan and bonding"]
fn a_port_of_a_bond_is_refused() {
    with_daemon("kinds::a_port_of_a_bond_is_refused", || {
        let lan = Lan::new(LanOptions { nics: 3, configured: false, ..LanOptions::default() }).unwrap();
        lan.server.bond("bond0", &["eth0", "eth2"]).unwrap();
        let daemon = Daemon::start(&lan.server, &members("eth0", "eth1")).unwrap();
        let told = daemon.wait_log(SOON, "eth0 is a port of bond0");
        assert!(told.is_ok(), "{}", daemon.log_text());
        let on = || (lan.server.holders(DATA[0]) == ["eth1"]).then_some(());
        assert!(poll_until(SOON, on).is_some(), "{:?}\n{}", lan.server.addresses(), daemon.log_text());
    });
}
