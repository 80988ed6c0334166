//! The link outside: hosts that answer probes or not, per host, per NIC and per packet, after a delay.

use mpath_model::addr::is_link_local6;
use mpath_model::kernel::{Packet, Transmit};
use mpath_model::{IfIndex, Mac};
use mpath_wire::{arp, ethernet, ndisc};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Somebody on the link.
#[derive(Clone, Debug)]
pub struct Host {
    pub alive: bool,
    pub delay: Duration,
    /// Answers 224.0.0.1 (IPv6 hosts always answer ff02::1).
    pub multicast: bool,
}

/// The link.
#[derive(Clone, Default)]
pub struct Net {
    pub hosts: BTreeMap<IpAddr, Host>,
    /// Echo payloads above this many bytes go nowhere.
    pub too_large: Option<usize>,
    /// NICs whose packets go nowhere.
    pub silent: BTreeSet<IfIndex>,
    /// NICs on another switch.
    pub apart: BTreeSet<IfIndex>,
    /// Hosts whose ICMP is filtered; ARP and Neighbour Discovery work.
    pub filtered: BTreeSet<IpAddr>,
    /// Addresses of this host to which nobody has a route, although they are on the link.
    pub unrouted: BTreeSet<IpAddr>,
    /// Pairs that do not reach each other.
    pub cut: BTreeSet<(IfIndex, IpAddr)>,
    /// Loss of each packet, in permille.
    pub loss: u64,
    /// Loss of each packet of a NIC, in permille.
    pub loss_of: BTreeMap<IfIndex, u64>,
    /// Probes to be lost next.
    pub drop_next: BTreeMap<IfIndex, u32>,
    /// Delays of the next answers, instead of the host's.
    pub delay_next: BTreeMap<IfIndex, VecDeque<Duration>>,
    /// Answers are kept back instead of delivered.
    pub hold: bool,
    pub held: Vec<(IfIndex, Packet)>,
    /// A NIC that cannot send, and why.
    pub send_errno: BTreeMap<IfIndex, i32>,
    seed: u64,
}

/// MAC of every host; nobody minds.
pub const HOST_MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);

impl Net {
    pub fn host(&mut self, address: &str) -> &mut Host {
        let new = Host { alive: true, delay: Duration::from_micros(300), multicast: false };
        self.hosts.entry(address.parse().unwrap()).or_insert(new)
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    /// What comes back for a packet, and after how long.
    pub fn answers(&mut self, what: &Transmit) -> Vec<(Duration, IfIndex, Packet)> {
        let (index, target) = match what {
            Transmit::Echo { index, target, .. } => (*index, *target),
            Transmit::Frame { index, bytes } => match asked(bytes) {
                Some(target) => (*index, target),
                None => return Vec::new(),
            },
            Transmit::Advert(_) => return Vec::new(),
        };
        if matches!(what, Transmit::Echo { source, .. } if self.unrouted.contains(source)) {
            return Vec::new();
        }
        if let (Transmit::Echo { payload, .. }, Some(most)) = (what, self.too_large)
            && payload.len() > most
        {
            return Vec::new();
        }
        let loss = self.loss_of.get(&index).copied().unwrap_or(self.loss);
        if self.silent.contains(&index) || (loss > 0 && self.random(1000) < loss) {
            return Vec::new();
        }
        if let Some(n) = self.drop_next.get_mut(&index).filter(|n| **n > 0) {
            *n -= 1;
            return Vec::new();
        }
        let special = self.delay_next.get_mut(&index).and_then(VecDeque::pop_front);
        let echo = matches!(what, Transmit::Echo { .. });
        let reached = |h: &&IpAddr| {
            let filtered = echo && self.filtered.contains(*h);
            !filtered && !self.cut.contains(&(index, **h)) && self.hosts[*h].alive
        };
        let hosts = self.hosts.iter().filter(|(a, h)| match target {
            t if t.is_multicast() && t.is_ipv4() => a.is_ipv4() && h.multicast,
            t if t.is_multicast() => is_link_local6(a),
            t => **a == t,
        });
        let found: Vec<IpAddr> = hosts.map(|(a, _)| a).filter(reached).copied().collect();
        let answer = |from: IpAddr| (special.unwrap_or(self.hosts[&from].delay), index, reply(what, from));
        let all: Vec<_> = found.into_iter().map(answer).collect();
        if self.hold {
            self.held.extend(all.into_iter().map(|(_, i, p)| (i, p)));
            return Vec::new();
        }
        all
    }
}

/// Whom an ARP request or a Neighbour Solicitation asks for.
fn asked(bytes: &[u8]) -> Option<IpAddr> {
    request(bytes).map(|a| IpAddr::V4(a.target_ip)).or_else(|| match ndisc::parse_frame(bytes).ok()?.1 {
        ndisc::Message::Solicitation(s) => Some(IpAddr::V6(s.target)),
        ndisc::Message::Advertisement(_) => None,
    })
}

fn request(bytes: &[u8]) -> Option<arp::Arp> {
    let (_, packet) = ethernet::parse(bytes).ok()?;
    arp::parse(packet).ok().filter(|a| a.operation == arp::Operation::Request)
}

/// The answer of `from` to a probe.
pub fn reply(what: &Transmit, from: IpAddr) -> Packet {
    match (what, from) {
        (Transmit::Echo { source, ident, seq, payload, .. }, _) => Packet::EchoReply {
            from,
            to: *source,
            code: 0,
            ident: *ident,
            seq: *seq,
            payload: payload.clone(),
        },
        (Transmit::Frame { bytes, .. }, IpAddr::V6(from)) => {
            let (ip, _) = ndisc::parse_frame(bytes).unwrap();
            Packet::Advertisement { from, to: ip.source, target: from }
        }
        (Transmit::Frame { bytes, .. }, IpAddr::V4(_)) => {
            let a = request(bytes).unwrap();
            Packet::Arp {
                reply: true,
                sender_mac: HOST_MAC,
                sender: a.target_ip,
                target_mac: a.sender_mac,
                target: a.sender_ip,
            }
        }
        (Transmit::Advert(_), _) => unreachable!("nobody answers an advert"),
    }
}
