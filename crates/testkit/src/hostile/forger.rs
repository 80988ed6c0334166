//! What a hostile neighbour sends. Every frame has the attacker's own link-layer address as its source, so that switches
//! are not deceived: what switches believe is not this host's affair.

use crate::lan::{DATA4, DATA6, Lan, ROUTER4, ROUTER6, test_address4};
use mpath_model::Mac;
use mpath_model::carp::{Advert, Passphrase};
use mpath_wire::arp::{Arp, Operation};
use mpath_wire::carp::{self, Authenticator};
use mpath_wire::ethernet::{self, ethertype};
use mpath_wire::icmp6::{self, Envelope};
use mpath_wire::ndisc::{self, Advertisement};
use mpath_wire::{beacon, checksum, icmp, ipv4};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Link-layer address of the router of the standard network.
const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 2, 1]);
/// Protocol number of ICMP.
const ICMP: u8 = ipv4::PROTOCOL_ICMP;
/// Bytes of an Ethernet header.
const LINK: usize = 14;

/// Kinds of hostile packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// Echo replies of both families: overheard ones again, with nearly right numbers, and made up.
    Icmp,
    /// ARP requests and replies of strangers, of nobody, of the host itself, and as if from its router.
    Arp,
    /// Neighbour advertisements, likewise.
    Nd,
    /// The router's address is claimed by wrong link-layer addresses (ARP, NA). Kernels believe that.
    Claims,
    /// All of the others, cut off, with bits flipped, or nothing but noise.
    Malformed,
    /// Adverts with wrong digests, hops, versions, vhids, checksums and lengths.
    Carp,
}

impl Hostile {
    /// All of them.
    pub const ALL: [Hostile; 6] =
        [Hostile::Icmp, Hostile::Arp, Hostile::Nd, Hostile::Claims, Hostile::Malformed, Hostile::Carp];
}

/// A NIC that is aimed at.
#[derive(Clone, Debug)]
pub struct Aim {
    mac: Mac,
    address: Ipv4Addr,
    local: Ipv6Addr,
}

impl Aim {
    /// A NIC of the server of the standard network.
    pub(super) fn of(lan: &Lan, n: usize) -> Aim {
        let mac = lan.nic_mac(n);
        let test = test_address4(n);
        let address = test.split('/').next().and_then(|a| a.parse().ok());
        Aim { mac, address: address.expect("test addresses are addresses"), local: mac.link_local() }
    }
}

/// A virtual host that is aimed at.
#[derive(Clone, Debug)]
pub struct Vhid {
    /// Its number.
    pub vhid: u8,
    /// Its passphrase: with it digests are right and something else is wrong.
    pub passphrase: Passphrase,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Whether a frame answers a probe.
pub(super) fn is_answer(frame: &[u8]) -> bool {
    Known::of(frame).is_some()
}

/// An echo reply that was overheard.
#[derive(Clone, Debug)]
struct Known {
    frame: Vec<u8>,
    to_mac: Mac,
    from: IpAddr,
    to: IpAddr,
    ident: u16,
    seq: u16,
    payload: Vec<u8>,
}

impl Known {
    fn of(frame: &[u8]) -> Option<Known> {
        let (link, packet) = ethernet::parse(frame).ok()?;
        let (from, to, reply): (IpAddr, IpAddr, _) = match link.ethertype {
            ethertype::IPV4 => {
                let (ip, reply) = icmp::parse_reply_packet(packet).ok()?;
                (ip.source.into(), ip.destination.into(), reply)
            }
            ethertype::IPV6 => {
                let (ip, message) = icmp6::parse_packet(packet).ok()?;
                (ip.source.into(), ip.destination.into(), icmp6::parse_reply(message).ok()?)
            }
            _ => return None,
        };
        let (ident, seq, payload) = (reply.ident, reply.seq, reply.payload.to_vec());
        Some(Known { frame: frame.to_vec(), to_mac: link.destination, from, to, ident, seq, payload })
    }
}

/// Makes frames. The same seed makes the same ones.
pub(super) struct Forger {
    chance: u64,
    own: Mac,
    aims: Vec<Aim>,
    vhid: Option<(Vhid, [Authenticator; 2])>,
    known: Vec<Known>,
    counter: u64,
}

impl Forger {
    pub(super) fn new(
        own: Mac,
        aims: Vec<Aim>,
        vhid: Option<Vhid>,
        overheard: Vec<Vec<u8>>,
        seed: u64,
    ) -> Forger {
        let known = overheard.iter().filter_map(|frame| Known::of(frame)).collect();
        let keyed = |v: Vhid| {
            let with = |p: &Passphrase| Authenticator::new(p, v.vhid, &v.addresses);
            let both = [with(&v.passphrase), with(&Passphrase::new("wrong"))];
            (v, both)
        };
        let chance = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Forger { chance, own, aims, vhid: vhid.map(keyed), known, counter: 1 << 40 }
    }

    /// One more.
    pub(super) fn frame(&mut self, kind: Hostile) -> Vec<u8> {
        match kind {
            Hostile::Icmp => self.echo(),
            Hostile::Arp => self.arp(),
            Hostile::Nd => self.advertisement(),
            Hostile::Claims => self.claim(),
            Hostile::Malformed => self.malformed(),
            Hostile::Carp => self.advert(),
        }
    }

    fn random(&mut self) -> u64 {
        // Xorshift* (Vigna 2016).
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random() as usize % limit.max(1)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.random() as u8).collect()
    }

    /// Nobody's link-layer address.
    fn nobody(&mut self) -> Mac {
        let tail = self.random().to_be_bytes();
        Mac([2, 0x66, tail[3], tail[4], tail[5], tail[6]])
    }

    /// A stranger on the link; not so many of them that the kernel's neighbour table is full.
    fn stranger4(&mut self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 128 + self.below(32) as u8)
    }

    fn stranger6(&mut self) -> Ipv6Addr {
        Ipv6Addr::from_bits(0xfe80 << 112 | 0x6600 | self.below(32) as u128)
    }

    /// Somebody who could have been asked, or could not.
    fn sender(&mut self, six: bool, aim: &Aim) -> IpAddr {
        match (six, self.below(6)) {
            (false, 0..=1) => ROUTER4.parse::<Ipv4Addr>().expect("an address").into(),
            (false, 2) => self.stranger4().into(),
            (false, 3) => aim.address.into(),
            (false, 4) => data4().into(),
            (false, _) => Ipv4Addr::new(198, 51, 100, 200).into(),
            (true, 0..=1) => router6().into(),
            (true, 2) => self.stranger6().into(),
            (true, 3) => aim.local.into(),
            (true, 4) => data6().into(),
            (true, _) => IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8_0002 << 80 | 0x200)),
        }
    }

    fn echo(&mut self) -> Vec<u8> {
        let way = self.below(3);
        if way < 2 && !self.known.is_empty() {
            let n = self.below(self.known.len());
            let mut known = self.known[n].clone();
            if way == 0 {
                return self.in_own_name(known.frame);
            }
            // Some time has passed since: the number may be right by now.
            known.seq = known.seq.wrapping_add(self.below(300) as u16).wrapping_sub(4);
            let at = self.below(known.payload.len());
            if let Some(byte) = known.payload.get_mut(at) {
                *byte ^= 1 << (self.chance >> 40 & 7);
            }
            if self.below(4) == 0 {
                let aim = self.pick(&self.aims.clone());
                known.from = self.sender(known.from.is_ipv6(), &aim);
            }
            return self.reply(&known);
        }
        let aim = self.pick(&self.aims.clone());
        let six = self.below(2) == 0;
        let from = self.sender(six, &aim);
        let to = if six { aim.local.into() } else { aim.address.into() };
        let (ident, seq, length) = (self.random() as u16, self.random() as u16, self.below(64));
        let payload = self.bytes(length);
        self.reply(&Known { frame: Vec::new(), to_mac: aim.mac, from, to, ident, seq, payload })
    }

    fn reply(&self, known: &Known) -> Vec<u8> {
        let echo = icmp::Echo { ident: known.ident, seq: known.seq, payload: &known.payload };
        match (known.from, known.to) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut message = icmp6::emit_request(&echo);
                message[0] = icmp6::ECHO_REPLY;
                self.envelope(known.to_mac, source, destination, 64).frame(message)
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let packet = packet4((source, destination), ICMP, 64, &echo.emit_reply());
                self.link(known.to_mac, ethertype::IPV4, &packet)
            }
            _ => Vec::new(),
        }
    }

    fn arp(&mut self) -> Vec<u8> {
        let aim = self.pick(&self.aims.clone());
        let operation = self.pick(&[Operation::Request, Operation::Reply]);
        let router: Ipv4Addr = ROUTER4.parse().expect("an address");
        let (sender_ip, sender_mac) = match self.below(6) {
            // The router's own words, said by somebody else: kernels learn nothing wrong from them.
            0 => (router, ROUTER_MAC),
            1 => (Ipv4Addr::UNSPECIFIED, self.nobody()),
            2 => (data4(), self.nobody()),
            3 => (aim.address, self.nobody()),
            4 => (self.stranger4(), Mac::BROADCAST),
            _ => (self.stranger4(), self.nobody()),
        };
        let stranger = self.stranger4();
        let target_ip = self.pick(&[aim.address, data4(), router, stranger]);
        let nobody = self.nobody();
        let target_mac = self.pick(&[aim.mac, nobody, Mac::default()]);
        let arp = Arp { operation, sender_mac, sender_ip, target_mac, target_ip };
        self.link(aim.mac, ethertype::ARP, &arp.emit())
    }

    fn advertisement(&mut self) -> Vec<u8> {
        let aim = self.pick(&self.aims.clone());
        let stranger = self.stranger6();
        let target = self.pick(&[router6(), data6(), aim.local, stranger]);
        let source = self.pick(&[target, stranger, router6()]);
        let solicited = self.below(2) == 0;
        // Where it would be believed, it does not override what the kernel knows.
        let override_entry = target != router6();
        let target_mac = Some(self.nobody()).filter(|_| self.below(4) > 0);
        let said =
            Advertisement { target, router: self.below(2) == 0, solicited, override_entry, target_mac };
        let hops = if self.below(4) == 0 { 64 } else { ndisc::HOP_LIMIT };
        let all = Ipv6Addr::from_bits(0xff02 << 112 | 1);
        let to = if self.below(4) == 0 { all } else { aim.local };
        self.envelope(aim.mac, source, to, hops).frame(said.emit())
    }

    fn claim(&mut self) -> Vec<u8> {
        let aim = self.pick(&self.aims.clone());
        let mac = self.nobody();
        if self.below(2) == 0 {
            let said = Advertisement {
                target: router6(),
                router: true,
                solicited: self.below(2) == 0,
                override_entry: true,
                target_mac: Some(mac),
            };
            return self.envelope(aim.mac, router6(), aim.local, ndisc::HOP_LIMIT).frame(said.emit());
        }
        let operation = self.pick(&[Operation::Request, Operation::Reply]);
        let sender_ip = ROUTER4.parse().expect("an address");
        let (target_mac, target_ip) = (aim.mac, aim.address);
        let arp = Arp { operation, sender_mac: mac, sender_ip, target_mac, target_ip };
        self.link(aim.mac, ethertype::ARP, &arp.emit())
    }

    fn malformed(&mut self) -> Vec<u8> {
        let kind = self.pick(&[Hostile::Icmp, Hostile::Arp, Hostile::Nd, Hostile::Carp]);
        let mut frame = self.frame(kind);
        let noise = self.below(4);
        if noise == 0 {
            let kinds = [ethertype::IPV4, ethertype::IPV6, ethertype::ARP, beacon::ETHERTYPE];
            let (aim, kind, length) = (self.pick(&self.aims.clone()), self.pick(&kinds), self.below(200));
            let noise = self.bytes(length);
            return self.link(aim.mac, kind, &noise);
        }
        if noise < 3 {
            let length = LINK + self.below(frame.len().saturating_sub(LINK));
            frame.truncate(length);
        }
        for _ in 0..self.below(8) {
            let at = LINK + self.below(frame.len().saturating_sub(LINK));
            let value = self.random() as u8;
            frame.get_mut(at).into_iter().for_each(|byte| *byte = value);
        }
        frame
    }

    /// Never one that is right in everything.
    fn advert(&mut self) -> Vec<u8> {
        let Some((vhid, keys)) = self.vhid.clone() else { return self.malformed() };
        self.counter += 1;
        let wrong = self.below(6);
        let key = usize::from(wrong == 0);
        let number = if wrong == 1 { vhid.vhid ^ 0x55 } else { vhid.vhid };
        // A better master than anybody.
        let advert = Advert { vhid: number, advbase: 1, advskew: 0, demote: 0, counter: self.counter };
        let mut pdu = keys[key].emit(&advert);
        let (mut hops, mut length) = (carp::HOPS, carp::LEN);
        match wrong {
            2 => hops = self.pick(&[1, 64, 254]),
            3 => {
                pdu[0] = (self.pick(&[0, 1, 3, 15]) << 4) | pdu[0] & 15;
                pdu[6..8].fill(0);
                let sum = checksum::internet(&pdu);
                pdu[6..8].copy_from_slice(&sum.to_be_bytes());
            }
            4 => pdu[7] ^= 1,
            5 => length = self.below(carp::LEN),
            _ => {}
        }
        let source = Ipv4Addr::new(192, 0, 2, 240 + self.below(8) as u8);
        let packet = packet4((source, carp::GROUP4), carp::PROTOCOL, hops, &pdu[..length]);
        self.link(ethernet::multicast4(carp::GROUP4), ethertype::IPV4, &packet)
    }

    fn envelope(&self, to: Mac, source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8) -> Envelope {
        Envelope { source_mac: self.own, destination_mac: to, source, destination, hop_limit }
    }

    fn link(&self, destination: Mac, ethertype: u16, packet: &[u8]) -> Vec<u8> {
        ethernet::Header { destination, source: self.own, ethertype }.emit(packet)
    }

    fn in_own_name(&self, mut frame: Vec<u8>) -> Vec<u8> {
        if let Some(source) = frame.get_mut(6..12) {
            source.copy_from_slice(&self.own.0);
        }
        frame
    }
}

fn data4() -> Ipv4Addr {
    DATA4.parse().expect("an address")
}

fn data6() -> Ipv6Addr {
    DATA6.parse().expect("an address")
}

fn router6() -> Ipv6Addr {
    ROUTER6.parse().expect("an address")
}

fn packet4((source, destination): (Ipv4Addr, Ipv4Addr), protocol: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let total = (ipv4::HEADER_LEN + payload.len()) as u16;
    let mut out = vec![0x45, 0];
    out.extend(total.to_be_bytes());
    out.extend([0, 0, 0x40, 0, hops, protocol, 0, 0]);
    out.extend(source.octets());
    out.extend(destination.octets());
    let sum = checksum::internet(&out);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(payload);
    out
}

#[cfg(test)]
mod tests;
