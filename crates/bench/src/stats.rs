//! What is told of a set of samples.

/// Least, percentiles and greatest of a set of samples, in the unit of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// `None` of nothing.
    pub(crate) fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let at = |percent| percentile(&sorted, percent);
        Some(Summary { min, p50: at(50), p95: at(95), p99: at(99), max })
    }
}

/// Nearest rank: the smallest sample that at least `percent` of all samples do not exceed. Always a sample that
/// occurred, never one made up between two. `sorted` is not empty, `percent` 1 to 100.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank - 1]
}

/// Milliseconds with fractions.
pub(crate) fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let all = Summary { min: 1.0, p50: 50.0, p95: 95.0, p99: 99.0, max: 100.0 };
        assert_eq!(Summary::of(&hundred), Some(all));
        // 30 runs: p50 is the 15th, p95 the 29th, p99 the worst.
        let thirty: Vec<f64> = (1..=30).map(f64::from).collect();
        let all = Summary { min: 1.0, p50: 15.0, p95: 29.0, p99: 30.0, max: 30.0 };
        assert_eq!(Summary::of(&thirty), Some(all));
    }

    #[test]
    fn few_samples() {
        assert_eq!(Summary::of(&[]), None);
        let one = Summary { min: 3.0, p50: 3.0, p95: 3.0, p99: 3.0, max: 3.0 };
        assert_eq!(Summary::of(&[3.0]), Some(one));
        let two = Summary { min: 1.0, p50: 1.0, p95: 2.0, p99: 2.0, max: 2.0 };
        assert_eq!(Summary::of(&[2.0, 1.0]), Some(two));
    }
}
