//! Which NIC hosts each address and route (mpathd-behaviour.md 3.4, 3.9 to 3.15): a pure function of the
//! group's state, applied after every input, so that every move is retried until it has succeeded.

use crate::group::{Group, Move, MoveKind, NicId};
use mpath_model::IfAddr;
use mpath_model::addr::Family;

/// Reassigns whatever is on a NIC that cannot serve, or can go home. Returns whether anything changed.
/// `has_family` tells whether a NIC can hold addresses of a family at all, `left_alone` where somebody takes an address away
/// again and again, so that it stays with whoever serves it.
pub fn place(
    group: &mut Group,
    has_family: &dyn Fn(NicId, Family) -> bool,
    left_alone: &dyn Fn(NicId, &IfAddr) -> bool,
) -> bool {
    if group.retiring {
        return send_home(group);
    }
    if group.failed {
        return false;
    }
    let wanted = Destinations::of(group, has_family);
    let mut moves = Vec::new();
    let mut changed = false;
    for i in 0..group.addresses.len() {
        let a = &group.addresses[i];
        let welcome = a.home == a.host || !group.nics[a.host].usable() || !left_alone(a.home, &a.addr);
        let to = wanted.host(group, a.home, a.host, a.addr.family(), welcome);
        if to != a.host {
            note(&mut moves, group, a.host, to, a.home);
            let a = &mut group.addresses[i];
            (a.host, a.seen, a.missing) = (to, false, None);
            changed = true;
        }
    }
    for i in 0..group.routes.len() {
        let r = &group.routes[i];
        let to = wanted.host(group, r.home, r.host, r.route.family(), true);
        if to != r.host {
            note(&mut moves, group, r.host, to, r.home);
            let r = &mut group.routes[i];
            (r.host, r.seen, r.missing) = (to, false, None);
            changed = true;
        }
    }
    for m in moves {
        group.moves.retain(|old| old.to != m.from && *old != m);
        group.moves.push(m);
    }
    changed
}

fn note(moves: &mut Vec<Move>, group: &Group, from: NicId, to: NicId, home: NicId) {
    let kind = if to == home { MoveKind::Failback } else { MoveKind::Failover };
    let m = Move { kind, from, to };
    // A NIC that never existed had nothing to fail over from, but its stand-in is worth the same message.
    if !moves.contains(&m) && (kind == MoveKind::Failover || group.nics[to].usable()) {
        moves.push(m);
    }
}

fn send_home(group: &mut Group) -> bool {
    let away =
        group.addresses.iter().any(|a| a.host != a.home) || group.routes.iter().any(|r| r.host != r.home);
    for a in group.addresses.iter_mut().filter(|a| a.host != a.home) {
        (a.host, a.seen, a.missing) = (a.home, false, None);
    }
    for r in group.routes.iter_mut().filter(|r| r.host != r.home) {
        (r.host, r.seen, r.missing) = (r.home, false, None);
    }
    away
}

/// For each NIC and family: whether it can hold such addresses, and where they go if it must be emptied, all to one NIC.
struct Destinations(Vec<[(bool, Option<NicId>); 2]>);

impl Destinations {
    fn of(group: &Group, has_family: &dyn Fn(NicId, Family) -> bool) -> Destinations {
        Destinations(
            (0..group.nics.len())
                .map(|from| {
                    let to = |family| destination(group, from, family, has_family);
                    Family::BOTH.map(|family| (has_family(from, family), to(family)))
                })
                .collect(),
        )
    }

    /// Where an item that belongs to `home` and is on `host` should be. `welcome`: it may go home.
    fn host(&self, group: &Group, home: NicId, host: NicId, family: Family, welcome: bool) -> NicId {
        let (h, at) = (&group.nics[home], &group.nics[host]);
        let six = usize::from(family == Family::Inet6);
        let (fits, elsewhere) = self.0[host][six];
        // Frozen, only what an operator wants and what a dead link demands moves.
        if group.frozen && at.index.is_some() && at.link && !at.offline && !(h.bring_home && h.usable()) {
            return host;
        }
        if home != host
            && welcome
            && self.0[home][six].0
            && h.usable()
            && (!h.doubtful() || !at.usable())
            && !h.settings.standby
            && may_return(group, home, host)
        {
            return home;
        }
        let awaited = at.trailing && at.link && at.index.is_some() && !at.offline;
        if at.usable() && at.doubtful() {
            // Whoever loses a lot, or does not serve, carries nothing that somebody better can carry.
            let better = |to: &NicId| !group.nics[*to].doubtful() && group.nics[*to].proven();
            return elsewhere.filter(better).unwrap_or(host);
        }
        if home == host && at.settings.standby && at.usable() {
            // It would be sent back at once by whoever loses a lot.
            return elsewhere.filter(|to| !group.nics[*to].doubtful()).unwrap_or(host);
        }
        let misplaced = (!at.usable() && !awaited) || !fits || (home == host && at.settings.standby);
        if !misplaced {
            return host;
        }
        elsewhere.unwrap_or(host)
    }
}

/// Failback is allowed by the settings, or was asked for by `online`, or is the only way out of a NIC
/// that cannot serve.
fn may_return(group: &Group, home: NicId, host: NicId) -> bool {
    group.settings.failback || group.nics[home].bring_home || !group.nics[host].usable()
}

/// Destination for what is on `from` (3.10): an idle standby or a repaired NIC under FAILBACK=no first, else
/// the NIC with the fewest data addresses; ties in configuration order; NICs that lose a lot, that nothing
/// vouches for, or that are on another link last.
pub fn destination(
    group: &Group,
    from: NicId,
    family: Family,
    has_family: &dyn Fn(NicId, Family) -> bool,
) -> Option<NicId> {
    let emptying_standby = group.nics[from].usable() && group.nics[from].settings.standby;
    (0..group.nics.len())
        .filter(|n| *n != from && group.nics[*n].usable() && has_family(*n, family))
        .filter(|n| !(emptying_standby && group.nics[*n].settings.standby))
        .min_by_key(|n| {
            let spare = !emptying_standby && group.inactive(*n);
            let load = group.hosted(*n).count();
            (
                group.apart(from, *n),
                group.nics[*n].doubtful(),
                !group.nics[*n].proven(),
                !spare,
                if spare { 0 } else { load },
                *n,
            )
        })
}

#[cfg(test)]
mod tests;
