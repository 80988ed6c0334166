//! What must not be taken for a failure: random loss, suspends, slow answers.

use crate::common::*;

/// A day in 60 pieces; nothing may be said but at level info.
fn a_day(mut lab: Lab) {
    lab.record = false;
    for _ in 0..24 * 60 {
        lab.run(secs(60));
        let bad = |t: &&str| t.contains("failure detected") || t.contains("have failed");
        assert_eq!(lab.said().iter().find(|t| bad(t)), None, "{}", lab.story());
        lab.mark();
    }
}

#[test]
fn five_percent_loss_for_24_hours_at_10_s() {
    let mut lab = Spec { fdt: secs(10), ..Spec::default() }.lab();
    lab.net.loss = 50;
    a_day(lab);
}

#[test]
fn five_percent_loss_for_24_hours_at_10_s_in_both_families_from_five_targets() {
    let mut lab = Spec { fdt: secs(10), six: true, routers: 5, ..Spec::default() }.lab();
    lab.net.loss = 50;
    a_day(lab);
}

#[test]
fn suspends_of_a_second_a_minute_and_an_hour_all_day() {
    let mut lab = Spec { fdt: secs(10), ..Spec::default() }.lab();
    lab.record = false;
    for n in 0..300 {
        lab.run(secs(37));
        lab.suspend([secs(1), secs(60), secs(3600)][n % 3]);
        lab.run(secs(1));
        assert_eq!(lab.said(), [] as [&str; 0], "{}", lab.story());
    }
    assert!(lab.lines.iter().filter(|(_, l)| l.text.starts_with("missed sending ")).count() >= 400);
}
