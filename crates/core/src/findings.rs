//! What is wrong with a path that lives, as `mpathctl why` tells it: loss in one direction, loss that rises over minutes, a
//! target that answers another member only, a path that is slow. Nothing here decides about addresses; what does is in `gray`.
//! Each finding says the threshold that it is beyond.

use crate::gray::{CLEAN, ENOUGH, Tally};
use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Minutes over which loss is followed.
const MINUTES: usize = 10;
/// Of these the newest are compared with those before.
const NEWEST: usize = 2;
/// Minutes needed for a comparison.
const COMPARABLE: usize = 5;
/// Loss has risen if it is higher by so many points of a hundred, and twice what it was.
const RISE: u32 = 5;
/// Loss in one direction, in percent, while the other is clean.
const ONE_WAY: u32 = 25;
/// Frames in each direction needed for that.
const FRAMES: u32 = 10;
/// For so long a target that fell silent on one member alone is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Such targets remembered.
const DEAF_TO: usize = 16;

/// Totals of a NIC, minute by minute.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Minutes(VecDeque<Mark>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    at: Time,
    sent: u64,
    answered: u64,
}

impl Minutes {
    /// Notes what has been sent and answered ever, once a minute.
    pub fn note(&mut self, now: Time, sent: u64, answered: u64) {
        let last = self.0.back().copied();
        if last.is_some_and(|m| now - m.at < Duration::from_secs(60)) {
            return;
        }
        if last.is_some_and(|m| sent < m.sent || answered < m.answered) {
            self.0.clear(); // a family is not probed any more
        }
        if self.0.len() > MINUTES {
            self.0.pop_front();
        }
        self.0.push_back(Mark { at: now, sent, answered });
    }

    /// Loss before and now, in percent, and over how many minutes, if it has risen.
    pub fn rising(&self) -> Option<(u32, u32, usize)> {
        let minutes = self.0.len().checked_sub(1).filter(|n| *n >= COMPARABLE)?;
        let (first, turn, last) = (self.0[0], self.0[minutes - NEWEST], self.0[minutes]);
        let (before, now) = (between(first, turn), between(turn, last));
        let (was, is) = (before.percent()?, now.percent()?);
        let enough = before.asked >= ENOUGH && now.asked >= ENOUGH;
        (enough && is >= was + RISE && is >= was * 2).then_some((was, is, minutes))
    }
}

fn between(a: Mark, b: Mark) -> Tally {
    let (asked, answered) = (b.sent - a.sent, b.answered - a.answered);
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Tally { asked: small(asked), lost: small(asked.saturating_sub(answered)) }
}

/// Targets that fell silent on a NIC while others answered, and since when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeafTo(VecDeque<(IpAddr, Time)>);

impl DeafTo {
    /// It does not answer this NIC.
    pub fn note(&mut self, target: IpAddr, now: Time) {
        if self.0.iter().any(|(t, _)| *t == target) {
            return;
        }
        if self.0.len() == DEAF_TO {
            self.0.pop_front();
        }
        self.0.push_back((target, now));
    }

    /// It has answered after all.
    pub fn answered(&mut self, target: &IpAddr) {
        self.0.retain(|(t, _)| t != target);
    }

    /// All of them.
    pub fn of_late(&self, now: Time) -> impl Iterator<Item = (IpAddr, Time)> {
        self.0.iter().copied().filter(move |(_, since)| now - *since < REMEMBERED)
    }
}

/// What is found, in a sentence.
pub mod sentence {
    use super::*;

    /// Loss that rises.
    pub fn rising(minutes: &Minutes) -> Option<String> {
        let (was, is, over) = minutes.rising()?;
        Some(format!(
            "loss of its probes rises: {was}% before, {is}% in the last {NEWEST} of {over} minutes (told of from {RISE} points \
             and twice as much on)"
        ))
    }

    /// Loss in one direction: what members heard of it, and it of them.
    pub fn one_way(sent: Tally, received: Tally) -> Option<String> {
        let one = |bad: Tally, good: Tally| {
            let known = bad.asked >= FRAMES && good.asked >= FRAMES;
            known && bad.percent() >= Some(ONE_WAY) && good.percent() < Some(CLEAN)
        };
        let (what, bad, good) = match () {
            () if one(sent, received) => ("sends", sent, received),
            () if one(received, sent) => ("receives", received, sent),
            () => return None,
        };
        Some(format!(
            "what it {what} is lost: {} of {} frames between it and other members, and {} of {} the other way (told of from \
             {ONE_WAY}% on, while the other way is below {CLEAN}%)",
            bad.lost, bad.asked, good.lost, good.asked
        ))
    }

    /// A target that answers another member.
    pub fn one_sided(target: &IpAddr, other: &str) -> String {
        format!("target {target} answers {other} and not it: five probes in a row to it alone were lost")
    }

    /// A slow path.
    pub fn slow(fastest: Option<Duration>, max_rtt: Option<Duration>) -> Option<String> {
        let (fastest, most) = (fastest?, max_rtt?);
        (fastest > most).then(|| {
            format!("its fastest target takes {fastest:.1?} to answer, more than max_rtt, {most:.1?}")
        })
    }

    /// Large frames that do not pass.
    pub fn large(large: Tally, small: Tally, max_loss: u32) -> Option<String> {
        let bad = large.asked >= FRAMES && large.percent() >= Some(max_loss);
        (bad && small.percent().is_none_or(|p| p < CLEAN)).then(|| {
            format!(
                "large frames are lost: {} of {} probes as large as its MTU, while small ones are answered (told of from \
                 {max_loss}% on)",
                large.lost, large.asked
            )
        })
    }
}

#[cfg(test)]
mod tests;
