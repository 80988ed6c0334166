use super::*;

const I: State = State::Init;
const B: State = State::Backup;
const M: State = State::Master;

/// What follows for (INIT, BACKUP, MASTER), without and with preempt; every pair of state and happening is here.
const TABLE: [(Happening, [State; 3], [State; 3]); 10] = [
    (Happening::Usable, [B, B, M], [B, B, M]),
    (Happening::Resumed, [M, B, M], [M, B, M]),
    (Happening::Unusable, [I, I, I], [I, I, I]),
    (Happening::Changed, [I, I, I], [I, I, I]),
    (Happening::Stopped, [I, I, I], [I, I, I]),
    (Happening::Silence, [I, M, M], [I, M, M]),
    (Happening::Advert(Heard::Better), [I, B, B], [I, B, B]),
    (Happening::Advert(Heard::Worse), [I, B, M], [I, M, M]),
    (Happening::Advert(Heard::Resigning), [I, M, M], [I, M, M]),
    (Happening::Slept, [I, B, B], [I, B, B]),
];

#[test]
fn every_state_and_happening() {
    let listed: Vec<Happening> = TABLE.iter().map(|(h, ..)| *h).collect();
    assert_eq!(listed, Happening::ALL);
    for (what, patient, eager) in TABLE {
        for (preempt, expected) in [(false, patient), (true, eager)] {
            for (state, want) in State::ALL.into_iter().zip(expected) {
                let got = next(state, what, preempt);
                let after = got.map_or(state, |(s, _)| s);
                assert_eq!(after, want, "{state} on {what:?}, preempt {preempt}");
                assert!(got.is_none_or(|(s, reason)| s != state && !reason.is_empty()));
            }
        }
    }
}

#[test]
fn reasons_are_those_of_freebsd() {
    let reason = |s, h, p| next(s, h, p).map(|(_, reason)| reason);
    let resigning = Happening::Advert(Heard::Resigning);
    let worse = Happening::Advert(Heard::Worse);
    assert_eq!(reason(I, Happening::Usable, false), Some("initialization complete"));
    assert_eq!(reason(B, Happening::Silence, false), Some("master timed out"));
    assert_eq!(reason(B, resigning, false), Some("master will time out"));
    assert_eq!(reason(B, worse, true), Some("preempting a slower master"));
    assert_eq!(reason(B, resigning, true), Some("preempting a slower master"));
    let better = Happening::Advert(Heard::Better);
    assert_eq!(reason(M, better, false), Some("more frequent advertisement received"));
    assert_eq!(reason(M, Happening::Unusable, false), Some("hardware interface down"));
}
