use super::*;
use proptest::prelude::*;

/// lagg-carp.md A.2, word for word. Configuration order: the primary is the first.
fn freebsd(active: &[bool]) -> Option<usize> {
    if let Some(primary) = active.first() {
        if *primary {
            return Some(0);
        }
        if active.get(1) == Some(&true) {
            return Some(1);
        }
    }
    active.iter().position(|p| *p)
}

fn port() -> impl Strategy<Value = Port> {
    (0..4u8).prop_map(|n| Port { link: n > 0, usable: n > 1, settled: n > 2 })
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    proptest::collection::vec(port(), 0..6)
}

fn simple(links: &[bool]) -> Vec<Port> {
    links.iter().map(|l| Port { link: *l, usable: *l, settled: *l }).collect()
}

proptest! {
    /// Without verdicts and delays the choice is FreeBSD's, whatever was active before.
    #[test]
    fn defaults_are_freebsd(links in proptest::collection::vec(any::<bool>(), 0..33), before in 0..40usize) {
        let all = simple(&links);
        for current in [None, Some(before)] {
            prop_assert_eq!(choose(&all, current, true), freebsd(&links));
        }
    }

    /// A port is active exactly if some port has a link; it then has one, and is usable if any is.
    #[test]
    fn the_best_there_is(all in ports(), current in proptest::option::of(0..8usize), failback: bool) {
        let chosen = choose(&all, current, failback);
        prop_assert_eq!(chosen.is_some(), link_up(&all));
        if let Some(n) = chosen {
            prop_assert!(all[n].link);
            prop_assert!(all[n].usable || all.iter().all(|p| !p.usable));
        }
    }

    /// Choosing again changes nothing: no port flaps by itself.
    #[test]
    fn the_choice_is_stable(all in ports(), current in proptest::option::of(0..8usize), failback: bool) {
        let chosen = choose(&all, current, failback);
        prop_assert_eq!(choose(&all, chosen, failback), chosen);
    }

    /// A usable port is left only for an earlier one that has settled, and only if failback is wanted.
    #[test]
    fn nothing_usable_is_left_lightly(all in ports(), current in 0..6usize, failback: bool) {
        let chosen = choose(&all, Some(current), failback);
        if all.get(current).is_some_and(|p| p.usable) && chosen != Some(current) {
            let to = chosen.expect("a usable port is never given up for nothing");
            prop_assert!(failback && to < current && all[to].settled);
        }
    }

    /// Every port is named once; one port at most sends; nothing is taken from two ports unless one of them drains.
    #[test]
    fn every_port_has_one_part(
        indices in proptest::collection::btree_set(1..9u32, 0..6),
        active in proptest::option::of(1..9u32),
        draining in proptest::option::of(1..9u32),
    ) {
        let ports: Vec<u32> = indices.iter().copied().collect();
        let s = steering(&ports, active, draining);
        let mut named: Vec<u32> = s.active.iter().chain(&s.draining).chain(&s.blocked).copied().collect();
        named.sort_unstable();
        prop_assert_eq!(named, ports.clone());
        prop_assert_eq!(s.active, active.filter(|a| ports.contains(a)));
        prop_assert!(s.draining.is_empty() || (s.active.is_some() && s.active != draining));
        prop_assert!(s.draining.len() <= 1);
    }
}

#[test]
fn three_ports_as_an_administrator_expects() {
    let up = Port { link: true, usable: true, settled: true };
    let fresh = Port { settled: false, ..up };
    let silent = Port { usable: false, settled: false, ..up };
    let dead = Port::default();
    /// What it is called, the ports, which is active, failback, and which is to be active.
    type Case = (&'static str, [Port; 3], Option<usize>, bool, Option<usize>);
    let cases: [Case; 11] = [
        ("all is well", [up, up, up], Some(0), true, Some(0)),
        ("at start", [up, up, up], None, true, Some(0)),
        ("primary cut", [dead, up, up], Some(0), true, Some(1)),
        ("its successor cut too", [dead, dead, up], Some(1), true, Some(2)),
        ("primary back", [up, up, up], Some(2), true, Some(0)),
        ("primary back, failback off", [up, up, up], Some(2), false, Some(2)),
        ("primary back a moment ago", [fresh, up, up], Some(2), true, Some(1)),
        ("primary back a moment ago, nothing else", [fresh, dead, dead], Some(2), true, Some(0)),
        ("primary silent", [silent, up, up], Some(0), true, Some(1)),
        ("all silent: stay", [silent, silent, silent], Some(1), true, Some(1)),
        ("no link at all", [dead, dead, dead], Some(1), true, None),
    ];
    for (what, ports, current, failback, expected) in cases {
        assert_eq!(choose(&ports, current, failback), expected, "{what}");
    }
}
