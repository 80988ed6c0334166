//! The links outside the host: one switch for each group, with routers and hosts that answer echo and ARP
//! requests, and the path of each NIC to it: delay, jitter, loss and black holes in each direction.

use crate::rng::Rng;
use mpath_model::kernel::{Packet, Transmit};
use mpath_model::{IfIndex, Mac};
use mpath_wire::{arp, beacon, ethernet, ndisc};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Number of a NIC in the scenario.
pub type Nic = usize;

/// All nodes on this link (RFC 4291).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A router or host.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its link-layer address.
    pub mac: Mac,
    /// Its IPv4 address, where it speaks IPv4.
    pub four: Option<Ipv4Addr>,
    /// Its link-local and global IPv6 addresses, where it speaks IPv6.
    pub six: Vec<Ipv6Addr>,
    /// It answers.
    pub alive: bool,
}

/// The way from a NIC to its switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Nothing leaves, silently.
    pub tx_blocked: bool,
    /// Nothing arrives, silently.
    pub rx_blocked: bool,
    /// Loss on the way out, in permille.
    pub tx_loss: u32,
    /// Loss on the way in, in permille.
    pub rx_loss: u32,
}

impl Path {
    /// A path that loses nothing.
    pub const CLEAN: Path = Path { tx_blocked: false, rx_blocked: false, tx_loss: 0, rx_loss: 0 };
}

/// A NIC as its switch sees it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Switch it is plugged into.
    pub segment: usize,
    /// The NIC's link-layer address.
    pub mac: Mac,
    /// The path.
    pub path: Path,
    /// The NIC is there, up and has carrier.
    pub running: bool,
    /// Its link-local address, for answers between NICs of the host.
    pub link_local: Option<Ipv6Addr>,
}

/// All switches.
#[derive(Clone, Debug, Default)]
pub struct Lan {
    /// Nodes of each switch.
    pub segments: Vec<Vec<Node>>,
    /// The NICs of the host under test.
    pub ports: Vec<Port>,
    /// Shortest round trip.
    pub delay: Duration,
    /// Added at most.
    pub jitter: Duration,
}

/// A packet on its way to a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// After this time.
    pub after: Duration,
    /// At this NIC.
    pub nic: Nic,
    /// This.
    pub packet: Packet,
}

impl Lan {
    /// Whether a packet leaves the NIC and reaches the switch.
    pub fn leaves(&self, nic: Nic, rng: &mut Rng) -> bool {
        let p = &self.ports[nic];
        p.running && !p.path.tx_blocked && !rng.chance(p.path.tx_loss)
    }

    /// Whether a packet that comes from the switch now reaches the host.
    pub fn enters(&self, nic: Nic, rng: &mut Rng) -> bool {
        let p = &self.ports[nic];
        p.running && !p.path.rx_blocked && !rng.chance(p.path.rx_loss)
    }

    /// The NIC works in both directions, whatever it loses at random.
    pub fn connected(&self, nic: Nic) -> bool {
        let p = &self.ports[nic];
        p.running && !p.path.rx_blocked && !p.path.tx_blocked
    }

    /// What a transmission brings back.
    pub fn transmit(&self, nic: Nic, what: &Transmit, rng: &mut Rng) -> Vec<Arrival> {
        if !self.leaves(nic, rng) {
            return Vec::new();
        }
        match what {
            Transmit::Echo { source, target, ident, seq, payload, .. } => self
                .answerers(nic, target)
                .into_iter()
                .map(|from| Arrival {
                    after: self.round_trip(rng),
                    nic,
                    packet: Packet::EchoReply {
                        from,
                        to: *source,
                        code: 0,
                        ident: *ident,
                        seq: *seq,
                        payload: payload.iter().take(64).copied().collect(),
                    },
                })
                .collect(),
            Transmit::Frame { bytes, .. } => self.frame(nic, bytes, rng),
            Transmit::Advert(_) => Vec::new(),
        }
    }

    /// Sources of the answers to an echo request.
    fn answerers(&self, nic: Nic, target: &IpAddr) -> Vec<IpAddr> {
        let segment = self.ports[nic].segment;
        let alive = self.segments[segment].iter().filter(|n| n.alive);
        match target {
            // Linux hosts ignore broadcast and multicast echo requests (linux-failover.md, pitfall 21).
            IpAddr::V4(a) => alive.filter(|n| n.four == Some(*a)).map(|_| *target).collect(),
            IpAddr::V6(a) if *a == ALL_NODES => alive
                .filter_map(|n| n.six.first())
                .copied()
                .chain(self.siblings(nic).filter_map(|n| self.ports[n].link_local))
                .map(IpAddr::V6)
                .collect(),
            IpAddr::V6(a) => alive.filter(|n| n.six.contains(a)).map(|_| *target).collect(),
        }
    }

    /// The host's other NICs on the same switch that work.
    fn siblings(&self, nic: Nic) -> impl Iterator<Item = Nic> {
        let segment = self.ports[nic].segment;
        (0..self.ports.len())
            .filter(move |n| *n != nic && self.ports[*n].segment == segment && self.connected(*n))
    }

    /// A Neighbour Solicitation is answered by whoever has the address.
    fn solicited(&self, nic: Nic, asker: Ipv6Addr, target: Ipv6Addr, rng: &mut Rng) -> Vec<Arrival> {
        let answers = self.answerers(nic, &IpAddr::V6(target));
        let packet = Packet::Advertisement { from: target, to: asker, target };
        answers.iter().map(|_| Arrival { after: self.round_trip(rng), nic, packet: packet.clone() }).collect()
    }

    fn frame(&self, nic: Nic, bytes: &[u8], rng: &mut Rng) -> Vec<Arrival> {
        let parsed = ethernet::parse(bytes).ok();
        if let Some((to, beacon)) = parsed.and_then(|(h, p)| Some((h.destination, beacon::parse(p).ok()?))) {
            let packet = Packet::Beacon { round: beacon.round, sender: beacon.sender };
            let arrive = |nic| Arrival { after: self.delay / 2, nic, packet: packet.clone() };
            let hears = |n: &Nic| to == Mac::BROADCAST || self.ports[*n].mac == to;
            return self.siblings(nic).filter(hears).map(arrive).collect();
        }
        if let Ok((ip, ndisc::Message::Solicitation(asked))) = ndisc::parse_frame(bytes) {
            return self.solicited(nic, ip.source, asked.target, rng);
        }
        let Ok((header, packet)) = ethernet::parse(bytes) else {
            return Vec::new();
        };
        let Some(request) = arp::parse(packet).ok().filter(|p| p.operation == arp::Operation::Request) else {
            return Vec::new();
        };
        let mut arrivals = Vec::new();
        let nodes = &self.segments[self.ports[nic].segment];
        let hears = |mac: Mac| header.destination == Mac::BROADCAST || header.destination == mac;
        for node in nodes.iter().filter(|n| n.alive && n.four == Some(request.target_ip) && hears(n.mac)) {
            arrivals.push(Arrival {
                after: self.round_trip(rng),
                nic,
                packet: Packet::Arp {
                    reply: true,
                    sender_mac: node.mac,
                    sender: request.target_ip,
                    target_mac: request.sender_mac,
                    target: request.sender_ip,
                },
            });
        }
        if header.destination == Mac::BROADCAST {
            let packet = Packet::Arp {
                reply: false,
                sender_mac: request.sender_mac,
                sender: request.sender_ip,
                target_mac: request.target_mac,
                target: request.target_ip,
            };
            for sibling in self.siblings(nic) {
                arrivals.push(Arrival { after: self.delay / 2, nic: sibling, packet: packet.clone() });
            }
        }
        arrivals
    }

    /// A host asks for another by broadcast, as hosts do all the time: heard by every NIC of the segment.
    pub fn chatter(&self, segment: usize, rng: &mut Rng) -> Vec<Arrival> {
        let speakers: Vec<&Node> =
            self.segments[segment].iter().filter(|n| n.alive && n.four.is_some()).collect();
        if speakers.is_empty() {
            return Vec::new();
        }
        let (from, to) = (*rng.pick(&speakers), *rng.pick(&speakers));
        let (Some(sender), Some(target)) = (from.four, to.four) else {
            return Vec::new();
        };
        let packet =
            Packet::Arp { reply: false, sender_mac: from.mac, sender, target_mac: Mac::default(), target };
        (0..self.ports.len())
            .filter(|n| self.ports[*n].segment == segment)
            .map(|nic| Arrival { after: self.delay / 2, nic, packet: packet.clone() })
            .collect()
    }

    fn round_trip(&self, rng: &mut Rng) -> Duration {
        self.delay + rng.duration(Duration::ZERO, self.jitter)
    }

    /// Whether a node of the segment answers.
    pub fn somebody(&self, segment: usize) -> bool {
        self.segments[segment].iter().any(|n| n.alive)
    }

    /// Interface a transmission leaves through.
    pub fn interface(what: &Transmit) -> IfIndex {
        match what {
            Transmit::Echo { index, .. } | Transmit::Frame { index, .. } => *index,
            Transmit::Advert(advert) => advert.index,
        }
    }
}
