use super::*;

fn minutes(lost: &[u64]) -> Minutes {
    let mut m = Minutes::default();
    let (mut sent, mut answered) = (0, 0);
    let at = |n: usize| Time(0) + Duration::from_secs(60 * n as u64);
    m.note(at(0), 0, 0);
    for (n, lost) in lost.iter().enumerate() {
        sent += 100;
        answered += 100 - lost;
        m.note(at(n + 1), sent, answered);
    }
    m
}

#[test]
fn loss_that_rises_is_told_of_and_loss_that_stays_is_not() {
    assert_eq!(minutes(&[0, 0, 0, 2, 5, 9, 14]).rising(), Some((1, 11, 7)));
    assert_eq!(minutes(&[10, 10, 10, 10, 10, 10]).rising(), None);
    assert_eq!(minutes(&[30, 20, 10, 5, 0, 0]).rising(), None);
    assert_eq!(minutes(&[0, 0, 10, 20]).rising(), None, "too short");
    assert_eq!(minutes(&[0, 0, 0, 0, 4, 4]).rising(), None, "below the threshold");
    let forgotten: Vec<u64> = std::iter::repeat_n(0, 40).chain(std::iter::repeat_n(20, 12)).collect();
    assert_eq!(minutes(&forgotten).rising(), None, "ten minutes are remembered");
    assert_eq!(minutes(&forgotten).0.len(), MINUTES + 1);
}

#[test]
fn one_mark_a_minute_and_none_across_a_change() {
    let mut m = Minutes::default();
    (0..100).for_each(|ms| m.note(Time(ms * 1_000_000), 100 + ms, 100 + ms));
    assert_eq!(m.0.len(), 1);
    m.note(Time(60_000_000_000), 5, 5);
    assert_eq!(m.0.len(), 1, "totals that fall are those of somebody else");
}

#[test]
fn one_direction_is_named() {
    let tally = |asked, lost| Tally { asked, lost };
    let text = sentence::one_way(tally(12, 6), tally(12, 0)).unwrap();
    assert!(text.starts_with("what it sends is lost: 6 of 12"), "{text}");
    let text = sentence::one_way(tally(12, 1), tally(12, 6)).unwrap();
    assert!(text.starts_with("what it receives is lost: 6 of 12"), "{text}");
    for (sent, received) in [((12, 6), (12, 6)), ((12, 1), (12, 0)), ((9, 9), (12, 0)), ((12, 12), (0, 0))] {
        assert_eq!(sentence::one_way(tally(sent.0, sent.1), tally(received.0, received.1)), None);
    }
}

#[test]
fn slow_and_large() {
    let ms = Duration::from_millis;
    assert_eq!(sentence::slow(Some(ms(5)), None), None);
    assert_eq!(sentence::slow(None, Some(ms(5))), None);
    assert_eq!(sentence::slow(Some(ms(5)), Some(ms(5))), None);
    let text = sentence::slow(Some(ms(6)), Some(ms(5))).unwrap();
    assert_eq!(text, "its fastest target takes 6.0ms to answer, more than max_rtt, 5.0ms");
    let tally = |asked, lost| Tally { asked, lost };
    assert!(sentence::large(tally(12, 12), tally(40, 0), 50).unwrap().contains("12 of 12"));
    assert_eq!(sentence::large(tally(12, 12), tally(40, 20), 50), None, "all is lost");
    assert_eq!(sentence::large(tally(12, 5), tally(40, 0), 50), None);
}

#[test]
fn who_answers_again_is_forgotten() {
    let (mut deaf, a) = (DeafTo::default(), IpAddr::from([192, 0, 2, 1]));
    deaf.note(a, Time(5));
    deaf.note(a, Time(9));
    assert_eq!(deaf.of_late(Time(10)).collect::<Vec<_>>(), [(a, Time(5))]);
    assert_eq!(deaf.of_late(Time(5) + REMEMBERED).count(), 0);
    deaf.answered(&a);
    assert_eq!(deaf.of_late(Time(10)).count(), 0);
}
