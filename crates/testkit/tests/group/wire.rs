//! What is on the wire: probes go out in the families of the test addresses, and in no other.

use crate::world::SOON;
use mpath_model::Family;
use mpath_model::status::{GroupState, InterfaceState, Status};
use mpath_testkit::capture::EchoRequests;
use mpath_testkit::{Capture, Daemon, GroupConfig, Lan, LanOptions, Stack, wait_until, with_daemon};

/// Echo requests on both NICs from before the daemon starts until a failure is found and repaired. The host speaks
/// both families, has data addresses in both, and nobody else uses it.
fn echoes(family: Family) -> EchoRequests {
    let lan = Lan::new(LanOptions { configured: false, ..LanOptions::default() }).unwrap();
    lan.configure_plainly().unwrap();
    let captures = ["eth0", "eth1"].map(|nic| Capture::start(&lan.server, nic).unwrap());
    let config = GroupConfig { test_addresses: vec![family], ..GroupConfig::default() };
    let daemon = Daemon::start(&lan.server, &config.text()).unwrap();
    let wait = |what: &str, condition: &dyn Fn(&Status) -> bool| {
        daemon.wait_status(SOON, what, condition).unwrap_or_else(|e| panic!("{e}"));
    };
    let well = |status: &Status| {
        let members = &status.groups[0].interfaces;
        status.groups[0].state == GroupState::Ok && members.iter().all(|i| !i.targets.is_empty())
    };
    wait("all NICs are probed", &well);
    wait_until(SOON, "every NIC has answers to its probes", || daemon.all_answered().unwrap());
    lan.blackhole(0).unwrap();
    wait("eth0 has failed", &|s| s.groups[0].interfaces[0].state == InterfaceState::Failed);
    lan.heal(0).unwrap();
    wait("eth0 is repaired", &well);
    for data in Stack::Dual.data() {
        lan.exactly_one_nic_has(data);
    }
    let [first, second] = captures.map(Capture::stop);
    EchoRequests { inet: first.inet + second.inet, inet6: first.inet6 + second.inet6 }
}

#[test]
fn with_ipv4_test_addresses_no_icmpv6_echo_goes_out() {
    with_daemon("wire::with_ipv4_test_addresses_no_icmpv6_echo_goes_out", || {
        let seen = echoes(Family::Inet);
        assert!(seen.inet > 20, "{seen:?}");
        assert_eq!(seen.inet6, 0, "{seen:?}");
    });
}

#[test]
fn with_link_local_test_addresses_no_icmp_echo_goes_out() {
    with_daemon("wire::with_link_local_test_addresses_no_icmp_echo_goes_out", || {
        let seen = echoes(Family::Inet6);
        assert!(seen.inet6 > 20, "{seen:?}");
        assert_eq!(seen.inet, 0, "{seen:?}");
    });
}
