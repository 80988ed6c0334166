//! The counter in adverts (lagg-carp.md B.3): the members of a vhid share one running number. It starts from the wall
//! clock, so that it is ahead of an earlier life of the same host.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Own counters remembered, to know own packets by that come back.
const REMEMBERED: usize = 16;

/// Steps are up to this long. At some ten adverts a second the counter stays far behind the clock that it starts from.
pub const LONGEST_STEP: u64 = 1 << 16;

/// The counter of one vhid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counter {
    last: u64,
    /// Two hosts that do not hear each other both go on from the number they shared: with steps of their own they do not come to
    /// the same numbers, and do not take each other's adverts for their own.
    #[serde(default = "one")]
    step: u64,
    own: VecDeque<u64>,
}

fn one() -> u64 {
    1
}

impl Counter {
    /// Starts behind `last`, in steps of 1 to [`LONGEST_STEP`].
    pub fn new(last: u64, step: u64) -> Counter {
        Counter { last, step, own: VecDeque::with_capacity(REMEMBERED) }
    }

    /// The number for the next packet.
    pub fn draw(&mut self) -> u64 {
        self.last = self.last.wrapping_add(self.step);
        if self.own.len() == REMEMBERED {
            self.own.pop_front();
        }
        self.own.push_back(self.last);
        self.last
    }

    /// A valid advert of somebody else had this number.
    pub fn heard(&mut self, counter: u64) {
        self.last = self.last.max(counter);
    }

    /// Whether a packet of one's own had this number lately.
    pub fn is_own(&self, counter: u64) -> bool {
        self.own.contains(&counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_parted_at_one_number_do_not_meet_again() {
        let (mut a, mut b) = (Counter::new(1 << 40, 3001), Counter::new(1 << 40, 52_021));
        for _ in 0..REMEMBERED {
            a.draw();
            let number = b.draw();
            assert!(!a.is_own(number));
        }
    }

    #[test]
    fn runs_on_behind_what_is_heard_and_wraps() {
        let mut c = Counter::new(7, 1);
        assert_eq!((c.draw(), c.draw()), (8, 9));
        c.heard(3);
        assert_eq!(c.draw(), 10);
        c.heard(u64::MAX);
        assert_eq!(c.draw(), 0);
        assert!(c.is_own(8) && c.is_own(0) && !c.is_own(3));
        c.heard(1000);
        for _ in 0..REMEMBERED {
            c.draw();
        }
        assert!(!c.is_own(8));
    }
}
