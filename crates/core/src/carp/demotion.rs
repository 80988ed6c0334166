//! How well this host is (lagg-carp.md B.6): one signed number for all its vhids, added to the skew of what they
//! advertise, so that the healthier host wins.

use serde::{Deserialize, Serialize};

/// For each vhid whose interface is down, each place that has failed, and each vhid that cannot send.
pub const FAILED: i32 = 240;
/// For each group or lagg that has lost part of its members.
pub const DEGRADED: i32 = 120;
/// Sends that fail in a row before a vhid is taken for unable to send, and that succeed before it is able again.
pub const SEND_ERRORS: u32 = 3;

/// Health of what a vhid runs over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// As it should be.
    #[default]
    Ok,
    /// Part of it has failed.
    Degraded,
    /// Nothing of it works, as far as is known.
    Failed,
}

impl Health {
    /// What it adds.
    pub fn weight(self) -> i32 {
        match self {
            Health::Ok => 0,
            Health::Degraded => DEGRADED,
            Health::Failed => FAILED,
        }
    }
}

/// What the number is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demotion {
    /// Vhids whose interface is down.
    pub down: i32,
    /// Health of places whose interface is up.
    pub health: i32,
    /// Vhids that cannot send.
    pub sending: i32,
    /// The operator's part.
    pub operator: i32,
}

impl Demotion {
    /// The number.
    pub fn total(&self) -> i32 {
        [self.down, self.health, self.sending, self.operator].iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Why it differs from an earlier one.
    pub fn reason(&self, before: &Demotion) -> &'static str {
        match self {
            d if d.down != before.down => "interface down",
            d if d.health != before.health => "group health",
            d if d.sending != before.sending => "send error",
            _ => "operator",
        }
    }
}

/// Sends of one vhid that failed or did not, in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    failed: u32,
    fine: u32,
    /// An advert has been handed out, and nothing bad has been heard of it yet.
    open: bool,
    /// The vhid counts as unable to send.
    pub broken: bool,
}

impl Sending {
    /// An advert is about to be handed out: the one before has succeeded if nothing was heard of it.
    pub fn sent(&mut self) {
        if std::mem::replace(&mut self.open, true) {
            self.failed = 0;
            self.fine += 1;
            if self.fine >= SEND_ERRORS {
                self.broken = false;
            }
        }
    }

    /// The last one could not be sent.
    pub fn failed(&mut self) {
        if std::mem::take(&mut self.open) {
            self.fine = 0;
            self.failed += 1;
            if self.failed >= SEND_ERRORS {
                self.broken = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_errors_break_and_three_successes_mend() {
        let mut s = Sending::default();
        let mut send = |ok: bool| {
            s.sent();
            if !ok {
                s.failed();
            }
            s.broken
        };
        assert_eq!([send(true), send(false), send(false), send(true)], [false; 4]);
        assert_eq!([send(false), send(false), send(false)], [false, false, true]);
        assert_eq!([send(true), send(true), send(true)], [true; 3]);
        assert!(!send(true), "the third success shows with the fourth advert");
    }

    #[test]
    fn the_sum_says_why_it_changed() {
        let none = Demotion::default();
        let down = Demotion { down: 480, ..none };
        let both = Demotion { operator: -100, ..down };
        assert_eq!((down.total(), both.total()), (480, 380));
        assert_eq!(down.reason(&none), "interface down");
        assert_eq!(both.reason(&down), "operator");
        let extreme = Demotion { down: 240, operator: i32::MAX, ..none };
        assert_eq!(extreme.total(), i32::MAX);
    }
}
