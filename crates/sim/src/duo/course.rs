//! The course of a world of two hosts: what happens to them, one thing after the other, and what must hold in the end.

use super::host::NICS;
use super::{Duo, Manner, ZERO};
use crate::cut::{Cut, Script};
use crate::run::{Ran, panic_of};
use crate::stats::Stats;
use crate::trace::Trace;
use mpath_core::input::Command;
use std::time::Duration;

/// Disturbances in a world, and the longest pause between two.
const DISTURBANCES: u32 = 25;
const PAUSE: Duration = Duration::from_secs(6);

/// What happens to a host, or to both.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disturbance {
    Kill(usize),
    Stop(usize),
    Start(usize),
    Freeze(usize, Duration),
    Demote(usize, i32),
    Split(bool),
    Cable { host: usize, nic: usize, plugged: bool },
}

impl Duo {
    /// The world of `seed` to its end, or to the first broken invariant.
    pub fn run(seed: u64, trace: Trace) -> Duo {
        Duo::run_cut(seed, &Cut::default(), trace)
    }

    /// What is left of it.
    pub fn run_cut(seed: u64, cut: &Cut, trace: Trace) -> Duo {
        let manner = Manner {
            skew: [0, 100],
            preempt: seed.is_multiple_of(2),
            group: (seed / 2).is_multiple_of(2),
            loss: if seed.is_multiple_of(3) { 10 } else { 0 },
            reorder: seed.is_multiple_of(5),
        };
        let mut duo = Duo::off(seed, manner, trace);
        let recorded = (!cut.is_whole()).then(|| Duo::run(seed, Trace::off()).script);
        duo.script = Script::new(recorded);
        panic_of(|| duo.play(cut)).into_iter().for_each(|text| duo.violate("no panic", text));
        duo
    }

    fn play(&mut self, cut: &Cut) {
        (0..2).for_each(|n| self.start(n));
        self.pass(cut.before_end(self.now, PAUSE));
        for _ in 0..DISTURBANCES {
            if self.violation.is_some() || cut.is_over(self.now) {
                break;
            }
            let drawn = self.draw();
            let Some((number, what)) = self.script.next(self.now, drawn) else { break };
            if cut.keeps(number) {
                self.disturb(number, what);
            }
            let drawn = self.rng.duration(ZERO, PAUSE);
            let pause = self.script.pause(drawn);
            self.pass(cut.before_end(self.now, pause));
        }
        self.calm();
        self.pass(Duration::from_secs(20));
        if self.check_end().is_err() {
            // A repaired NIC may have let its host preempt a moment ago.
            self.pass(Duration::from_secs(3));
        }
        if let Err((invariant, what)) = self.check_end() {
            self.violate(invariant, what);
        }
    }

    /// What happens next, and to whom.
    fn draw(&mut self) -> Disturbance {
        let n = self.rng.index(2);
        match self.rng.below(if self.manner.group { 15 } else { 11 }) {
            0 | 1 => Disturbance::Kill(n),
            2 => Disturbance::Stop(n),
            3 | 4 => Disturbance::Start(n),
            5 => Disturbance::Freeze(n, self.rng.duration(ZERO, Duration::from_secs(8))),
            6 => Disturbance::Demote(n, 120),
            7 => Disturbance::Demote(n, -120),
            8 => Disturbance::Split(!self.split),
            _ => {
                let (nic, plugged) = (self.rng.index(NICS), self.rng.chance(600));
                Disturbance::Cable { host: n, nic, plugged }
            }
        }
    }

    fn disturb(&mut self, number: u32, what: Disturbance) {
        let masters = self.masters();
        self.trace.note(self.now, format_args!("#{number} {what:?}, {masters:?}"));
        match what {
            Disturbance::Kill(n) => self.kill(n),
            Disturbance::Stop(n) => self.stop(n),
            Disturbance::Start(n) => self.start(n),
            Disturbance::Freeze(n, how_long) => self.freeze(n, how_long),
            Disturbance::Demote(n, by) => self.ask(n, Command::Demote(by)),
            Disturbance::Split(split) => self.split = split,
            Disturbance::Cable { host, nic, plugged } => self.cable(host, nic, plugged),
        }
    }

    /// Everybody is there, awake and within earshot.
    fn calm(&mut self) {
        (self.split, self.loss) = (false, 0);
        for n in 0..2 {
            self.hosts[n].frozen = self.hosts[n].frozen.map(|_| self.now);
            (0..NICS).for_each(|nic| self.cable(n, nic, true));
        }
        self.pass(Duration::from_millis(1));
        self.start(0);
        self.start(1);
    }

    /// Exactly one host is master, and it answers: else which invariant that breaks.
    fn check_end(&self) -> Result<(), (&'static str, String)> {
        let masters = self.masters();
        if masters[0] == masters[1] {
            return Err(("one master in the end", format!("{masters:?}")));
        }
        match (0..2).find(|n| self.answers(*n) != masters[*n]) {
            Some(n) => Err(("the master answers", format!("host {n}: {masters:?}, and it is not so"))),
            None => Ok(()),
        }
    }
}

impl From<Duo> for Ran {
    fn from(duo: Duo) -> Ran {
        let takeovers = duo.hosts.iter().map(|h| u64::from(h.takeovers)).sum();
        let stats = Stats { carp_steps: duo.inputs, takeovers, ..Stats::default() };
        Ran { violation: duo.violation, events: duo.script.events(), trace: duo.trace, stats }
    }
}
