use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 1, 0]);

fn steering(active: Option<IfIndex>, draining: &[IfIndex], blocked: &[IfIndex]) -> Steering {
    Steering { active, draining: draining.to_vec(), blocked: blocked.to_vec() }
}

#[test]
fn what_is_written_is_read_back() {
    let all = [
        steering(Some(3), &[], &[4, 5]),
        steering(Some(4), &[3], &[5]),
        steering(None, &[], &[3, 4, 5]),
        steering(None, &[], &[]),
        steering(Some(3), &[], &[]),
    ];
    for egress in [true, false] {
        for s in &all {
            assert_eq!(read_back(&chains(9, MAC, s, egress)).as_ref(), Some(s));
        }
    }
}

#[test]
fn a_table_that_contradicts_itself_is_unknown() {
    let mut chains = chains(9, MAC, &steering(Some(3), &[], &[4]), true);
    chains.insert(Chain::Inner(9), vec![Rule { only: None, deed: Deed::Forward(4) }]);
    assert_eq!(read_back(&chains), None);
    chains.remove(&Chain::Inner(9));
    assert_eq!(read_back(&chains), None);
}

/// A switch between two ports changes rules only: nothing is hooked or unhooked.
#[test]
fn a_switch_keeps_the_chains() {
    let before = chains(9, MAC, &steering(Some(3), &[], &[4]), true);
    for after in [steering(Some(4), &[], &[3]), steering(Some(4), &[3], &[]), steering(None, &[], &[3, 4])] {
        let after = chains(9, MAC, &after, true);
        assert!(before.keys().eq(after.keys()));
        assert!(!changes("lagg0", &before, &after).is_empty());
        assert!(changes("lagg0", &after, &after).is_empty());
    }
}

/// Only the port whose frames reach the lagg may send with its address, and nothing at all passes the others.
#[test]
fn ports_that_are_not_active_are_shut() {
    let chains = chains(9, MAC, &steering(Some(3), &[4], &[5]), true);
    let guard = Rule { only: Some((Side::From, MAC)), deed: Deed::Drop };
    for port in [4, 5] {
        assert_eq!(chains[&Chain::Guard(port)], [guard]);
        let last = chains[&Chain::Port(port)].last().unwrap();
        assert_eq!(*last, Rule { only: None, deed: Deed::Drop });
    }
    assert_ne!(chains[&Chain::Guard(3)], [guard]);
}

#[test]
fn hidden_ends_have_names_that_fit() {
    assert_eq!(inner_name("lagg0"), "lagg0-p");
    assert_eq!(inner_name("fifteen-letters"), "fifteen-lette-p");
    assert!(inner_name("ääääääää").len() <= 15);
}

/// Asking would load nf_tables, on hosts that have no use for it.
#[test]
fn without_a_redirection_nobody_is_asked() {
    let mut redirect = Redirect::default();
    redirect.known.insert("lagg0".to_owned(), Chains::new());
    assert!(redirect.shown(&[]).is_empty());
    assert!(redirect.socket.is_none() && redirect.known.is_empty());
}
