//! What the vhids run over: which interface, whether it is usable, how well it is.

use crate::action::Action;
use crate::carp::demotion::{Demotion, FAILED, Health};
use crate::carp::machine::State;
use crate::carp::plan;
use crate::carp::vhid::{Place, Sources};
use crate::engine::Engine;
use crate::group::Group;
use crate::inventory;
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::carp::Over;
use mpath_model::status::GroupState;
use mpath_model::{Address, IfIndex, Time};
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// Looks at every place anew. A vhid whose place has become usable begins; a master whose place has moved to another
    /// member tells from there at once.
    pub(super) fn carp_places(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut places: BTreeMap<Over, Place> = BTreeMap::new();
        for i in 0..self.carps.vhids.len() {
            let v = &self.carps.vhids[i];
            let over = v.settings.over.clone();
            let before = v.place.active;
            let place = match places.get(&over) {
                Some(place) => place.clone(),
                None => {
                    let place = self.carp_place(&over, before);
                    places.insert(over, place.clone());
                    place
                }
            };
            let moved = before.is_some() && place.active.is_some() && place.active != before;
            if before != place.active {
                self.carp_need_sysctls(place.active, out);
            }
            self.carps.vhids[i].moved(now, place);
            if self.carps.stopping {
                continue;
            }
            let v = &self.carps.vhids[i];
            let resigned = self.carps.vhids.iter().any(|o| o.retired && o.stands_beside(v));
            let held = v.state() == State::Init
                && !resigned
                && plan::still_held(v, &self.inventory, &plan::devices(&self.inventory));
            if let Some(what) = v.begins(held) {
                self.carp_happen(now, i, what, out);
            } else if moved {
                self.carp_advertise(now, i, out);
            }
        }
    }

    /// Sysctls make no events: those of an interface that has just appeared are read with a dump.
    fn carp_need_sysctls(&mut self, index: Option<IfIndex>, out: &mut Vec<Action>) {
        let name = index.and_then(|i| self.inventory.links.get(&i)).map(|l| l.name.clone());
        if name.is_some_and(|n| !self.inventory.knows_sysctls_of(&n)) && !self.scanning {
            self.resynchronise(out);
        }
    }

    fn carp_place(&self, over: &Over, before: Option<IfIndex>) -> Place {
        let mut place = match over {
            Over::Interface(name) => self.carp_on_interface(name),
            Over::Group(name) => {
                let named = |g: &&Group| !g.anonymous && !g.retiring && g.settings.name == *name;
                self.groups.iter().find(named).map(|g| self.carp_on_group(g, before)).unwrap_or_default()
            }
        };
        place.sources = place.active.map(|i| self.carp_sources(i)).unwrap_or_default();
        place
    }

    /// An interface by itself. One that is watched by probes too counts as failed when they say so.
    fn carp_on_interface(&self, name: &str) -> Place {
        let Some(link) = self.inventory.link_named(name) else { return Place::default() };
        let silent = |g: &Group| g.nic_named(name).is_some_and(|n| g.nics[n].failed && g.nics[n].link);
        let failed = self.groups.iter().filter(|g| !g.retiring).any(silent);
        Place {
            active: Some(link.index),
            listen: vec![link.index],
            usable: link.up && link.running,
            health: if failed { Health::Failed } else { Health::Ok },
            sources: Sources::default(),
        }
    }

    /// A group: adverts leave through the member that served before while that is in use, else through the first that is;
    /// they are heard on every member. If all have failed by their probes, whichever has its link up.
    fn carp_on_group(&self, group: &Group, before: Option<IfIndex>) -> Place {
        let running = |i: &IfIndex| self.inventory.links.get(i).is_some_and(|l| l.up && l.running);
        let all: Vec<(usize, IfIndex)> =
            group.nics.iter().enumerate().filter_map(|(n, nic)| nic.index.map(|i| (n, i))).collect();
        let linked = |(n, i): &(usize, IfIndex)| running(i) && !group.nics[*n].offline;
        let fit = |m: &(usize, IfIndex)| linked(m) && group.nics[m.0].usable();
        let busy = |m: &(usize, IfIndex)| fit(m) && !group.inactive(m.0);
        let choose = |good: &dyn Fn(&(usize, IfIndex)) -> bool| {
            let stays = all.iter().find(|m| Some(m.1) == before && good(m));
            stays.or_else(|| all.iter().find(|m| good(m))).map(|m| m.1)
        };
        let any = |_: &(usize, IfIndex)| true;
        let active =
            choose(&busy).or_else(|| choose(&fit)).or_else(|| choose(&linked)).or_else(|| choose(&any));
        Place {
            active,
            listen: all.iter().map(|(_, i)| *i).collect(),
            usable: all.iter().any(linked),
            health: match group.state() {
                GroupState::Ok => Health::Ok,
                GroupState::Degraded => Health::Degraded,
                GroupState::Failed => Health::Failed,
            },
            sources: Sources::default(),
        }
    }

    /// The address of each family that adverts come from: the first of the interface that is not a virtual one; for IPv6
    /// its link-local one.
    fn carp_sources(&self, index: IfIndex) -> Sources {
        let own = |a: &&Address| !self.carps.is_virtual(&a.addr) && inventory::usable(a);
        let four = |a: &&Address| a.addr.family() == Family::Inet && a.scope == 0;
        let six = |a: &&Address| a.addr.family() == Family::Inet6 && !is_link_local6(&a.addr.address);
        let first4 = self.inventory.on(index).filter(own).find(four).map(|a| a.addr.address);
        let first6 = self.inventory.on(index).filter(own).find(six).map(|a| a.addr.address);
        [first4, self.inventory.link_local(index).or(first6)]
    }

    /// How well this host is, over all its vhids.
    pub(super) fn carp_demotion(&self) -> Demotion {
        let vhids = || self.carps.vhids.iter().filter(|v| !v.retired);
        let down = vhids().filter(|v| v.state() == State::Init && !v.place.usable).count();
        let broken = vhids().filter(|v| v.sending.broken).count();
        let places: BTreeMap<&Over, Health> =
            vhids().filter(|v| v.place.usable).map(|v| (&v.settings.over, v.place.health)).collect();
        let times = |n: usize| i32::try_from(n).unwrap_or(i32::MAX).saturating_mul(FAILED);
        Demotion {
            down: times(down),
            health: places.values().map(|h| h.weight()).fold(0, i32::saturating_add),
            sending: times(broken),
            operator: self.carps.operator,
        }
    }

    /// Interfaces below a virtual MAC, which must not answer for its addresses with their own (lagg-carp.md C.8).
    pub(in crate::engine) fn carp_parents(&self) -> BTreeSet<String> {
        let below = self.carps.vhids.iter().filter(|v| v.settings.vmac && !v.retired);
        let below = below.filter_map(|v| v.place.active).filter_map(|i| self.inventory.links.get(&i));
        below.map(|l| l.name.clone()).collect()
    }
}
