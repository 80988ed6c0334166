//! Conservative round-trip time of a target (mpathd-behaviour.md 1.9), in nanoseconds so that a
//! sub-millisecond LAN has a real one.

use mpath_model::time::nanos;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Mean and mean deviation, Jacobson/Karels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtt {
    /// Eight times the average; none before the first sample.
    average8: Option<i64>,
    /// Four times the mean deviation.
    deviation4: i64,
}

impl Rtt {
    /// Adds a sample.
    pub fn add(&mut self, sample: Duration) {
        let m = i64::try_from(nanos(sample)).unwrap_or(i64::MAX / 16);
        match self.average8 {
            None => (self.average8, self.deviation4) = (Some(m * 8), m * 2),
            Some(a) => {
                let e = m - (a >> 3);
                self.average8 = Some((a + e).max(0));
                self.deviation4 += e.abs() - (self.deviation4 >> 2);
            }
        }
    }

    /// What [`Rtt::conservative`] would be with this sample.
    pub fn with(mut self, sample: Duration) -> Duration {
        self.add(sample);
        self.conservative().unwrap_or_default()
    }

    /// Average plus four deviations; none before the first sample.
    pub fn conservative(&self) -> Option<Duration> {
        self.average8.map(|a| Duration::from_nanos(((a >> 3) + self.deviation4).max(1) as u64))
    }

    /// Average; none before the first sample.
    pub fn average(&self) -> Option<Duration> {
        self.average8.map(|a| Duration::from_nanos((a >> 3).max(0) as u64))
    }

    /// Mean deviation; none before the first sample.
    pub fn deviation(&self) -> Option<Duration> {
        self.average8.map(|_| Duration::from_nanos((self.deviation4 >> 2).max(0) as u64))
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Rtt::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_of_the_reference() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        let crtt = |r: &Rtt| r.conservative().map(|d| d.as_millis());
        assert_eq!(crtt(&rtt), None);
        for (sample, expect) in [(10, 30), (10, 25), (10, 21)] {
            rtt.add(ms(sample));
            assert_eq!(crtt(&rtt), Some(expect));
        }
        assert!(rtt.with(ms(2000)) > ms(1428), "one slow sample would exceed the interval");
        rtt.add(ms(2000));
        rtt.add(ms(2000));
        assert!((3700..3740).contains(&crtt(&rtt).unwrap()));
    }
}
