//! Which port of a lagg is the active one, from which ports frames are taken, and whether the lagg has a link
//! (lagg-carp.md A.1 to A.4). Pure functions of the ports in configuration order.
//!
//! Beyond FreeBSD, whose choice is a function of the links alone: a verdict of probes counts, a usable port may be kept
//! although an earlier one is back, and an earlier one may have to wait. With everything at its default and without
//! verdicts the choice is FreeBSD's. What is taken from a port is narrower: FreeBSD takes frames from the primary always,
//! which would deliver a broadcast twice while another port is active; here it is the active port alone, and after a
//! switch frames to the lagg's own address from the port that was active before.

use mpath_model::IfIndex;
use mpath_model::kernel::Steering;

/// What is known of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// It exists, is administratively up, and has carrier.
    pub link: bool,
    /// And nothing else speaks against it. Implies `link`.
    pub usable: bool,
    /// And that for long enough to take the traffic away from another usable port. Implies `usable`.
    pub settled: bool,
}

/// The active port. `current` is the one that was active so far.
///
/// Without any usable port, one with a link is better than none: what its probes say may be the network's fault.
pub fn choose(ports: &[Port], current: Option<usize>, failback: bool) -> Option<usize> {
    let first = |good: fn(&Port) -> bool| ports.iter().position(good);
    let is = |n: usize, good: fn(&Port) -> bool| ports.get(n).is_some_and(good);
    match current {
        Some(now) if is(now, |p| p.usable) => {
            let better = first(|p| p.settled).filter(|n| failback && *n < now);
            Some(better.unwrap_or(now))
        }
        _ => first(|p| p.usable).or(current.filter(|now| is(*now, |p| p.link))).or_else(|| first(|p| p.link)),
    }
}

/// Whether the lagg has a link: if any port has (A.4).
pub fn link_up(ports: &[Port]) -> bool {
    ports.iter().any(|p| p.link)
}

/// Where frames go, for ports with these indices (those that exist). `draining` is the port that was active before, while
/// frames from it are still taken.
pub fn steering(ports: &[IfIndex], active: Option<IfIndex>, draining: Option<IfIndex>) -> Steering {
    let active = active.filter(|a| ports.contains(a));
    let old = draining.filter(|d| ports.contains(d) && Some(*d) != active && active.is_some());
    let mut blocked: Vec<IfIndex> =
        ports.iter().copied().filter(|p| Some(*p) != active && Some(*p) != old).collect();
    blocked.sort_unstable();
    Steering { active, draining: old.into_iter().collect(), blocked }
}

#[cfg(test)]
mod tests;
