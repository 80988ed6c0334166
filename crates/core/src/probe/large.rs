//! Probes as large as the MTU that routers and switches may not cut: a path can pass small frames and lose large ones. They
//! decide nothing; `why` tells what came of them.

use crate::gray::Tally;
use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Probes remembered.
const REMEMBERED: usize = 16;
/// Largest payload: that of a jumbo frame.
const LARGEST: usize = 8972;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Probe {
    nonce: u64,
    target: IpAddr,
    sent: Time,
    answered: bool,
}

/// The last of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Large(VecDeque<Probe>);

/// Bytes behind the echo header that fill a packet of this MTU: less the headers of IP and ICMP.
pub fn payload(mtu: u32, target: &IpAddr) -> usize {
    let headers = if target.is_ipv4() { 20 + 8 } else { 40 + 8 };
    (mtu as usize).saturating_sub(headers).clamp(mpath_wire::probe::LEN, LARGEST)
}

impl Large {
    /// Whether the next one is due: one in every `pause`.
    pub fn due(&self, now: Time, pause: Duration) -> bool {
        self.0.back().is_none_or(|p| now - p.sent >= pause)
    }

    /// One is sent.
    pub fn record(&mut self, target: IpAddr, nonce: u64, now: Time) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Probe { nonce, target, sent: now, answered: false });
    }

    /// One is answered: true if it was asked.
    pub fn answer(&mut self, from: IpAddr, nonce: u64) -> bool {
        let asked = self.0.iter_mut().find(|p| p.nonce == nonce && p.target == from && !p.answered);
        asked.map(|p| p.answered = true).is_some()
    }

    /// What came of those that had `patience` to be answered.
    pub fn tally(&self, now: Time, patience: Duration) -> Tally {
        let over = self.0.iter().filter(|p| p.answered || now - p.sent >= patience);
        over.fold(Tally::default(), |t, p| Tally {
            asked: t.asked + 1,
            lost: t.lost + u32::from(!p.answered),
        })
    }
}
