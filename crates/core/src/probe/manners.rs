//! Manners of a NIC without an address. An ARP request with sender 0.0.0.0 looks like the probe of somebody who wants to
//! have the target's address (RFC 5227, section 2.1.1): whoever is just checking that address would take it for a conflict.
//! So it goes only to the MAC of somebody who has spoken, and not on and on to somebody who has fallen silent.

use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Questions in a row without an answer.
const IN_A_ROW: u32 = 5;
/// Silence after that.
const SILENCE: Duration = Duration::from_secs(30);
/// Targets remembered.
const REMEMBERED: usize = 64;

/// What has been asked of whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manners {
    /// Unanswered questions, and when the last one was put.
    asked: BTreeMap<Ipv4Addr, (u32, Time)>,
    /// Something has been asked without an address.
    bound: bool,
}

impl Manners {
    /// Whether one more question is polite.
    pub fn allow(&self, target: &Ipv4Addr, now: Time) -> bool {
        self.asked.get(target).is_none_or(|(times, last)| *times < IN_A_ROW || now - *last >= SILENCE)
    }

    /// A question is put.
    pub fn asked(&mut self, target: Ipv4Addr, now: Time) {
        if self.asked.len() >= REMEMBERED {
            self.asked.retain(|_, (_, last)| now - *last < SILENCE);
        }
        self.bound = true;
        let (times, last) = self.asked.entry(target).or_insert((0, now));
        *times = if now - *last >= SILENCE { 1 } else { *times + 1 };
        *last = now;
    }

    /// Whether the NIC has asked without an address, so that fewer probes go out than the schedule wants.
    pub fn bound(&self) -> bool {
        self.bound
    }

    /// The target has spoken.
    pub fn spoke(&mut self, target: &Ipv4Addr) {
        self.asked.remove(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_questions_then_half_a_minute_of_silence_unless_he_speaks() {
        let (him, at) = (Ipv4Addr::new(192, 0, 2, 1), |s: u64| Time(0) + Duration::from_secs(s));
        let mut m = Manners::default();
        for s in 0..5 {
            assert!(m.allow(&him, at(s)));
            m.asked(him, at(s));
        }
        assert!(!m.allow(&him, at(5)) && !m.allow(&him, at(33)));
        assert!(m.allow(&Ipv4Addr::new(192, 0, 2, 2), at(5)));
        assert!(m.allow(&him, at(34)));
        for s in 34..39 {
            assert!(m.allow(&him, at(s)));
            m.asked(him, at(s));
        }
        assert!(!m.allow(&him, at(39)));
        m.spoke(&him);
        assert!(m.allow(&him, at(39)));
    }
}
