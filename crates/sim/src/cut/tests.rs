//! Pieces of worlds: what their names say is what is left.

use super::*;
use crate::run::run_piece;
use crate::scenario::Scenario;
use crate::trace::Trace;

fn piece(line: &str) -> Piece {
    line.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn a_piece_is_named_by_a_line_of_options() {
    for line in [
        "--seed 17 --world groups",
        "--seed 4611686018427388175 --world carp --only-faults 3,17,21",
        "--seed 1 --world lagg --only-faults none --until 65.2",
        "--seed 1 --world groups --until 0.000000001 --without eth2,10.1.0.12/24",
    ] {
        assert_eq!(piece(line).to_string(), line);
    }
    for line in
        ["--seed 1", "--world carp", "--seed 1 --world groups --until 1.0000000001", "--seed 1 --world x"]
    {
        assert!(line.parse::<Piece>().is_err(), "{line}");
    }
}

#[test]
fn what_is_not_there_cannot_be_left_out() {
    assert!(piece("--seed 1 --world groups --without eth9").check().is_err());
    assert!(piece("--seed 1 --world carp --without eth0").check().is_err());
    assert!(piece("--seed 1 --world groups --without eth0,eth1,eth2,eth3").check().is_err());
}

/// Whatever is left out, the rest is a world that runs to its end and in which nothing breaks.
#[test]
fn every_piece_is_a_world() {
    for seed in 0..12 {
        let mut piece = Piece::whole(seed, Kind::Groups);
        while let Some(name) = piece.parts().pop() {
            piece.cut.without.push(name);
        }
        assert_eq!(piece.check(), Ok(()));
        let ran = run_piece(&piece, Trace::off());
        assert_eq!(ran.violation, None, "{piece}");
        assert!(ran.stats.steps > 100, "{piece}: {:?}", ran.stats);
    }
}

/// Leaving out what never happens leaves everything as it is.
#[test]
fn a_piece_with_all_faults_is_the_world() {
    for world in Kind::ALL {
        let whole = run_piece(&Piece::whole(3, world), Trace::off());
        let mut piece = Piece::whole(3, world);
        piece.cut.only_faults = Some(Numbers(whole.events.iter().map(|e| e.number).collect()));
        let again = run_piece(&piece, Trace::off());
        assert_eq!((again.stats, again.events), (whole.stats, whole.events), "{world}");
    }
}

#[test]
fn faults_keep_their_times_whatever_is_left_out() {
    for world in Kind::ALL {
        let whole = run_piece(&Piece::whole(5, world), Trace::off());
        let only: BTreeSet<u32> = whole.events.iter().map(|e| e.number).filter(|n| n % 3 == 1).collect();
        let mut piece = Piece::whole(5, world);
        piece.cut.only_faults = Some(Numbers(only.clone()));
        let wanted: Vec<Event> = whole.events.iter().filter(|e| only.contains(&e.number)).cloned().collect();
        let mut left = run_piece(&piece, Trace::off()).events;
        left.retain(|e| only.contains(&e.number));
        assert_eq!(left, wanted, "{world}");
        let until = wanted[wanted.len() / 2].at;
        piece.cut.until = Some(until);
        let early = run_piece(&piece, Trace::off());
        assert_eq!(early.violation, None, "{piece}");
        assert!(early.events.iter().all(|e| e.at < until + Duration::from_millis(2)), "{piece}");
    }
}

#[test]
fn a_group_takes_its_nics_and_faults_with_it() {
    let seed = (0..).find(|s| Scenario::generate(*s).settings.groups.len() == 2).expect("a quarter has two");
    let mut scenario = Scenario::generate(seed);
    let mut schedule = crate::faults::Schedule::generate(&scenario);
    let (members, all) = (scenario.members(1).count(), schedule.faults.len());
    scenario.leave_out("production", &mut schedule).expect("two groups");
    assert_eq!((scenario.nics.len(), scenario.lan.ports.len()), (members, members));
    assert!(scenario.nics.iter().all(|n| n.group == 0) && scenario.lan.ports.iter().all(|p| p.segment == 0));
    assert_eq!(scenario.settings.groups[0].name, "storage");
    assert_eq!(scenario.default_route, [None, None]);
    assert!(schedule.faults.len() < all && !schedule.faults.is_empty());
}
