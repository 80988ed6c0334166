//! Gray failure: a NIC that answers just often enough to live. An answer ends a doubt, not the memory of what was lost. What
//! lives here is the judgement over counted probes; the counts are kept by `probe::ring` and `probe::confirm`.

use mpath_model::Time;
use std::time::Duration;

/// Questions over a NIC whose time to be answered has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Asked.
    pub asked: u32,
    /// Of those, unanswered.
    pub lost: u32,
}

/// Questions needed for a judgement.
pub const ENOUGH: u32 = 20;
/// Loss of a sibling, in percent, below which it is the better choice.
pub const CLEAN: u32 = 10;
/// Loss, in percent, from which on a NIC is no better choice for a while.
pub const DIRTY: u32 = 20;
/// Unanswered questions in a row that make somebody silent rather than hard to reach.
const SILENT: u32 = 3;
/// A NIC loses its addresses for loss at most once in this time.
pub const PAUSE: Duration = Duration::from_secs(600);

impl Tally {
    /// Loss in percent, rounded down; none while nothing has been asked.
    pub fn percent(&self) -> Option<u32> {
        (self.lost * 100).checked_div(self.asked)
    }

    /// Loses no more than a good path may.
    pub fn clean(&self) -> bool {
        self.asked >= ENOUGH && self.percent().is_some_and(|p| p < CLEAN)
    }

    /// Loses at least `max_loss` percent of enough questions.
    pub fn bad(&self, max_loss: u32) -> bool {
        self.asked >= ENOUGH && self.percent().is_some_and(|p| p >= max_loss)
    }
}

/// Counts questions, oldest first. Whoever has not answered the last few in a row is left out: that is a dead target or a
/// dead family, and no lossy path.
pub fn count<K: PartialEq>(questions: impl Iterator<Item = (K, bool)>) -> Tally {
    // A handful of targets: a list is faster than a map.
    let mut each: Vec<(K, Tally, u32)> = Vec::new();
    for (whom, answered) in questions {
        let at = each.iter().position(|(k, ..)| *k == whom).unwrap_or_else(|| {
            each.push((whom, Tally::default(), 0));
            each.len() - 1
        });
        let (_, tally, silent) = &mut each[at];
        tally.asked += 1;
        tally.lost += u32::from(!answered);
        *silent = if answered { 0 } else { *silent + 1 };
    }
    let speaking = each.into_iter().filter(|(.., silent)| *silent < SILENT).map(|(_, tally, _)| tally);
    speaking.fold(Tally::default(), |a, b| Tally { asked: a.asked + b.asked, lost: a.lost + b.lost })
}

/// Whether a NIC that loses too much or is too slow gives its addresses away: some sibling is clean, and `last` is long ago.
pub fn condemned(now: Time, siblings: &[Tally], last: Option<Time>) -> bool {
    last.is_none_or(|at| now - at >= PAUSE) && siblings.iter().any(Tally::clean)
}

/// Whether even the fastest target of a NIC takes too long to answer.
pub fn slow(fastest: Option<Duration>, max_rtt: Option<Duration>) -> bool {
    matches!((fastest, max_rtt), (Some(takes), Some(most)) if takes > most)
}

/// Whether a NIC that loses can be trusted again: as clean as a good one, over a longer time.
pub fn pardoned(own: Tally) -> bool {
    own.clean()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(5_000_000_000_000);

    fn tally(asked: u32, lost: u32) -> Tally {
        Tally { asked, lost }
    }

    #[test]
    fn bad_alone_among_clean_ones_and_not_again_for_ten_minutes() {
        let clean = [tally(40, 3)];
        let judge = |own: Tally, siblings: &[Tally], last| own.bad(50) && condemned(NOW, siblings, last);
        assert!(judge(tally(20, 10), &clean, None));
        assert!(!judge(tally(19, 19), &clean, None), "too few");
        assert!(!judge(tally(100, 49), &clean, None), "too little");
        assert!(!judge(tally(40, 30), &[tally(40, 10)], None), "nobody is better");
        assert!(!judge(tally(40, 30), &[tally(19, 0)], None), "nobody is known to be better");
        assert!(judge(tally(40, 30), &[tally(40, 30), tally(20, 0)], None));
        assert!(!judge(tally(40, 30), &clean, Some(NOW.before(PAUSE - Duration::from_secs(1)))));
        assert!(judge(tally(40, 30), &clean, Some(NOW.before(PAUSE))));
        assert!(!judge(tally(0, 0), &clean, None));
    }

    #[test]
    fn the_silent_are_left_out() {
        let ask = |text: &str| count(text.split(' ').map(|q| (q.as_bytes()[0], q.ends_with('+'))));
        assert_eq!(ask("a+ b+ a- b- a+ b- a+ b-"), tally(4, 1), "b has died");
        assert_eq!(ask("a+ a- a- a+ a-"), tally(5, 3));
        assert_eq!(ask("a- a- a-"), tally(0, 0));
    }

    #[test]
    fn trusted_again_when_as_clean_as_a_good_one() {
        assert!(pardoned(tally(50, 4)));
        assert!(!pardoned(tally(50, 5)));
        assert!(!pardoned(tally(19, 0)));
    }
}
