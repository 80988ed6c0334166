//! Worlds with a planted defect shrink, and break as they did before.

use super::*;
use crate::cut::Cut;
use crate::world::{Sabotage, World};

fn smallest(seed: u64, sabotage: Sabotage, budget: u32) -> Option<Smallest> {
    let run = |p: &Piece| Ran::from(World::run_cut(p.seed, &p.cut, Trace::off(), Some(sabotage)));
    minimise(&Piece::whole(seed, Kind::Groups), budget, &run, &mut |_| {})
}

fn breaks(seed: u64, sabotage: Sabotage, invariant: &str) -> bool {
    let world = World::run_cut(seed, &Cut::default(), Trace::off(), Some(sabotage));
    world.violation().is_some_and(|v| v.invariant == invariant)
}

#[test]
fn a_broken_world_shrinks_to_what_breaks_it() {
    for (sabotage, invariant) in [
        (Sabotage::KeepsOld, "exactly one NIC"),
        (Sabotage::IgnoresRoutes, "off the bad NIC"),
        (Sabotage::Forgets, "all well in the end"),
    ] {
        let seed = (0..).find(|s| breaks(*s, sabotage, invariant)).expect("endless");
        let small = smallest(seed, sabotage, 600).expect("it breaks");
        assert_eq!(small.violation.invariant, invariant);
        let faults = numbers(&small.events).len();
        assert!(small.faults_before <= 3 || faults * 2 < small.faults_before, "{small}");
        // The line that is printed is the piece that was found.
        let line = small.piece.to_string();
        let piece: Piece = line.parse().expect("it is a line of options");
        assert_eq!(piece.check(), Ok(()), "{line}");
        let again = World::run_cut(piece.seed, &piece.cut, Trace::off(), Some(sabotage));
        assert_eq!(again.violation(), Some(&small.violation), "{line}");
        // Without the defect it holds.
        let sound = World::run_cut(piece.seed, &piece.cut, Trace::off(), None);
        assert_eq!(sound.violation(), None, "{line}");
    }
}

#[test]
fn the_same_is_found_again_and_the_budget_holds() {
    let seed = (0..).find(|s| breaks(*s, Sabotage::BreaksFirst, "address lost")).expect("endless");
    let find = |budget| smallest(seed, Sabotage::BreaksFirst, budget).expect("it breaks");
    let (one, other) = (find(400), find(400));
    assert_eq!(one.to_string(), other.to_string());
    let short = find(5);
    assert!(short.worlds <= 5 && short.cut_short, "{short}");
    assert_eq!(short.violation.invariant, "address lost");
}

#[test]
fn of_a_sound_world_nothing_is_left() {
    let run = |p: &Piece| run_piece(p, Trace::off());
    for world in Kind::ALL {
        assert!(minimise(&Piece::whole(1, world), 10, &run, &mut |_| {}).is_none());
    }
    assert_eq!(first_broken(1), None);
}
