//! The evidence behind a verdict, for `mpathctl why` and its relatives. Nothing is decided here: the rules are asked
//! again, on a copy, and what they say is put into words.

use super::{Engine, GroupId, checks};
use crate::group::{Group, NicId};
use crate::nic::{Nic, SETTLING};
use crate::probe::instance::{Instance, Source};
use crate::probe::ring::Fate;
use crate::probe::targets::{Standing, Target};
use crate::probe::{PROBE_FAILS, PROBE_REPAIRS};
use mpath_model::Time;
use mpath_model::addr::Family;
use mpath_model::explain::{Evidence, Explanation, ProbeRecord, Rule, TargetEvidence};
use mpath_model::status::{InterfaceState, LinkState, Method, TargetMode};
use mpath_model::time::nanos;
use std::net::IpAddr;
use std::time::Duration;

impl Engine {
    /// The evidence of one NIC, or of all in the order of the status.
    pub fn explain(&self, now: Time, interface: Option<&str>) -> Vec<Explanation> {
        let groups = self.groups.iter().enumerate().filter(|(_, g)| !g.retiring);
        let all = groups.flat_map(|(g, group)| (0..group.nics.len()).map(move |n| (g, n)));
        all.filter(|(g, n)| interface.is_none_or(|i| self.groups[*g].nics[*n].name() == i))
            .map(|(g, n)| self.explanation(now, g, n))
            .collect()
    }

    fn explanation(&self, now: Time, g: GroupId, n: NicId) -> Explanation {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let link = nic.index.and_then(|i| self.inventory.links.get(&i));
        let (rule, reason, remedy) = self.ruling(now, g, n);
        let mut problems = self.complaints_of(g, n);
        problems.extend(nic.instances.iter().filter_map(|i| self.unreachable_targets(g, n, i)));
        problems.extend(nic.instances.iter().filter_map(|i| silent_routers(now, i)));
        problems.extend(self.findings(now, g, n));
        Explanation {
            interface: nic.name().to_string(),
            group: (!group.anonymous).then(|| group.settings.name.clone()),
            state: state(nic),
            link: match link {
                None => LinkState::Unknown,
                Some(l) if l.running => LinkState::Up,
                Some(_) => LinkState::Down,
            },
            rule,
            reason,
            remedy,
            problems,
            history: self.chronicle.of(nic.name(), now),
            instances: nic.instances.iter().map(|i| evidence(i, now, group.detection.interval())).collect(),
        }
    }

    /// Which rule holds, in words, and what would end it.
    fn ruling(&self, now: Time, g: GroupId, n: NicId) -> (Rule, String, Vec<String>) {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let name = nic.name();
        let one = |rule, reason: String, remedy: String| (rule, reason, vec![remedy]);
        let Some(index) = nic.index else {
            return match self.inventory.link_named(name).and_then(|l| l.master) {
                Some(master) => {
                    let master = self.inventory.links.get(&master).map_or("another device", |l| &l.name);
                    one(
                        Rule::Enslaved,
                        format!("{name} is a port of {master}, and a port holds no addresses of its own"),
                        format!("take {name} out of {master}, or put {master} into the group instead"),
                    )
                }
                None => one(
                    Rule::Absent,
                    format!("this host has no interface {name}"),
                    "it is taken into service when it appears; check its name with `ip link`".to_string(),
                ),
            };
        };
        if nic.offline {
            let text = "an operator took it out of service".to_string();
            return one(Rule::Offline, text, format!("mpathctl online {name}"));
        }
        if !nic.link {
            let up = self.inventory.links.get(&index).is_some_and(|l| l.up);
            let remedy = if up {
                "check the cable and the switch port; the link must come up".to_string()
            } else {
                format!("{name} is administratively down: ip link set {name} up")
            };
            return one(Rule::LinkDown, "its link is down".to_string(), remedy);
        }
        if let Some(ruling) = port_ruling(group, nic) {
            return ruling;
        }
        if nic.failed { self.why_failed(now, g, n) } else { why_not_failed(now, nic) }
    }

    fn why_failed(&self, now: Time, g: GroupId, n: NicId) -> (Rule, String, Vec<String>) {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let needed = format!("{PROBE_REPAIRS} probes in a row must be answered");
        if !self.judged_by_probes(now, g, n) {
            let left = nic.damped_until(now).map_or(Duration::ZERO, |end| end - now);
            let reason = "its link came up more than twice within a minute".to_string();
            let remedy = format!("the link must stay up for another {} s", left.as_secs() + 1);
            return (Rule::Flapping, reason, vec![remedy]);
        }
        let (losses, answers) = runs(nic, now);
        if group.failed {
            let reason = "all members of the group are silent at once, so the fault is beyond the NICs and nothing moves";
            let works =
                "; frames between it and other members pass: its port works, the targets are at fault";
            let works = if group.watch.running() && nic.port.works() { works } else { "" };
            return (
                Rule::GroupFailure,
                format!("{reason}{works}"),
                vec![
                    "check what the members have in common: the switch, its uplink, the targets".to_string(),
                    needed,
                ],
            );
        }
        if losses > 0 || answers == 0 {
            let reason = match nic.instances.is_empty() {
                true => "its test address is not there, so that nobody can be asked".to_string(),
                false => format!("its link is up, and its last {losses} probes are unanswered"),
            };
            let mut remedy = vec![needed];
            if nic.instances.iter().all(|i| i.ring.acked == 0) {
                remedy.push(
                    "nothing has ever answered on it: compare VLAN, cabling and filters; see mpathctl doctor"
                        .to_string(),
                );
            }
            return (Rule::ProbesLost, reason, remedy);
        }
        if let Some(since) = group.settling(n) {
            let reason =
                "it was set up just now, and whoever did that may have more to do; others serve meanwhile";
            let left = (since + SETTLING) - now;
            let remedy = format!("it must stay up for another {} s, and answer", left.as_secs() + 1);
            return (Rule::Unproven, reason.to_string(), vec![remedy]);
        }
        let reason = format!("it has failed, and {answers} of {PROBE_REPAIRS} probes in a row are answered");
        let more = PROBE_REPAIRS.saturating_sub(answers);
        (Rule::Unproven, reason, vec![format!("{more} more answers in a row")])
    }

    fn complaints_of(&self, g: GroupId, n: NicId) -> Vec<String> {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let ours = |key: &&checks::Key| key.1 == group.settings.name && key.2 == nic.name();
        let mut problems: Vec<String> =
            self.complaints.keys().filter(ours).map(|(kind, _, _, detail)| sentence(*kind, detail)).collect();
        if nic.test_address_missing.is_some() {
            problems
                .push("its test address is not on it, so that it cannot be probed from there".to_string());
        }
        if nic.distrusted.is_some() {
            problems.push(
                "a move to it could not be proved: it is avoided for a while where there is another"
                    .to_string(),
            );
        }
        problems
    }

    /// Nobody can be asked from a test address, and it is in another subnet than the routers, or its siblings.
    fn unreachable_targets(&self, g: GroupId, n: NicId, i: &Instance) -> Option<String> {
        let Source::Echo(source) = i.source else { return None };
        if i.capable() {
            return None;
        }
        let nics = &self.groups[g].nics;
        let net = nics[n].test_addresses().find(|a| a.address == source)?;
        if let Some(router) = self.routers(g).into_iter().find(|r| Family::of(r) == i.family) {
            return Some(format!(
                "test address {net} is in another subnet than target {router}, so that nobody can be asked from it"
            ));
        }
        let mut siblings = nics.iter().flat_map(|o| o.test_addresses().map(move |a| (a, o.name())));
        let (other, name) =
            siblings.find(|(a, _)| Family::of(&a.address) == i.family && !a.contains(&source))?;
        Some(format!(
            "nobody answers in the subnet of test address {net}, which is not that of {other} on {name}: one of them is wrong"
        ))
    }
}

fn sentence(kind: checks::Kind, detail: &str) -> String {
    match kind {
        checks::Kind::DuplicateTestAddress => {
            format!("test address {detail} is on another interface of this host too, so it proves nothing")
        }
        checks::Kind::SameMac => {
            format!("its link-layer address is that of {detail}: the switch mixes them up")
        }
        checks::Kind::Taken => format!("another host has {detail}: it is left to it"),
        checks::Kind::Mtu => format!("its MTU differs from that of {detail}"),
        checks::Kind::Port => format!("it is a port of {detail}"),
        checks::Kind::Apart => {
            format!(
                "its broadcasts are not heard by {detail}, nor the other way round: they are on different links"
            )
        }
        checks::Kind::Plumbing => {
            format!("it has no {detail} address while other members have: it cannot stand in for them")
        }
    }
}

fn state(nic: &Nic) -> InterfaceState {
    match nic {
        n if n.index.is_none() => InterfaceState::Unknown,
        n if n.offline => InterfaceState::Offline,
        n if n.failed => InterfaceState::Failed,
        _ => InterfaceState::Ok,
    }
}

/// While no target answers on any member: what the frames from member to member tell.
fn port_ruling(group: &Group, nic: &Nic) -> Option<(Rule, String, Vec<String>)> {
    if !group.watch.running() {
        return None;
    }
    if nic.port.dead {
        let reason = "no target answers on any member, and of the frames between the members those of others pass, not its own: \
                      its port, cable or switch is at fault";
        let more = PROBE_REPAIRS.saturating_sub(nic.port.met as usize);
        let remedy = format!("check its cable and switch port; {more} more rounds in a row must pass");
        return Some((Rule::PortDead, reason.to_string(), vec![remedy]));
    }
    let reason = "its link is up, no target answers on any member, and frames between it and other members pass: its port \
                  works, and its targets are at fault";
    let remedy = "check the gateway, or name targets = [...] in its group".to_string();
    let works = !nic.failed && nic.port.works();
    works.then(|| (Rule::PortWorks, reason.to_string(), vec![remedy]))
}

/// Losses and answers in a row: of the family that is judged best.
fn runs(nic: &Nic, now: Time) -> (usize, usize) {
    let mut rings: Vec<_> = nic.instances.iter().map(|i| i.ring.clone()).collect();
    let losses = rings.iter_mut().map(|r| r.loss_run(now, Default::default()).length).min().unwrap_or(0);
    let answers = rings.iter_mut().map(|r| {
        let (all, of_target) = r.ack_run(now);
        all.max(of_target)
    });
    (losses, answers.max().unwrap_or(0))
}

fn why_not_failed(now: Time, nic: &Nic) -> (Rule, String, Vec<String>) {
    let none = Vec::new();
    if !nic.probed() {
        let reason = "its link is up, and it is not probed: a dead path behind the link stays unnoticed";
        return (Rule::LinkOnly, reason.to_string(), none);
    }
    if !nic.capable() {
        let reason =
            "its link is up, and there is nobody to ask: no router in its subnet, no neighbour heard";
        let remedy = "add a route over a gateway, or name targets = [...] in its group".to_string();
        return (Rule::NoTarget, reason.to_string(), vec![remedy]);
    }
    let (losses, _) = runs(nic, now);
    let quiet = nic.instances.iter().filter_map(|i| i.quiet_until).filter(|end| now < *end).max();
    let answered = nic.instances.iter().any(|i| i.ring.acked > 0);
    if let (Some(end), true) = (quiet, losses > 0 || !answered) {
        let reason = format!(
            "a family of it has had no answer yet; losses are not believed for another {} s, since the switch port may be \
             learning",
            (end - now).as_secs() + 1
        );
        return (Rule::Quiet, reason, none);
    }
    let reason = match losses {
        0 => "its link is up and its probes are answered".to_string(),
        _ => {
            format!("its link is up; {losses} probes in a row are unanswered, {PROBE_FAILS} make it suspect")
        }
    };
    (Rule::Answered, reason, none)
}

/// The gateways fell silent on a living link, so neighbours are asked.
fn silent_routers(now: Time, i: &Instance) -> Option<String> {
    let left = i.routers_passed_over(now)?.as_secs() + 1;
    Some(format!(
        "its gateways did not answer while its neighbours did, so the gateways are at fault; neighbours are asked for \
         another {left} s"
    ))
}

fn evidence(i: &Instance, now: Time, interval: Duration) -> Evidence {
    let mut ring = i.ring.clone();
    let losses = ring.loss_run(now, Default::default()).length;
    let (all, of_target) = ring.ack_run(now);
    let (method, source) = match i.source {
        Source::Echo(a) => (Method::Icmp, Some(a)),
        Source::Arp => (Method::Arp, None),
        Source::Solicit => (Method::Nd, None),
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut probes: Vec<ProbeRecord> = ring
        .newest_first()
        .zip((1..=ring.sent).rev())
        .map(|(p, number)| ProbeRecord {
            number,
            target: p.target,
            ago_us: micros(now.since(p.sent)),
            rtt_us: match p.fate {
                Fate::Acked(at) => Some(micros(at.since(p.sent))),
                _ => None,
            },
            lost: matches!(p.fate, Fate::Lost(_)),
        })
        .collect();
    probes.reverse();
    Evidence {
        family: i.family,
        method,
        mode: if i.targets.are_routers() { TargetMode::Routes } else { TargetMode::Multicast },
        source,
        interval_us: micros(interval),
        losses: count(losses),
        losses_to_fail: count(PROBE_FAILS),
        answers: count(all.max(of_target)),
        answers_to_repair: count(PROBE_REPAIRS),
        quiet_ms: i.quiet_until.filter(|t| now < *t).map(|t| micros(t.since(now)) / 1000),
        send_error: i.send_error,
        sent: ring.sent,
        answered: ring.acked,
        refused: i.refused,
        targets: i.targets.all().map(|t| target(t, &probes)).collect(),
        probes,
    }
}

fn target(t: &Target, probes: &[ProbeRecord]) -> TargetEvidence {
    let mine = || probes.iter().filter(|p| p.target == Some(t.address));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let standing = match t.standing {
        Standing::Active => "active",
        Standing::Unused => "unused",
        Standing::Slow(_) => "slow",
        Standing::Dead(_) => "dead",
    };
    TargetEvidence {
        address: t.address as IpAddr,
        standing: standing.to_string(),
        rtt_us: t.rtt.average().map(micros),
        deviation_us: t.rtt.deviation().map(micros),
        sent: count(mine().count()),
        answered: count(mine().filter(|p| p.rtt_us.is_some()).count()),
        lost: count(mine().filter(|p| p.lost).count()),
    }
}

fn micros(d: Duration) -> u64 {
    nanos(d) / 1000
}
