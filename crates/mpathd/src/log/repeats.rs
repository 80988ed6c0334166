//! The same line again and again: after some in a minute the rest are only counted, and the count is told when the
//! minute is over.

use mpath_core::diag::Line;
use mpath_model::event::Level;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Over which lines are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The same text that is written in a window.
const BURST: u64 = 20;
/// The same of level info or below: an operator may ask for probe statistics as often as he likes.
const BURST_INFO: u64 = 5000;
/// Lines that are kept apart; more in a minute are not the same line again and again.
const TEXTS: usize = 256;

struct Count {
    since: SystemTime,
    lines: u64,
    level: Level,
}

/// What makes two lines the same: their text, and the interface they are about.
type Key = (String, Option<String>);

fn key(line: &Line) -> Key {
    let interface = line.fields.iter().find(|(name, _)| name == "interface");
    (line.text.clone(), interface.map(|(_, value)| value.clone()))
}

/// How many lines of a level that are the same are written in a window.
fn burst(level: Level) -> u64 {
    if level >= Level::Info { BURST_INFO } else { BURST }
}

/// Counts lines.
#[derive(Default)]
pub(super) struct Repeats {
    counts: HashMap<Key, Count>,
}

impl Repeats {
    /// Whether the line is to be written.
    pub(super) fn admit(&mut self, at: SystemTime, line: &Line) -> bool {
        let key = key(line);
        if let Some(count) = self.counts.get_mut(&key) {
            count.lines += 1;
            return count.lines <= burst(line.level);
        }
        if self.counts.len() < TEXTS {
            self.counts.insert(key, Count { since: at, lines: 1, level: line.level });
        }
        true
    }

    /// Whether some line waits to be told of.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// What was held back in windows that are over.
    pub(super) fn over(&mut self, now: SystemTime) -> Vec<Line> {
        // A clock that was set back must not hold anything back for longer.
        self.told(|count| now.duration_since(count.since).is_ok_and(|d| d < WINDOW))
    }

    /// What was held back at all: nothing is counted any more.
    pub(super) fn rest(&mut self) -> Vec<Line> {
        self.told(|_| false)
    }

    /// Of all but the windows that are still open.
    fn told(&mut self, open: impl Fn(&Count) -> bool) -> Vec<Line> {
        let mut lines = Vec::new();
        self.counts.retain(|(text, interface), count| {
            let open = open(count);
            let burst = burst(count.level);
            if !open && count.lines > burst {
                let repeated = ("repeated".to_owned(), (count.lines - burst).to_string());
                let interface = interface.iter().map(|name| ("interface".to_owned(), name.clone()));
                let fields = interface.chain([repeated]).collect();
                lines.push(Line { level: count.level, text: text.clone(), fields });
            }
            open
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_everything_else_passes() {
        let mut repeats = Repeats::default();
        let line = |text: &str| Line { level: Level::Err, text: text.to_owned(), fields: Vec::new() };
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let admitted = (0..100).filter(|_| repeats.admit(at(100), &line("same"))).count();
        assert_eq!(admitted as u64, BURST);
        let eth1 = Line { fields: vec![("interface".to_owned(), "eth1".to_owned())], ..line("same") };
        assert!(repeats.admit(at(100), &eth1), "about something else");
        assert!((0..1000).all(|n| repeats.admit(at(100), &line(&format!("other {n}")))));
        assert!(repeats.over(at(159)).is_empty());
        let told = repeats.over(at(160));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].fields, [("repeated".to_owned(), "80".to_owned())]);
        assert!(repeats.is_empty() && repeats.admit(at(161), &line("same")));
        assert!(!repeats.over(at(100)).iter().any(|l| l.text == "other"), "time set back");
    }
}
