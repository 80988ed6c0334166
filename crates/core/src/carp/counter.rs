//! The counter in adverts (lagg-carp.md B.3): the members of a vhid share one running number. It starts from the wall
//! clock, so that it is ahead of an earlier life of the same host.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Own counters remembered, to know own packets by that come back.
const REMEMBERED: usize = 16;

/// The counter of one vhid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counter {
    last: u64,
    own: VecDeque<u64>,
}

impl Counter {
    /// Starts behind `last`.
    pub fn new(last: u64) -> Counter {
        Counter { last, own: VecDeque::with_capacity(REMEMBERED) }
    }

    /// The number for the next packet.
    pub fn draw(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1);
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
    fn runs_on_behind_what_is_heard_and_wraps() {
        let mut c = Counter::new(7);
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
