//! Routes of the virtual kernel: adding with the three placings, deleting, lookups, and how they vanish.

use super::{Kernel, errno};
use mpath_model::addr::is_link_local6;
use mpath_model::kernel::{KernelEvent, Placing, Rule, Sysctl, ifa};
use mpath_model::{Family, IfIndex, Route};
use std::net::IpAddr;

impl Kernel {
    pub(super) fn add_route(&mut self, wanted: &Route, placing: Placing) -> i32 {
        let mut route = wanted.clone();
        let six = route.family() == Family::Inet6;
        if six && route.metric == 0 {
            route.metric = 1024;
        }
        if let Some(errno) = self.refusal(&route) {
            return errno;
        }
        let equal = self.routes.iter().position(|r| same_key(r, &route));
        let twin = self
            .routes
            .iter()
            .any(|r| if six { same_key(r, &route) && r.hops == route.hops } else { *r == route });
        match (placing, equal) {
            (Placing::Replace, Some(at)) => {
                self.routes[at] = route.clone();
                self.events.push(KernelEvent::RouteReplaced(route));
            }
            (Placing::Replace, None) => self.insert_route(route, true),
            _ if twin => return errno::EEXIST,
            // IPv6 has no place in front of an equal: the newcomer is always the last of its metric.
            (Placing::Before, _) => self.insert_route(route, six),
            (Placing::After, _) => self.insert_route(route, true),
        }
        0
    }

    /// Why a route cannot be added.
    fn refusal(&self, route: &Route) -> Option<i32> {
        if route.kind != 1 || route.hops.is_empty() {
            return Some(errno::EINVAL);
        }
        for hop in &route.hops {
            let Some(link) = self.links.get(&hop.index) else {
                return Some(errno::ENODEV);
            };
            if !link.up {
                return Some(errno::ENETDOWN);
            }
            if let Some(gateway) = hop.gateway
                && !hop.onlink
                && !is_link_local6(&gateway)
                && !self.on_link(hop.index, &gateway)
            {
                return Some(match Family::of(&gateway) {
                    Family::Inet => errno::ENETUNREACH,
                    Family::Inet6 => errno::EHOSTUNREACH,
                });
            }
        }
        if let Some(source) = route.prefsrc {
            let usable = |a: &mpath_model::Address| {
                a.addr.address == source && (source.is_ipv4() || !a.has(ifa::TENTATIVE))
            };
            if !self.addresses.iter().any(usable) {
                return Some(errno::EINVAL);
            }
        }
        None
    }

    /// Whether an on-link route of this interface covers the address.
    fn on_link(&self, index: IfIndex, address: &IpAddr) -> bool {
        self.routes.iter().any(|r| {
            r.dst.contains(address) && r.hops.iter().any(|h| h.index == index && h.gateway.is_none())
        })
    }

    pub(super) fn del_route(&mut self, route: &Route) -> i32 {
        match self.routes.iter().position(|r| r == route) {
            None => errno::ESRCH,
            Some(at) => {
                let gone = self.routes.remove(at);
                self.events.push(KernelEvent::RouteGone(gone));
                0
            }
        }
    }

    /// Puts a route in: behind its equals, or in front of them.
    pub(super) fn insert_route(&mut self, route: Route, behind: bool) {
        self.events.push(KernelEvent::Route(route.clone()));
        let at = if behind { None } else { self.routes.iter().position(|r| same_key(r, &route)) };
        match at {
            Some(at) => self.routes.insert(at, route),
            None => self.routes.push(route),
        }
    }

    pub(super) fn add_rule(&mut self, rule: &Rule) -> i32 {
        if self.rules.contains(rule) {
            return errno::EEXIST;
        }
        self.rules.push(*rule);
        self.events.push(KernelEvent::Rule(*rule));
        0
    }

    pub(super) fn del_rule(&mut self, rule: &Rule) -> i32 {
        let Some(at) = self.rules.iter().position(|r| r == rule) else {
            return errno::ENOENT;
        };
        self.events.push(KernelEvent::RuleGone(self.rules.remove(at)));
        0
    }

    /// Removes routes, with events or, as the kernel does on many occasions, without.
    pub(super) fn drop_routes(&mut self, which: impl Fn(&Route) -> bool, silent: bool) {
        if !silent {
            for r in self.routes.iter().filter(|r| which(r)) {
                self.events.push(KernelEvent::RouteGone(r.clone()));
            }
        }
        self.routes.retain(|r| !which(r));
    }

    /// Admin down: all routes of the interface vanish.
    pub(super) fn routes_down(&mut self, index: IfIndex) {
        self.drop_routes(|r| r.family() == Family::Inet && r.uses(index), true);
        self.drop_routes(|r| r.uses(index), self.silent6);
    }

    /// An address is gone from the host: IPv4 routes that name it as source vanish silently, IPv6 ones
    /// lose the source.
    pub(super) fn prefsrc_gone(&mut self, address: &IpAddr) {
        if address.is_ipv4() {
            self.drop_routes(|r| r.prefsrc == Some(*address), true);
        } else {
            for r in self.routes.iter_mut().filter(|r| r.prefsrc == Some(*address)) {
                r.prefsrc = None;
            }
        }
    }

    /// The interface a packet to `to` leaves through: longest prefix, lowest metric, first of equals.
    pub fn lookup(&self, to: &IpAddr) -> Option<IfIndex> {
        self.lookup_in(254, to, None)
    }

    /// The same for a packet from an address of this host: rules first, then table main.
    pub fn lookup_from(&self, from: &IpAddr, to: &IpAddr) -> Option<IfIndex> {
        let mut rules: Vec<&Rule> = self.rules.iter().filter(|r| r.family == Family::of(to)).collect();
        rules.sort_by_key(|r| r.priority);
        let applies = |r: &&Rule| {
            r.from.is_none_or(|net| net.contains(from)) && r.to.is_none_or(|net| net.contains(to))
        };
        let by_rule = rules.into_iter().filter(applies).find_map(|r| self.lookup_in(r.table, to, r.suppress));
        by_rule.or_else(|| self.lookup(to))
    }

    fn lookup_in(&self, table: u32, to: &IpAddr, suppress: Option<u32>) -> Option<IfIndex> {
        let key = match Family::of(to) {
            Family::Inet => Sysctl::IgnoreRoutesWithLinkdown4,
            Family::Inet6 => Sysctl::IgnoreRoutesWithLinkdown6,
        };
        let mut best: Option<(&Route, IfIndex)> = None;
        for r in self.routes.iter().filter(|r| r.table == table && r.dst.contains(to)) {
            let Some(hop) = r.hops.first() else { continue };
            let Some(link) = self.links.get(&hop.index) else {
                continue;
            };
            if !link.up || (!link.running && self.sysctl(&link.name, key) != 0) {
                continue;
            }
            let better = best.is_none_or(|(b, _)| {
                (r.dst.prefix_len, std::cmp::Reverse(r.metric))
                    > (b.dst.prefix_len, std::cmp::Reverse(b.metric))
            });
            if better {
                best = Some((r, hop.index));
            }
        }
        best.filter(|(r, _)| suppress.is_none_or(|n| u32::from(r.dst.prefix_len) > n)).map(|(_, index)| index)
    }
}

/// Equals, between which only the order decides.
fn same_key(a: &Route, b: &Route) -> bool {
    a.dst == b.dst && a.table == b.table && a.tos == b.tos && a.metric == b.metric
}
