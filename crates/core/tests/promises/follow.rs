//! Everything follows: policy rules, multipath routes, copies of announcements, and plans made in advance.

use crate::common::*;
use mpath_core::Input;
use mpath_model::kernel::{Hop, KernelOp, Placing, Rule, Sysctl};
use mpath_model::{Family, Route};

fn two_homes() -> Lab {
    Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }.lab()
}

fn table(lab: &Lab, n: u32) -> Vec<(String, Vec<u32>)> {
    let of = lab.kernel.routes.iter().filter(|r| r.table == n);
    of.map(|r| (r.dst.to_string(), r.hops.iter().map(|h| h.index).collect())).collect()
}

#[test]
fn rules_are_there_while_several_nics_carry_data_and_only_then() {
    let mut lab = two_homes();
    let from = |a: &str, to: Option<&str>, priority, table| Rule {
        family: Family::Inet,
        priority,
        from: Some(format!("{a}/32").parse().unwrap()),
        to: to.map(|t| t.parse().unwrap()),
        table,
        suppress: None,
    };
    let net = Some("192.0.2.0/24");
    let middle =
        Rule { family: Family::Inet, priority: 7720, from: None, to: None, table: 254, suppress: Some(0) };
    let mut rules = lab.kernel.rules.clone();
    rules.sort_by_key(|r| (r.priority, r.table));
    let wanted = [
        from("192.0.2.10", net, 7710, 7700),
        from("192.0.2.20", net, 7710, 7701),
        middle,
        from("192.0.2.10", None, 7730, 7700),
        from("192.0.2.20", None, 7730, 7701),
    ];
    assert_eq!(rules, wanted);
    for (n, nic) in [(7700, ETH0), (7701, ETH1)] {
        let mut found = table(&lab, n);
        found.sort();
        assert_eq!(found, [("0.0.0.0/0".to_string(), vec![nic]), ("192.0.2.0/24".to_string(), vec![nic])]);
    }
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(lab.kernel.rules, []);
    assert_eq!(table(&lab, 7700).len() + table(&lab, 7701).len(), 0);
    lab.carrier(&[ETH0], true);
    lab.run(secs(5));
    assert_eq!(lab.kernel.rules.len(), wanted.len());
}

/// A container, a carved-out subnet and a static route inside the prefix of the data addresses are reached from them as
/// main says, and so is what a static route through another member reaches.
#[test]
fn what_main_reaches_in_another_way_is_reached_from_a_data_address() {
    let spec = Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.add_link(9, "br0");
    kernel.put(9, "192.0.2.97/28");
    kernel.add_route(Route::onlink("192.0.2.77/32".parse().unwrap(), 9, 0, 3));
    kernel.add_route(via("192.0.2.128/25", "192.0.2.1", ETH0));
    kernel.add_route(via("10.1.0.0/16", "192.0.2.1", ETH0));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    let parts = |lab: &Lab| {
        let mut found: Vec<Rule> = lab.kernel.rules.iter().filter(|r| r.priority == 7705).copied().collect();
        found.sort();
        assert!(found.iter().all(|r| r.table == 254 && r.from == Some("192.0.2.0/24".parse().unwrap())));
        found.into_iter().filter_map(|r| Some(r.to?.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(parts(&lab), ["192.0.2.77/32", "192.0.2.96/28", "192.0.2.128/25"]);
    // From 192.0.2.20, elsewhere: main comes before the table of eth1.
    let main = lab.kernel.rules.iter().filter(|r| r.table == 254 && r.suppress == Some(0)).count();
    assert_eq!(main, 1);
    lab.kernel.del_routes(|r| r.dst.to_string() == "192.0.2.77/32");
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(parts(&lab), ["192.0.2.96/28", "192.0.2.128/25"]);
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(lab.kernel.rules, []);
}

#[test]
fn a_rule_deleted_by_hand_is_put_back() {
    let mut lab = two_homes();
    let all = lab.kernel.rules.len();
    lab.kernel.apply(&KernelOp::DelRule(lab.kernel.rules[0]));
    lab.deliver();
    lab.run(secs(2));
    assert_eq!(lab.kernel.rules.len(), all);
}

#[test]
fn ways_out_of_a_multipath_route_follow_one_by_one() {
    let spec = Spec { nics: 3, ..Spec::default() };
    let mut kernel = spec.kernel();
    let mut route = via("10.0.0.0/8", "192.0.2.1", ETH0);
    route.hops.push(Hop { index: ETH1, gateway: Some(ip("192.0.2.2")), onlink: false, weight: 3 });
    kernel.add_route(route.clone());
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    let ways = |lab: &Lab| -> Vec<(u32, String)> {
        let of = lab.kernel.routes.iter().filter(|r| r.dst == route.dst);
        let found: Vec<&Route> = of.collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].hops.iter().map(|h| (h.index, h.gateway.unwrap().to_string())).collect()
    };
    let (one, two) = ("192.0.2.1".to_string(), "192.0.2.2".to_string());
    lab.carrier(&[ETH1], false);
    lab.run(secs(3));
    assert_eq!(ways(&lab)[0], (ETH0, one.clone()));
    assert_ne!(ways(&lab)[1].0, ETH1);
    lab.carrier(&[ETH0], false);
    lab.run(secs(3));
    assert_eq!(ways(&lab), [(ETH2, one), (ETH2, two)]);
    lab.carrier(&[ETH0, ETH1], true);
    lab.run(secs(10));
    assert!(lab.kernel.routes.contains(&route), "exactly as it was: {:?}", lab.kernel.routes);
    assert_eq!(ways(&lab).len(), 2);
}

/// The kernel takes the ways out of an IPv6 route away one by one; what is left is not a new route.
#[test]
fn an_ipv6_way_out_that_is_gone_is_put_back() {
    let spec = Spec { six: true, ..Spec::default() };
    let mut kernel = spec.kernel();
    let mut route = via("2001:db8:3::/48", "fe80::1", ETH0);
    route.hops.push(Hop { index: ETH1, gateway: Some(ip("fe80::2")), onlink: false, weight: 1 });
    kernel.add_route(route.clone());
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    // eth1 goes down: its way out is told of as a route of its own.
    lab.kernel.routes.retain(|r| r.dst != route.dst);
    let rest = Route { hops: vec![route.hops[0].clone()], ..route.clone() };
    lab.kernel.routes.push(rest.clone());
    lab.kernel.change_link(ETH1, |l| (l.up, l.running) = (false, false));
    let gone = Route { hops: vec![route.hops[1].clone()], ..route.clone() };
    lab.deliver();
    lab.feed(Input::Kernel(vec![mpath_model::KernelEvent::RouteGone(gone)]));
    lab.run(secs(3));
    let copies: Vec<&Route> = lab.kernel.routes.iter().filter(|r| r.dst == route.dst).collect();
    assert!(copies.iter().any(|r| r.hops.iter().all(|h| h.index == ETH0) && r.hops.len() == 2), "{copies:?}");
    lab.kernel.change_link(ETH1, |l| (l.up, l.running) = (true, true));
    lab.deliver();
    lab.run(secs(10));
    assert!(lab.kernel.routes.contains(&route), "{:?}", lab.kernel.routes);
}

#[test]
fn neighbours_in_the_table_get_copies_gateways_first() {
    let mut lab = Spec::default().lab();
    lab.kernel.learn(ETH0, ip("192.0.2.1"));
    lab.kernel.learn(ETH0, ip("192.0.2.99"));
    lab.deliver();
    lab.run(secs(1));
    lab.mark();
    lab.carrier(&[ETH0], false);
    lab.run(ms(500));
    let told: Vec<String> = lab
        .ops
        .iter()
        .filter_map(|(_, op)| match op {
            KernelOp::AnnounceTo { index: ETH1, neighbour, .. } => Some(neighbour.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(told[..2], ["192.0.2.1", "192.0.2.99"]);
}

/// A host that forwards says so when it announces (RFC 4861, section 4.4).
#[test]
fn a_router_announces_itself_as_one() {
    for router in [false, true] {
        let spec = Spec { data: vec![("2001:db8::10/64", 0)], six: true, ..Spec::default() };
        let mut kernel = spec.kernel();
        kernel.sysctls.insert(("eth1".into(), Sysctl::Forwarding6), i32::from(router));
        let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
        lab.run(secs(20));
        lab.carrier(&[ETH0], false);
        lab.run(ms(500));
        let said: Vec<bool> = lab
            .ops
            .iter()
            .filter_map(|(_, op)| match op {
                KernelOp::Announce { index: ETH1, router, .. } => Some(*router),
                _ => None,
            })
            .collect();
        assert!(!said.is_empty() && said.iter().all(|r| *r == router), "{said:?}");
    }
}

/// What is planned in advance is what is asked for when it happens, and a plan for another picture is void.
#[test]
fn a_plan_made_in_advance_is_the_one_that_is_carried_out() {
    for mut lab in [two_homes(), Spec { six: true, nics: 3, ..Spec::default() }.lab()] {
        lab.run(ms(20));
        let (generation, plan) = lab.prepared[&ETH0].clone();
        assert_eq!(generation, lab.engine.generation());
        assert!(plan.iter().any(|op| matches!(op, KernelOp::AddAddress(a) if a.index != ETH0)));
        assert!(plan.iter().all(|op| !matches!(op, KernelOp::DelAddress { .. })), "deletes come later");
        lab.mark();
        lab.feed(Input::Running { index: ETH0, running: false });
        let asked: Vec<KernelOp> = lab.ops.iter().map(|(_, op)| op.clone()).collect();
        assert_eq!(asked[..plan.len()], plan);
        assert_ne!(generation, lab.engine.generation());
    }
}

#[test]
fn a_changed_picture_makes_plans_void() {
    let mut lab = two_homes();
    lab.run(ms(20));
    let before = lab.prepared[&ETH0].clone();
    lab.kernel.put(ETH0, "192.0.2.77/24");
    lab.deliver();
    lab.run(ms(20));
    let after = &lab.prepared[&ETH0];
    assert!(after.0 > before.0 && after.1 != before.1);
    assert_eq!(after.0, lab.engine.generation());
    assert!(after.1.iter().any(|op| matches!(op, KernelOp::AddRoute(_, Placing::Before))));
}

/// Nothing that eth1 sends arrives, its probes are too slow to know: the proof of the move fails, and eth2 is used.
#[test]
fn a_move_that_cannot_be_proved_goes_on_to_the_next_nic() {
    let mut lab = Spec { nics: 3, fdt: secs(60), ..Spec::default() }.lab();
    lab.silence(ETH1);
    lab.carrier(&[ETH0], false);
    lab.run(ms(500));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    lab.run(secs(3));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2], "{}", lab.story());
    assert_eq!(lab.count("192.0.2.1 does not answer 192.0.2.10 on NIC eth1: the next NIC is tried"), 1);
    lab.mark();
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH2], "proved there");
    assert_eq!(lab.said().len(), 0, "{:?}", lab.said());
}

#[test]
fn a_proved_move_stays_and_says_nothing() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    assert!(!lab.story().contains("does not answer"), "{}", lab.story());
}

/// A router that knows nothing of the network of the address answers the question for its link-layer address all the same.
#[test]
fn a_target_without_a_route_to_the_address_proves_the_move() {
    let data = vec![("2001:db8:77::10/64", 0)];
    let mut lab = Spec { nics: 3, six: true, data, ..Spec::default() }.lab();
    lab.net.unrouted.insert(ip("2001:db8:77::10"));
    lab.carrier(&[ETH0], false);
    lab.run(secs(5));
    assert_eq!(lab.where_is("2001:db8:77::10"), [ETH1]);
    assert!(!lab.story().contains("does not answer"), "{}", lab.story());
}

/// Nobody else is there: it is told, and nothing moves.
#[test]
fn without_another_nic_an_unproved_move_stays() {
    let mut lab = Spec { fdt: secs(60), ..Spec::default() }.lab();
    lab.silence(ETH1);
    lab.carrier(&[ETH0], false);
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
    let text = "192.0.2.1 does not answer 192.0.2.10 on NIC eth1, and there is no other NIC";
    assert_eq!(lab.count(text), 1, "{}", lab.story());
}

/// What programs have joined on a NIC out of service is joined on the one that took over.
#[test]
fn multicast_follows_the_addresses() {
    let mut lab = Spec::default().lab();
    assert_eq!(lab.listen.follow, []);
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    assert_eq!(lab.listen.follow, [(ETH0, ETH1)]);
    lab.carrier(&[ETH0], true);
    lab.run(secs(5));
    assert_eq!(lab.listen.follow, []);
}

#[test]
fn different_mtus_are_told_once_and_withdrawn() {
    let mut lab = Spec::default().lab();
    lab.kernel.change_link(ETH1, |l| l.mtu = 1400);
    lab.deliver();
    lab.run(secs(30));
    let told = "NIC eth1 has MTU 1400, NIC eth0 has 1500: after a move large packets may not pass";
    assert_eq!(lab.count(told), 1, "{}", lab.story());
    lab.kernel.change_link(ETH1, |l| l.mtu = 1500);
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.count("NIC eth1 and NIC eth0 do not differ in their MTU as they did"), 1);
}
