//! Each message of mpathd-behaviour.md 8 that the engine gives: provoked, with its text and its level.

use crate::common::*;
use mpath_core::input::Command;
use mpath_model::EventKind;
use mpath_model::event::Level::{Err, Info, Notice, Warning};
use mpath_model::kernel::{KernelOp, Sysctl};
use mpath_model::settings::ProbeMode;

fn kinds(lab: &Lab) -> Vec<EventKind> {
    lab.events.iter().map(|(_, e)| e.event).collect()
}

#[test]
fn m12_to_m17_failure_failover_repair_failback_link() {
    let mut lab = Spec::default().lab();
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.carrier(&[ETH0], true);
    lab.run(secs(3));
    assert_eq!(lab.level("The link has gone down on eth0"), Notice);
    assert_eq!(lab.level("NIC failure detected on eth0 of group g"), Err);
    assert_eq!(lab.level("Successfully failed over from NIC eth0 to NIC eth1"), Notice);
    assert_eq!(lab.level("The link has come up on eth0"), Notice);
    assert_eq!(lab.level("NIC repair detected on eth0 of group g"), Notice);
    assert_eq!(lab.level("Successfully failed back to NIC eth0"), Notice);
    use EventKind::*;
    assert_eq!(kinds(&lab), [LinkDown, NicFailed, Failover, LinkUp, NicRepaired, Failback]);
    let first = &lab.events[1].1;
    assert_eq!((first.interface.as_deref(), first.group.as_deref()), (Some("eth0"), Some("g")));
    assert_eq!(first.message, "NIC failure detected on eth0 of group g");
}

#[test]
fn m12_m14_of_an_ungrouped_nic_name_no_group() {
    let mut lab = Spec::default().fresh();
    lab.reload(|s| {
        s.groups.clear();
        s.detection.track_interfaces_only_with_groups = false;
    });
    lab.run(secs(1));
    lab.carrier(&[ETH0], false);
    lab.run(secs(1));
    lab.carrier(&[ETH0], true);
    lab.run(secs(60));
    assert_eq!(lab.level("NIC failure detected on eth0"), Err);
    assert_eq!(lab.level("NIC repair detected on eth0"), Notice);
}

#[test]
fn m18_flapping_once_per_episode() {
    let mut lab = Spec { probe: ProbeMode::Link, four: false, ..Spec::default() }.lab();
    for _ in 0..4 {
        lab.carrier(&[ETH0], false);
        lab.run(secs(1));
        lab.carrier(&[ETH0], true);
        lab.run(secs(1));
    }
    let text = "The link has come up on eth0 more than 2 times in the last minute; disabling failback until it stabilizes";
    assert_eq!(lab.level(text), Err);
    assert_eq!(lab.count(text), 1);
}

#[test]
fn m19_m20_group_failure_and_repair() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.1").alive = false;
    lab.run(secs(3));
    assert_eq!(lab.level("All Interfaces in group g have failed"), Err);
    let event = &lab.events[0].1;
    assert_eq!((event.event, event.interface.as_deref()), (EventKind::GroupFailed, None));
    assert_eq!(event.group.as_deref(), Some("g"));
    lab.net.host("192.0.2.1").alive = true;
    lab.run(secs(3));
    let back = lab.lines.iter().find(|(_, l)| l.text.starts_with("At least 1")).unwrap();
    assert_eq!(back.1.level, Notice);
    let texts = [0, 1].map(|n| format!("At least 1 interface (eth{n}) of group g has repaired"));
    assert!(texts.contains(&back.1.text));
    assert!(kinds(&lab).contains(&EventKind::GroupRepaired));
}

#[test]
fn m10_m11_detection_time_raised_and_improved() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.1").delay = ms(130);
    lab.run(secs(5));
    let (_, raised) = lab.lines.iter().find(|(_, l)| l.text.starts_with("Cannot")).unwrap();
    let (head, rest) =
        raised.text.split_at("Cannot meet requested failure detection time of 1000 ms on (inet eth".len());
    assert_eq!(head, "Cannot meet requested failure detection time of 1000 ms on (inet eth");
    let rest = &rest[1..];
    let number =
        rest.strip_prefix(") new failure detection is ").and_then(|r| r.strip_suffix(" ms of group g"));
    let new: u64 = number.unwrap_or_else(|| panic!("{}", raised.text)).parse().unwrap();
    assert!(new > 1000);
    assert_eq!(raised.level, Warning);
    lab.net.host("192.0.2.1").delay = ms(1);
    lab.mark();
    lab.run(secs(120));
    let improved: Vec<_> = lab.lines.iter().filter(|(_, l)| l.text.starts_with("Improved")).collect();
    let last = &improved.last().unwrap().1;
    let texts =
        [0, 1].map(|n| format!("Improved failure detection time 1000 ms on (inet eth{n}) of group g"));
    assert!(texts.contains(&last.text), "{}", last.text);
    assert_eq!(last.level, Notice);
}

#[test]
fn m10_for_inet6() {
    let mut lab = Spec { four: false, six: true, ..Spec::default() }.lab();
    lab.net.host("fe80::1").delay = ms(130);
    lab.run(secs(5));
    let text = "Cannot meet requested failure detection time of 1000 ms on (inet6 eth";
    assert!(lab.lines.iter().any(|(_, l)| l.text.starts_with(text)), "{}", lab.story());
}

#[test]
fn m1_duplicate_test_address() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.add_link(9, "eth7");
    kernel.put(9, "192.0.2.11/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(45));
    let text = "IFF_NOFAILOVER address 192.0.2.11 is not unique and failure detection is not possible";
    assert_eq!(lab.level(text), Err);
    assert_eq!(lab.count(text), 1);
}

#[test]
fn m1_is_withdrawn_when_the_address_is_unique_again() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.add_link(9, "eth7");
    kernel.put(9, "192.0.2.11/24");
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(45));
    lab.kernel.drop_address(9, &"192.0.2.11/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(45));
    assert_eq!(lab.count("Test address 192.0.2.11 is unique; enabling probe-based failure detection"), 1);
}

#[test]
fn m2_m3_not_plumbed_alike() {
    let spec = Spec { data: vec![("192.0.2.10/24", 0), ("2001:db8::10/64", 0)], ..Spec::default() };
    let mut lab = spec.lab();
    lab.kernel.sysctls.insert(("eth1".into(), Sysctl::DisableIpv6), 1);
    lab.dump();
    lab.run(secs(60));
    let text = "NIC eth1 of group g is not plumbed for IPv6 and may affect failover capability";
    assert_eq!((lab.count(text), lab.level(text)), (1, Warning));
    lab.kernel.sysctls.insert(("eth1".into(), Sysctl::DisableIpv6), 0);
    lab.kernel.put(ETH1, "fe80::12/64");
    lab.dump();
    lab.run(secs(60));
    assert_eq!(lab.count("NIC eth1 is now consistent with group g and failover capability is restored"), 1);
}

#[test]
fn m4_missing_test_address() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.refuse.push((|op| matches!(op, KernelOp::AddAddress(a) if a.index == ETH1), 1));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(60));
    let text = "Failures cannot be detected on eth1 as no IFF_NOFAILOVER address is available";
    assert_eq!((lab.count(text), lab.level(text)), (1, Err));
}

#[test]
fn m5_test_address_there_again() {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.refuse.push((|op| matches!(op, KernelOp::AddAddress(a) if a.index == ETH1), 1));
    let mut lab = Lab::start(1, spec.settings(), kernel, spec.net(), None);
    lab.run(secs(60));
    lab.kernel.refuse.clear();
    lab.run(secs(60));
    let text = "Test address now configured on interface eth1; enabling probe-based failure detection on it";
    assert_eq!(lab.count(text), 1);
}

#[test]
fn m1_m3_m5_withdrawn_complaints_are_of_level_info() {
    use mpath_core::diag::{About, consistent, test_address_back, unique_test_address};
    let about = About { nic: Some("eth0"), group: Some("g") };
    let all = [test_address_back(about), consistent(about, "g"), unique_test_address(about, ip("192.0.2.1"))];
    for m in all {
        assert_eq!(
            m.line.level, Info,
            "in the contract's list of levels this is one of the rest: {}",
            m.line.text
        );
    }
}

#[test]
fn no_message_about_test_addresses_where_probes_are_off() {
    let mut lab = Spec { probe: ProbeMode::Link, ..Spec::default() }.fresh();
    lab.run(secs(60));
    assert_eq!(lab.said(), [] as [&str; 0]);
}

#[test]
fn m24_starvation() {
    let mut lab = Spec::default().lab();
    lab.suspend(secs(10));
    lab.run(secs(1));
    let missed: Vec<_> = lab.lines.iter().filter(|(_, l)| l.text.starts_with("missed sending")).collect();
    assert_eq!(missed.len(), 2, "one for each NIC");
    for (_, line) in missed {
        assert_eq!(line.level, Info);
        let n = line.text.strip_prefix("missed sending ").and_then(|t| t.strip_suffix(" probes"));
        let n: u64 = n.unwrap_or_else(|| panic!("{}", line.text)).parse().unwrap();
        assert!((68..=71).contains(&n), "ten seconds of {n} probes at 7 a second");
        assert!(line.fields.iter().any(|(k, _)| k == "interface"));
    }
}

#[test]
fn m26_nic_vanished() {
    let mut lab = Spec { six: true, ..Spec::default() }.lab();
    lab.kernel.remove_link(ETH1);
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.level("inet eth1 has been removed from kernel"), Info);
    assert_eq!(lab.level("inet6 eth1 has been removed from kernel"), Info);
}

#[test]
fn m28_refused_requests_once_per_episode() {
    let mut lab = Spec::default().lab();
    lab.kernel.refuse.push((|op| matches!(op, KernelOp::AddAddress(a) if a.index == ETH1), 12));
    lab.carrier(&[ETH0], false);
    lab.run(secs(100));
    let lines: Vec<_> = lab.lines.iter().filter(|(_, l)| l.text.starts_with("RTM_NEWADDR")).collect();
    assert_eq!(lines.len(), 1, "{}", lab.story());
    assert!(lines[0].1.text.starts_with("RTM_NEWADDR 192.0.2.10/24 on eth1: Cannot allocate memory"));
    assert_eq!(lines[0].1.level, Err);
}

#[test]
fn m28_probes_that_cannot_be_sent_once_per_episode() {
    let mut lab = Spec::default().lab();
    lab.net.send_errno.insert(ETH1, 101);
    lab.run(secs(20));
    let lines: Vec<_> = lab.lines.iter().filter(|(_, l)| l.text.contains("sendto")).collect();
    assert_eq!(lines.len(), 1, "{}", lab.story());
    let text = &lines[0].1.text;
    assert!(text.starts_with("probe: probe sendto (inet eth1): Network is unreachable"), "{text}");
    assert_eq!(lines[0].1.level, Err);
}

#[test]
fn offline_and_online() {
    let mut lab = Spec::default().lab();
    lab.ask(Command::Offline("eth0".into()));
    lab.run(secs(1));
    lab.ask(Command::Online("eth0".into()));
    lab.run(secs(1));
    assert_eq!(lab.level("NIC eth0 taken offline"), Notice);
    assert_eq!(lab.level("NIC eth0 put back online"), Notice);
    let kinds = kinds(&lab);
    assert!(kinds.contains(&EventKind::Offline) && kinds.contains(&EventKind::Online));
}

#[test]
fn adopted_forgotten_and_put_back() {
    let mut lab = Spec::default().lab();
    lab.kernel.put(ETH0, "192.0.2.20/24");
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.level("192.0.2.20/24 on eth0 is a data address now"), Info);
    lab.kernel.drop_address(ETH0, &"192.0.2.20/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.count("192.0.2.20/24 was deleted on eth0: no longer kept"), 1);
    lab.kernel.drop_address(ETH0, &"192.0.2.10/24".parse().unwrap());
    lab.deliver();
    lab.run(secs(1));
    assert_eq!(lab.count("192.0.2.10/24 was deleted on eth0: putting it back"), 1);
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
}

#[test]
fn a_member_that_is_a_port_of_something_else() {
    let mut lab = Spec::default().lab();
    lab.kernel.add_link(20, "br0");
    lab.kernel.change_link(ETH1, |l| l.master = Some(20));
    lab.deliver();
    lab.run(secs(30));
    let text = "NIC eth1 is a port of br0 and cannot be a member of group g: take it out of br0, or name br0 instead";
    assert_eq!((lab.count(text), lab.level(text)), (1, Err));
}

#[test]
fn usr1_statistics() {
    let mut lab = Spec::default().lab();
    lab.suspend(secs(10));
    lab.run(secs(1));
    lab.mark();
    lab.ask(Command::Statistics);
    let texts: Vec<&str> = lab.lines.iter().map(|(_, l)| l.text.as_str()).collect();
    assert!(
        texts[0].starts_with("Missed sending total of ")
            && texts[0].ends_with(" probes spread over 2 occurrences")
    );
    assert_eq!(texts[1], "Probe stats on (inet eth0)");
    let heads = [
        "Number of probes sent ",
        "Number of probe acks received ",
        "Number of probes/acks lost ",
        "Number of valid unacknowledged probes ",
        "Number of ambiguous probe acks received ",
    ];
    for (text, head) in texts[2..7].iter().zip(heads) {
        assert!(text.strip_prefix(head).is_some_and(|n| n.parse::<u64>().is_ok()), "{text}");
    }
    assert_eq!(texts[7], "Probe stats on (inet eth1)");
    assert!(lab.lines.iter().all(|(_, l)| l.level == Info));
    assert_eq!(lab.replies.last(), Some(&Ok(())));
}
