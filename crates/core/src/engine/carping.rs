//! CARP inside the engine: what a vhid runs over and how well that is, its inputs, and its effects on the kernel. The
//! decisions are in `crate::carp`.

mod kernel;
mod place;

use super::Engine;
use crate::action::Action;
use crate::announce::Announcer;
use crate::carp::counter::{self, Counter};
use crate::carp::demotion::Demotion;
use crate::carp::intake::{self, Arrival, Fault};
use crate::carp::machine::{Happening, State};
use crate::carp::plan;
use crate::carp::vhid::{Effect, Vhid};
use crate::diag;
use mpath_model::carp::{CarpId, HeardAdvert};
use mpath_model::kernel::{KernelEvent, Listen, Transmit};
use mpath_model::status::{self, CarpCounters};
use mpath_model::{Address, Family, IfAddr, IfIndex, Time, settings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Senders of wrong digests that are told of, each once; of more nothing is said.
const MAX_TOLD: usize = 64;

/// The vhids of this host, and what they have in common.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Carps {
    vhids: Vec<Vhid>,
    /// Settings that are to be put in force with the next comparison.
    fresh: Option<Vec<settings::Carp>>,
    demotion: Demotion,
    operator: i32,
    counters: CarpCounters,
    announcer: Announcer,
    work: kernel::Work,
    /// Vhids whose lifetimes are to be renewed at the end of this input.
    renew: BTreeSet<usize>,
    /// A moment, and what the wall clock showed then: counters begin there.
    epoch: (Time, u64),
    told: BTreeSet<(CarpId, IpAddr)>,
    stopping: bool,
}

impl Carps {
    pub(super) fn configure(&mut self, settings: Vec<settings::Carp>) {
        self.fresh = Some(settings);
    }

    pub(super) fn set_epoch(&mut self, now: Time, unix: u64) {
        self.epoch = (now, unix);
    }

    /// The wall clock in 2^-32 seconds.
    fn clock(&self, now: Time) -> u64 {
        let (then, unix) = self.epoch;
        let passed = u128::from((now - then).as_nanos() as u64) * (1 << 32) / 1_000_000_000;
        unix.wrapping_add(passed as u64)
    }

    pub(super) fn operator(&self) -> i32 {
        self.operator
    }

    pub(super) fn restore(&mut self, operator: i32) {
        self.operator = operator;
    }

    /// Whether an address is a virtual one, which belongs to no group.
    pub(super) fn is_virtual(&self, addr: &IfAddr) -> bool {
        let known = self.vhids.iter().map(|v| &v.settings);
        known.chain(self.fresh.iter().flatten()).any(|s| s.addresses.contains(addr))
    }
}

impl Engine {
    /// Vhids that slept as masters give up first of all: another host may hold their addresses by now.
    pub(super) fn carp_wake(&mut self, now: Time, out: &mut Vec<Action>) {
        for i in 0..self.carps.vhids.len() {
            if self.carps.vhids[i].overslept(now) {
                self.carp_happen(now, i, Happening::Slept, out);
            }
        }
    }

    pub(super) fn carp_tick(&mut self, now: Time, out: &mut Vec<Action>) {
        let demotion = self.carps.demotion.total();
        for i in 0..self.carps.vhids.len() {
            let mut effects = Vec::new();
            let rng = &mut self.rng;
            self.carps.vhids[i].tick(now, demotion, &mut |n| rng.between(0, n), &mut effects);
            self.carp_effects(i, effects, out);
        }
        self.carp_renew(out);
        self.carp_work_due(now, out);
    }

    pub(super) fn carp_deadline(&self) -> Option<Time> {
        let vhids = self.carps.vhids.iter().filter_map(Vhid::deadline).min();
        [vhids, self.carps.announcer.next(), self.carps.work.deadline()].into_iter().flatten().min()
    }

    /// A packet of CARP's protocol number. The checks come in the order of lagg-carp.md B.7.
    pub(super) fn carp_heard(
        &mut self,
        now: Time,
        (index, at): (IfIndex, Time),
        heard: &HeardAdvert,
        out: &mut Vec<Action>,
    ) {
        self.carps.counters.received += 1;
        if let Err(fault) = self.carp_admit(now, (index, at), heard, out) {
            intake::count(&mut self.carps.counters, fault);
        }
        self.carp_renew(out);
    }

    fn carp_admit(
        &mut self,
        now: Time,
        (index, at): (IfIndex, Time),
        heard: &HeardAdvert,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let (version, advert, authentic) = intake::well_formed(heard)?;
        let family = Family::of(&heard.from);
        let i = self.carp_addressee(index, family, advert.vhid)?;
        let v = &self.carps.vhids[i];
        let trusted = intake::trusted(version, heard.hops, v.peer(family).is_some(), authentic);
        if trusted == Err(Fault::Digest) {
            self.carp_tell_of_digest(i, heard.from, out);
        }
        trusted?;
        let v = &self.carps.vhids[i];
        if v.state() == State::Init {
            return Ok(());
        }
        let own_source = !heard.from.is_unspecified() && self.inventory.is_own(&heard.from);
        let elsewhere = v.place.active != Some(index);
        let arrival = Arrival { index, at, from: heard.from, counter: advert.counter, own_source, elsewhere };
        let demotion = self.carps.demotion.total();
        let mut effects = Vec::new();
        let rng = &mut self.rng;
        let chance = &mut |n| rng.between(0, n);
        let result = self.carps.vhids[i].heard(now, at, arrival, &advert, demotion, chance, &mut effects);
        self.carp_effects(i, effects, out);
        result
    }

    fn carp_addressee(&self, index: IfIndex, family: Family, vhid: u8) -> Result<usize, Fault> {
        let here =
            |v: &Vhid| !v.retired && v.place.listen.contains(&index) && v.families().any(|f| f == family);
        let found = self.carps.vhids.iter().position(|v| v.settings.vhid == vhid && here(v));
        found.ok_or(if family == Family::Inet6 && !self.carps.vhids.iter().any(here) {
            Fault::Interface
        } else {
            Fault::Vhid
        })
    }

    fn carp_tell_of_digest(&mut self, i: usize, from: IpAddr, out: &mut Vec<Action>) {
        let id = self.carps.vhids[i].id();
        if self.carps.told.len() < MAX_TOLD && self.carps.told.insert((id.clone(), from)) {
            self.tell(out, diag::carp_bad_digest(&id, from));
        }
    }

    /// An advert could not be sent.
    pub(super) fn carp_send_failed(&mut self, id: &CarpId, errno: i32, out: &mut Vec<Action>) {
        self.carps.counters.senderr += 1;
        let Some(v) = self.carps.vhids.iter_mut().find(|v| v.id() == *id) else { return };
        let before = v.sending.broken;
        v.sending.failed();
        if v.sending.broken != before {
            self.dirty = true;
            self.tell(out, diag::carp_send_error(id, errno));
        }
    }

    /// `mpathctl demote N`.
    pub(super) fn carp_demote(&mut self, more: i32, _out: &mut Vec<Action>) {
        self.carps.operator = self.carps.operator.saturating_add(more);
        self.dirty = true;
    }

    /// Resigns: addresses go, then the others are told, so that one of them takes over at once.
    pub(super) fn carp_stop(&mut self, now: Time, out: &mut Vec<Action>) {
        self.carps.stopping = true;
        for i in 0..self.carps.vhids.len() {
            self.carp_resign(now, i, out);
        }
    }

    fn carp_resign(&mut self, now: Time, i: usize, out: &mut Vec<Action>) {
        let v = &self.carps.vhids[i];
        let master = v.state() == State::Master;
        let ops = plan::withdrawals(v, &self.inventory, &plan::devices(&self.inventory));
        self.carp_happen(now, i, Happening::Stopped, out);
        if master {
            let mut effects = Vec::new();
            self.carps.vhids[i].resign(&mut effects);
            self.carp_submit_more(now, ops, out);
            self.carp_effects(i, effects, out);
        }
    }

    /// What the kernel says of an address whose lifetime was renewed changes nothing in the picture.
    pub(super) fn only_renews(&self, event: &KernelEvent) -> bool {
        let KernelEvent::Address(a) = event else { return false };
        let Some(known) = self.inventory.addresses.get(&(a.index, a.addr)) else { return false };
        let timeless = Address { valid_lft: a.valid_lft, preferred_lft: a.preferred_lft, ..known.clone() };
        timeless == *a && plan::is_ours(a) && self.carps.is_virtual(&a.addr)
    }

    /// Everything about CARP that follows from the picture.
    pub(super) fn carp_settle(&mut self, now: Time, out: &mut Vec<Action>) {
        self.carp_put_in_force(now, out);
        self.carp_places(now, out);
        self.carp_update_demotion(now, out);
        self.carp_compare(now, out);
        self.carp_renew(out);
    }

    /// New settings: what is known of a vhid stays. A vhid whose addresses have changed begins anew, as on FreeBSD; one
    /// that is gone resigns.
    fn carp_put_in_force(&mut self, now: Time, out: &mut Vec<Action>) {
        let Some(fresh) = self.carps.fresh.take() else { return };
        self.carps.told.clear();
        for i in 0..self.carps.vhids.len() {
            let v = &self.carps.vhids[i];
            match fresh.iter().find(|s| s.id() == v.id()).cloned() {
                Some(settings) => self.carp_change(now, i, settings, out),
                None => {
                    self.carp_resign(now, i, out);
                    self.carps.vhids[i].retired = true;
                }
            }
        }
        for settings in fresh {
            if !self.carps.vhids.iter().any(|v| v.id() == settings.id()) {
                let step = self.rng.between(1, counter::LONGEST_STEP);
                let counter = Counter::new(self.carps.clock(now), step);
                self.carps.vhids.push(Vhid::new(settings, counter));
            }
        }
    }

    fn carp_change(&mut self, now: Time, i: usize, settings: settings::Carp, out: &mut Vec<Action>) {
        let v = &self.carps.vhids[i];
        if (v.settings.addresses != settings.addresses) || (v.settings.vmac != settings.vmac) {
            let ops = plan::withdrawals(v, &self.inventory, &plan::devices(&self.inventory));
            self.carp_happen(now, i, Happening::Changed, out);
            self.carp_submit_more(now, ops, out);
        }
        let v = &mut self.carps.vhids[i];
        let times = |s: &settings::Carp| (s.advbase, s.advskew);
        let retimed = times(&v.settings) != times(&settings);
        (v.settings, v.retired) = (settings, false);
        if retimed {
            let mut effects = Vec::new();
            v.retimed(now, self.carps.demotion.total(), &mut effects);
            self.carp_effects(i, effects, out);
        }
    }

    fn carp_update_demotion(&mut self, now: Time, out: &mut Vec<Action>) {
        let demotion = self.carp_demotion();
        let before = std::mem::replace(&mut self.carps.demotion, demotion);
        let (old, new) = (before.total(), demotion.total());
        if old == new {
            return;
        }
        self.tell(out, diag::carp_demoted(new.saturating_sub(old), new, demotion.reason(&before)));
        for i in 0..self.carps.vhids.len() {
            self.carp_advertise(now, i, out);
        }
    }

    /// A master tells of news at once.
    fn carp_advertise(&mut self, now: Time, i: usize, out: &mut Vec<Action>) {
        if self.carps.vhids[i].state() == State::Master {
            let mut effects = Vec::new();
            self.carps.vhids[i].advertise(now, self.carps.demotion.total(), &mut effects);
            self.carp_effects(i, effects, out);
        }
    }

    fn carp_happen(&mut self, now: Time, i: usize, what: Happening, out: &mut Vec<Action>) {
        let mut effects = Vec::new();
        let demotion = self.carps.demotion.total();
        let rng = &mut self.rng;
        self.carps.vhids[i].happen(now, what, demotion, &mut |n| rng.between(0, n), &mut effects);
        self.carp_effects(i, effects, out);
    }

    fn carp_effects(&mut self, i: usize, effects: Vec<Effect>, out: &mut Vec<Action>) {
        for effect in effects {
            match effect {
                Effect::Became(before, after, reason) => {
                    self.dirty = true;
                    let id = self.carps.vhids[i].id();
                    self.tell(out, diag::carp_state(&id, before, after, reason));
                }
                Effect::Send(mut advert) => {
                    self.carps.counters.sent += 1;
                    // Where there is no address to send it from, the kernel would take the virtual one, and a host that has it, too,
                    // would not listen: such an advert is made whole here, from 0.0.0.0.
                    let nameless = advert.source == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                    if advert.mac.is_none() && advert.peer.is_none() && nameless {
                        advert.mac = self.inventory.links.get(&advert.index).and_then(|l| l.mac);
                    }
                    out.push(Action::Send(Transmit::Advert(advert)));
                }
                Effect::Renew => {
                    self.carps.renew.insert(i);
                }
                Effect::Compare => self.dirty = true,
            }
        }
    }

    pub(super) fn carp_listen(&self, listen: &mut Listen) {
        for v in self.carps.vhids.iter().filter(|v| !v.retired) {
            for index in &v.place.listen {
                listen.carp.extend(v.families().map(|f| (*index, f, v.id())));
                if !listen.carrier.contains(index) {
                    listen.carrier.push(*index);
                }
            }
        }
    }

    pub(super) fn carp_snapshot(&self) -> (Vec<status::Carp>, CarpCounters) {
        let devices = plan::devices(&self.inventory);
        let one = |v: &Vhid| {
            let s = &v.settings;
            let at = v.place.active.filter(|_| s.vmac).and_then(|i| devices.get(&(s.vhid, i)));
            status::Carp {
                interface: s.over.interface().map(str::to_string),
                group: s.over.group().map(str::to_string),
                vhid: s.vhid,
                state: v.state().to_string(),
                advbase: s.advbase,
                advskew: s.advskew,
                demotion: self.carps.demotion.total(),
                preempt: s.preempt,
                device: at.map(|l| l.name.clone()),
                peer: v.peer(Family::Inet),
                peer6: v.peer(Family::Inet6),
                addresses: s.addresses.clone(),
            }
        };
        (self.carps.vhids.iter().filter(|v| !v.retired).map(one).collect(), self.carps.counters)
    }
}
