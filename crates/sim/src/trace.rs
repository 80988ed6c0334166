//! The record of a run in words: nothing (the rule), the last steps (to explain a broken invariant) or
//! everything, at once.

use mpath_core::input::BatchId;
use mpath_core::{Action, Input};
use mpath_model::Time;
use std::collections::VecDeque;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Last(usize),
    Print,
}

/// The record.
#[derive(Clone, Debug)]
pub struct Trace {
    mode: Mode,
    lines: VecDeque<String>,
}

impl Trace {
    /// Records nothing.
    pub fn off() -> Trace {
        Trace { mode: Mode::Off, lines: VecDeque::new() }
    }

    /// Keeps the last `n` lines.
    pub fn last(n: usize) -> Trace {
        Trace { mode: Mode::Last(n), lines: VecDeque::new() }
    }

    /// Prints every line as it comes.
    pub fn print() -> Trace {
        Trace { mode: Mode::Print, lines: VecDeque::new() }
    }

    /// What was kept.
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.lines.iter()
    }

    pub(crate) fn input(&mut self, now: Time, input: &Input) {
        if self.mode != Mode::Off {
            let text = match input {
                Input::Tick => return,
                Input::Inventory(i) => {
                    format!("-> Inventory {} links {:?} {:?}", i.links.len(), i.addresses, i.routes)
                }
                other => format!("-> {other:?}"),
            };
            self.line(now, &text);
        }
    }

    pub(crate) fn actions(&mut self, now: Time, actions: &[Action]) {
        if self.mode != Mode::Off {
            for action in actions {
                self.line(now, &format!("   <- {action:?}"));
            }
        }
    }

    pub(crate) fn errors(&mut self, now: Time, batch: BatchId, errors: &[i32]) {
        if self.mode != Mode::Off {
            self.line(now, &format!("   == batch {batch} {errors:?}"));
        }
    }

    pub(crate) fn note(&mut self, now: Time, text: std::fmt::Arguments) {
        if self.mode != Mode::Off {
            self.line(now, &format!("## {text}"));
        }
    }

    fn line(&mut self, now: Time, text: &str) {
        let line = format!("{:>4}.{:09} {text}", now.0 / 1_000_000_000, now.0 % 1_000_000_000);
        match self.mode {
            Mode::Off => {}
            Mode::Print => println!("{line}"),
            Mode::Last(n) => {
                if self.lines.len() >= n {
                    self.lines.pop_front();
                }
                self.lines.push_back(line);
            }
        }
    }
}
