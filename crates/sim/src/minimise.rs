//! From a world that breaks an invariant to the smallest piece of it that still breaks the same one: faults are left out,
//! many at a time, then few (delta debugging), then NICs, groups and addresses, then time, until nothing more can be spared.

#[cfg(test)]
mod tests;

use crate::cut::{Event, Kind, Numbers, Piece, seconds};
use crate::invariants::Violation;
use crate::run::{Ran, run_piece};
use crate::trace::Trace;
use mpath_model::Time;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// After the last fault, so long to let it take effect before everything is mended.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(1), Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// The smallest piece that was found.
#[derive(Debug)]
pub struct Smallest {
    /// What is left.
    pub piece: Piece,
    /// How it breaks.
    pub violation: Violation,
    /// What still goes wrong, up to then.
    pub events: Vec<Event>,
    /// Faults of the whole world up to its violation.
    pub faults_before: usize,
    /// Worlds that were run.
    pub worlds: u32,
    /// The budget was used up: there may be a smaller one.
    pub cut_short: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Worlds run.
    pub worlds: u32,
    /// Faults left.
    pub faults: usize,
}

/// The first world of the seed that breaks an invariant.
pub fn first_broken(seed: u64) -> Option<Piece> {
    let mut pieces = Kind::ALL.into_iter().map(|world| Piece::whole(seed, world));
    pieces.find(|piece| run_piece(piece, Trace::off()).violation.is_some())
}

/// Looks for the smallest piece of `piece` that `run` finds to break the same invariant, in at most `budget` worlds. None if
/// `piece` breaks none.
pub fn minimise(
    piece: &Piece,
    budget: u32,
    run: &dyn Fn(&Piece) -> Ran,
    progress: &mut dyn FnMut(Progress),
) -> Option<Smallest> {
    let ran = run(piece);
    let violation = ran.violation?;
    let events: Vec<Event> = ran.events.into_iter().filter(|e| e.at <= violation.at).collect();
    let faults_before = numbers(&events).len();
    let piece = piece.clone();
    let smallest = Smallest { piece, violation, events, faults_before, worlds: 1, cut_short: false };
    let mut search = Search { smallest, budget, run, progress };
    loop {
        let before = search.smallest.piece.clone();
        search.faults();
        search.parts();
        search.time();
        if search.smallest.piece == before || search.smallest.cut_short {
            return Some(search.smallest);
        }
    }
}

struct Search<'a> {
    smallest: Smallest,
    budget: u32,
    run: &'a dyn Fn(&Piece) -> Ran,
    progress: &'a mut dyn FnMut(Progress),
}

impl Search<'_> {
    /// Keeps `piece` if it breaks as the smallest does.
    fn try_out(&mut self, piece: Piece) -> bool {
        if self.smallest.worlds >= self.budget {
            self.smallest.cut_short = true;
            return false;
        }
        let ran = (self.run)(&piece);
        self.smallest.worlds += 1;
        let same = ran.violation.filter(|v| v.invariant == self.smallest.violation.invariant);
        let found = same.is_some();
        if let Some(violation) = same {
            let happened = |e: &Event| e.at <= violation.at && piece.cut.keeps(e.number);
            self.smallest.events = ran.events.into_iter().filter(happened).collect();
            (self.smallest.piece, self.smallest.violation) = (piece, violation);
        }
        let faults = numbers(&self.smallest.events).len();
        (self.progress)(Progress { worlds: self.smallest.worlds, faults });
        found
    }

    /// Leaves out faults: half of them, a quarter, and so on, and each by itself until none can be left out.
    fn faults(&mut self) {
        let with = |search: &Search, left: Vec<u32>| {
            let mut piece = search.smallest.piece.clone();
            piece.cut.only_faults = Some(Numbers(left.into_iter().collect()));
            piece
        };
        let left = numbers(&self.smallest.events);
        let mut size = left.len();
        if !self.try_out(with(self, left)) {
            return;
        }
        while size > 0 {
            let before = numbers(&self.smallest.events).len();
            let mut at = 0;
            loop {
                let left = numbers(&self.smallest.events);
                if at >= left.len() || self.smallest.cut_short {
                    break;
                }
                let rest = [&left[..at], &left[(at + size).min(left.len())..]].concat();
                if !self.try_out(with(self, rest)) {
                    at += size;
                }
            }
            let shrunk = numbers(&self.smallest.events).len() < before;
            size = if size == 1 && shrunk && !self.smallest.cut_short { 1 } else { size / 2 };
        }
    }

    /// Leaves out groups, NICs and addresses, one at a time.
    fn parts(&mut self) {
        let mut kept = BTreeSet::new();
        while let Some(name) = self.smallest.piece.parts().into_iter().find(|name| !kept.contains(name)) {
            let mut piece = self.smallest.piece.clone();
            piece.cut.without.push(name.clone());
            if !self.try_out(piece) {
                kept.insert(name);
            }
        }
    }

    /// Mends everything as early as may be.
    fn time(&mut self) {
        let last = self.smallest.events.iter().map(|e| e.at).max();
        let violation = self.smallest.violation.at;
        let after = |pause: Duration| last.map(|last| last + pause);
        let mut ends: Vec<Time> =
            PAUSES.into_iter().filter_map(after).chain([violation]).map(whole_millisecond_after).collect();
        ends.sort_unstable();
        let until = self.smallest.piece.cut.until;
        for end in ends.into_iter().filter(|end| until.is_none_or(|until| *end < until)) {
            let mut piece = self.smallest.piece.clone();
            piece.cut.until = Some(end);
            if self.try_out(piece) {
                break;
            }
        }
    }
}

/// The numbers of the faults, each once.
fn numbers(events: &[Event]) -> Vec<u32> {
    let numbers: BTreeSet<u32> = events.iter().map(|e| e.number).collect();
    numbers.into_iter().collect()
}

fn whole_millisecond_after(at: Time) -> Time {
    Time((at.0 / 1_000_000 + 1) * 1_000_000)
}

impl fmt::Display for Smallest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = numbers(&self.events).len();
        let stop = if self.cut_short { ", and the budget is used up" } else { "" };
        writeln!(f, "{faults} of {} faults left after {} worlds{stop}:", self.faults_before, self.worlds)?;
        for e in &self.events {
            writeln!(f, "  {:>14} s  #{:<4} {}", seconds(e.at), e.number, e.what)?;
        }
        if let Some(until) = self.piece.cut.until.filter(|t| *t <= self.violation.at) {
            writeln!(f, "  {:>14} s  all is mended", seconds(until))?;
        }
        if !self.piece.cut.without.is_empty() {
            writeln!(f, "left out: {}", self.piece.cut.without.join(", "))?;
        }
        writeln!(f, "BROKEN INVARIANT: {}", self.violation)?;
        write!(f, "replay: mpath-sim replay {}", self.piece)
    }
}
