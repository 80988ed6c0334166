//! How long detection takes, in virtual time (mpathd-behaviour.md 1.4): always within the detection time, about
//! 5.5 intervals in the median; repair about 10.5, always under twice the detection time.

use crate::common::*;
use std::time::Duration;

const FAILED0: &str = "NIC failure detected on eth0 of group g";
const REPAIRED0: &str = "NIC repair detected on eth0 of group g";

/// Fails and heals eth0 `times`, at random moments; how long each took, in intervals, sorted.
fn measure(mut lab: Lab, times: usize, settle: bool) -> (Vec<f64>, Vec<f64>) {
    let fdt = lab.settings.groups[0].failure_detection_time;
    let interval = fdt.as_secs_f64() / 7.0;
    let (mut failures, mut repairs) = (Vec::new(), Vec::new());
    lab.record = false;
    for _ in 0..times {
        let some = Duration::from_nanos(lab.net.random((interval * 1e9) as u64));
        lab.run(if settle { fdt + some } else { Duration::ZERO });
        lab.mark();
        lab.silence(ETH0);
        lab.lose_answers();
        let in_force = ms(lab.group().failure_detection_time_ms);
        let failure = lab.until_said(in_force * 3, FAILED0);
        assert!(failure <= in_force, "{failure:?} while {in_force:?} are in force");
        let some = Duration::from_nanos(lab.net.random((interval * 1e9) as u64));
        lab.run(some);
        lab.heal(ETH0);
        let repair = lab.until_said(in_force * 6, REPAIRED0);
        failures.push(failure.as_secs_f64() / interval);
        repairs.push(repair.as_secs_f64() / interval);
    }
    failures.sort_by(f64::total_cmp);
    repairs.sort_by(f64::total_cmp);
    (failures, repairs)
}

fn check((failures, repairs): (Vec<f64>, Vec<f64>)) {
    let (half, last) = (failures.len() / 2, failures.len() - 1);
    let told = |sorted: &[f64]| {
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1];
        format!("{:.2} {:.2} {:.2} {:.2} {:.2}", sorted[0], at(50), at(95), at(99), sorted[last])
    };
    let (failed, repaired) = (told(&failures), told(&repairs));
    let all = format!(
        "{} failures, min p50 p95 p99 max in intervals: detection {failed}, repair {repaired}",
        failures.len()
    );
    println!("{all}");
    assert!(failures[last] <= 7.0, "within the detection time: {all}");
    assert!((5.0..6.0).contains(&failures[half]), "{all}");
    assert!(repairs[last] < 14.0, "within twice the detection time: {all}");
    assert!((10.0..11.2).contains(&repairs[half]), "{all}");
}

#[test]
fn ten_thousand_silent_failures_at_10_s() {
    check(measure(Spec { fdt: secs(10), ..Spec::default() }.lab(), 10_000, true));
}

#[test]
fn a_thousand_at_1_s() {
    check(measure(Spec::default().lab(), 1000, true));
}

#[test]
fn a_thousand_at_100_ms() {
    check(measure(Spec { fdt: ms(100), ..Spec::default() }.lab(), 1000, true));
}

#[test]
fn a_thousand_in_two_families() {
    // The later of two failures, the earlier of two repairs.
    let (failures, repairs) = measure(Spec { six: true, ..Spec::default() }.lab(), 1000, true);
    assert!(failures[999] <= 7.0 && repairs[999] < 14.0, "{} {}", failures[999], repairs[999]);
}

#[test]
fn a_thousand_with_several_targets() {
    check(measure(Spec { routers: 5, ..Spec::default() }.lab(), 1000, true));
}

#[test]
fn a_thousand_without_test_addresses() {
    check(measure(Spec { four: false, ..Spec::default() }.lab(), 1000, true));
}

#[test]
fn always_within_the_detection_time_while_no_rtt_is_known() {
    // Silent again in the very moment of its repair: no answer has given an RTT yet (1.9: they are reset when the NIC
    // fails), so each probe may stay open for an interval.
    let (failures, _) = measure(Spec::default().lab(), 2000, false);
    let last = failures[failures.len() - 1];
    assert!(last <= 7.0, "{last:.2} intervals");
}

#[test]
fn always_within_the_detection_time_with_an_rtt_near_the_interval() {
    let mut lab = Spec::default().lab();
    lab.net.host("192.0.2.1").delay = ms(100);
    lab.run(secs(60));
    assert!(lab.group().failure_detection_time_ms > 1000);
    measure(lab, 300, true);
}

#[test]
fn always_within_the_detection_time_from_targets_nobody_has_measured() {
    // The routers change in the moment of the failure: no RTT of the new one is known, and none will be.
    let mut lab = Spec { routers: 2, ..Spec::default() }.lab();
    lab.record = false;
    let mut longest = Duration::ZERO;
    for n in 0..2000 {
        let some = Duration::from_nanos(lab.net.random(1_000_000_000 / 7));
        lab.run(secs(4) + some);
        lab.mark();
        lab.silence(ETH0);
        let target = ip(["192.0.2.1", "192.0.2.2"][n % 2]);
        lab.reload(|s| s.groups[0].targets = vec![target]);
        longest = longest.max(lab.until_said(secs(3), FAILED0));
        lab.heal(ETH0);
    }
    assert!(longest <= secs(1), "{longest:?}");
}
