//! What `why` tells of a path that lives and is not well, and what `max_rtt` does.

use crate::common::*;
use mpath_model::kernel::Transmit;
use mpath_model::status::InterfaceState;

fn problems(lab: &Lab, nic: &str) -> Vec<String> {
    lab.engine.explain(lab.now, Some(nic)).remove(0).problems
}

#[track_caller]
fn assert_told(lab: &Lab, nic: &str, text: &str) {
    assert!(problems(lab, nic).iter().any(|p| p.contains(text)), "no {text}: {:?}", problems(lab, nic));
}

fn none(lab: &Lab) {
    for nic in ["eth0", "eth1"] {
        assert_eq!(problems(lab, nic), Vec::<String>::new());
    }
}

#[test]
fn loss_is_told_of_with_its_threshold() {
    let mut lab = Spec::default().lab();
    none(&lab);
    lab.net.loss_of.insert(ETH0, 300);
    lab.run(secs(60));
    assert_told(&lab, "eth0", "its addresses move from 50% on");
    assert_eq!(problems(&lab, "eth1"), Vec::<String>::new());
}

#[test]
fn loss_that_rises_over_minutes_is_told_of() {
    let mut lab = Spec::default().lab();
    lab.record = false;
    for minute in 0..8 {
        lab.net.loss_of.insert(ETH0, minute * 20);
        lab.run(secs(60));
    }
    assert_told(&lab, "eth0", "loss of its probes rises");
}

#[test]
fn a_slow_nic_gives_its_addresses_to_a_quicker_one_and_takes_them_back() {
    let mut lab = Spec { routers: 1, ..Spec::default() }.lab();
    lab.record = false;
    lab.reload(|s| s.groups[0].thresholds.max_rtt = Some(ms(5)));
    lab.run(secs(5));
    none(&lab);
    for _ in 0..2000 {
        lab.net.delay_next.entry(ETH0).or_default().push_back(ms(20));
    }
    lab.until(secs(20), "move", |l| l.where_is("192.0.2.10") == [ETH1]);
    assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    assert!(lab.nic("eth0").degraded);
    assert_told(&lab, "eth0", "more than max_rtt, 5.0ms");
    assert_told(&lab, "eth0", "its addresses are on others");
    lab.net.delay_next.clear();
    lab.until(secs(30), "return", |l| l.where_is("192.0.2.10") == [ETH0]);
    none(&lab);
}

#[test]
fn slow_everywhere_moves_nothing() {
    let mut lab = Spec::default().lab();
    lab.reload(|s| s.groups[0].thresholds.max_rtt = Some(ms(5)));
    lab.net.host("192.0.2.1").delay = ms(20);
    lab.run(secs(60));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    assert_told(&lab, "eth1", "more than max_rtt");
}

#[test]
fn a_target_that_answers_one_nic_only_is_named() {
    let mut lab = Spec { routers: 3, ..Spec::default() }.lab();
    lab.net.cut.insert((ETH0, ip("192.0.2.2")));
    lab.run(secs(60));
    assert_told(&lab, "eth0", "target 192.0.2.2 answers eth1 and not it");
    assert!(!problems(&lab, "eth1").iter().any(|p| p.contains("192.0.2.2")));
}

/// Frames of the members to each other tell in which direction packets are lost.
#[test]
fn loss_in_one_direction_is_told_of() {
    let mut lab = Spec { nics: 3, ..Spec::default() }.lab();
    lab.record = false;
    lab.net.loss_of.insert(ETH0, 400);
    lab.run(secs(60));
    assert_told(&lab, "eth0", "what it sends is lost");
    lab.net.loss_of.clear();
    lab.run(secs(600));
    assert!(!problems(&lab, "eth0").iter().any(|p| p.contains("is lost:")), "{:?}", problems(&lab, "eth0"));
}

#[test]
fn large_frames_that_do_not_pass_are_told_of() {
    for (too_large, told) in [(Some(1000), true), (None, false)] {
        let mut lab = Spec { six: true, ..Spec::default() }.lab();
        lab.reload(|s| s.groups[0].thresholds.large_probes = true);
        lab.net.too_large = too_large;
        lab.mark();
        lab.run(secs(30));
        let sizes = lab.sent.iter().filter_map(|(_, w)| match w {
            Transmit::Echo { payload, index, .. } if *index == ETH0 => Some(payload.len()),
            _ => None,
        });
        let large: Vec<usize> = sizes.filter(|n| *n > 100).collect();
        assert!(large.iter().all(|n| *n == 1500 - 28 || *n == 1500 - 48), "{large:?}");
        assert!((50..70).contains(&large.len()), "one in each detection time and family: {}", large.len());
        assert_eq!(problems(&lab, "eth0").iter().any(|p| p.contains("large frames are lost")), told);
        assert_eq!(lab.state("eth0"), InterfaceState::Ok);
    }
}
