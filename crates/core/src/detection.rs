//! The failure detection time of a group, as requested and as the network permits (mpathd-behaviour.md
//! 1.2 and 1.10).

use crate::probe::FDT_DIVISOR;
use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// No lowering within this time after a raise.
pub const SETTLING_TIME: Duration = Duration::from_secs(60);
/// The raised time never exceeds the larger of this and six times the requested one.
const RAISE_FLOOR: Duration = Duration::from_secs(60);

/// Failure detection time and probe interval of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionTime {
    requested: Duration,
    current: Duration,
    raised: Option<Time>,
}

impl DetectionTime {
    /// In force as requested.
    pub fn new(requested: Duration) -> DetectionTime {
        DetectionTime { requested, current: requested, raised: None }
    }

    /// What is in force goes on under new settings, unless something else is asked for now.
    pub fn carried_over(&self, requested: Duration) -> DetectionTime {
        if self.requested == requested { self.clone() } else { DetectionTime::new(requested) }
    }

    /// What was asked for.
    pub fn requested(&self) -> Duration {
        self.requested
    }

    /// What is in force.
    pub fn current(&self) -> Duration {
        self.current
    }

    /// A seventh of what was asked for.
    pub fn requested_interval(&self) -> Duration {
        self.requested / FDT_DIVISOR
    }

    /// A seventh of what is in force.
    pub fn interval(&self) -> Duration {
        self.current / FDT_DIVISOR
    }

    /// A target needs `crtt`, more than an interval: the interval becomes twice that. True if it rose.
    pub fn raise(&mut self, crtt: Duration, now: Time) -> bool {
        let cap = RAISE_FLOOR.max(self.requested * 6);
        let wanted = (crtt * 2 * FDT_DIVISOR).min(cap);
        if crtt <= self.interval() || wanted <= self.current {
            return false;
        }
        self.current = wanted;
        self.raised = Some(now);
        true
    }

    /// Whether a lowering may be considered at all, for a target with this round-trip time.
    pub fn may_lower(&self, crtt: Duration, now: Time) -> bool {
        self.requested < self.current
            && crtt < self.interval() / 4
            && self.raised.is_none_or(|at| now - at > SETTLING_TIME)
    }

    /// Halves the time, down to what was asked for.
    pub fn lower(&mut self) {
        self.current = (self.current / 2).max(self.requested);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_to_fourteen_rtts_and_halves_back_to_the_request() {
        let ms = Duration::from_millis;
        let mut d = DetectionTime::new(ms(1000));
        assert!(!d.raise(ms(100), Time(0)));
        assert!(d.raise(ms(200), Time(0)));
        assert_eq!(d.current(), ms(2800));
        let late = Time(0) + Duration::from_secs(61);
        assert!(!d.may_lower(ms(1), Time(0) + Duration::from_secs(60)));
        assert!(d.may_lower(ms(1), late) && !d.may_lower(ms(100), late));
        d.lower();
        assert_eq!(d.current(), ms(1400));
        d.lower();
        assert_eq!(d.current(), ms(1000));
        assert!(!d.may_lower(ms(1), late));
    }

    #[test]
    fn the_raise_is_capped() {
        let mut d = DetectionTime::new(Duration::from_secs(1));
        assert!(d.raise(Duration::from_secs(1000), Time(0)));
        assert_eq!(d.current(), Duration::from_secs(60));
        assert!(!d.raise(Duration::from_secs(1000), Time(0)));
    }
}
