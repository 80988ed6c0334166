//! A NIC that answers just often enough to live: its addresses move, calmly.

use crate::common::*;
use mpath_model::settings::Confirm;
use mpath_model::status::{GroupState, InterfaceState};
use std::time::Duration;

const QUIET: [&str; 0] = [];
const BACK: &str = "The probes of eth0 of group g are answered again";

fn lossy(seed: u64, loss: u64) -> Lab {
    let mut lab = Spec { seed, ..Spec::default() }.lab();
    lab.record = false;
    lab.net.loss_of.insert(ETH0, loss);
    for _ in 0..seed {
        lab.net.random(1000);
    }
    lab
}

fn left(lab: &mut Lab, limit: Duration) -> Duration {
    lab.until(limit, "move", |l| l.where_is("192.0.2.10") == [ETH1])
}

#[test]
fn heavy_loss_on_one_nic_moves_its_addresses_within_ten_seconds() {
    for (seed, loss) in (1..=20).flat_map(|s| [(s, 600), (s, 800)]) {
        let mut lab = lossy(seed, loss);
        left(&mut lab, secs(10));
        let said = lab.said();
        assert!(
            said[0].ends_with("% of the probes of eth0 of group g are lost: its addresses move"),
            "{said:?}"
        );
        assert_eq!(lab.state("eth0"), InterfaceState::Ok, "it has not failed");
        assert!(lab.nic("eth0").degraded && !lab.nic("eth0").active);
        assert_eq!(lab.group().state, GroupState::Degraded);
    }
}

#[test]
fn the_same_loss_on_every_nic_moves_nothing() {
    for loss in [360, 600] {
        let mut lab = Spec::default().lab();
        lab.record = false;
        lab.net.loss = loss;
        lab.run(secs(120));
        assert_eq!(lab.said(), QUIET, "{loss} permille");
    }
}

#[test]
fn it_comes_home_when_it_answers_again_and_is_not_condemned_again_for_ten_minutes() {
    let mut lab = lossy(1, 700);
    left(&mut lab, secs(10));
    lab.run(secs(30));
    assert_eq!(lab.count(BACK), 0);
    lab.net.loss_of.clear();
    lab.until_said(secs(10), BACK);
    lab.run(secs(1));
    assert_eq!(lab.where_is("192.0.2.10"), [ETH0]);
    lab.net.loss_of.insert(ETH0, 700);
    lab.mark();
    lab.run(secs(540));
    assert_eq!(lab.said(), QUIET, "at most once in ten minutes");
    left(&mut lab, secs(60));
}

#[test]
fn better_than_nothing() {
    let mut lab = lossy(1, 600);
    left(&mut lab, secs(10));
    lab.carrier(&[ETH1], false);
    lab.until(secs(1), "return", |l| l.where_is("192.0.2.10") == [ETH0]);
    lab.carrier(&[ETH1], true);
    lab.until(secs(5), "second move", |l| l.where_is("192.0.2.10") == [ETH1]);
}

#[test]
fn not_by_the_letter_and_not_beyond_the_threshold() {
    for (confirm, max_loss) in [(Confirm::Off, 50), (Confirm::All, 90)] {
        let mut lab = Spec { confirm, ..Spec::default() }.lab();
        lab.record = false;
        lab.reload(|s| s.groups[0].thresholds.max_loss = max_loss);
        lab.net.loss_of.insert(ETH0, 600);
        lab.run(secs(60));
        assert!(!lab.said().iter().any(|t| t.contains('%')), "{:?}", lab.said());
    }
}
