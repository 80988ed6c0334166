//! Manners of a NIC without an address. An ARP request with sender 0.0.0.0 looks like the probe of somebody who wants to
//! have the target's address (RFC 5227, section 2.1.1): whoever is just checking that address would take it for a conflict.
//! So it goes only to the MAC of somebody who has spoken, and not on and on to somebody who has fallen silent: he may be
//! starting, and about to check. Whoever speaks, on whatever NIC of ours, is not checking.

use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Questions in a row without an answer.
const IN_A_ROW: u32 = 5;
/// They follow each other within this: nobody starts in less.
const HASTE: Duration = Duration::from_secs(3);
/// Silence after that.
const SILENCE: Duration = Duration::from_secs(30);
/// Targets remembered.
const REMEMBERED: usize = 64;

/// Questions without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    times: u32,
    first: Time,
    last: Time,
}

impl Asked {
    fn over(&self, now: Time) -> bool {
        now - self.last >= SILENCE
    }
}

/// What has been asked of whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manners {
    /// Those who have not answered since.
    asked: BTreeMap<Ipv4Addr, Asked>,
    /// Something has been asked without an address.
    bound: bool,
}

impl Manners {
    /// Whether one more question is polite.
    pub fn allow(&self, target: &Ipv4Addr, now: Time) -> bool {
        let polite = |a: &Asked| a.over(now) || (a.times < IN_A_ROW && now - a.first < HASTE);
        self.asked.get(target).is_none_or(polite)
    }

    /// A question is put.
    pub fn asked(&mut self, target: Ipv4Addr, now: Time) {
        self.bound = true;
        let mut asked = self.entry(target, now);
        asked.times += 1;
        asked.last = now;
        self.asked.insert(target, asked);
    }

    /// He is checking whether he can have his address: nothing may be asked before he speaks, or gives it up.
    pub fn hush(&mut self, target: Ipv4Addr, now: Time) {
        let asked = Asked { times: IN_A_ROW, last: now, ..self.entry(target, now) };
        self.asked.insert(target, asked);
    }

    fn entry(&mut self, target: Ipv4Addr, now: Time) -> Asked {
        if self.asked.len() >= REMEMBERED {
            self.asked.retain(|_, a| !a.over(now));
        }
        if self.asked.len() >= REMEMBERED && !self.asked.contains_key(&target) {
            self.asked.pop_first();
        }
        let known = self.asked.get(&target).filter(|a| !a.over(now));
        known.copied().unwrap_or(Asked { times: 0, first: now, last: now })
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

    const HIM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn at(s: u64) -> Time {
        Time(0) + Duration::from_secs(s)
    }

    fn half(s: u64) -> Time {
        Time(0) + Duration::from_millis(s * 500)
    }

    #[test]
    fn five_questions_then_half_a_minute_of_silence_unless_he_speaks() {
        let mut m = Manners::default();
        for s in 0..5 {
            assert!(m.allow(&HIM, half(s)));
            m.asked(HIM, half(s));
        }
        assert!(!m.allow(&HIM, half(5)) && !m.allow(&HIM, at(31)));
        assert!(m.allow(&Ipv4Addr::new(192, 0, 2, 2), at(5)));
        assert!(m.allow(&HIM, at(32)));
        for s in 64..69 {
            assert!(m.allow(&HIM, half(s)));
            m.asked(HIM, half(s));
        }
        assert!(!m.allow(&HIM, half(69)));
        m.spoke(&HIM);
        assert!(m.allow(&HIM, half(69)));
    }

    #[test]
    fn whoever_is_silent_for_longer_may_be_starting() {
        let mut m = Manners::default();
        m.asked(HIM, at(0));
        assert!(m.allow(&HIM, at(2)) && !m.allow(&HIM, at(3)) && m.allow(&HIM, at(30)));
    }

    #[test]
    fn whoever_checks_his_address_is_left_alone() {
        let mut m = Manners::default();
        m.hush(HIM, at(0));
        assert!(!m.bound() && !m.allow(&HIM, at(0)) && !m.allow(&HIM, at(29)));
        m.hush(HIM, at(20));
        assert!(!m.allow(&HIM, at(49)) && m.allow(&HIM, at(50)));
        m.hush(HIM, at(60));
        m.spoke(&HIM);
        assert!(m.allow(&HIM, at(61)));
    }

    #[test]
    fn not_more_than_so_many_are_remembered() {
        let mut m = Manners::default();
        (0..1000u32).for_each(|n| m.hush(Ipv4Addr::from(n), at(1)));
        assert_eq!(m.asked.len(), REMEMBERED);
    }
}
