//! Confirmation: what is asked over a NIC between its first unanswered probe and the verdict. The schedule's probes are few,
//! so that the network is not bothered; a doubt is settled by many questions, to several targets, by every method the NIC
//! has. Any answer ends the doubt. What lives here is the bookkeeping; whom to ask is the engine's affair.
//!
//! ```text
//!             a probe has no answer in time
//!   trusting ───────────────────────────────► doubting ──► verdict (`ready`)
//!       ▲                                        │
//!       └──────────── any answer ────────────────┘
//! ```

use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// Unanswered confirmations that stand behind a verdict, where the detection time has room for them.
pub const ENOUGH: u32 = 20;
/// 500 questions a second at most.
const MIN_PACE: Duration = Duration::from_millis(2);
/// Patience has an end, however long the detection time.
const MAX_PACE: Duration = Duration::from_millis(100);
/// Questions in a probe interval, where [`MIN_PACE`] and [`MAX_PACE`] allow: more than [`ENOUGH`] in four intervals.
const PER_INTERVAL: u32 = 8;
/// Questions remembered: half a second's worth, so that slow answers still count.
const REMEMBERED: usize = 256;
/// A probe is not missed earlier than this after it was sent, however fast its target has been: that much is the host's own.
const GRACE: Duration = Duration::from_millis(1);

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// ICMP or ICMPv6 echo (RFC 792, RFC 4443).
    Echo,
    /// ARP request (RFC 826).
    Arp,
    /// Neighbour Solicitation (RFC 4861).
    Solicit,
}

/// Somebody who can be asked in some way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub target: IpAddr,
    /// How.
    pub method: Method,
    /// Time to let pass between two questions.
    pub pause: Duration,
    /// When it was asked last.
    pub asked: Option<Time>,
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    target: IpAddr,
    method: Method,
    nonce: u64,
    sent: Time,
    /// Without an answer by then it counts as unanswered.
    due: Time,
    answered: bool,
}

/// The doubts about a NIC, and its signs of life.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confirm {
    /// Newest answer to anything, in any family.
    pub life: Option<Time>,
    /// Since when there is doubt.
    since: Option<Time>,
    /// When the next question may be put.
    next: Time,
    /// Whom to ask, in turn.
    candidates: VecDeque<Candidate>,
    /// The last questions, newest at the back; those of earlier doubts too: an answer may be slow.
    asked: VecDeque<Question>,
    /// Questions put, and answered, ever.
    pub totals: (u64, u64),
}

/// When a probe without an answer gives rise to doubt: half as long again as its target usually takes, or with the interval.
pub fn missed_at(sent: Time, deadline: Time, interval: Duration) -> Time {
    let usual = deadline - sent;
    sent + (usual + usual / 2).clamp(GRACE.min(interval / 2), interval)
}

/// Kept of the detection time for what a verdict takes, at most.
const RESERVE: Duration = Duration::from_millis(10);

/// When a verdict is made on what there is: a little before the detection time, counted from the last sign of life, ends.
fn last_call(life: Time, fdt: Duration) -> Time {
    life + (fdt - RESERVE.min(fdt / 28))
}

impl Confirm {
    /// There is doubt.
    pub fn doubting(&self) -> bool {
        self.since.is_some()
    }

    /// A probe has no answer: these can be asked.
    pub fn doubt(&mut self, now: Time, candidates: Vec<Candidate>) {
        self.since = Some(now);
        self.next = now;
        self.candidates = candidates.into();
    }

    /// The NIC has failed, or its link is down: no more questions.
    pub fn rest(&mut self) {
        self.since = None;
    }

    /// Somebody answered something at `at`.
    pub fn alive(&mut self, at: Time) {
        self.life = self.life.max(Some(at));
        self.since = None;
    }

    /// Whom to ask now, if it is time, at this probe interval: the one whose turn it is and who has had time to answer.
    pub fn ask(&mut self, now: Time, interval: Duration) -> Option<Candidate> {
        if self.since.is_none() || now < self.next {
            return None;
        }
        self.next = now + (interval / PER_INTERVAL).clamp(MIN_PACE, MAX_PACE);
        let rested = |c: &Candidate| c.asked.is_none_or(|at| now - at >= c.pause);
        let position = self.candidates.iter().position(rested)?;
        let mut chosen = self.candidates.remove(position)?;
        chosen.asked = Some(now);
        self.candidates.push_back(chosen.clone());
        Some(chosen)
    }

    /// Notes a question that has been put.
    pub fn record(&mut self, asked: &Candidate, nonce: u64, now: Time) {
        if self.asked.len() == REMEMBERED {
            self.asked.pop_front();
        }
        let Candidate { target, method, pause, .. } = *asked;
        let due = now + pause;
        self.asked.push_back(Question { target, method, nonce, sent: now, due, answered: false });
        self.totals.0 += 1;
    }

    /// An answer to one of the questions: true if there was such a question. `nonce` where the method has one.
    pub fn answer(&mut self, target: IpAddr, method: Method, nonce: Option<u64>, at: Time) -> bool {
        let mut newest_first = self.asked.iter_mut().rev();
        let fitting = newest_first.find(|q| {
            let kind = q.target == target && q.method == method && !q.answered;
            kind && nonce.is_none_or(|n| n == q.nonce) && q.sent <= at
        });
        let fits = fitting.map(|q| q.answered = true).is_some();
        self.totals.1 += u64::from(fits);
        fits
    }

    /// When the newest open question of a kind was put.
    pub fn newest(&self, target: &IpAddr, method: Method) -> Option<Time> {
        let mut open = self.asked.iter().rev().filter(|q| !q.answered);
        open.find(|q| q.target == *target && q.method == method).map(|q| q.sent)
    }

    /// Questions of this doubt whose time to be answered has passed.
    pub fn unanswered(&self, now: Time) -> u32 {
        let since = self.since.unwrap_or(now);
        let of_this_doubt = self.asked.iter().rev().take_while(|q| q.sent >= since);
        let vain = of_this_doubt.filter(|q| !q.answered && q.due <= now).count();
        u32::try_from(vain).unwrap_or(u32::MAX)
    }

    /// Whether enough has been asked in vain for a verdict, or the detection time is over.
    pub fn ready(&self, now: Time, fdt: Duration) -> bool {
        self.over(now, fdt) || self.enough(now)
    }

    /// Whether enough has been asked in vain for a verdict.
    pub fn enough(&self, now: Time) -> bool {
        self.doubting() && self.unanswered(now) >= ENOUGH
    }

    /// Whether the detection time since the last sign of life is as good as over.
    pub fn over(&self, now: Time, fdt: Duration) -> bool {
        self.life.is_none_or(|life| now >= last_call(life, fdt))
    }

    /// Whether a tenth of the detection time, or a moment of a long one, is still left since the last sign of life.
    pub fn early(&self, now: Time, fdt: Duration) -> bool {
        self.life.is_some_and(|life| now < life + (fdt - (RESERVE * 2).min(fdt / 10)))
    }

    /// When something is to be done next, while there is doubt.
    pub fn wake(&self, now: Time, fdt: Duration) -> Option<Time> {
        self.since?;
        let call = self.life.map(|life| last_call(life, fdt)).filter(|t| *t > now);
        let next = (!self.candidates.is_empty()).then_some(self.next);
        [call, next].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
