use super::*;
use mpath_model::carp::Over;

const START: Time = Time(1_000_000_000_000);

fn settings(advskew: u8, preempt: bool) -> Carp {
    Carp {
        advskew,
        preempt,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..Carp::new(Over::Interface("eth0".into()), 1)
    }
}

fn usable() -> Place {
    Place {
        active: Some(2),
        listen: vec![2],
        usable: true,
        health: Health::Ok,
        sources: [Some("192.0.2.1".parse().unwrap()), None],
    }
}

/// A vhid that has just become BACKUP at [`START`].
fn backup(advskew: u8, preempt: bool) -> Vhid {
    let mut v = Vhid::new(settings(advskew, preempt), Counter::new(100, 1));
    v.moved(START, usable());
    assert_eq!(v.begins(false), Some(Happening::Usable));
    let mut out = Vec::new();
    v.happen(START, Happening::Usable, 0, &mut |_| 0, &mut out);
    assert_eq!(v.state(), State::Backup);
    v
}

fn tick(v: &mut Vhid, now: Time) -> Vec<Effect> {
    let mut out = Vec::new();
    v.tick(now, 0, &mut |_| 0, &mut out);
    out
}

fn hear(v: &mut Vhid, now: Time, advbase: u8, advskew: u8, counter: u64) -> Vec<Effect> {
    let from = "192.0.2.2".parse().unwrap();
    let arrival = Arrival { index: 2, at: now, from, counter, own_source: false, elsewhere: false };
    let advert = Advert { vhid: 1, advbase, advskew, demote: 0, counter };
    let mut out = Vec::new();
    v.heard(now, now, arrival, &advert, 0, &mut |n| n, &mut out).unwrap();
    out
}

fn adverts(effects: &[Effect]) -> Vec<Advert> {
    let of = |e: &Effect| if let Effect::Send(s) = e { Some(s.advert) } else { None };
    effects.iter().filter_map(of).collect()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs the timers one by one until `until`; gives the times of adverts.
fn run(v: &mut Vhid, until: Time) -> Vec<Time> {
    let mut sent = Vec::new();
    while let Some(at) = v.deadline().filter(|t| *t <= until) {
        if !adverts(&tick(v, at)).is_empty() {
            sent.push(at);
        }
    }
    sent
}

#[test]
fn takes_over_after_its_patience_and_advertises_by_its_interval() {
    let mut v = backup(0, false);
    assert_eq!(run(&mut v, START + ms(2999)), []);
    let sent = run(&mut v, START + ms(5500));
    assert_eq!(sent, [3000, 4000, 5000].map(|n| START + ms(n)));
    assert_eq!(v.state(), State::Master);
    let mut v = backup(100, false);
    assert_eq!(run(&mut v, START + ms(3400)), [START + Duration::from_micros(3_390_625)]);
}

#[test]
fn adverts_renew_the_patience() {
    let mut v = backup(100, false);
    for n in 1..20 {
        let now = START + ms(1000) * n;
        assert_eq!(hear(&mut v, now, 1, 0, u64::from(n)), []);
        assert_eq!(run(&mut v, now + ms(999)), []);
    }
    assert_eq!(v.state(), State::Backup);
}

#[test]
fn an_advert_out_of_turn_delays_none() {
    let mut v = backup(0, false);
    run(&mut v, START + ms(3000));
    let now = START + ms(3100);
    v.advertise(now, 120, &mut Vec::new());
    let next = run(&mut v, START + ms(5000));
    assert_eq!(next.first(), Some(&(now + timing::period(1, 120))));
}

#[test]
fn a_resignation_is_believed_at_once() {
    let mut v = backup(100, false);
    let effects = hear(&mut v, START + ms(10), 255, 255, 1);
    assert_eq!(effects[0], Effect::Became(State::Backup, State::Master, "master will time out"));
    assert!(v.serves(), "the other has withdrawn its addresses before it said so");
}

#[test]
fn who_preempts_gives_the_other_time_to_withdraw() {
    let mut v = backup(0, true);
    let now = START + ms(500);
    let effects = hear(&mut v, now, 1, 100, 1);
    assert_eq!(effects[0], Effect::Became(State::Backup, State::Master, "preempting a slower master"));
    assert_eq!(adverts(&effects).len(), 1, "and says so");
    assert!(!v.serves());
    assert_eq!(v.deadline(), Some(now + PREEMPT_PAUSE));
    assert_eq!(tick(&mut v, now + PREEMPT_PAUSE), [Effect::Compare]);
    assert!(v.serves());
}

#[test]
fn a_tie_makes_masters_yield_and_not_for_the_same_time() {
    let mut v = backup(0, false);
    run(&mut v, START + ms(3000));
    let now = START + ms(3100);
    let effects = hear(&mut v, now, 1, 0, 500);
    assert_eq!(
        effects,
        [Effect::Became(State::Master, State::Backup, "more frequent advertisement received")]
    );
    assert_eq!(v.deadline(), Some(now + ms(3250)), "the generator gave all of it");
}

#[test]
fn the_counter_runs_on_behind_the_master_s() {
    let mut v = backup(0, false);
    hear(&mut v, START + ms(1), 1, 0, 7000);
    let later = START + ms(3001);
    assert_eq!(adverts(&tick(&mut v, later))[0].counter, 7001);
}

#[test]
fn stale_timers_are_not_acted_upon() {
    let mut v = backup(0, false);
    // Nobody was awake when patience ran out, to hear a master that may well be there.
    assert_eq!(tick(&mut v, START + ms(9000)), []);
    assert_eq!(v.state(), State::Backup);
    assert_eq!(v.deadline(), Some(START + ms(12_000)));
    run(&mut v, START + ms(12_000));
    assert_eq!(v.state(), State::Master);
    assert!(!v.overslept(START + ms(14_999)) && v.overslept(START + ms(15_000)));
}

#[test]
fn a_flap_of_the_link_is_none() {
    let mut v = backup(0, false);
    v.moved(START + ms(10), Place { usable: false, ..usable() });
    assert_eq!(tick(&mut v, START + ms(209)), []);
    v.moved(START + ms(209), usable());
    assert_eq!(tick(&mut v, START + ms(500)), []);
    v.moved(START + ms(600), Place { usable: false, ..usable() });
    let effects = tick(&mut v, START + ms(800));
    assert_eq!(effects, [Effect::Became(State::Backup, State::Init, "hardware interface down")]);
}

#[test]
fn a_new_life_goes_on_where_the_old_one_stopped_but_only_once() {
    let mut v = Vhid::new(settings(0, false), Counter::new(0, 1));
    v.moved(START, usable());
    assert_eq!(v.begins(true), Some(Happening::Resumed));
    let mut v = backup(0, false);
    let mut out = Vec::new();
    v.happen(START, Happening::Unusable, 0, &mut |_| 0, &mut out);
    assert_eq!(v.begins(true), Some(Happening::Usable));
}

#[test]
fn lifetimes_are_renewed_three_times_in_each_interval() {
    let mut v = backup(0, false);
    run(&mut v, START + ms(3000));
    let mut renewed = Vec::new();
    while let Some(at) = v.deadline().filter(|t| *t <= START + ms(4000)) {
        if tick(&mut v, at).contains(&Effect::Renew) {
            renewed.push(at);
        }
    }
    assert_eq!(renewed, [3250, 3500, 4000].map(|n| START + ms(n)));
}

#[test]
fn a_renewal_that_comes_too_late_is_left_to_the_next_advert() {
    let mut v = backup(0, false);
    run(&mut v, START + ms(3000));
    assert_eq!(tick(&mut v, START + ms(3250)), [Effect::Renew]);
    // Stopped until then: the others wait for three seconds since the advert, and the kernel may be late.
    assert_eq!(tick(&mut v, START + ms(3900)), []);
    assert!(tick(&mut v, START + ms(4000)).contains(&Effect::Renew));
}

#[test]
fn new_times_count_from_the_moment_they_are_given() {
    let mut v = Vhid::new(Carp { advbase: 10, ..settings(0, false) }, Counter::new(100, 1));
    v.moved(START, usable());
    v.happen(START, Happening::Usable, 0, &mut |_| 0, &mut Vec::new());
    run(&mut v, START + ms(30_000));
    assert_eq!(v.state(), State::Master);
    let now = START + ms(35_000);
    v.settings.advbase = 1;
    let mut out = Vec::new();
    v.retimed(now, 0, &mut out);
    assert!(matches!(out[..], [Effect::Send(_), Effect::Renew]), "{out:?}");
    assert!(!v.overslept(now), "it is not taken for one that has slept");
    assert!(v.deadline().is_some_and(|t| t <= now + ms(1000)));

    let mut waits = backup(0, false);
    waits.settings.advbase = 2;
    waits.retimed(START + ms(100), 0, &mut out);
    assert_eq!(waits.deadline(), Some(START + ms(6100)));
}
