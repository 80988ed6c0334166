//! What a stranger on the link may say, and what is believed of it: frames made by hand.

use crate::world::{PASSPHRASE, SOON, VIP4, Vhid, World};
use crate::{carp, plain};
use mpath_linux::packet::Sender;
use mpath_model::Mac;
use mpath_model::carp::{Advert, Passphrase};
use mpath_model::status::CarpCounters;
use mpath_testkit::{Host, Side, Sniffer, wait_until};
use mpath_wire::carp::{Authenticator, LEN, frame, virtual_mac};
use mpath_wire::{checksum, ethernet, ipv4};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Start of the IPv4 header in a frame, and of what it carries.
const IP: usize = 14;
const PDU: usize = IP + 20;

/// One of the daemon's counters.
type Counter = fn(&CarpCounters) -> u64;

/// Sends adverts of vhid 1 from a host without a daemon.
struct Stranger {
    host: Arc<Host>,
    sender: Sender,
    key: Authenticator,
}

impl Stranger {
    fn new(world: &World, passphrase: &str) -> Stranger {
        let host = Arc::clone(&world.pair.b);
        let sender = host.run(Sender::open).unwrap();
        let vip: IpAddr = VIP4.parse().unwrap();
        let key = Authenticator::new(&Passphrase::new(passphrase.as_bytes()), 1, &[vip]);
        Stranger { host, sender, key }
    }

    /// The frame of an advert better than that of the daemon, or of a resignation.
    fn advert(&self, counter: u64, base: u8, skew: u8) -> Vec<u8> {
        let advert = Advert { vhid: 1, advbase: base, advskew: skew, demote: 0, counter };
        let pdu: [u8; LEN] = self.key.emit(&advert);
        frame(virtual_mac(1), "10.77.0.2".parse().unwrap(), &advert, &pdu)
    }

    fn send(&self, frame: &[u8]) {
        self.sender.send(self.host.index_of("eth0").unwrap(), frame).unwrap();
    }
}

/// Changes octets of a frame; the checksum of the IP header is made right again, and that of the advert if told so.
fn forged(mut frame: Vec<u8>, at: usize, value: u8, advert_too: bool) -> Vec<u8> {
    frame[at] = value;
    if advert_too {
        frame[PDU + 6..PDU + 8].fill(0);
        let sum = checksum::internet(&frame[PDU..]);
        frame[PDU + 6..PDU + 8].copy_from_slice(&sum.to_be_bytes());
    }
    frame[IP + 10..IP + 12].fill(0);
    let sum = checksum::internet(&frame[IP..PDU]);
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn only_what_is_right_in_every_way_is_believed() {
    carp("wire::only_what_is_right_in_every_way_is_believed", || {
        let world = World::start_one(plain(100, "replay = \"strict\""));
        world.expect_state(Side::A, "MASTER");
        let (friend, foe) = (Stranger::new(&world, PASSPHRASE), Stranger::new(&world, "another"));
        // Counters begin with the wall clock: ahead of the daemon's for longer than this takes.
        let counter = |n: u64| u64::MAX / 2 + n;
        let good = friend.advert(counter(9), 1, 0);
        let cases: [(&str, Vec<u8>, Counter); 6] = [
            ("through a router", forged(good.clone(), IP + 8, 254, false), |c| c.badttl),
            ("another passphrase", foe.advert(counter(9), 1, 0), |c| c.badauth),
            ("a changed counter", forged(good.clone(), PDU + 15, 99, true), |c| c.badauth),
            ("a changed skew", forged(friend.advert(counter(9), 1, 1), PDU + 2, 0, false), |c| c.badsum),
            ("another version", forged(good.clone(), PDU, 0x31, true), |c| c.badver),
            ("another vhid", forged(good.clone(), PDU + 1, 2, true), |c| c.badvhid),
        ];
        let counters = || world.daemon(Side::A).status().unwrap().carp_counters;
        for (what, frame, counter) in cases {
            let before = counter(&counters());
            friend.send(&frame);
            wait_until(SOON, what, || counter(&counters()) > before);
            assert_eq!(world.state(Side::A).as_deref(), Some("MASTER"), "{what}: {}", world.picture());
        }
        // The real thing, and its resignation: at once, long before anybody's patience ends.
        friend.send(&good);
        world.expect_state(Side::A, "BACKUP");
        let since = Instant::now();
        friend.send(&friend.advert(counter(10), 255, 255));
        world.expect_state(Side::A, "MASTER");
        assert!(since.elapsed() < Duration::from_secs(2), "{}", world.picture());
        // Again what was right before.
        friend.send(&good);
        wait_until(SOON, "the replay is counted", || counters().replayed > 0);
        assert_eq!(world.state(Side::A).as_deref(), Some("MASTER"), "{}", world.picture());
    });
}

/// No multicast, and the NIC's own address for the virtual ones: as clouds want it.
#[test]
fn unicast_peers_without_a_virtual_mac() {
    carp("wire::unicast_peers_without_a_virtual_mac", || {
        let vhid = Vhid { unicast: true, ..plain(0, "vmac = false") };
        let mut world = World::start(Vhid { skew: [0, 100], ..vhid });
        let sent = [("a0", "10.77.0.2"), ("b0", "10.77.0.1")].map(|(port, peer)| {
            let peer: IpAddr = peer.parse().unwrap();
            Sniffer::start(&world.pair.switch, port, move |frame| {
                let (_, packet) = ethernet::parse(frame).ok()?;
                let (ip, _) = ipv4::parse(packet).ok()?;
                (ip.protocol == mpath_wire::carp::PROTOCOL).then_some(IpAddr::V4(ip.destination) == peer)
            })
            .unwrap()
        });
        world.expect_master(Side::A);
        let mac = |n| Mac([2, 0, 0, 77, n, 0]);
        let learnt = |world: &World, wanted: Mac| {
            let stream =
                mpath_testkit::UdpStream::start(&world.pair.client, crate::world::target(VIP4), 100).unwrap();
            let since = Instant::now();
            wait_until(SOON, "answers", || stream.alive_since(since));
            wait_until(SOON, "the right address answers", || {
                world.pair.client.neighbour_mac(VIP4) == Some(wanted)
            });
        };
        learnt(&world, mac(1));
        world.kill(Side::A);
        world.expect_master(Side::B);
        learnt(&world, mac(2));
        for sniffer in &sent {
            let seen = sniffer.seen();
            assert!(!seen.is_empty() && seen.iter().all(|(_, to_peer)| *to_peer), "{seen:?}");
        }
    });
}
