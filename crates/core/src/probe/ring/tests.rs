use super::*;

fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

/// One probe each 10 ns with a deadline 5 ns later; `L` lost, `A` acked, `O` outstanding; digit = target.
fn ring(text: &str) -> Ring {
    let mut r = Ring::default();
    for (i, pair) in text.split_whitespace().enumerate() {
        let sent = Time(10 * i as u64);
        let fate = match &pair[..1] {
            "L" => Fate::Lost(sent),
            "A" => Fate::Acked(sent),
            _ => Fate::Outstanding,
        };
        let target = pair[1..].parse().ok().map(ip);
        r.push(Probe { seq: i as u16 + 1, nonce: 0, target, sent, deadline: Time(sent.0 + 5), fate });
    }
    r
}

#[test]
fn loss_runs() {
    let long = Time(10_000);
    assert_eq!(ring("A1 L1 L1 L1 L1").loss_run(long, Heard::default()).length, 4);
    let run = ring("A1 L1 L1 L1 L1 L1").loss_run(long, Heard::default());
    assert_eq!((run.length, run.of_target, run.first), (5, 5, Some(Time(10))));
    assert_eq!(ring("L1 L1 L1 A1 L1 L1").loss_run(long, Heard::default()).length, 2);
    // A dead target among living ones: a run of its own, none for the NIC.
    let run = ring("L1 A2 L1 A2 L1 A2 L1 A2 L1").loss_run(long, Heard::default());
    assert_eq!((run.length, run.of_target), (1, 5));
}

#[test]
fn outstanding_probes_are_skipped_until_due() {
    assert_eq!(ring("L1 L1 O1").loss_run(Time(24), Heard::default()).length, 2);
    assert_eq!(
        ring("L1 L1 O1").loss_run(Time(25), Heard::default()).length,
        3,
        "equal to the deadline counts as lost"
    );
    assert_eq!(ring("A1 A1 O1").ack_run(Time(24)), (2, 2));
    assert_eq!(ring("A1 A1 O1").ack_run(Time(25)), (0, 0));
}

#[test]
fn a_late_answer_rehabilitates() {
    let mut r = ring("A1 L1 L1 L1 L1 L1");
    r.ack(4, Time(99));
    assert_eq!(r.loss_run(Time(10_000), Heard::default()).length, 2);
}

#[test]
fn ack_runs_by_target() {
    let mut r = ring("A1 L2 A1 L2 A1 L2 A1");
    assert_eq!(r.ack_run(Time(10_000)), (1, 4));
}

#[test]
fn review_keeps_only_the_newest_outstanding() {
    let mut r = ring("O1 O1");
    assert!(r.review(Time(12)));
    assert_eq!(r.find(1).unwrap().fate, Fate::Lost(Time(5)));
    let mut r = ring("O1");
    assert!(!r.review(Time(6)), "past its deadline");
}

#[test]
fn the_ring_holds_52() {
    let mut r = Ring::default();
    for seq in 0..60 {
        let t = Time(seq);
        r.push(Probe {
            seq: seq as u16,
            nonce: 0,
            target: None,
            sent: t,
            deadline: t,
            fate: Fate::Outstanding,
        });
    }
    assert_eq!(r.newest_first().count(), PROBE_RING);
    assert!(r.find(7).is_none() && r.find(8).is_some());
}

#[test]
fn deleting_a_target_loses_what_is_outstanding_now() {
    let mut r = ring("A1 O1");
    r.forget_target(&ip(1), Time(11));
    assert_eq!(r.find(2).unwrap().fate, Fate::Lost(Time(11)));
    assert_eq!(r.find(2).unwrap().target, None);
}

#[test]
fn a_sign_of_life_outside_the_ring_ends_a_run() {
    let heard =
        |path: Option<u64>, target: Option<u64>| Heard { path: path.map(Time), target: target.map(Time) };
    let run = |h| {
        let r = ring("L1 L1 L1 L1 L1").loss_run(Time(10_000), h);
        (r.length, r.of_target, r.first)
    };
    assert_eq!(run(heard(None, None)), (5, 5, Some(Time(0))));
    assert_eq!(run(heard(Some(15), None)), (3, 5, Some(Time(20))));
    assert_eq!(run(heard(None, Some(15))), (5, 3, Some(Time(0))));
    assert_eq!(run(heard(Some(50), Some(50))), (0, 0, None));
}
