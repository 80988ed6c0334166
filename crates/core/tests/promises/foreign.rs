//! Foreign hands: what is taken away is put back at once, but nobody is fought for ever.

use crate::common::*;
use mpath_core::Input;
use mpath_core::input::Command;
use mpath_model::Route;
use mpath_model::event::EventKind;
use mpath_model::kernel::{KernelEvent, KernelOp, Rule, Sysctl};
use mpath_model::settings::ProbeMode;
use mpath_model::status::InterfaceState;

fn adds(lab: &Lab, address: &str) -> usize {
    let add = |op: &KernelOp| matches!(op, KernelOp::AddAddress(a) if a.addr.address == ip(address));
    lab.ops.iter().filter(|(_, op)| add(op)).count()
}

fn alarms(lab: &Lab, text: &str) -> usize {
    lab.events.iter().filter(|(_, e)| e.event == EventKind::Alarm && e.message.contains(text)).count()
}

fn delete(lab: &mut Lab, address: &str) {
    for index in lab.where_is(address) {
        let found = lab.kernel.addresses.iter().find(|a| a.index == index && a.addr.address == ip(address));
        let addr = found.unwrap().addr;
        lab.feed(Input::Kernel(vec![KernelEvent::Author("script (process 7)".into())]));
        lab.kernel.drop_address(index, &addr);
    }
    lab.deliver();
}

#[test]
fn an_address_that_is_deleted_ten_times_a_second_is_put_back_three_times_and_again_when_that_stops() {
    for address in ["192.0.2.10", "192.0.2.12"] {
        // Declared, and a test address that mpathd installed.
        let mut lab = Spec::default().lab();
        let begin = lab.now;
        for _ in 0..600 {
            delete(&mut lab, address);
            lab.run(ms(100));
            if lab.now - begin == secs(1) {
                assert_eq!(alarms(&lab, "3 times within a minute"), 1, "{}", lab.story());
            }
        }
        assert_eq!(adds(&lab, address), 3, "{}", lab.story());
        assert!(alarms(&lab, "putting it back") <= 3, "{}", lab.story());
        assert_eq!(lab.where_is(address), [] as [u32; 0]);
        lab.run(secs(2));
        assert_eq!(lab.where_is(address).len(), 1, "it stopped");
        lab.run(secs(70));
        assert_eq!(lab.where_is(address).len(), 1);
        assert!(lab.said().iter().any(|t| t.contains("kept as before")), "{}", lab.story());
        let before = adds(&lab, address);
        delete(&mut lab, address);
        lab.run(ms(1));
        assert_eq!(adds(&lab, address), before + 1, "and all is forgotten");
    }
}

#[test]
fn the_suspect_is_named() {
    let mut lab = Spec::default().lab();
    let addr = "192.0.2.10/24".parse().unwrap();
    for _ in 0..3 {
        lab.kernel.drop_address(ETH0, &addr);
        let mut events = lab.kernel.take_events();
        events.insert(0, KernelEvent::Author("script (process 7)".into()));
        lab.feed(Input::Kernel(events));
        lab.run(ms(1));
    }
    let (_, line) = lab.lines.iter().find(|(_, l)| l.text.contains("last time")).unwrap();
    assert_eq!(line.fields, [("by".to_string(), "script (process 7)".to_string())]);
}

/// It was there before the daemon, on a NIC that keeps it although it is at home on another.
#[test]
fn a_declared_address_that_somebody_else_installed_stays_when_it_leaves_the_file() {
    let spec = Spec {
        standby: vec![1],
        failback: false,
        data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 0)],
        ..Spec::default()
    };
    let mut kernel = spec.kernel();
    kernel.put(ETH1, "192.0.2.20/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    assert_eq!(lab.where_is("192.0.2.20"), [ETH1], "{}", lab.story());
    lab.ops.clear();
    lab.reload(|s| s.groups[0].addresses.truncate(1));
    lab.run(secs(20));
    assert_eq!(lab.where_is("192.0.2.20").len(), 1, "{}", lab.story());
    assert!(adds(&lab, "192.0.2.20") <= 1, "{} times", adds(&lab, "192.0.2.20"));
}

#[test]
fn what_is_left_alone_is_put_elsewhere_all_the_same() {
    let mut lab = Spec::default().lab();
    for _ in 0..5 {
        delete(&mut lab, "192.0.2.10");
        lab.run(ms(10));
    }
    assert_eq!(lab.where_is("192.0.2.10"), [] as [u32; 0]);
    lab.carrier(&[ETH0], false);
    lab.run(ms(10));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "a failover is no fight");
}

/// It stays with whoever serves it, and comes where it is left alone when nobody else can.
#[test]
fn what_is_left_alone_at_home_comes_back_when_nobody_else_serves() {
    let mut lab = Spec { fdt: secs(1), ..Spec::default() }.lab();
    lab.run(secs(5));
    for _ in 0..4 {
        delete(&mut lab, "192.0.2.10");
        lab.run(ms(500));
    }
    lab.ask(Command::Offline("eth0".into()));
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "{}", lab.story());
    lab.mark();
    lab.ask(Command::Online("eth0".into()));
    lab.run(secs(5));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH1], "somebody takes it away there");
    assert_eq!(lab.count("Successfully failed back"), 0, "{}", lab.story());
    lab.silence(ETH1);
    lab.until(secs(3), "a failover", |l| l.where_is("192.0.2.10") == [ETH0]);

    // As before, where it is taken away again.
    delete(&mut lab, "192.0.2.10");
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.10"), [0; 0], "{}", lab.story());
    lab.heal(ETH1);
    lab.run(secs(70));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "it is tried once a minute");
}

/// A minute later it goes home, as every address does.
#[test]
fn what_was_left_alone_at_home_goes_there_when_that_is_over() {
    let mut lab = Spec::default().lab();
    lab.run(secs(5));
    for _ in 0..4 {
        delete(&mut lab, "192.0.2.10");
        lab.run(ms(500));
    }
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.carrier(&[ETH0], true);
    lab.run(secs(40));
    assert_eq!((lab.where_is("192.0.2.10"), lab.state("eth0")), (vec![ETH1], InterfaceState::Ok));
    lab.run(secs(30));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0], "{}", lab.story());
}

#[test]
fn a_nic_that_goes_up_and_down_is_no_fight() {
    let mut lab = Spec { six: true, ..Spec::default() }.lab();
    for _ in 0..10 {
        lab.kernel.admin(ETH0, false);
        lab.deliver();
        lab.run(ms(200));
        assert_eq!(lab.where_is("192.0.2.10"), [ETH1]);
        lab.kernel.admin(ETH0, true);
        lab.deliver();
        lab.run(ms(200));
    }
    assert_eq!(alarms(&lab, "3 times within a minute"), 0, "{}", lab.story());
}

#[test]
fn a_sysctl_is_written_back_three_times() {
    let mut lab = Spec::default().lab();
    let key = ("eth0".to_string(), Sysctl::ArpIgnore);
    for n in 0..10 {
        lab.kernel.sysctls.insert(key.clone(), 0);
        lab.feed(Input::Kernel(vec![KernelEvent::Sysctl(key.0.clone(), key.1, 0)]));
        lab.run(ms(500));
        assert_eq!(lab.kernel.sysctls[&key], i32::from(n < 3), "{n}");
    }
    assert_eq!(alarms(&lab, "arp_ignore on eth0"), 2, "{}", lab.story());
    lab.run(secs(70));
    assert_eq!(lab.kernel.sysctls[&key], 1);
}

/// The kernel's own values on a new device are nobody's attack.
#[test]
fn a_nic_that_is_made_anew_again_and_again_gets_its_sysctls_each_time() {
    let mut lab = Spec::default().lab();
    let mut index = ETH0;
    for n in 0..6 {
        lab.kernel.remove_link(index);
        lab.deliver();
        lab.run(ms(500));
        index = 20 + n;
        lab.kernel.add_link(index, "eth0");
        lab.deliver();
        lab.run(ms(1500));
        assert_eq!(lab.kernel.sysctls[&("eth0".to_string(), Sysctl::PromoteSecondaries)], 1, "{n}");
    }
    assert_eq!(alarms(&lab, "taken away again and again"), 0, "{}", lab.story());
}

#[test]
fn a_route_of_ours_that_is_deleted_comes_back() {
    let mut lab = Spec::default().lab();
    for n in 0..6 {
        let ours = lab.kernel.routes.iter().position(|r| r.protocol == 77 && r.uses(ETH1));
        assert_eq!(ours.is_some(), n < 4, "{n} {}", lab.story());
        let Some(at) = ours else { continue };
        let route = lab.kernel.routes[at].clone();
        assert_eq!(lab.kernel.apply(&KernelOp::DelRoute(route)), 0);
        lab.deliver();
        lab.run(ms(100));
    }
    lab.run(secs(70));
    assert!(lab.kernel.routes.iter().any(|r| r.protocol == 77 && r.uses(ETH1)));
}

/// `ifdown eth0; ifup eth0`, as ifupdown does it: whoever sets the NIC up finds the place of his address and of his route free,
/// and the host is reachable all the time.
#[test]
fn who_sets_a_nic_up_puts_back_himself_what_belongs_there() {
    let spec = Spec { probe: ProbeMode::Link, four: false, data: vec![], ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH0, "192.0.2.50/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    let found = lab.kernel.routes.iter().find(|r| r.is_default()).unwrap().clone();
    let defaults = |lab: &Lab| -> Vec<Route> {
        lab.kernel.routes.iter().filter(|r| r.is_default() && r.table == 254).cloned().collect()
    };
    for round in 0..3 {
        assert_eq!(lab.kernel.apply(&KernelOp::DelRoute(found.clone())), 0);
        lab.deliver();
        lab.run(ms(2));
        lab.kernel.drop_address(ETH0, &"192.0.2.50/24".parse().unwrap());
        lab.deliver();
        lab.run(ms(2));
        lab.kernel.admin(ETH0, false);
        lab.deliver();
        lab.run(secs(1));
        assert_eq!(lab.where_is("192.0.2.50"), [ETH1], "{round} {}", lab.story());
        let lent = defaults(&lab);
        assert!(lent.len() == 1 && lent[0].uses(ETH1) && lent[0].metric != found.metric, "{lent:?}");

        lab.kernel.put(ETH0, "192.0.2.50/24");
        lab.deliver();
        lab.run(ms(2));
        lab.kernel.admin(ETH0, true);
        lab.deliver();
        lab.run(ms(20));
        assert!(defaults(&lab).iter().all(|r| r.metric != found.metric), "the place is free: {:?}", lab.ops);
        lab.kernel.add_route(found.clone());
        lab.deliver();
        lab.run(secs(1));
        assert_eq!(lab.where_is("192.0.2.50"), [ETH1]);
        lab.run(secs(65));
        assert_eq!(lab.where_is("192.0.2.50"), [ETH0], "{}", lab.story());
        assert_eq!(defaults(&lab), std::slice::from_ref(&found), "exactly as it was");
    }
}

#[test]
fn the_only_usable_nic_is_not_waited_for() {
    let spec = Spec { probe: ProbeMode::Link, four: false, ..Spec::default() };
    let mut lab = spec.lab();
    lab.carrier(&[ETH1], false);
    lab.run(secs(1));
    lab.kernel.admin(ETH0, false);
    lab.deliver();
    lab.run(secs(1));
    lab.kernel.admin(ETH0, true);
    lab.deliver();
    lab.run(ms(300));
    assert_eq!(lab.state("eth0"), InterfaceState::Ok, "{}", lab.story());
    assert!(lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH0)));
}

#[test]
fn a_rule_of_ours_that_is_deleted_comes_back_and_is_not_fought_for() {
    let mut lab = Spec { data: vec![("192.0.2.10/24", 0), ("192.0.2.20/24", 1)], ..Spec::default() }.lab();
    let of_it = |r: &&Rule| r.priority == 7710 && r.from.is_some_and(|a| a.address == ip("192.0.2.10"));
    for n in 0..6 {
        let rule = lab.kernel.rules.iter().find(of_it).copied();
        assert_eq!(rule.is_none(), n >= 4, "{n} {}", lab.story());
        let Some(rule) = rule else { continue };
        assert_eq!(lab.kernel.apply(&KernelOp::DelRule(rule)), 0);
        lab.deliver();
        lab.run(ms(100));
    }
    assert_eq!(alarms(&lab, "rule 77"), 2, "{}", lab.story());
    lab.run(secs(70));
    assert!(lab.kernel.rules.iter().any(|r| of_it(&r)), "tried again");
}

/// With its last IPv4 address a NIC loses its IPv4 routes, without a word. That is a wish only where the address was one.
#[test]
fn routes_that_went_with_the_last_address_of_a_nic_come_back_with_it() {
    for declared in [true, false] {
        let data = if declared { vec![("192.0.2.10/24", 0)] } else { vec![] };
        let spec = Spec { four: false, data, ..Spec::default() };
        let mut kernel = spec.kernel();
        if !declared {
            kernel.put(ETH0, "192.0.2.10/24");
        }
        let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
        lab.run(secs(20));
        let there =
            |lab: &Lab| lab.kernel.routes.iter().any(|r| r.is_default() && r.uses(ETH0) && r.protocol == 4);
        assert!(there(&lab));
        lab.kernel.drop_address(ETH0, &"192.0.2.10/24".parse().unwrap());
        assert!(!there(&lab));
        lab.deliver();
        lab.run(secs(5));
        assert_eq!(there(&lab), declared, "{}", lab.story());
        assert_eq!(lab.where_is("192.0.2.10").len(), usize::from(declared));
    }
}

/// Another address of the network does not depend on the one that somebody takes away again and again.
#[test]
fn what_is_left_alone_is_no_source_of_a_route() {
    let spec = Spec { data: vec![("192.0.2.10/24", 0)], four: false, ..Spec::default() };
    let mut kernel = spec.kernel();
    kernel.put(ETH1, "192.0.2.50/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(20));
    for _ in 0..4 {
        delete(&mut lab, "192.0.2.10");
        lab.run(ms(500));
    }
    assert_eq!(lab.where_is("192.0.2.10"), [0; 0], "{}", lab.story());
    lab.carrier(&[ETH1], false);
    lab.run(secs(2));
    assert_eq!(lab.where_is("192.0.2.50"), [ETH0]);
    let way = |r: &mpath_model::Route| {
        r.table == 254
            && r.dst == "192.0.2.0/24".parse().unwrap()
            && r.uses(ETH0)
            && r.prefsrc == Some(ip("192.0.2.50"))
    };
    assert!(lab.kernel.routes.iter().any(way), "{:?}", lab.kernel.routes);
}

/// The link needs its route all the same, and that leads into a NIC that is well; another host may have the address by now.
#[test]
fn what_is_left_alone_costs_no_way_and_is_announced_no_longer() {
    let mut lab = Spec::default().lab();
    lab.run(secs(5));
    for _ in 0..4 {
        delete(&mut lab, "192.0.2.10");
        lab.run(ms(500));
    }
    assert_eq!(lab.where_is("192.0.2.10"), [0; 0], "{}", lab.story());
    let given_up = lab.ops.len();
    lab.carrier(&[ETH1], false);
    lab.run(secs(2));
    let of_the_link = |r: &&Route| r.table == 254 && r.dst == "192.0.2.0/24".parse().unwrap();
    let best = lab.kernel.routes.iter().filter(of_the_link).min_by_key(|r| r.metric);
    assert!(best.is_some_and(|r| r.uses(ETH0)), "{:?}", lab.kernel.routes);
    lab.run(secs(40));
    let of_it = |op: &KernelOp| match op {
        KernelOp::Announce { address, .. } | KernelOp::AnnounceTo { address, .. } => {
            *address == ip("192.0.2.10")
        }
        _ => false,
    };
    assert!(!lab.ops[given_up..].iter().any(|(_, op)| of_it(op)), "{}", lab.story());
}
