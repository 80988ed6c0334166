//! Faults planted on purpose: `why` or `doctor` names each.

use crate::tool::Tool;
use crate::{SOON, expect, words, world};
use mpath_testkit::lan::DATA4;
use mpath_testkit::{Daemon, GroupConfig, Lan, LanOptions, poll_until, with_daemon};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use std::os::fd::AsRawFd;

/// Waits until `doctor`, which ends with 1 then, names an obstacle.
#[track_caller]
fn expect_obstacle(tool: &Tool, text: &str) {
    let mut last = String::new();
    let found = poll_until(SOON, || {
        let run = tool.run("mpathctl", &["doctor", "--json"]);
        last = run.out;
        (run.code == 1 && last.contains(text)).then_some(())
    });
    assert!(found.is_some(), "doctor never says '{text}': {last}");
}

#[test]
fn faults_of_the_link_the_path_the_gateway_and_foreign_hands_are_named() {
    with_daemon("planted::faults_of_the_link_the_path_the_gateway_and_foreign_hands_are_named", || {
        let (lan, _daemon, tool) = world();
        lan.cut(1).unwrap();
        expect(
            &tool,
            &["why", "eth1"],
            "because its link is down\n  to repair: check the cable and the switch port",
        );
        expect_obstacle(&tool, "it has no carrier");
        lan.plug(1).unwrap();
        expect(&tool, &["why", "eth1"], "eth1 of group production: ok");

        lan.blackhole(1).unwrap();
        expect(&tool, &["why", "eth1"], "probes are unanswered\n  to repair: 10 probes in a row");
        expect_obstacle(&tool, "its link is up, and its last");
        lan.heal(1).unwrap();
        expect(&tool, &["why", "eth1"], "eth1 of group production: ok");

        for key in ["net/ipv4/icmp_echo_ignore_all", "net/ipv6/icmp/echo_ignore_all"] {
            lan.router.sysctl(key, "1").unwrap();
        }
        expect(&tool, &["why", "eth1"], "so the gateways are at fault");
        expect_obstacle(&tool, "its gateways did not answer while its neighbours did");

        let alarm = "is taken away again and again: left alone for a minute";
        // As a script would that knows better: as often as it is put right.
        let strict = poll_until(SOON, || {
            lan.server.sysctl("net/ipv4/conf/eth1/rp_filter", "1").unwrap();
            words(&tool.ctl(&["why", "eth1"])).contains(&format!("rp_filter on eth1 {alarm}")).then_some(())
        });
        assert!(strict.is_some(), "{}", tool.ctl(&["why", "eth1"]));
        expect_obstacle(&tool, "rp_filter is strict");

        let deleted = poll_until(SOON, || {
            let _ = lan.server.del_address("eth0", &format!("{DATA4}/24"));
            words(&tool.ctl(&["why", "eth0"])).contains(&format!("{DATA4}/24 on eth0 {alarm}")).then_some(())
        });
        assert!(deleted.is_some(), "{}", tool.ctl(&["why", "eth0"]));
    });
}

#[test]
fn a_filter_equal_macs_and_a_bridge_are_named() {
    with_daemon("planted::a_filter_equal_macs_and_a_bridge_are_named", || {
        let (lan, _daemon, tool) = world();
        drop_all_input(&lan);
        expect_obstacle(
            &tool,
            "chain input of table inet t drops what no rule accepts, and none names icmp or icmpv6",
        );
        lan.server.set_mac("eth1", lan.nic_mac(0)).unwrap();
        expect_obstacle(&tool, "its link-layer address is that of eth0: the switch mixes them up");
        expect(&tool, &["why", "eth1"], "its link-layer address is that of eth0: the switch mixes them up");
        let bridge = lan.server.bridge("br0").unwrap();
        lan.server.plug_port("eth1", bridge).unwrap();
        expect(
            &tool,
            &["why", "eth1"],
            "because eth1 is a port of br0, and a port holds no addresses of its own",
        );
        expect_obstacle(&tool, "ip link set eth1 nomaster, or put br0 in its place");
    });
}

#[test]
fn a_wrong_subnet_and_a_duplicate_test_address_are_named() {
    with_daemon("planted::a_wrong_subnet_and_a_duplicate_test_address_are_named", || {
        let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
        lan.server.bridge("other0").unwrap();
        lan.server.add_address("other0", "192.0.2.12/24").unwrap();
        let text = GroupConfig::default().text().replace("192.0.2.11/24", "203.0.113.11/24");
        let daemon = Daemon::start(&lan.server, &text).unwrap();
        let tool = Tool::new(&daemon, &lan.server);
        let subnet =
            "in the subnet of test address 203.0.113.11/24, which is not that of 192.0.2.12/24 on eth1";
        expect_obstacle(&tool, subnet);
        expect_obstacle(&tool, "test address 192.0.2.12 is on another interface of this host too");
    });
}

/// `nft add table inet t; nft add chain inet t input { type filter hook input priority 0; policy drop; }`
fn drop_all_input(lan: &Lan) {
    let attribute = |kind: u16, value: &[u8]| {
        let mut bytes = u16::try_from(value.len() + 4).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let be = |kind, value: u32| attribute(kind, &value.to_be_bytes());
    let message = |kind: u16, flags: u16, body: Vec<u8>| {
        let length = u32::try_from(16 + body.len()).unwrap();
        let header = [length.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        let mut bytes = [header, body].concat();
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | 1).to_ne_bytes());
        bytes
    };
    // struct nfgenmsg of NFPROTO_INET; that of a batch has the subsystem's number in it.
    let inet = || vec![1u8, 0, 0, 0];
    let batch = |kind| message(kind, 0, vec![0, 0, 0, 10]);
    let table = [inet(), attribute(1, b"t\0")].concat();
    let hook = [be(1, 1), be(2, 0)].concat();
    let chain = [
        inet(),
        attribute(1, b"t\0"),
        attribute(3, b"input\0"),
        attribute(0x8000 | 4, &hook),
        be(5, 0),
        attribute(7, b"filter\0"),
    ];
    let create = 0x400;
    let ack = 4;
    let bytes =
        [batch(16), message(0x0a00, create, table), message(0x0a03, create | ack, chain.concat()), batch(17)];
    lan.server.run(|| {
        let protocol = SockProtocol::NetlinkNetFilter;
        let fd = nix::sys::socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), protocol)
            .unwrap();
        let to = NetlinkAddr::new(0, 0);
        nix::sys::socket::sendto(fd.as_raw_fd(), &bytes.concat(), &to, MsgFlags::empty()).unwrap();
        let mut answer = [0; 4096];
        let n = nix::sys::socket::recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        assert_eq!(answer[16..20], [0; 4], "{:?}", &answer[..n]);
    });
}
