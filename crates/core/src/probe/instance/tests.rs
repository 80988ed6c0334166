use super::*;

const I: Duration = Duration::from_millis(100);

fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn instance() -> Instance {
    let mut i = Instance::new(Family::Inet, Source::Echo(ip(11)), true, Time(0), I, &mut Rng::new(1));
    i.targets.set_routers(&[ip(1), ip(2)]);
    i
}

#[test]
fn only_the_genuine_answer_counts_and_only_once() {
    let mut i = instance();
    let target = i.targets.pick(Time(0)).unwrap();
    let other = if target == ip(1) { ip(2) } else { ip(1) };
    let seq = i.record(target, 42, Time(0), I);
    let at = Time(1_000_000);
    assert_eq!(i.judge_echo(target, seq.wrapping_add(1), 42, at), Answer::Refused(Refusal::OutOfWindow));
    assert_eq!(i.judge_echo(other, seq, 42, at), Answer::Refused(Refusal::Fake(1)));
    assert_eq!(i.judge_echo(target, seq, 43, at), Answer::Refused(Refusal::Fake(1)));
    assert!(i.quiet(at), "nothing has answered yet");
    let rtt = Some(Duration::from_millis(1));
    assert_eq!(i.judge_echo(target, seq, 42, at), Answer::Accepted { rtt });
    assert!(!i.quiet(at));
    assert_eq!(i.judge_echo(target, seq, 42, at), Answer::Refused(Refusal::Duplicate(3)));
    assert_eq!(i.refused, 4);
}

#[test]
fn sequence_numbers_wrap() {
    let mut i = instance();
    i.next_seq = u16::MAX;
    let a = i.record(ip(1), 1, Time(0), I);
    let b = i.record(ip(1), 2, Time(1), I);
    assert_eq!((a, b), (u16::MAX, 0));
    assert!(matches!(i.judge_echo(ip(1), u16::MAX, 1, Time(5)), Answer::Accepted { .. }));
    assert!(matches!(i.judge_echo(ip(1), 0, 2, Time(5)), Answer::Accepted { .. }));
}

#[test]
fn one_suspicious_sample_is_held_back_two_are_believed() {
    let mut i = instance();
    let ms = Duration::from_millis;
    let mut at = Time(0);
    let mut feed = |sample| {
        at = at + I;
        i.feed(ip(1), sample, at, I).and_then(|r| r.conservative()).unwrap()
    };
    for _ in 0..3 {
        feed(ms(1));
    }
    assert!(feed(ms(500)) < I);
    feed(ms(1));
    assert!(feed(ms(500)) < I, "slow, fast, slow is no trend");
    assert!(feed(ms(500)) > I);
}

#[test]
fn answers_that_come_all_at_once_are_one_sample() {
    let mut i = instance();
    let ms = Duration::from_millis;
    let mut feed =
        |sample, at| i.feed(ip(1), sample, Time(0) + at, I).and_then(|r| r.conservative()).unwrap();
    for n in 0..3 {
        feed(ms(1), n * I);
    }
    // Ten questions in a second, all answered at its end.
    for n in 0..10 {
        assert!(feed(ms(1000) - n * I, ms(2000)) < I);
    }
    assert!(feed(ms(1), ms(2100)) < I, "it was not the path");
    feed(ms(1000), ms(4000));
    assert!(feed(ms(900), ms(4001)) < I);
    assert!(feed(ms(1000), ms(4500)) > I, "it happens again and again");
}

#[test]
fn discovery_backs_off_and_starts_over() {
    let mut i = instance();
    let mut now = Time(0);
    let mut sent = 0;
    while now < Time(0) + Duration::from_secs(600) {
        sent += usize::from(i.discover(now, I));
        now = now + I;
    }
    assert!((20..40).contains(&sent), "{sent} multicasts in ten minutes");
    i.discover_anew(now);
    assert!(i.discover(now, I));
}

#[test]
fn at_short_intervals_a_hiccup_is_one_sample() {
    let mut i = instance();
    let (ms, short) = (Duration::from_millis, Duration::from_micros(2500));
    let mut feed = |sample, at| {
        i.feed(ip(1), sample, Time(0) + ms(100) + at, short)
            .and_then(|r| r.conservative())
            .unwrap_or_default()
    };
    // The first answers of all are slow, five in a row.
    for n in 0..5 {
        assert!(feed(ms(1), n * short) < short);
    }
    for n in 5..10 {
        assert!(feed(Duration::from_micros(100), n * short) < short);
    }
    let slow: Vec<bool> = (10..20).map(|n| feed(ms(6), n * short) > short).collect();
    assert!(!slow[..5].contains(&true) && slow[7..].iter().all(|s| *s), "a slow path is one: {slow:?}");
}
