//! What comes back: packets, what they prove, and the detection time the network permits (mpathd-behaviour.md 1.7 to
//! 1.10).

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::probe::FDT_DIVISOR;
use crate::probe::confirm::Method;
use crate::probe::instance::{Answer, Refusal, Source};
use crate::probe::targets::Standing;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{Heard, Packet};
use mpath_model::{Mac, Time};
use mpath_wire::probe::{Kind, Payload};
use std::net::IpAddr;
use std::time::Duration;

/// Other targets must be below this part of the interval to call one target exceptional (1.10).
const EXCEPTION_FACTOR: u32 = 2;
/// Active targets needed to judge an exceptional one.
const EXCEPTION_TARGETS: usize = 4;
/// Bytes before the payload of an echo (RFC 792, RFC 4443).
const ICMP_HEADER: usize = 8;

impl Engine {
    pub(super) fn heard(&mut self, now: Time, heard: Heard, out: &mut Vec<Action>) {
        for g in 0..self.groups.len() {
            let Some(n) = self.groups[g].nic_at(heard.index) else {
                continue;
            };
            if !self.groups[g].nics[n].link {
                return; // link recorded as down: dropped silently (1.7)
            }
            self.mind_manners(now, g, &heard.what);
            self.note_foreign((g, n), &heard.what, heard.at);
            match &heard.what {
                Packet::EchoReply { from, to, code, ident, seq, payload } if *ident == self.ident => {
                    match self.well_formed((g, n), *from, *code, payload) {
                        Ok(payload) => {
                            self.echo_reply(now, (g, n), (*from, *to), *seq, payload, heard.at, out)
                        }
                        Err(text) => {
                            if let Some(i) = self.groups[g].nics[n].instance(Family::of(from)) {
                                i.refused += 1;
                            }
                            self.refuse(now, (g, n), *from, text, out);
                        }
                    }
                }
                Packet::EchoReply { .. } => {} // somebody else's ping
                Packet::Beacon { round, sender } => {
                    if !self.watch_heard(now, g, heard.index, *round, *sender, out) {
                        self.beacon_heard(g, heard.index, *round, *sender);
                    }
                }
                Packet::Advertisement { from, to, target } => {
                    self.proved_by_neighbour(heard.index, IpAddr::V6(*target), IpAddr::V6(*to));
                    self.advertised(now, (g, n), IpAddr::V6(*from), IpAddr::V6(*target), heard.at, out);
                }
                Packet::Carp(_) => {} // not a matter of groups
                Packet::Arp { reply, sender_mac, sender, target_mac, target } => {
                    self.contested(now, *sender, *target, *sender_mac);
                    let answer = *reply && self.speaks_with(g, n, *target_mac);
                    if answer {
                        self.proved_by_neighbour(heard.index, IpAddr::V4(*sender), IpAddr::V4(*target));
                    }
                    self.arp(now, (g, n), IpAddr::V4(*sender), *sender_mac, answer, heard.at, out);
                }
            }
            return;
        }
    }

    /// Steps 8 to 11 of 1.7.
    fn well_formed(
        &self,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        code: u8,
        payload: &[u8],
    ) -> Result<Payload, String> {
        let name = self.groups[g].nics[n].name();
        if code != 0 {
            let colon = if from.is_ipv6() { ":" } else { "" };
            return Err(format!("probe reply code{colon} {code} from {from} on {name}"));
        }
        if payload.len() < mpath_wire::probe::LEN {
            let bytes = payload.len() + ICMP_HEADER;
            return Err(format!("probe reply too short: {bytes} bytes from {from} on {name}"));
        }
        mpath_wire::probe::parse(payload).map_err(|_| {
            let kind = u32::from_be_bytes([payload[8], payload[9], payload[10], payload[11]]);
            format!("probe reply type: {kind} from {from} on {name}")
        })
    }

    fn refuse(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        text: String,
        out: &mut Vec<Action>,
    ) {
        let instance = self.groups[g].nics[n].instance(Family::of(&from));
        if instance.is_some_and(|i| i.may_tell_of_refusal(now)) {
            self.tell(out, diag::refused_answer(self.about(g, n), text, from));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a packet has that many fields")]
    fn echo_reply(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        (from, to): (IpAddr, IpAddr),
        seq: u16,
        payload: Payload,
        at: Time,
        out: &mut Vec<Action>,
    ) {
        let index = self.groups[g].nics[n].index;
        if index.is_some_and(|index| self.proved_by_echo(index, to, payload.nonce)) {
            return;
        }
        let Some(instance) = self.groups[g].nics[n].instance(Family::of(&from)) else {
            return;
        };
        let strange = self.inventory.is_own_and_up(&from)
            || instance.source != Source::Echo(to)
            || (from.is_ipv6() && !is_link_local6(&from) && !instance.targets.are_routers());
        if strange {
            instance.refused += 1;
            return;
        }
        match payload.kind {
            Kind::Unicast => {
                let answer = instance.judge_echo(from, seq, payload.nonce, at);
                self.answered(now, (g, n), from, seq, (answer, at), out);
            }
            Kind::Rtt => {
                if let Some(sample) = instance.judge_rtt(from, payload.nonce, at) {
                    self.rtt_only(now, (g, n), from, sample, out);
                }
            }
            Kind::Multicast => {
                if instance.expects_discovery(payload.nonce) {
                    self.sign_of_life((g, n), from, Method::Echo, at);
                    self.offer_host(g, from);
                }
            }
            Kind::Large => {
                if !instance.large.answer(from, payload.nonce) {
                    instance.refused += 1;
                }
            }
            Kind::Confirm => {
                if self.groups[g].nics[n].confirm.answer(from, Method::Echo, Some(payload.nonce), at) {
                    self.sign_of_life((g, n), from, Method::Echo, at);
                } else if let Some(i) = self.groups[g].nics[n].instance(Family::of(&from)) {
                    i.refused += 1;
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a packet has that many fields")]
    fn arp(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        sender: IpAddr,
        mac: Mac,
        answer: bool,
        at: Time,
        out: &mut Vec<Action>,
    ) {
        if sender.is_unspecified() || self.inventory.is_own_and_up(&sender) || mac == Mac::BROADCAST {
            return;
        }
        let Some(instance) = self.groups[g].nics[n].instance(Family::Inet) else {
            return;
        };
        let asked = instance.ring.newest_decided() == Some(false);
        // An ARP reply names no question: it answers the newest one to its sender.
        let probe = instance.ring.newest_open(&sender).map(|p| p.sent);
        let probe = probe.filter(|_| instance.source == Source::Arp);
        let nic = &mut self.groups[g].nics[n];
        if answer && nic.confirm.newest(&sender, Method::Arp) > probe {
            nic.confirm.answer(sender, Method::Arp, None, at);
            self.sign_of_life((g, n), sender, Method::Arp, at);
        } else if answer && probe.is_some() {
            if let Some(instance) = nic.instance(Family::Inet) {
                let answer = instance.judge_nameless(sender, at);
                self.answered(now, (g, n), sender, 0, (answer, at), out);
            }
        } else if answer && asked {
            self.sign_of_life((g, n), sender, Method::Arp, at);
        }
        if let IpAddr::V4(sender) = sender {
            self.groups[g].learn_mac(sender, mac);
        }
        self.offer_host(g, sender);
    }

    /// Whoever speaks to any member may be asked by all of them without an address; whoever is checking his, by none.
    fn mind_manners(&mut self, now: Time, g: GroupId, what: &Packet) {
        let (speaks, checks) = match what {
            Packet::EchoReply { from: IpAddr::V4(from), .. } => (Some(*from), None),
            Packet::Arp { reply: false, sender, sender_mac, target, .. } if sender.is_unspecified() => {
                (None, Some(*target).filter(|_| !self.inventory.is_own_mac(*sender_mac)))
            }
            Packet::Arp { sender, .. } => (Some(*sender), None),
            _ => return,
        };
        for i in self.groups[g].nics.iter_mut().filter_map(|n| n.instance(Family::Inet)) {
            speaks.iter().for_each(|him| i.manners.spoke(him));
            checks.iter().for_each(|him| i.manners.hush(*him, now));
        }
    }

    /// A Neighbour Advertisement that answers a question of ours. Whatever else it says is the kernel's affair.
    fn advertised(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        target: IpAddr,
        at: Time,
        out: &mut Vec<Action>,
    ) {
        if self.inventory.is_own_and_up(&from) {
            return;
        }
        let nic = &mut self.groups[g].nics[n];
        let by_port = nic.instance(Family::Inet6).filter(|i| i.source == Source::Solicit);
        let probe = by_port.and_then(|i| i.ring.newest_open(&target).map(|p| p.sent));
        // It names no question: it answers the newest one.
        if probe.is_none() || nic.confirm.newest(&target, Method::Solicit) > probe {
            if nic.confirm.answer(target, Method::Solicit, None, at) {
                self.sign_of_life((g, n), target, Method::Solicit, at);
            }
        } else if let Some(instance) = nic.instance(Family::Inet6) {
            let answer = instance.judge_nameless(target, at);
            self.answered(now, (g, n), target, 0, (answer, at), out);
        }
    }

    fn answered(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        seq: u16,
        (answer, at): (Answer, Time),
        out: &mut Vec<Action>,
    ) {
        let rtt = match answer {
            Answer::Accepted { rtt } => rtt,
            Answer::Refused(why) => {
                let name = self.groups[g].nics[n].name();
                let snxt = self.groups[g].nics[n].snxt(Family::of(&from));
                let text = match why {
                    Refusal::OutOfWindow => {
                        format!("out of window probe seq {seq} snxt {snxt} on {name} from {from}")
                    }
                    Refusal::Fake(status) => {
                        format!(
                            "probe status {status} Fake probe reply seq {seq} snxt {snxt} on {name} from {from}"
                        )
                    }
                    Refusal::Duplicate(status) => {
                        format!(
                            "probe status {status} Duplicate probe reply seq {seq} snxt {snxt} on {name} from {from}"
                        )
                    }
                };
                self.refuse(now, (g, n), from, text, out);
                return;
            }
        };
        let group = &mut self.groups[g];
        let interval = group.detection.interval();
        let nic = &mut group.nics[n];
        let by_echo = nic.instance(Family::of(&from)).is_some_and(|i| matches!(i.source, Source::Echo(_)));
        nic.answered = true;
        nic.deaf_to.answered(&from);
        nic.confirm.alive(at);
        if by_echo {
            nic.note_echo(from, at);
        }
        let (ignore, repaired) = (nic.failed || group.failed, nic.repaired);
        let Some(instance) = nic.instance(Family::of(&from)) else {
            return;
        };
        instance.send_error = None;
        // A sample from when we were stopped says nothing about the network (1.8, step 5), nor does one of a probe
        // that was sent while the NIC was failed.
        let sample = rtt.filter(|m| !ignore && *m <= interval * 52 && at.before(*m) >= repaired);
        let Some((m, rtt)) = sample.and_then(|m| Some((m, instance.feed(from, m, at, interval)?))) else {
            return;
        };
        let crtt = rtt.conservative().unwrap_or_default();
        if crtt > interval {
            if rtt.average().is_none_or(|usual| m >= usual) {
                self.too_slow(now, (g, n), from, crtt, out);
            }
        } else {
            self.maybe_lower(now, (g, n), Family::of(&from), crtt, out);
        }
    }

    fn rtt_only(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        sample: Duration,
        out: &mut Vec<Action>,
    ) {
        let group = &mut self.groups[g];
        if group.failed || group.nics[n].failed {
            return;
        }
        let Some(target) = group.nics[n].instance(Family::of(&from)).and_then(|i| i.targets.get_mut(&from))
        else {
            return;
        };
        let tentative = target.rtt.with(sample);
        if target.rtt.conservative().is_some_and(|crtt| tentative < crtt) {
            target.rtt.add(sample);
            self.maybe_lower(now, (g, n), Family::of(&from), tentative, out);
        }
    }

    /// A target is slower than the interval: it alone is set aside, or the detection time rises (1.10).
    fn too_slow(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        from: IpAddr,
        crtt: Duration,
        out: &mut Vec<Action>,
    ) {
        let family = Family::of(&from);
        let group = &mut self.groups[g];
        let interval = group.detection.interval();
        let Some(instance) = group.nics[n].instance(family) else {
            return;
        };
        let fast = |t: &crate::probe::targets::Target| {
            let quick = t.rtt.conservative().unwrap_or_default() <= interval / EXCEPTION_FACTOR;
            t.address == from || (quick && t.deferred.is_none())
        };
        if instance.targets.active().count() >= EXCEPTION_TARGETS && instance.targets.active().all(fast) {
            if instance.targets.set_aside(&from, Standing::Slow(now)) {
                instance.forget(&[from], now);
                instance.discover_anew(now);
            }
            return;
        }
        if group.detection.raise(crtt, now) {
            let (requested, current) = (group.detection.requested(), group.detection.current());
            if !group.anonymous {
                self.tell(out, diag::cannot_meet(self.about(g, n), family, requested, current));
            }
        }
    }

    fn maybe_lower(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        family: Family,
        crtt: Duration,
        out: &mut Vec<Action>,
    ) {
        let group = &mut self.groups[g];
        let limit = group.detection.current() / FDT_DIVISOR / 4;
        let quick = quick_everywhere(group, limit);
        if !quick || !group.detection.may_lower(crtt, now) {
            return;
        }
        group.detection.lower();
        if group.detection.interval() == group.detection.requested_interval() {
            for i in group.nics.iter_mut().flat_map(|n| &mut n.instances) {
                i.schedule.fd_base = i.schedule.base;
            }
        }
        let current = group.detection.current();
        if !group.anonymous {
            self.tell(out, diag::improved(self.about(g, n), family, current));
        }
    }
}

/// Every active target of the working NICs answers within `limit` (or has not been measured).
fn quick_everywhere(group: &crate::group::Group, limit: Duration) -> bool {
    let working = group.nics.iter().filter(|n| !n.failed);
    let mut targets = working.flat_map(|n| &n.instances).flat_map(|i| i.targets.active());
    targets.all(|t| t.rtt.conservative().unwrap_or_default() <= limit)
}
