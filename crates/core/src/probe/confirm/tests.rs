use super::*;

const I: Duration = Duration::from_millis(16);
const FDT: Duration = Duration::from_millis(112);

fn at(ms: u64) -> Time {
    Time(1_000_000_000) + Duration::from_millis(ms)
}

fn candidate(n: u8, method: Method, pause: u64) -> Candidate {
    let target = IpAddr::from([192, 0, 2, n]);
    Candidate { target, method, pause: Duration::from_millis(pause), asked: None }
}

fn doubting(candidates: Vec<Candidate>) -> Confirm {
    let mut c = Confirm::default();
    c.alive(at(0));
    c.doubt(at(16), candidates);
    c
}

/// Asks every millisecond; returns who was asked when.
fn questions(c: &mut Confirm, from: u64, to: u64) -> Vec<(u64, Candidate)> {
    let mut asked = Vec::new();
    for ms in from..to {
        if let Some(q) = c.ask(at(ms), I) {
            c.record(&q, ms, at(ms));
            asked.push((ms, q));
        }
    }
    asked
}

#[test]
fn questions_go_round_at_most_500_a_second_and_once_in_a_pause_each() {
    let mut c = doubting(vec![candidate(1, Method::Echo, 5), candidate(1, Method::Arp, 5)]);
    let asked = questions(&mut c, 16, 1016);
    assert!(asked.windows(2).all(|w| w[1].0 - w[0].0 >= 2), "{asked:?}");
    for method in [Method::Echo, Method::Arp] {
        let times: Vec<u64> = asked.iter().filter(|(_, q)| q.method == method).map(|(t, _)| *t).collect();
        assert!(times.windows(2).all(|w| w[1] - w[0] >= 5), "{times:?}");
        assert!(times.len() > 150);
    }
}

#[test]
fn any_answer_ends_the_doubt_and_is_the_newest_sign_of_life() {
    let mut c = doubting(vec![candidate(1, Method::Echo, 1)]);
    questions(&mut c, 16, 40);
    let target = IpAddr::from([192, 0, 2, 1]);
    assert!(!c.answer(target, Method::Echo, Some(7), at(41)), "a nonce nobody sent");
    assert!(!c.answer(target, Method::Arp, None, at(41)), "a method nobody used");
    assert!(c.answer(target, Method::Echo, Some(16), at(41)));
    assert!(!c.answer(target, Method::Echo, Some(16), at(41)), "twice");
    c.alive(at(41));
    assert!(!c.doubting());
    assert_eq!((c.life, c.ask(at(50), I)), (Some(at(41)), None));
}

#[test]
fn ready_after_twenty_in_vain_or_when_the_time_is_over() {
    let mut c = doubting(vec![candidate(1, Method::Echo, 1)]);
    questions(&mut c, 16, 16 + 2 * 19);
    assert_eq!(c.unanswered(at(53)), 19);
    assert!(!c.ready(at(53), FDT));
    questions(&mut c, 54, 55);
    assert!(!c.ready(at(54), FDT), "the last one may still be answered");
    assert!(c.ready(at(55), FDT));
    let c = doubting(Vec::new());
    assert!(!c.ready(at(107), FDT));
    assert!(c.ready(at(108), FDT), "nobody to ask, and the detection time ends");
}

#[test]
fn wakes_for_the_next_question_and_for_the_last_call() {
    let mut c = doubting(vec![candidate(1, Method::Echo, 1)]);
    assert_eq!(c.wake(at(16), FDT), Some(at(16)));
    questions(&mut c, 16, 107);
    assert_eq!(c.wake(at(107), FDT), Some(at(108)));
    assert_eq!(Confirm::default().wake(at(0), FDT), None);
}

#[test]
fn missed_after_one_and_a_half_round_trips_but_not_within_a_millisecond() {
    assert_eq!(missed_at(at(0), at(4), I), at(6));
    assert_eq!(missed_at(at(0), at(0), I), at(1));
    assert_eq!(missed_at(at(0), at(16), I), at(16));
}
