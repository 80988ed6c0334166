//! Arrival times and the gaps between them. No sockets here.

use std::time::{Duration, Instant};

/// A stretch of time without an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it began: the last arrival before it, or the begin of the window.
    pub at: Instant,
    /// How long it was.
    pub length: Duration,
}

/// Longest stretch without an arrival inside the window; the edges of the window bound it, so that a stream that
/// never comes back counts to the window's end.
///
/// `arrivals` is sorted.
pub(super) fn longest_gap(arrivals: &[Instant], from: Instant, to: Instant) -> Gap {
    let first = arrivals.partition_point(|a| *a < from);
    let mut longest = Gap { at: from, length: Duration::ZERO };
    let mut last = from;
    let inside = arrivals[first..].iter().copied().take_while(|a| *a <= to);
    for arrival in inside.chain([to]) {
        let length = arrival.saturating_duration_since(last);
        if length > longest.length {
            longest = Gap { at: last, length };
        }
        last = arrival;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(base: Instant, list: &[u64]) -> Vec<Instant> {
        list.iter().map(|m| base + Duration::from_millis(*m)).collect()
    }

    #[test]
    fn gap_inside_the_window() {
        let base = Instant::now();
        let arrivals = ms(base, &[0, 1, 2, 50, 51, 52, 300]);
        let at = |m| base + Duration::from_millis(m);
        let gap = longest_gap(&arrivals, at(1), at(60));
        assert_eq!(gap, Gap { at: at(2), length: Duration::from_millis(48) });
    }

    #[test]
    fn edges_count() {
        let base = Instant::now();
        let at = |m| base + Duration::from_millis(m);
        let arrivals = ms(base, &[0, 10]);
        assert_eq!(longest_gap(&arrivals, at(5), at(30)).length, Duration::from_millis(20));
        assert_eq!(longest_gap(&arrivals, at(20), at(30)).length, Duration::from_millis(10));
        assert_eq!(longest_gap(&[], at(0), at(7)).length, Duration::from_millis(7));
        assert_eq!(longest_gap(&arrivals, at(9), at(10)).length, Duration::from_millis(1));
    }
}
