//! The routes of the picture, found by destination and by interface, however many there are. Those of routing daemons can
//! be a million and concern nobody here but as somebody's next hop: they are kept apart.

use mpath_model::addr::Family;
use mpath_model::kernel::{Hop, Route};
use mpath_model::{IfAddr, IfIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Protocols of routing daemons, whose routes are never touched (contract: 186 to 192, and babel 42, openr 99, zebra 11,
/// bird 12).
const ROUTING_DAEMONS: [u8; 11] = [186, 187, 188, 189, 190, 191, 192, 11, 12, 42, 99];

/// Identity of a route for the kernel: what RTM_DELROUTE needs to name it.
type Key = (IfAddr, u32, u8, u32, Vec<Hop>, u8, Option<IpAddr>);

fn key(r: &Route) -> Key {
    (r.dst, r.table, r.tos, r.metric, r.hops.clone(), r.protocol, r.prefsrc)
}

/// Whether a routing daemon has put this route there.
pub fn is_daemons(r: &Route) -> bool {
    ROUTING_DAEMONS.contains(&r.protocol)
}

/// All routes.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    ordinary: BTreeMap<Key, Route>,
    daemons: BTreeMap<Key, Route>,
    /// Ordinary ones by interface.
    through: BTreeMap<IfIndex, BTreeSet<Key>>,
    /// How many unicast routes lead over each next hop.
    gateways: BTreeMap<(IfIndex, IpAddr), usize>,
    /// How many routes prefer each source.
    sources: BTreeMap<IpAddr, usize>,
}

impl Routes {
    pub(super) fn insert(&mut self, route: Route) {
        let key = key(&route);
        self.remove_key(&key);
        for hop in gateways(&route) {
            *self.gateways.entry(hop).or_default() += 1;
        }
        if let Some(source) = route.prefsrc {
            *self.sources.entry(source).or_default() += 1;
        }
        if is_daemons(&route) {
            self.daemons.insert(key, route);
        } else {
            for hop in &route.hops {
                self.through.entry(hop.index).or_default().insert(key.clone());
            }
            self.ordinary.insert(key, route);
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, route: &Route) -> bool {
        self.remove_key(&key(route))
    }

    fn remove_key(&mut self, key: &Key) -> bool {
        let Some(gone) = self.ordinary.remove(key).or_else(|| self.daemons.remove(key)) else { return false };
        for hop in &gone.hops {
            if let Some(keys) = self.through.get_mut(&hop.index) {
                keys.remove(key);
            }
        }
        for hop in gateways(&gone) {
            release(&mut self.gateways, &hop);
        }
        if let Some(source) = gone.prefsrc {
            release(&mut self.sources, &source);
        }
        true
    }

    /// Drops the routes through an interface, of one family or of both.
    pub(super) fn drop_through(&mut self, index: IfIndex, family: Option<Family>) {
        self.drop(|r| r.uses(index) && family.is_none_or(|f| r.family() == f));
    }

    /// Drops the routes that prefer this source.
    pub(super) fn drop_from(&mut self, source: IpAddr) {
        if self.sources.contains_key(&source) {
            self.drop(|r| r.prefsrc == Some(source));
        }
    }

    fn drop(&mut self, gone: impl Fn(&Route) -> bool) {
        let all = self.ordinary.iter().chain(&self.daemons);
        let keys: Vec<Key> = all.filter(|(_, r)| gone(r)).map(|(k, _)| k.clone()).collect();
        for key in keys {
            self.remove_key(&key);
        }
    }

    /// All routes to a destination.
    pub(super) fn to(&self, dst: IfAddr) -> impl Iterator<Item = &Route> {
        let first = (dst, 0, 0, 0, Vec::new(), 0, None);
        let ordinary = self.ordinary.range(first.clone()..).map(|(_, r)| r).take_while(move |r| r.dst == dst);
        let daemons = self.daemons.range(first..).map(|(_, r)| r).take_while(move |r| r.dst == dst);
        ordinary.chain(daemons)
    }

    /// Routes to parts of a network.
    pub(super) fn within(&self, network: IfAddr) -> impl Iterator<Item = &Route> {
        let first = (network, 0, 0, 0, Vec::new(), 0, None);
        let inside = move |r: &&Route| network.contains(&r.dst.address);
        let ordinary = self.ordinary.range(first.clone()..).map(|(_, r)| r).take_while(inside);
        let daemons = self.daemons.range(first..).map(|(_, r)| r).take_while(inside);
        ordinary.chain(daemons).filter(move |r| r.dst.prefix_len > network.prefix_len)
    }

    /// Routes through an interface, those of routing daemons aside.
    pub(super) fn through(&self, index: IfIndex) -> impl Iterator<Item = &Route> {
        self.through.get(&index).into_iter().flatten().filter_map(|key| self.ordinary.get(key))
    }

    /// Next hops of unicast routes, each once.
    pub(super) fn gateways(&self) -> impl Iterator<Item = (IfIndex, IpAddr)> {
        self.gateways.keys().copied()
    }
}

fn gateways(r: &Route) -> impl Iterator<Item = (IfIndex, IpAddr)> {
    let unicast = r.kind == 1;
    r.hops.iter().filter(move |_| unicast).filter_map(|h| Some((h.index, h.gateway?)))
}

fn release<K: Ord>(counts: &mut BTreeMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(dst: &str, index: IfIndex, protocol: u8) -> Route {
        let hops = vec![Hop { index, gateway: Some("192.0.2.1".parse().unwrap()), onlink: false, weight: 1 }];
        Route { hops, ..Route::onlink(dst.parse().unwrap(), index, 0, protocol) }
    }

    #[test]
    fn parts_of_a_network_are_found() {
        let mut all = Routes::default();
        for (dst, protocol) in [
            ("198.51.100.0/24", 4),
            ("198.51.100.0/25", 4),
            ("198.51.100.77/32", 12),
            ("198.51.101.0/24", 4),
            ("198.51.0.0/16", 4),
        ] {
            all.insert(route(dst, 2, protocol));
        }
        let found = all.within("198.51.100.0/24".parse().unwrap()).map(|r| r.dst.to_string());
        assert_eq!(found.collect::<Vec<_>>(), ["198.51.100.0/25", "198.51.100.77/32"]);
    }

    #[test]
    fn found_by_destination_and_by_interface_until_removed() {
        let mut all = Routes::default();
        let ours = Route { prefsrc: Some("192.0.2.10".parse().unwrap()), ..route("198.51.100.0/24", 2, 4) };
        let zebras = route("198.51.100.0/24", 2, 11);
        all.insert(ours.clone());
        all.insert(ours.clone());
        all.insert(zebras.clone());
        let dst = ours.dst;
        assert_eq!(all.to(dst).collect::<Vec<_>>(), [&ours, &zebras]);
        assert_eq!(all.through(2).collect::<Vec<_>>(), [&ours]);
        assert_eq!(all.gateways().count(), 1);
        assert!(all.remove(&ours) && !all.remove(&ours));
        assert_eq!((all.to(dst).count(), all.through(2).count(), all.gateways().count()), (1, 0, 1));
        all.drop_through(2, Some(Family::Inet6));
        assert_eq!(all.to(dst).count(), 1);
        all.drop_through(2, None);
        assert_eq!((all.to(dst).count(), all.gateways().count()), (0, 0));
        all.insert(ours);
        all.drop_from("192.0.2.11".parse().unwrap());
        assert_eq!(all.to(dst).count(), 1);
        all.drop_from("192.0.2.10".parse().unwrap());
        assert_eq!((all.to(dst).count(), all.sources.len(), all.through(2).count()), (0, 0, 0));
    }
}
