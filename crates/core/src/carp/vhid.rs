//! One vhid at run time: its state, its timers, what it sends, what it makes of what it hears. Effects are handed out;
//! what the kernel has to show for it is `plan`'s affair.

use super::counter::Counter;
use super::demotion::{Health, Sending};
use super::intake::{Arrival, Fault, Seen};
use super::machine::{self, Happening, Heard, State};
use super::timing;
use mpath_model::carp::{Advert, CarpId, SendAdvert};
use mpath_model::settings::Carp;
use mpath_model::{Family, IfIndex, Time};
use mpath_wire::carp::virtual_mac;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// An interface that goes down for less than this has not been down: a lagg changes ports, a cable is re-seated
/// (lagg-carp.md B.12).
pub const HOLD: Duration = Duration::from_millis(200);
/// Who preempts a living master waits so long with its addresses: the master withdraws them when it hears of it.
pub const PREEMPT_PAUSE: Duration = Duration::from_millis(20);
/// Adverts that waited longer for a busy daemon say nothing about the present.
const STALE: Duration = Duration::from_millis(200);
/// After a tie, patience is longer by up to this: two equal hosts would go on for ever.
const TIE_JITTER: u64 = 250_000_000;

/// What a vhid runs over, as things are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Interface that adverts leave through.
    pub active: Option<IfIndex>,
    /// Interfaces on which adverts may be heard.
    pub listen: Vec<IfIndex>,
    /// The link of at least one of them is up.
    pub usable: bool,
    /// How well it is beyond that.
    pub health: Health,
    /// Source of IPv4 and IPv6 adverts.
    pub sources: Sources,
}

/// Source addresses by family; none where the interface has no address of it.
pub type Sources = [Option<IpAddr>; 2];

/// What is to be done for a vhid.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The state has changed, for this reason.
    Became(State, State, &'static str),
    /// An advert is to be sent.
    Send(SendAdvert),
    /// The lifetimes of the addresses are to be renewed.
    Renew,
    /// The comparison with the kernel is due: addresses may be installed now.
    Compare,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vhid {
    /// As configured.
    pub settings: Carp,
    /// What it runs over.
    pub place: Place,
    state: State,
    patience: [Option<Time>; 2],
    advert_at: Option<Time>,
    renew_at: [Option<Time>; 2],
    install_at: Option<Time>,
    unusable_since: Option<Time>,
    last_advert: Time,
    counter: Counter,
    seen: Seen,
    /// Whether its adverts leave.
    pub sending: Sending,
    /// Nothing has happened to it yet.
    fresh: bool,
    /// It has left the configuration and stays until nothing of it is left in the kernel.
    pub retired: bool,
}

impl Vhid {
    /// A vhid about which nothing is known.
    pub fn new(settings: Carp, counter: Counter) -> Vhid {
        Vhid {
            settings,
            place: Place::default(),
            state: State::Init,
            patience: [None; 2],
            advert_at: None,
            renew_at: [None; 2],
            install_at: None,
            unusable_since: None,
            last_advert: Time::default(),
            counter,
            seen: Seen::default(),
            sending: Sending::default(),
            fresh: true,
            retired: false,
        }
    }

    /// Its name.
    pub fn id(&self) -> CarpId {
        self.settings.id()
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The families of its addresses, IPv4 first.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        Family::BOTH.into_iter().filter(|f| self.settings.addresses.iter().any(|a| a.family() == *f))
    }

    /// It has the same number on the same interface, and with that the same device: one of the two is about to be forgotten.
    pub fn stands_beside(&self, other: &Vhid) -> bool {
        (self.settings.vhid, self.place.active) == (other.settings.vhid, other.place.active)
    }

    /// Whether its addresses belong into the kernel now.
    pub fn serves(&self) -> bool {
        self.state == State::Master && self.install_at.is_none()
    }

    /// Whether it has a unicast peer of a family instead of the group.
    pub fn peer(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Inet => self.settings.peer.map(IpAddr::V4),
            Family::Inet6 => self.settings.peer6.map(IpAddr::V6),
        }
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Time> {
        let hold = self.unusable_since.map(|t| t + HOLD);
        let others = [self.advert_at, self.install_at, hold];
        self.patience.into_iter().chain(self.renew_at).chain(others).flatten().min()
    }

    /// This host has not been awake: what the timers say is stale.
    pub fn overslept(&self, now: Time) -> bool {
        self.state == State::Master && now - self.last_advert >= timing::usurped(self.settings.advbase)
    }

    /// Something has happened.
    pub fn happen(
        &mut self,
        now: Time,
        what: Happening,
        demotion: i32,
        chance: &mut impl FnMut(u64) -> u64,
        out: &mut Vec<Effect>,
    ) {
        let Some((state, reason)) = machine::next(self.state, what, self.settings.preempt) else {
            return;
        };
        let before = std::mem::replace(&mut self.state, state);
        self.fresh = false;
        (self.patience, self.renew_at) = ([None; 2], [None; 2]);
        (self.advert_at, self.install_at, self.unusable_since) = (None, None, None);
        out.push(Effect::Became(before, state, reason));
        match state {
            State::Init => {}
            State::Backup => {
                let tie = what == Happening::Advert(Heard::Better);
                let more = if tie { Duration::from_nanos(chance(TIE_JITTER)) } else { Duration::ZERO };
                self.wait(now + more);
            }
            State::Master => {
                if what == Happening::Advert(Heard::Worse) {
                    self.install_at = Some(now + PREEMPT_PAUSE);
                }
                self.advertise(now, demotion, out);
            }
        }
    }

    /// Its times have been changed: they count from now on, for the master by an advert that tells of them.
    pub fn retimed(&mut self, now: Time, demotion: i32, out: &mut Vec<Effect>) {
        match self.state {
            State::Master => {
                self.advert_at = None;
                self.advertise(now, demotion, out);
            }
            State::Backup => self.wait(now),
            State::Init => {}
        }
    }

    /// Patience begins anew in both families.
    fn wait(&mut self, now: Time) {
        for family in Family::BOTH {
            let there = self.families().any(|f| f == family);
            self.patience[slot(family)] = there.then(|| now + self.own_patience());
        }
    }

    fn own_patience(&self) -> Duration {
        timing::patience(self.settings.advbase, self.settings.advskew)
    }

    /// Sends an advert in each family now and plans the next.
    pub fn advertise(&mut self, now: Time, demotion: i32, out: &mut Vec<Effect>) {
        let (base, skew) = (self.settings.advbase, timing::effective_skew(self.settings.advskew, demotion));
        self.emit(base, skew, out);
        self.sending.sent();
        self.last_advert = now;
        let period = timing::period(base, skew);
        // Counted from when it was due, so that all vhids of a host stay in step; what is late is not made up for, and
        // an advert out of turn begins a new period.
        let due = self.advert_at.filter(|t| *t <= now && *t + period > now).unwrap_or(now);
        self.advert_at = Some(due + period);
        self.renew_at = timing::renewals(base, skew).map(|after| Some(now + after));
        out.push(Effect::Renew);
    }

    /// Tells the others that this host resigns. After the addresses are gone.
    pub fn resign(&mut self, out: &mut Vec<Effect>) {
        self.emit(u8::MAX, u8::MAX, out);
    }

    fn emit(&mut self, advbase: u8, advskew: u8, out: &mut Vec<Effect>) {
        let Some(index) = self.place.active else { return };
        let families: Vec<Family> = self.families().collect();
        for family in families {
            let counter = self.counter.draw();
            let advert = Advert { vhid: self.settings.vhid, advbase, advskew, demote: 0, counter };
            let source = self.place.sources[slot(family)].unwrap_or(unspecified(family));
            let peer = self.peer(family);
            let mac = (self.settings.vmac && peer.is_none()).then(|| virtual_mac(self.settings.vhid));
            out.push(Effect::Send(SendAdvert { index, id: self.id(), source, mac, peer, advert }));
        }
    }

    /// What this place has become; debounced.
    pub fn moved(&mut self, now: Time, place: Place) {
        self.place = place;
        if self.place.usable {
            self.unusable_since = None;
        } else if self.state != State::Init {
            self.unusable_since.get_or_insert(now);
        }
    }

    /// An INIT vhid whose place is usable begins, or goes on where an earlier life stopped.
    pub fn begins(&self, held: bool) -> Option<Happening> {
        let begins = self.state == State::Init && self.place.usable && !self.retired;
        begins.then_some(if held && self.fresh { Happening::Resumed } else { Happening::Usable })
    }

    /// Whatever is due.
    pub fn tick(
        &mut self,
        now: Time,
        demotion: i32,
        chance: &mut impl FnMut(u64) -> u64,
        out: &mut Vec<Effect>,
    ) {
        let due = |t: Option<Time>| t.is_some_and(|t| t <= now);
        if due(self.unusable_since.map(|t| t + HOLD)) {
            self.happen(now, Happening::Unusable, demotion, chance, out);
        }
        if let Some(over) = self.patience.iter().flatten().copied().filter(|t| *t <= now).min() {
            if now - over >= timing::interval(self.settings.advbase, 0) {
                self.wait(now); // nobody was awake to hear the master
            } else {
                self.happen(now, Happening::Silence, demotion, chance, out);
            }
        }
        if due(self.install_at) {
            self.install_at = None;
            out.push(Effect::Compare);
        }
        if due(self.advert_at) {
            self.advertise(now, demotion, out);
        }
        let renewals = self.renew_at.iter_mut().filter(|t| due(**t)).map(|t| *t = None).count();
        // Who comes too late, having been stopped, would keep the addresses beyond the patience of the others.
        let in_time = now - self.last_advert <= timing::renewable(self.settings.advbase);
        if renewals > 0 && in_time {
            out.push(Effect::Renew);
        }
    }

    /// An authentic advert.
    #[allow(clippy::too_many_arguments, reason = "what was heard, when and where, and what follows")]
    pub fn heard(
        &mut self,
        now: Time,
        at: Time,
        arrival: Arrival,
        advert: &Advert,
        demotion: i32,
        chance: &mut impl FnMut(u64) -> u64,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        if !self.seen.admit(self.settings.replay, &self.counter, arrival)? {
            return Ok(());
        }
        self.counter.heard(advert.counter);
        let own =
            timing::interval(self.settings.advbase, timing::effective_skew(self.settings.advskew, demotion));
        let heard = timing::judge(own, self.own_patience(), advert.advbase, advert.advskew);
        // A slower master that was heard long ago may be dead, and its addresses not gone yet: no reason to preempt.
        let stale = heard == Heard::Worse && now - at > STALE;
        let heard = if stale && self.state == State::Backup { Heard::Better } else { heard };
        let before = self.state;
        self.happen(now, Happening::Advert(heard), demotion, chance, out);
        if before == State::Backup && self.state == State::Backup {
            // As of when it came in: it may have waited for a busy daemon.
            let patience = self.own_patience();
            let family = slot(Family::of(&arrival.from));
            self.patience[family] = self.patience[family].map(|t| t.max(at.min(now) + patience));
        }
        Ok(())
    }
}

/// Place of a family in pairs.
pub fn slot(family: Family) -> usize {
    match family {
        Family::Inet => 0,
        Family::Inet6 => 1,
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::from([0; 4]),
        Family::Inet6 => IpAddr::from([0; 16]),
    }
}

#[cfg(test)]
mod tests;
