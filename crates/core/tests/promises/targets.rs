//! Whom the probes ask (mpathd-behaviour.md 2): cases 20 to 27.

use crate::common::net::reply;
use crate::common::*;
use mpath_model::kernel::{Packet, Transmit, ifa};
use mpath_model::settings::TestAddress;
use mpath_model::status::{InterfaceState, ProbeState, TargetMode};
use mpath_wire::probe::Kind;
use std::net::IpAddr;

const GROUP: &str = "All Interfaces in group g have failed";
const QUIET: [&str; 0] = [];

fn targets(lab: &Lab, nic: &str) -> Vec<IpAddr> {
    let mut all = lab.nic(nic).targets;
    all.sort();
    all
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|t| ip(t)).collect()
}

fn multicasts(lab: &Lab, nic: u32) -> usize {
    lab.probes(nic).iter().filter(|p| p.3 == Kind::Multicast).count()
}

// case 20
#[test]
fn without_routers_and_hosts_nothing_fails_and_the_search_goes_on() {
    let mut lab = Spec { routers: 0, ..Spec::default() }.lab();
    lab.run(secs(300));
    assert_eq!(lab.said(), QUIET);
    assert_eq!(lab.nic("eth0").probe, ProbeState::Unknown);
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    lab.mark();
    lab.run(secs(60));
    assert!(multicasts(&lab, ETH0) > 0);
    let search_or_beacon = |w: &Transmit| match w {
        Transmit::Echo { target, .. } => *target == ip("224.0.0.1"),
        Transmit::Frame { bytes, .. } => bytes[12..14] == [0x88, 0xb5],
        Transmit::Advert(_) => false,
    };
    assert!(lab.sent.iter().all(|(_, w)| search_or_beacon(w)));
}

// case 20
#[test]
fn a_router_displaces_hosts_and_hosts_come_back_without_it() {
    let mut lab = Spec { routers: 0, hosts: 2, ..Spec::default() }.lab();
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.101", "192.0.2.102"]));
    assert_eq!(lab.nic("eth0").mode, TargetMode::Multicast);
    lab.net.host("192.0.2.1");
    lab.kernel.add_route(via("0.0.0.0/0", "192.0.2.1", ETH0));
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1"]));
    assert_eq!(targets(&lab, "eth1"), ips(&["192.0.2.1"]), "offered to every NIC of the group");
    assert_eq!(lab.nic("eth0").mode, TargetMode::Routes);
    lab.kernel.del_routes(|r| r.is_default());
    lab.deliver();
    lab.run(secs(25));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.101", "192.0.2.102"]));
    assert_eq!(lab.nic("eth0").mode, TargetMode::Multicast);
}

// case 20
#[test]
fn a_deleted_route_takes_its_router_from_the_targets_at_once() {
    let mut lab = Spec { hosts: 2, ..Spec::default() }.lab();
    lab.kernel.del_routes(|r| r.is_default());
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.101", "192.0.2.102"]));
}

// case 20
#[test]
fn neighbours_of_the_kernel_are_hosts_to_ask() {
    let mut lab = Spec { routers: 0, hosts: 1, multicast: false, ..Spec::default() }.lab();
    assert_eq!(lab.nic("eth0").probe, ProbeState::Unknown);
    lab.kernel.learn(ETH0, ip("192.0.2.101"));
    lab.deliver();
    lab.until(secs(40), "target", |l| targets(l, "eth0") == ips(&["192.0.2.101"]));
    assert_eq!(lab.nic("eth0").probe, ProbeState::Ok);
}

// case 20
#[test]
fn hosts_heard_by_arp_are_asked() {
    let mut lab = Spec { routers: 0, hosts: 1, multicast: false, ..Spec::default() }.lab();
    let IpAddr::V4(sender) = ip("192.0.2.101") else { panic!() };
    let what = Packet::Arp {
        reply: false,
        sender_mac: net::HOST_MAC,
        sender,
        target_mac: Default::default(),
        target: [192, 0, 2, 7].into(),
    };
    lab.hear(ETH1, what);
    assert_eq!(targets(&lab, "eth1"), ips(&["192.0.2.101"]));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.101"]));
}

// case 21
#[test]
fn at_most_five_routers_are_active() {
    for (n, active) in [(1, 1), (3, 3), (5, 5), (6, 5), (20, 5)] {
        let mut lab = Spec { routers: n, ..Spec::default() }.lab();
        lab.run(secs(20));
        assert_eq!(targets(&lab, "eth0").len(), active, "{n} routers");
        let mut asked: Vec<IpAddr> = lab.probes(ETH0).iter().map(|p| p.1).collect();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), active);
        assert_eq!(lab.said(), QUIET);
    }
}

// case 21
#[test]
fn one_dead_router_is_replaced_and_retried_after_a_minute() {
    let mut lab = Spec { routers: 6, ..Spec::default() }.lab();
    let dead = targets(&lab, "eth0")[0];
    lab.net.hosts.get_mut(&dead).unwrap().alive = false;
    lab.until(secs(20), "replacement", |l| !targets(l, "eth0").contains(&dead));
    let at = lab.now;
    lab.net.hosts.get_mut(&dead).unwrap().alive = true;
    lab.run(secs(1));
    assert_eq!(targets(&lab, "eth0").len(), 5);
    let other = targets(&lab, "eth0")[0];
    lab.net.hosts.get_mut(&other).unwrap().alive = false;
    lab.until(secs(180), "retry", |l| targets(l, "eth0").contains(&dead));
    assert!(lab.now - at > secs(60));
    assert_eq!(lab.said(), QUIET, "no NIC is blamed");
}

// case 21
#[test]
fn one_dead_router_of_two_blames_nobody() {
    let mut lab = Spec { routers: 2, ..Spec::default() }.lab();
    lab.net.host("192.0.2.2").alive = false;
    lab.run(secs(600));
    assert_eq!(lab.said(), QUIET);
}

// case 22
#[test]
fn routers_dying_one_after_another_are_a_group_failure_with_the_last() {
    let mut lab = Spec { routers: 3, ..Spec::default() }.lab();
    for r in [3, 2] {
        lab.net.host(&format!("192.0.2.{r}")).alive = false;
        lab.run(secs(20));
        assert_eq!(lab.said(), QUIET);
    }
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(20));
    assert_eq!(lab.said(), [GROUP]);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.net.host("192.0.2.2").alive = true;
    lab.run(secs(200)); // a dead router is retried after one to two minutes
    assert_eq!((lab.state("eth0"), lab.state("eth1")), (InterfaceState::Ok, InterfaceState::Ok));
}

// case 22
#[test]
fn routers_dying_together_are_a_group_failure() {
    let mut lab = Spec { routers: 3, ..Spec::default() }.lab();
    (1..=3).for_each(|r| lab.net.host(&format!("192.0.2.{r}")).alive = false);
    lab.run(secs(20));
    assert_eq!(lab.said(), [GROUP]);
}

// case 22
#[test]
fn a_route_removed_while_the_group_has_failed_leaves_its_target() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.1").alive = false;
    lab.until_said(secs(3), GROUP);
    lab.kernel.del_routes(|r| r.is_default());
    lab.deliver();
    lab.run(secs(30));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1"]));
    lab.net.host("192.0.2.1").alive = true;
    lab.run(secs(5));
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
}

// case 22
#[test]
fn a_gateway_that_stops_answering_on_a_living_lan_fails_nothing() {
    let mut lab = Spec { hosts: 2, ..Spec::default() }.lab();
    for nic in [ETH0, ETH1] {
        for host in ["192.0.2.101", "192.0.2.102"] {
            lab.kernel.learn(nic, ip(host));
        }
    }
    lab.deliver();
    lab.run(secs(30));
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(60));
    assert_eq!(lab.said(), QUIET);
}

// case 23
#[test]
fn next_hops_that_are_no_targets() {
    let mut lab = Spec::default().lab();
    let mut far = via("198.51.100.0/24", "10.0.0.1", ETH0);
    far.hops[0].onlink = true;
    lab.kernel.add_route(far);
    lab.kernel.add_route(via("198.51.101.0/24", "192.0.2.12", ETH0));
    lab.kernel.add_link(9, "eth7");
    lab.kernel.put(9, "192.0.2.77/24");
    lab.kernel.add_route(via("198.51.102.0/24", "192.0.2.77", ETH0));
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1"]), "off the subnet; own; own on another NIC");
}

// case 23
#[test]
fn duplicate_default_routes_make_one_target() {
    let mut lab = Spec::default().lab();
    let mut second = via("0.0.0.0/0", "192.0.2.1", ETH1);
    second.metric = 100;
    lab.kernel.add_route(second);
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1"]));
    assert_eq!(targets(&lab, "eth1"), ips(&["192.0.2.1"]));
}

// case 23
#[test]
fn a_host_route_names_a_target() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.55");
    lab.kernel.add_route(via("192.0.2.55/32", "192.0.2.55", ETH0));
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1", "192.0.2.55"]));
}

// case 23
#[test]
fn an_address_on_an_interface_that_is_down_may_be_another_host() {
    let mut lab = Spec::default().lab();
    lab.kernel.add_link(9, "eth7");
    lab.kernel.put(9, "192.0.2.77/32");
    lab.kernel.admin(9, false);
    lab.net.host("192.0.2.77");
    lab.kernel.add_route(via("198.51.102.0/24", "192.0.2.77", ETH0));
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1", "192.0.2.77"]));
}

// case 24
#[test]
fn each_nic_asks_in_the_subnet_of_its_own_test_address() {
    let spec = Spec::default();
    let mut settings = spec.settings();
    settings.groups[0].interfaces[1].test_addresses =
        vec![TestAddress::Address("198.51.100.12/24".parse().unwrap())];
    let mut kernel = spec.kernel();
    kernel.add_route(via("203.0.113.0/24", "198.51.100.1", ETH1));
    let mut net = spec.net();
    net.host("198.51.100.1");
    let mut lab = Lab::start(1, settings, kernel, net, None);
    lab.run(secs(20));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.1"]));
    assert_eq!(targets(&lab, "eth1"), ips(&["198.51.100.1"]));
    lab.silence(ETH0);
    lab.until_said(secs(1), "NIC failure detected on eth0 of group g");
}

// case 25
#[test]
fn strange_answers_to_a_multicast_are_no_targets() {
    let mut lab = Spec { routers: 0, ..Spec::default() }.lab();
    lab.run(secs(60));
    let search = lab
        .sent
        .iter()
        .rev()
        .find(|(_, w)| matches!(w, Transmit::Echo { index, .. } if *index == ETH0))
        .unwrap()
        .1
        .clone();
    for from in ["192.0.2.12", "0.0.0.0", "198.51.100.9", "224.0.0.1"] {
        lab.hear(ETH0, reply(&search, ip(from)));
        assert_eq!(targets(&lab, "eth0"), [] as [IpAddr; 0], "{from}");
    }
    for n in 1..=6 {
        lab.hear(ETH0, reply(&search, ip(&format!("192.0.2.10{n}"))));
    }
    assert_eq!(targets(&lab, "eth0").len(), 5, "the sixth host is refused");
}

// case 25
#[test]
fn a_single_host_is_probed_and_a_second_looked_for() {
    let mut lab = Spec { routers: 0, hosts: 1, ..Spec::default() }.lab();
    lab.run(secs(60));
    assert_eq!(targets(&lab, "eth0"), ips(&["192.0.2.101"]));
    assert!(multicasts(&lab, ETH0) > 0);
    lab.net.host("192.0.2.102").multicast = true;
    lab.until(secs(60), "second host", |l| targets(l, "eth0").len() == 2);
    lab.mark();
    lab.run(secs(60));
    assert_eq!(multicasts(&lab, ETH0), 0, "two are enough");
}

// case 25
#[test]
fn a_dead_host_is_deleted_and_another_looked_for() {
    let mut lab = Spec { routers: 0, hosts: 2, ..Spec::default() }.lab();
    lab.net.host("192.0.2.102").alive = false;
    lab.until(secs(5), "deletion", |l| targets(l, "eth0") == ips(&["192.0.2.101"]));
    lab.mark();
    lab.net.host("192.0.2.103").multicast = true;
    lab.until(secs(40), "new host", |l| targets(l, "eth0").contains(&ip("192.0.2.103")));
    assert!(multicasts(&lab, ETH0) > 0);
    assert_eq!(lab.said(), QUIET);
}

// case 26
#[test]
fn the_same_link_local_neighbour_is_a_target_of_each_nic() {
    let mut lab = Spec { four: false, six: true, ..Spec::default() }.lab();
    assert_eq!(targets(&lab, "eth0"), ips(&["fe80::1"]));
    assert_eq!(targets(&lab, "eth1"), ips(&["fe80::1"]));
    lab.silence(ETH0);
    lab.until_said(secs(1), "NIC failure detected on eth0 of group g");
    assert_eq!(lab.state("eth1"), InterfaceState::Ok);
}

// case 26
#[test]
fn an_answer_from_a_global_ipv6_address_is_refused() {
    let mut lab = Spec { four: false, six: true, routers: 0, hosts: 0, ..Spec::default() }.lab();
    lab.run(secs(60));
    let search = lab
        .sent
        .iter()
        .rev()
        .find(|(_, w)| matches!(w, Transmit::Echo { index, .. } if *index == ETH0))
        .unwrap()
        .1
        .clone();
    lab.hear(ETH0, reply(&search, ip("2001:db8::99")));
    assert_eq!(targets(&lab, "eth0"), [] as [IpAddr; 0]);
    lab.hear(ETH0, reply(&search, ip("fe80::99")));
    assert_eq!(targets(&lab, "eth0"), ips(&["fe80::99"]));
}

// case 27
#[test]
fn a_test_address_in_another_subnet_purges_the_old_targets() {
    let mut lab = Spec::default().lab();
    lab.reload(|s| {
        s.groups[0].interfaces[0].test_addresses =
            vec![TestAddress::Address("198.51.100.11/24".parse().unwrap())];
    });
    lab.run(secs(2));
    assert_eq!(targets(&lab, "eth0"), [] as [IpAddr; 0]);
    assert_eq!(targets(&lab, "eth1"), ips(&["192.0.2.1"]));
    assert_eq!(lab.where_is("192.0.2.11"), [] as [u32; 0], "mpathd had installed it");
}

// case 27
#[test]
fn a_test_address_of_which_only_flags_change_is_probed_on() {
    let mut lab = Spec::default().lab();
    let mut test = lab.kernel.on(ETH0).find(|a| a.addr.address == ip("192.0.2.11")).unwrap().clone();
    for _ in 0..20 {
        test.flags ^= ifa::DEPRECATED;
        lab.kernel.add_address(&test);
        lab.deliver();
        lab.run(ms(200));
    }
    let probes = lab.probes(ETH0);
    assert!(probes.windows(2).all(|w| w[1].0 - w[0].0 <= ms(215) && w[1].2 == w[0].2 + 1), "no reset");
}
