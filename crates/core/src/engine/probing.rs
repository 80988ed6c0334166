//! The tick of an instance, and what comes back (mpathd-behaviour.md 1.4 to 1.10).

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::NicId;
use crate::inventory;
use crate::probe::instance::Source;
use crate::probe::large;
use crate::probe::ring::Heard;
use crate::probe::targets::Standing;
use crate::probe::{MAX_TARGETS, PROBE_FAILS};
use mpath_model::addr::Family;
use mpath_model::kernel::{Address, KernelOp, Transmit};
use mpath_model::{IfIndex, Mac, Time};
use mpath_wire::probe::{Kind, Payload};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All hosts on the link, 224.0.0.1 and ff02::1.
fn all_hosts(family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
    }
}

/// Consecutive losses from which on the neighbours are asked.
const ASK_NEIGHBOURS: usize = 2;

impl Engine {
    /// Examines all instances of some groups whose time has come.
    pub(super) fn probe(&mut self, now: Time, groups: &[GroupId], out: &mut Vec<Action>) {
        for &g in groups {
            for n in 0..self.groups[g].nics.len() {
                for i in 0..self.groups[g].nics[n].instances.len() {
                    let nic = &self.groups[g].nics[n];
                    let due = nic.instances.get(i).is_some_and(|i| i.schedule.next <= now);
                    let live = nic.link && nic.index.is_some();
                    let decides = nic.instances.get(i).and_then(|i| i.decisive()).is_some_and(|t| t <= now);
                    if decides && live && !nic.failed {
                        self.lost_probe(now, (g, n, i), out);
                    }
                    if due && live {
                        self.examine(now, (g, n, i), out);
                    }
                }
            }
        }
    }

    fn examine(&mut self, now: Time, (g, n, i): (GroupId, NicId, usize), out: &mut Vec<Action>) {
        let group = &mut self.groups[g];
        let (requested, interval) = (group.detection.requested_interval(), group.detection.interval());
        let nic = &mut group.nics[n];
        let failed = nic.failed;
        let instance = &mut nic.instances[i];
        let family = instance.family;
        let due = instance.advance(now, requested, interval, &mut self.rng);
        let quiet = instance.quiet(now);
        if due.missed > 0 {
            self.tell(out, diag::missed_probes(self.about(g, n), family, due.missed));
        }
        if due.detection {
            match due.newest_answered {
                Some(true) if failed => self.check_repair(now, g, n, out),
                Some(false) if !failed && !quiet => self.lost_probe(now, (g, n, i), out),
                _ => {}
            }
        }
        self.weigh(now, g, n, out);
        self.fire(now, (g, n, i), due.detection, out);
    }

    /// The newest decided probe is lost: one target alone, or the NIC?
    fn lost_probe(&mut self, now: Time, (g, n, i): (GroupId, NicId, usize), out: &mut Vec<Action>) {
        let nic = &self.groups[g].nics[n];
        let instance = &nic.instances[i];
        if instance.quiet(now) {
            return;
        }
        let asked = instance.ring.newest_first().next().and_then(|p| p.target);
        let heard = Heard { path: None, target: asked.and_then(|a| nic.last_echo(&a)) };
        let instance = &mut self.groups[g].nics[n].instances[i];
        let run = instance.ring.loss_run(now, heard);
        if run.length < PROBE_FAILS && run.of_target >= PROBE_FAILS {
            if let Some(dead) = asked
                && instance.targets.set_aside(&dead, Standing::Dead(now))
            {
                instance.forget(&[dead], now);
                instance.discover_anew(now);
            }
            if let Some(dead) = asked {
                self.groups[g].nics[n].deaf_to.note(dead, now);
            }
            return;
        }
        if run.length < PROBE_FAILS {
            if run.length >= ASK_NEIGHBOURS {
                self.ask_neighbours(now, (g, n, i), out);
            }
        } else if instance.vouched_since(run.first) {
            let gone = instance.replace_targets(now);
            instance.forget(&gone, now);
            instance.discover_anew(now);
        } else {
            self.check_failure(now, g, n, out);
        }
    }

    /// The targets are silent: before anything is blamed for it, the neighbours are asked over this NIC. A dead gateway on
    /// a living link fails nothing.
    fn ask_neighbours(&mut self, now: Time, (g, n, i): (GroupId, NicId, usize), out: &mut Vec<Action>) {
        let instance = &self.groups[g].nics[n].instances[i];
        let (family, source) = (instance.family, instance.source);
        let asked: Vec<IpAddr> = self.neighbours(g, family).into_iter().take(MAX_TARGETS).collect();
        let nonce = self.rng.next_u64();
        let seq = self.groups[g].nics[n].instances[i].record_discovery(nonce);
        let Some(index) = self.groups[g].nics[n].index else { return };
        for neighbour in &asked {
            if matches!(source, Source::Echo(_) | Source::Solicit) {
                self.send_probe(now, (g, n, i), *neighbour, Kind::Multicast, seq, nonce, out);
            }
            if let IpAddr::V4(v4) = neighbour {
                let bytes = self.arp_request(now, (g, n), index, *v4);
                out.extend(bytes.map(|bytes| Action::Send(Transmit::Frame { index, bytes })));
            }
        }
        if family == Family::Inet6 {
            self.send_probe(now, (g, n, i), all_hosts(family), Kind::Multicast, seq, nonce, out);
        }
    }

    /// Step 13: sends what is due.
    fn fire(
        &mut self,
        now: Time,
        (g, n, i): (GroupId, NicId, usize),
        detection: bool,
        out: &mut Vec<Action>,
    ) {
        let interval = self.groups[g].detection.interval();
        if i >= self.groups[g].nics[n].instances.len() {
            return;
        }
        let target = self.next_target(now, (g, n, i));
        let instance = &mut self.groups[g].nics[n].instances[i];
        let few = instance.targets.active().count() <= 1 || instance.sought;
        let lonely = !instance.targets.are_routers() && few;
        let discover = (target.is_none() || (detection && lonely)) && instance.discover(now, interval);
        if let Some(target) = target {
            let nonce = self.rng.next_u64();
            let instance = &mut self.groups[g].nics[n].instances[i];
            let kind = if detection { Kind::Unicast } else { Kind::Rtt };
            let seq = match kind {
                Kind::Unicast => instance.record(target, nonce, now, interval),
                _ => instance.record_rtt(target, nonce, now),
            };
            self.send_probe(now, (g, n, i), target, kind, seq, nonce, out);
            self.send_large(now, (g, n, i), target, seq, out);
        }
        if discover {
            self.offer_neighbours(g);
            let family = self.groups[g].nics[n].instances[i].family;
            let nonce = self.rng.next_u64();
            let instance = &mut self.groups[g].nics[n].instances[i];
            let seq = instance.record_discovery(nonce);
            if matches!(instance.source, Source::Echo(_)) {
                self.send_probe(now, (g, n, i), all_hosts(family), Kind::Multicast, seq, nonce, out);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a packet has that many fields")]
    fn send_probe(
        &mut self,
        now: Time,
        (g, n, i): (GroupId, NicId, usize),
        target: IpAddr,
        kind: Kind,
        seq: u16,
        nonce: u64,
        out: &mut Vec<Action>,
    ) {
        let nic = &self.groups[g].nics[n];
        let Some(index) = nic.index else { return };
        match (nic.instances[i].source, target) {
            (Source::Echo(source), target) => {
                // On a failed NIC each probe asks for its target's MAC anew: a queue of probes that the kernel lets go all
                // at once would look like slow answers, and a repair would wait for its retransmit timer.
                if nic.failed && !target.is_multicast() {
                    let ops = vec![KernelOp::DelNeighbour { index, address: target }];
                    self.submit(now, ops, out);
                }
                let payload = Payload { sent: now, kind, nonce }.emit().to_vec();
                let ident = self.ident;
                out.push(Action::Send(Transmit::Echo { index, source, target, ident, seq, payload }));
            }
            (Source::Arp, IpAddr::V4(asked)) => {
                if let Some(bytes) = self.arp_request(now, (g, n), index, asked) {
                    out.push(Action::Send(Transmit::Frame { index, bytes }));
                }
            }
            (Source::Solicit, IpAddr::V6(asked)) => {
                if let Some(bytes) = self.port_solicitation((g, n), asked) {
                    out.push(Action::Send(Transmit::Frame { index, bytes }));
                }
            }
            (Source::Arp, IpAddr::V6(_)) | (Source::Solicit, IpAddr::V4(_)) => {}
        }
    }

    /// A probe as large as the MTU, one in each detection time, where that is wanted.
    fn send_large(
        &mut self,
        now: Time,
        (g, n, i): (GroupId, NicId, usize),
        target: IpAddr,
        seq: u16,
        out: &mut Vec<Action>,
    ) {
        let group = &self.groups[g];
        let nic = &group.nics[n];
        let (Some(index), Source::Echo(source)) = (nic.index, nic.instances[i].source) else { return };
        let wanted = group.settings.thresholds.large_probes && !nic.failed;
        let Some(link) = self.inventory.links.get(&index).filter(|_| wanted) else { return };
        if !nic.instances[i].large.due(now, group.detection.current()) {
            return;
        }
        let (ident, nonce) = (self.ident, self.rng.next_u64());
        let mut payload = Payload { sent: now, kind: Kind::Large, nonce }.emit().to_vec();
        payload.resize(large::payload(link.mtu, &target), 0);
        self.groups[g].nics[n].instances[i].large.record(target, nonce, now);
        out.push(Action::Send(Transmit::Echo { index, source, target, ident, seq, payload }));
    }

    /// Whom an instance asks next: of its targets in turn the first that can be asked at all.
    fn next_target(&mut self, now: Time, (g, n, i): (GroupId, NicId, usize)) -> Option<IpAddr> {
        for _ in 0..MAX_TARGETS {
            let target = self.groups[g].nics[n].instances[i].targets.pick(now)?;
            if self.askable(now, (g, n, i), &target) {
                return Some(target);
            }
            self.groups[g].nics[n].instances[i].targets.moved_on(&target);
        }
        None
    }

    fn askable(&self, now: Time, (g, n, i): (GroupId, NicId, usize), target: &IpAddr) -> bool {
        let nic = &self.groups[g].nics[n];
        let instance = &nic.instances[i];
        match (instance.source, target, nic.index) {
            (Source::Arp, IpAddr::V4(asked), Some(index)) => {
                self.arp_sender(g, n, index, *asked).is_some()
                    || (self.known_mac(g, *asked).is_some() && instance.polite(target, now))
            }
            _ => true,
        }
    }

    /// An ARP request from an address that lives on the NIC in the target's network. Without one from 0.0.0.0, which
    /// disturbs nobody's cache, and then only to the MAC of somebody who has spoken, and within manners.
    pub(super) fn arp_request(
        &mut self,
        now: Time,
        (g, n): (GroupId, NicId),
        index: IfIndex,
        asked: Ipv4Addr,
    ) -> Option<Vec<u8>> {
        let mac = self.wire_mac(g, n)?;
        let known = self.known_mac(g, asked);
        if let Some(sender) = self.arp_sender(g, n, index, asked) {
            return Some(mpath_wire::arp::request_frame(mac, known.unwrap_or(Mac::BROADCAST), sender, asked));
        }
        let instance = self.groups[g].nics[n].instance(Family::Inet)?;
        let known = known.filter(|_| instance.polite(&IpAddr::V4(asked), now))?;
        instance.manners.asked(asked, now);
        Some(mpath_wire::arp::request_frame(mac, known, Ipv4Addr::UNSPECIFIED, asked))
    }

    /// A Neighbour Solicitation by a port of a lagg, which tells the target where to send its answer: to the port's link-layer
    /// address, with which no other port speaks.
    pub(super) fn port_solicitation(&self, (g, n): (GroupId, NicId), asked: Ipv6Addr) -> Option<Vec<u8>> {
        if asked.is_multicast() {
            return None;
        }
        let mac = self.wire_mac(g, n)?;
        let mut faces = self.faces(g).into_iter();
        Some(match faces.find_map(|i| self.inventory.neighbour_mac(i, &IpAddr::V6(asked))) {
            Some(known) => mpath_wire::ndisc::unicast_solicitation_frame(mac, known, mac.link_local(), asked),
            None => mpath_wire::ndisc::solicitation_frame(mac, mac.link_local(), asked),
        })
    }

    /// The MAC of somebody on the link: as the kernel knows it on some member, else as he has told himself.
    fn known_mac(&self, g: GroupId, host: Ipv4Addr) -> Option<Mac> {
        let group = &self.groups[g];
        let mut indices = self.faces(g).into_iter();
        let known = indices.find_map(|i| self.inventory.neighbour_mac(i, &IpAddr::V4(host)));
        known.or_else(|| group.macs.get(&host).copied())
    }

    /// The address from which a NIC can ask for another: its test address, else one that lives on it.
    fn arp_sender(&self, g: GroupId, n: NicId, index: IfIndex, asked: Ipv4Addr) -> Option<Ipv4Addr> {
        let nic = &self.groups[g].nics[n];
        let test = nic.instances.iter().find_map(|i| match i.source {
            Source::Echo(IpAddr::V4(a)) => Some(a),
            _ => None,
        });
        let reaches = |a: &&Address| inventory::usable(a) && a.addr.contains(&IpAddr::V4(asked));
        let index = self.speaker(g, n).unwrap_or(index);
        test.or_else(|| match self.inventory.on(index).find(reaches)?.addr.address {
            IpAddr::V4(a) => Some(a),
            IpAddr::V6(_) => None,
        })
    }

    pub(super) fn send_failed(&mut self, index: IfIndex, family: Family, errno: i32, out: &mut Vec<Action>) {
        // The probe counts as sent: a NIC that cannot send must fail (1.5). The text is given once per episode.
        for g in 0..self.groups.len() {
            if let Some(n) = self.groups[g].nic_at(index) {
                let told = self.groups[g].nics[n]
                    .instance(family)
                    .is_none_or(|i| i.send_error.replace(errno) == Some(errno));
                if !told {
                    self.tell(out, diag::send_failed(self.about(g, n), family, errno));
                }
            }
        }
    }
}
