//! The moments at which failures begin: a seeded generator (xorshift64*, Vigna 2016), so that a run can be repeated.

use std::time::Duration;

/// A generator that repeats itself for the same seed.
pub(crate) struct Rng(u64);

impl Rng {
    /// Any seed will do.
    pub(crate) fn new(seed: u64) -> Rng {
        // The state must not be zero, and small seeds must not start alike.
        Rng(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in nanoseconds, from nothing to below `end`.
    pub(crate) fn below(&mut self, end: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let fraction = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64;
        end.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_itself_and_fills_the_range() {
        let end = Duration::from_secs(1);
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..1000).map(|_| rng.below(end)).collect::<Vec<_>>()
        };
        let all = draw(7);
        assert_eq!(all, draw(7));
        assert_ne!(all, draw(8));
        assert!(all.iter().all(|d| *d < end));
        let mean = all.iter().sum::<Duration>() / 1000;
        assert!(mean > Duration::from_millis(450) && mean < Duration::from_millis(550), "{mean:?}");
    }
}
