//! One instance: a family of a NIC being probed. It decides what to send and judges what comes back; the
//! verdict over NICs and groups is made elsewhere (`verdict`).

use super::confirm::Method;
use super::large::Large;
use super::manners::Manners;
use super::ring::{Fate, Probe, Ring, deadline};
use super::rtt::Rtt;
use super::schedule::{Missed, Schedule};
use super::targets::{Deferred, RECOVERY_TIME, Targets};
use super::{MAX_TARGETS, PROBE_FAILS};
use crate::rng::Rng;
use mpath_model::Time;
use mpath_model::addr::Family;
use mpath_model::settings::Confirm;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Where an instance's probes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// ICMP or ICMPv6 echo from this address.
    Echo(IpAddr),
    /// ARP requests, from a data address living on the NIC or from 0.0.0.0.
    Arp,
    /// Neighbour Solicitations by a port of a lagg, from the link-local address that its link-layer address makes.
    Solicit,
}

/// While nothing has ever answered on a NIC, losses are not believed for this long (spanning tree).
pub const QUIET_PERIOD: Duration = Duration::from_secs(40);

/// Refused answers told of in each [`TELL_WINDOW`].
const TELL_LIMIT: u32 = 10;
/// See [`TELL_LIMIT`].
const TELL_WINDOW: Duration = Duration::from_secs(60);

/// How long samples have to go on being suspicious before they are believed: two probes apart at the shortest detection time
/// that in.mpathd knows, 100 ms. At shorter ones a hiccup of this host or of a switch meets several probes, and what is raised
/// stays so for a minute.
const HICCUP: Duration = Duration::from_millis(14);

/// Discovery without success slows down to this.
const DISCOVERY_MAX: Duration = Duration::from_secs(30);

/// A family of a NIC being probed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Family.
    pub family: Family,
    /// Where probes come from.
    pub source: Source,
    /// Whether `source` is a configured test address.
    pub configured: bool,
    /// Who is asked.
    pub targets: Targets,
    /// What was asked.
    pub ring: Ring,
    /// When.
    pub schedule: Schedule,
    /// End of the quiet period, while it lasts.
    pub quiet_until: Option<Time>,
    /// Sequence number of the next unicast probe.
    pub next_seq: u16,
    /// Another host target is looked for, however many there are.
    pub sought: bool,
    /// Discovery: earliest time of the next multicast, and the pause after it.
    discovery: (Time, Duration),
    /// Probes never sent, and on how many occasions.
    pub missed: (u64, u64),
    /// Answers refused.
    pub refused: u64,
    /// Start of the present minute, and refusals told of in it.
    told: (Time, u32),
    /// Neighbours that answered when they were asked because the targets were silent, and when the last one did.
    pub vouchers: Vec<IpAddr>,
    /// Time of the last such answer.
    pub vouched: Option<Time>,
    /// Since when routers are passed over, because all of them were silent on a living link.
    pub routers_silent: Option<Time>,
    /// The last probe could not be sent: errno, until one is answered.
    pub send_error: Option<i32>,
    /// The RTT-only probe under way: target, nonce, time.
    rtt_probe: Option<(IpAddr, u64, Time)>,
    /// Probes as large as the MTU.
    pub large: Large,
    /// Restraint while the NIC has no address to ask from.
    pub manners: Manners,
    /// Nonces of the last two discovery probes: answers may be slow.
    discovery_nonces: [u64; 2],
}

/// What a due instance found before any verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Probes never sent because nobody was there.
    pub missed: Missed,
    /// A failure detection probe is due (else only an RTT probe, or discovery).
    pub detection: bool,
    /// The newest decided probe was answered; none when nothing is decided.
    pub newest_answered: Option<bool>,
}

/// Why an answer counts or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It belongs to this probe; the sample is usable for the RTT unless none.
    Accepted {
        /// Round-trip time.
        rtt: Option<Duration>,
    },
    /// Refused, with what mpathd-behaviour.md 1.8 logs.
    Refused(Refusal),
}

/// Reasons to refuse an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Sequence number not among the last 52.
    OutOfWindow,
    /// From somebody else, or with a nonce nobody could have seen. The number tells what had become of the probe.
    Fake(u8),
    /// Answered already.
    Duplicate(u8),
}

impl Instance {
    /// A new instance, starting somewhere in the first interval.
    pub fn new(
        family: Family,
        source: Source,
        configured: bool,
        now: Time,
        interval: Duration,
        rng: &mut Rng,
    ) -> Instance {
        Instance {
            family,
            source,
            configured,
            targets: Targets::default(),
            ring: Ring::default(),
            schedule: Schedule::start(now, interval, rng),
            quiet_until: Some(now + QUIET_PERIOD),
            next_seq: 1,
            sought: false,
            discovery: (now, Duration::ZERO),
            missed: (0, 0),
            refused: 0,
            told: (now, 0),
            vouchers: Vec::new(),
            vouched: None,
            routers_silent: None,
            send_error: None,
            rtt_probe: None,
            large: Large::default(),
            manners: Manners::default(),
            discovery_nonces: [0; 2],
        }
    }

    /// Link came up, or the source changed: start again somewhere in the first interval.
    pub fn restart(&mut self, now: Time, interval: Duration, rng: &mut Rng) {
        self.schedule = Schedule::start(now, interval, rng);
        self.discovery = (now, Duration::ZERO);
    }

    /// The ways in which it can ask: its own, then the other one for confirmations, if that is wanted.
    pub fn methods(&self, confirm: Confirm) -> Vec<Method> {
        let (own, other) = match (self.source, self.family) {
            (Source::Echo(_), Family::Inet) => (Method::Echo, Some(Method::Arp)),
            (Source::Echo(_), Family::Inet6) => (Method::Echo, Some(Method::Solicit)),
            (Source::Arp, _) => (Method::Arp, None),
            (Source::Solicit, _) => (Method::Solicit, None),
        };
        std::iter::once(own).chain(other.filter(|_| confirm == Confirm::All)).collect()
    }

    /// Whether there is somebody to ask.
    pub fn capable(&self) -> bool {
        self.targets.active().next().is_some()
    }

    /// Steps 5 to 11 of a tick: moves the schedule on and decides the two newest probes.
    pub fn advance(&mut self, now: Time, requested: Duration, interval: Duration, rng: &mut Rng) -> Due {
        let missed = self.schedule.advance(now, requested, rng);
        if missed > 0 {
            self.missed.0 += missed;
            self.missed.1 += 1;
        }
        if self.targets.pick(now).is_none() {
            self.schedule.fd_base = self.schedule.base;
            return Due { missed, detection: false, newest_answered: None };
        }
        if interval != requested && self.schedule.next < self.schedule.fd_base {
            return Due { missed, detection: false, newest_answered: None };
        }
        self.schedule.advance_detection(now, requested, interval);
        self.ring.review(now);
        Due { missed, detection: true, newest_answered: self.ring.newest_decided() }
    }

    /// Whether losses are not to be believed yet.
    pub fn quiet(&self, now: Time) -> bool {
        self.quiet_until.is_some_and(|until| now < until)
    }

    /// The answers of somebody end the quiet period for good.
    pub fn end_quiet(&mut self) {
        self.quiet_until = None;
    }

    /// Records a unicast probe to `target`, whether or not it could leave: a NIC that cannot send must fail.
    pub fn record(&mut self, target: IpAddr, nonce: u64, now: Time, interval: Duration) -> u16 {
        let seq = self.next_seq;
        let crtt = self.targets.get_mut(&target).and_then(|t| t.rtt.conservative());
        let deadline = deadline(now, crtt, interval);
        self.ring.push(Probe {
            seq,
            nonce,
            target: Some(target),
            sent: now,
            deadline,
            fate: Fate::Outstanding,
        });
        self.next_seq = self.next_seq.wrapping_add(1);
        self.targets.moved_on(&target);
        seq
    }

    /// Notes an RTT-only probe: it carries the next sequence number and is not recorded in the ring.
    pub fn record_rtt(&mut self, target: IpAddr, nonce: u64, now: Time) -> u16 {
        self.rtt_probe = Some((target, nonce, now));
        self.next_seq
    }

    /// The sample of an answer to the RTT-only probe under way.
    pub fn judge_rtt(&mut self, from: IpAddr, nonce: u64, at: Time) -> Option<Duration> {
        let (target, expected, sent) = self.rtt_probe?;
        if (target, expected) != (from, nonce) || at < sent {
            self.refused += 1;
            return None;
        }
        self.rtt_probe = None;
        Some(at - sent)
    }

    /// Notes a discovery probe.
    pub fn record_discovery(&mut self, nonce: u64) -> u16 {
        self.discovery_nonces = [nonce, self.discovery_nonces[0]];
        self.next_seq
    }

    /// Whether an answer belongs to one of the last two discovery probes.
    pub fn expects_discovery(&mut self, nonce: u64) -> bool {
        let known = nonce != 0 && self.discovery_nonces.contains(&nonce);
        self.refused += u64::from(!known);
        known
    }

    /// Whether a discovery probe may go out now; each one without success doubles the pause, up to 30 s.
    pub fn discover(&mut self, now: Time, interval: Duration) -> bool {
        let (at, pause) = self.discovery;
        if now < at {
            return false;
        }
        self.sought = false;
        let pause = (pause * 2).clamp(interval.min(DISCOVERY_MAX), DISCOVERY_MAX);
        self.discovery = (now + (pause - interval / 2), pause);
        true
    }

    /// Something changed (routes, link, a new neighbour): discovery starts over at full speed.
    pub fn discover_anew(&mut self, now: Time) {
        self.sought = true;
        self.discovery = (now, Duration::ZERO);
    }

    /// Judges an echo reply that carries `seq` and `nonce` (1.8, steps 1 to 5).
    pub fn judge_echo(&mut self, from: IpAddr, seq: u16, nonce: u64, at: Time) -> Answer {
        let Some(p) = self.ring.find(seq) else {
            return self.refuse(Refusal::OutOfWindow);
        };
        let genuine = p.target == Some(from) && p.nonce == nonce;
        let (fate, sent) = (p.fate, p.sent);
        match fate {
            _ if !genuine => self.refuse(Refusal::Fake(fate.status())),
            Fate::Acked(_) => self.refuse(Refusal::Duplicate(fate.status())),
            _ => self.accept(seq, sent, at),
        }
    }

    /// Judges an ARP reply or a Neighbour Advertisement, which name no probe: it answers the newest open one to its sender.
    pub fn judge_nameless(&mut self, from: IpAddr, at: Time) -> Answer {
        match self.ring.newest_open(&from).map(|p| (p.seq, p.sent)) {
            Some((seq, sent)) => self.accept(seq, sent, at),
            None => self.refuse(Refusal::Duplicate(0)),
        }
    }

    /// Counts an answer that is refused; true if it may be told of: ten a minute, so that nobody can fill the log.
    pub fn may_tell_of_refusal(&mut self, now: Time) -> bool {
        if now - self.told.0 >= TELL_WINDOW {
            self.told = (now, 0);
        }
        self.told.1 += 1;
        self.told.1 <= TELL_LIMIT
    }

    /// When a probe that is still outstanding although a newer one has been sent becomes the last of a run of losses. Its
    /// deadline must not wait for the next tick: while no round-trip time is known, that would be beyond the detection time.
    pub fn decisive(&self) -> Option<Time> {
        let mut probes = self.ring.newest_first();
        probes.next().filter(|p| p.fate == Fate::Outstanding)?;
        let late = probes.next().filter(|p| p.fate == Fate::Outstanding)?;
        let run = probes.take(PROBE_FAILS - 1).filter(|p| matches!(p.fate, Fate::Lost(_))).count();
        let believed = self.quiet_until.unwrap_or_default();
        (run == PROBE_FAILS - 1).then_some(late.deadline.max(believed))
    }

    fn refuse(&mut self, why: Refusal) -> Answer {
        self.refused += 1;
        Answer::Refused(why)
    }

    /// A neighbour answered on this NIC although the targets are silent: the path lives.
    pub fn vouch(&mut self, neighbour: IpAddr, at: Time) {
        self.vouched = self.vouched.max(Some(at));
        if self.vouchers.len() < MAX_TARGETS && !self.vouchers.contains(&neighbour) {
            self.vouchers.push(neighbour);
        }
    }

    /// A target has answered after all: nobody needs to vouch for the path.
    pub fn relieve(&mut self) {
        self.vouchers.clear();
        self.vouched = None;
    }

    /// Whether every active target has been asked as often as manners allow, without an answer.
    pub fn mute(&self, now: Time) -> bool {
        self.capable() && self.targets.active().all(|t| !self.polite(&t.address, now))
    }

    /// Whether manners allow one more question to a target.
    pub fn polite(&self, target: &IpAddr, now: Time) -> bool {
        match target {
            IpAddr::V4(a) => self.manners.allow(a, now),
            IpAddr::V6(_) => true,
        }
    }

    /// Whether a neighbour has vouched for the path since `first`, the beginning of a run of losses.
    pub fn vouched_since(&self, first: Option<Time>) -> bool {
        matches!((self.vouched, first), (Some(at), Some(first)) if at > first)
    }

    /// The targets are dead and the path is not: those who vouched for it take their place. Returns the targets deleted.
    pub fn replace_targets(&mut self, now: Time) -> Vec<IpAddr> {
        self.routers_silent = Some(now);
        let gone = self.targets.clear();
        for neighbour in std::mem::take(&mut self.vouchers).into_iter().filter(|v| !gone.contains(v)) {
            self.targets.offer_host(neighbour);
        }
        gone
    }

    /// Whether routers are passed over for the time being.
    pub fn passes_over_routers(&self, now: Time) -> bool {
        self.routers_passed_over(now).is_some()
    }

    /// For how long routers are still passed over.
    pub fn routers_passed_over(&self, now: Time) -> Option<Duration> {
        self.routers_silent
            .and_then(|since| RECOVERY_TIME.checked_sub(now - since))
            .filter(|left| !left.is_zero())
    }

    fn accept(&mut self, seq: u16, sent: Time, at: Time) -> Answer {
        let overtaken = self.ring.overtaken(seq);
        self.ring.ack(seq, at);
        self.vouchers.clear();
        self.end_quiet();
        Answer::Accepted { rtt: (!overtaken && at >= sent).then(|| at - sent) }
    }

    /// Feeds an accepted sample, holding one suspicious sample back (1.9). Returns the target's RTT after it. Answers to
    /// questions that were asked one after the other and that come together have waited for one and the same thing (the
    /// kernel's queue while a MAC is resolved, a switch that stood still): they are one sample. So are all suspicious ones
    /// within [`HICCUP`]. One that is faster than usual is none, although it makes the deviation larger.
    pub fn feed(&mut self, target: IpAddr, sample: Duration, at: Time, interval: Duration) -> Option<Rtt> {
        let t = self.targets.get_mut(&target)?;
        let deferred = t.deferred.take();
        let together = |d: &Deferred| at.before(sample) < d.at && at.before(interval / 2) < d.at;
        if let Some(held) = deferred.filter(together) {
            t.deferred = Some(Deferred { at, ..held });
            return Some(t.rtt);
        }
        if t.rtt.with(sample) > interval && t.rtt.average().is_none_or(|usual| sample > usual) {
            if let Some(held) = deferred.filter(|d| interval < HICCUP && at.before(HICCUP) < d.at) {
                t.deferred = Some(held);
                return Some(t.rtt);
            }
            match deferred {
                None => {
                    t.deferred = Some(Deferred { sample, at });
                    return Some(t.rtt);
                }
                Some(earlier) => t.rtt.add(earlier.sample),
            }
        }
        t.rtt.add(sample);
        Some(t.rtt)
    }

    /// Deletes targets from the ring after they left the list.
    pub fn forget(&mut self, gone: &[IpAddr], now: Time) {
        for a in gone {
            self.ring.forget_target(a, now);
        }
        if self.targets.is_empty() {
            self.ring.clear();
        }
    }
}

#[cfg(test)]
mod tests;
