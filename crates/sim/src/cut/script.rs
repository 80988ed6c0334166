//! Faults of worlds that draw them as they go: put on record, so that they can be left out one by one.

use super::Event;
use mpath_model::Time;
use std::fmt;
use std::time::Duration;

/// The disturbances of a world that draws them as it goes, each with the pause after it: once they are on record, leaving one
/// out changes none of the others.
#[derive(Clone, Debug)]
pub(crate) struct Script<T> {
    recorded: Option<Vec<Struck<T>>>,
    struck: Vec<Struck<T>>,
}

#[derive(Clone, Debug)]
struct Struck<T> {
    at: Time,
    what: T,
    pause: Duration,
}

impl<T: Clone + fmt::Debug> Script<T> {
    /// A new record, or what is on record to be played again.
    pub(crate) fn new(recorded: Option<Script<T>>) -> Script<T> {
        Script { recorded: recorded.map(|s| s.struck), struck: Vec::new() }
    }

    /// The next disturbance and its number: the one that has been drawn, or the one on record in its place.
    pub(crate) fn next(&mut self, at: Time, drawn: T) -> Option<(u32, T)> {
        let number = self.struck.len();
        let what = match &self.recorded {
            None => drawn,
            Some(recorded) => recorded.get(number)?.what.clone(),
        };
        self.struck.push(Struck { at, what: what.clone(), pause: Default::default() });
        Some((u32::try_from(number).unwrap_or(u32::MAX), what))
    }

    /// The pause after it, in the same way.
    pub(crate) fn pause(&mut self, drawn: Duration) -> Duration {
        let on_record = self.recorded.as_ref().and_then(|r| r.get(self.struck.len().checked_sub(1)?));
        let pause = on_record.map_or(drawn, |struck| struck.pause);
        if let Some(last) = self.struck.last_mut() {
            last.pause = pause;
        }
        pause
    }

    /// All up to now.
    pub(crate) fn events(&self) -> Vec<Event> {
        let event =
            |(number, s): (u32, &Struck<T>)| Event { number, at: s.at, what: format!("{:?}", s.what) };
        (0..).zip(&self.struck).map(event).collect()
    }
}
