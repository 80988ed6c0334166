//! When an instance sends its next probe (mpathd-behaviour.md 1.3 and 1.4): a strictly periodic base, and
//! the actual time jittered into the second half of each period.

use crate::rng::Rng;
use mpath_model::Time;
use mpath_model::time::nanos;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Probes that should have been sent while nobody was there to send them.
pub type Missed = u64;

/// The timers of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Strictly periodic.
    pub base: Time,
    /// The next probe.
    pub next: Time,
    /// Strictly periodic base of failure detection probes; equals `base` while the FDT is not inflated.
    pub fd_base: Time,
}

/// Probes go out at common moments, so that many NICs share a wake-up: this part of an interval apart,
const MOMENTS: u64 = 16;
/// but not further, in nanoseconds, lest targets be asked in bursts.
const FURTHEST: u64 = 5_000_000;

impl Schedule {
    /// Starts somewhere in the first interval, so that NICs do not probe in step.
    pub fn start(now: Time, interval: Duration, rng: &mut Rng) -> Schedule {
        let at = now + Duration::from_nanos(rng.between(0, nanos(interval)));
        Schedule { base: at, next: at, fd_base: at }
    }

    /// A random time in the second half of the period that begins at `base`, one of the common moments.
    fn draw(base: Time, period: u64, rng: &mut Rng) -> Time {
        let apart = (period / MOMENTS).clamp(1, FURTHEST);
        let first = (base.0 + period / 2).div_ceil(apart);
        let last = ((base.0 + period) / apart).max(first);
        Time(rng.between(first, last) * apart)
    }

    /// Steps 5 to 7: moves `next` and `base` on to the coming probe. Late by whole periods: the schedule is
    /// realigned to its grid and the number of probes that were never sent is returned.
    pub fn advance(&mut self, now: Time, requested_interval: Duration, rng: &mut Rng) -> Missed {
        let upi = nanos(requested_interval);
        self.next = Schedule::draw(self.base, upi, rng);
        let mut missed = 0;
        if now > self.next {
            missed = nanos(now - self.next) / upi + 1;
            let skip = Duration::from_nanos(missed.saturating_mul(upi));
            self.next = self.next + skip;
            self.base = self.base + skip;
        }
        self.base = self.base + requested_interval;
        missed
    }

    /// Step 10: moves the base of failure detection probes on.
    pub fn advance_detection(&mut self, now: Time, requested_interval: Duration, interval: Duration) {
        if interval == requested_interval {
            self.fd_base = self.base;
            return;
        }
        self.fd_base = self.fd_base + interval;
        if self.fd_base < now {
            let behind = nanos(now - self.fd_base).div_ceil(nanos(interval).max(1));
            self.fd_base = self.fd_base + Duration::from_nanos(behind * nanos(interval));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: Duration = Duration::from_millis(100);

    #[test]
    fn gaps_stay_between_half_and_one_and_a_half_intervals() {
        let mut rng = Rng::new(1);
        let mut s = Schedule::start(Time(0), I, &mut rng);
        let (mut last, mut sum) = (s.next, Duration::ZERO);
        for _ in 0..1000 {
            assert_eq!(s.advance(last, I, &mut rng), 0);
            let gap = s.next - last;
            assert!(gap >= I / 2 && gap <= I + I / 2, "{gap:?}");
            sum += gap;
            last = s.next;
        }
        let mean = sum / 1000;
        assert!(mean > I * 99 / 100 && mean < I * 101 / 100, "{mean:?}");
    }

    #[test]
    fn many_share_few_moments() {
        let mut rng = Rng::new(3);
        let mut all: Vec<Schedule> = (0..64).map(|_| Schedule::start(Time(0), I, &mut rng)).collect();
        let mut moments = std::collections::BTreeSet::new();
        for s in &mut all {
            for _ in 0..100 {
                s.advance(s.next, I, &mut rng);
                moments.insert(s.next);
            }
        }
        assert!(moments.len() < 102 * MOMENTS as usize * 2, "{} moments for 6400 probes", moments.len());
        assert!(all.iter().any(|s| s.next != all[0].next), "not in step");
    }

    #[test]
    fn starvation_is_counted_and_the_grid_is_kept() {
        let mut rng = Rng::new(2);
        let mut s = Schedule { base: Time(0), next: Time(0), fd_base: Time(0) };
        let now = Time(0) + I * 50 + I / 4;
        let missed = s.advance(now, I, &mut rng);
        assert!((49..=50).contains(&missed), "{missed}");
        assert!(s.next >= now && s.next <= now + I + I / 2);
        assert_eq!(s.base.0 % nanos(I), 0);
    }
}
