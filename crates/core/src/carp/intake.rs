//! Which packets count (lagg-carp.md B.7): the checks in their order, each with its counter, and what is done about
//! packets that were seen before (B.3).

use super::counter::Counter;
use mpath_model::carp::{Advert, Content, HeardAdvert};
use mpath_model::settings::Replay;
use mpath_model::status::CarpCounters;
use mpath_model::{Family, IfIndex, Time};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The only version.
const VERSION: u8 = 2;
/// TTL of a packet that comes from this link.
const HOPS: u8 = 255;

/// Why a packet does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than 36 octets.
    Length,
    /// Wrong checksum.
    Checksum,
    /// No vhid of that number and family on the interface.
    Vhid,
    /// IPv6, and no vhid at all on the interface.
    Interface,
    /// Not version 2.
    Version,
    /// It has passed a router.
    Hops,
    /// Wrong digest: another passphrase, or other addresses.
    Digest,
    /// One's own.
    Own,
    /// Seen before.
    Replayed,
}

/// Counts a packet that does not count.
pub fn count(counters: &mut CarpCounters, fault: Fault) {
    let counter = match fault {
        Fault::Length => &mut counters.badlen,
        Fault::Checksum => &mut counters.badsum,
        Fault::Vhid => &mut counters.badvhid,
        Fault::Interface => &mut counters.badif,
        Fault::Version => &mut counters.badver,
        Fault::Hops => &mut counters.badttl,
        Fault::Digest => &mut counters.badauth,
        Fault::Own => &mut counters.own,
        Fault::Replayed => &mut counters.replayed,
    };
    *counter += 1;
}

/// The checks that need no vhid: length and checksum.
pub fn well_formed(heard: &HeardAdvert) -> Result<(u8, Advert, bool), Fault> {
    match heard.content {
        Content::Short => Err(Fault::Length),
        Content::BadChecksum => Err(Fault::Checksum),
        Content::Advert { version, advert, authentic } => Ok((version, advert, authentic)),
    }
}

/// The checks behind that of the vhid: version, hops (unless the peer is unicast), digest.
pub fn trusted(version: u8, hops: u8, unicast: bool, authentic: bool) -> Result<(), Fault> {
    if version != VERSION {
        Err(Fault::Version)
    } else if hops != HOPS && !unicast {
        Err(Fault::Hops)
    } else if !authentic {
        Err(Fault::Digest)
    } else {
        Ok(())
    }
}

/// Where a packet came in and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Interface.
    pub index: IfIndex,
    /// When.
    pub at: Time,
    /// Source address.
    pub from: IpAddr,
    /// Its counter.
    pub counter: u64,
    /// The source address is one of this host.
    pub own_source: bool,
    /// It came in on another member of the group than adverts leave through.
    pub elsewhere: bool,
}

/// Within this time another member hears a copy. Who comes later with the same number says it anew: OpenBSD repeats one
/// counter for ever (lagg-carp.md B.3), and the member that heard it may be dead by now.
const COPIED: Duration = Duration::from_millis(200);

/// Counters that run on are this near to each other; those that are drawn at random (lagg-carp.md B.3) are not.
const NEAR: u64 = 1 << 32;

/// What was accepted last, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen([Option<Accepted>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Accepted {
    counter: u64,
    from: IpAddr,
    index: IfIndex,
    at: Time,
}

impl Accepted {
    /// Whether a packet that comes in now was sent before this one, and has been overtaken: a host that says twice in a
    /// moment how fast it is means what it said last.
    fn overtook(&self, a: &Arrival) -> bool {
        let behind = self.counter.wrapping_sub(a.counter);
        self.from == a.from && a.at - self.at < COPIED && (1..NEAR).contains(&behind)
    }
}

impl Seen {
    /// Whether an authentic packet is to be acted upon. `Ok(false)`: it is the copy of an accepted one that another
    /// member of the group heard too, or is older than the accepted one.
    pub fn admit(&mut self, policy: Replay, own: &Counter, a: Arrival) -> Result<bool, Fault> {
        // The counter tells only where there is no source address: after a split both halves go on from one number,
        // and must not take each other for themselves. Members of a group hear each other.
        let ours = a.own_source || (a.from.is_unspecified() && own.is_own(a.counter));
        if ours && (policy != Replay::Off || a.elsewhere) {
            return Err(Fault::Own);
        }
        let last = &mut self.0[usize::from(Family::of(&a.from) == Family::Inet6)];
        if let Some(known) = last {
            let copied = known.counter == a.counter && known.index != a.index && a.at - known.at < COPIED;
            if copied {
                return Ok(false);
            }
            if policy == Replay::Strict && a.counter <= known.counter {
                return Err(Fault::Replayed);
            }
            if known.overtook(&a) {
                return Ok(false);
            }
        }
        *last = Some(Accepted { counter: a.counter, from: a.from, index: a.index, at: a.at });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(content: Content) -> HeardAdvert {
        HeardAdvert { from: IpAddr::from([192, 0, 2, 2]), hops: 255, content }
    }

    #[test]
    fn the_checks_come_in_their_order() {
        assert_eq!(well_formed(&heard(Content::Short)), Err(Fault::Length));
        assert_eq!(well_formed(&heard(Content::BadChecksum)), Err(Fault::Checksum));
        assert_eq!(trusted(3, 1, false, false), Err(Fault::Version));
        assert_eq!(trusted(2, 254, false, false), Err(Fault::Hops));
        assert_eq!(trusted(2, 255, false, false), Err(Fault::Digest));
        assert_eq!(trusted(2, 254, true, true), Ok(()), "a unicast peer may be behind a router");
        assert_eq!(trusted(2, 255, false, true), Ok(()));
    }

    #[test]
    fn each_fault_has_a_counter() {
        use Fault::*;
        let mut c = CarpCounters::default();
        for f in [Length, Checksum, Vhid, Interface, Version, Hops, Digest, Own, Replayed] {
            count(&mut c, f);
        }
        let ones = CarpCounters {
            received: 0,
            badlen: 1,
            badsum: 1,
            badvhid: 1,
            badif: 1,
            badver: 1,
            badttl: 1,
            badauth: 1,
            own: 1,
            replayed: 1,
            ..CarpCounters::default()
        };
        assert_eq!(c, ones);
    }

    fn arrival(index: IfIndex, counter: u64) -> Arrival {
        let from = IpAddr::from([192, 0, 2, 2]);
        Arrival { index, at: Time(0), from, counter, own_source: false, elsewhere: index != 1 }
    }

    #[test]
    fn replay_policies() {
        let own = Counter::new(99, 1);
        let table = [
            (Replay::Off, [Ok(true), Ok(true), Ok(true), Ok(true)]),
            (Replay::Loop, [Ok(true), Ok(true), Ok(true), Ok(true)]),
            (Replay::Strict, [Ok(true), Err(Fault::Replayed), Err(Fault::Replayed), Ok(true)]),
        ];
        for (policy, expected) in table {
            let mut seen = Seen::default();
            let heard = [(50, 0), (50, 1), (49, 2), (100, 3)];
            let second = |n: u32| Time(0) + Duration::from_secs(1) * n;
            let got =
                heard.map(|(c, n)| seen.admit(policy, &own, Arrival { at: second(n), ..arrival(1, c) }));
            assert_eq!(got, expected, "{policy:?}");
            assert_eq!(seen.admit(policy, &own, Arrival { at: second(4), ..arrival(1, 101) }), Ok(true));
        }
    }

    #[test]
    fn what_was_overtaken_says_nothing() {
        let own = Counter::new(0, 1);
        let ms = |n: u64| Time(0) + Duration::from_millis(n);
        let other = IpAddr::from([192, 0, 2, 3]);
        let newer = arrival(1, 5_000_000);
        let table = [
            (Arrival { counter: 4_990_000, at: ms(15), ..newer }, Ok(false), "later, on the same member"),
            (Arrival { counter: 4_990_000, index: 2, at: ms(15), ..newer }, Ok(false), "or another one"),
            (
                Arrival { counter: 4_990_000, at: ms(200), ..newer },
                Ok(true),
                "nothing is on its way for so long",
            ),
            (Arrival { counter: 4_990_000, from: other, at: ms(15), ..newer }, Ok(true), "another host"),
            (Arrival { counter: 5_010_000, at: ms(15), ..newer }, Ok(true), "newer"),
            (Arrival { counter: 5_000_000 ^ 1 << 63, at: ms(15), ..newer }, Ok(true), "drawn at random"),
        ];
        for (arrival, expected, what) in table {
            let mut seen = Seen::default();
            assert_eq!(seen.admit(Replay::Loop, &own, newer), Ok(true));
            assert_eq!(seen.admit(Replay::Loop, &own, arrival), expected, "{what}");
        }
        let mut strict = Seen::default();
        assert_eq!(strict.admit(Replay::Strict, &own, newer), Ok(true));
        let older = Arrival { counter: 4_990_000, at: ms(15), ..newer };
        assert_eq!(strict.admit(Replay::Strict, &own, older), Err(Fault::Replayed), "and counted");
    }

    #[test]
    fn without_a_source_address_the_counter_tells_whose_a_packet_is() {
        let mut own = Counter::new(99, 1);
        let number = own.draw();
        let mut seen = Seen::default();
        let sourceless = Arrival { from: IpAddr::from([0; 4]), ..arrival(1, number) };
        assert_eq!(seen.admit(Replay::Loop, &own, sourceless), Err(Fault::Own));
        assert_eq!(seen.admit(Replay::Loop, &own, arrival(1, number)), Ok(true), "the other half of a split");
    }

    #[test]
    fn own_packets_and_copies_on_other_members() {
        let own = Counter::new(0, 1);
        for policy in [Replay::Off, Replay::Loop, Replay::Strict] {
            let mut seen = Seen::default();
            let looped = Arrival { own_source: true, ..arrival(2, 5) };
            assert_eq!(seen.admit(policy, &own, looped), Err(Fault::Own), "{policy:?}");
            assert_eq!(seen.admit(policy, &own, arrival(1, 6)), Ok(true));
            assert_eq!(seen.admit(policy, &own, arrival(2, 6)), Ok(false), "{policy:?}: a copy");
            let later = Arrival { at: Time(0) + COPIED, ..arrival(2, 6) };
            let anew = if policy == Replay::Strict { Err(Fault::Replayed) } else { Ok(true) };
            assert_eq!(
                seen.admit(policy, &own, later),
                anew,
                "{policy:?}: the same number on another member, later"
            );
        }
    }
}
