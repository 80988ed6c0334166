//! NIC failure or group failure (mpathd-behaviour.md 3.5 B, 3.8): a pure decision over the evidence of
//! all members.

use crate::nic::Nic;
use crate::probe::PROBE_FAILS;
use crate::probe::PROBE_REPAIRS;
use crate::probe::ring::Heard;
use mpath_model::Time;
use std::time::Duration;

/// What speaks against a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its link is down.
    Link,
    /// Its probes are lost, the first of the run at that time.
    Probes(Time),
    /// No frame passes between it and the other members, while no target answers.
    Port,
}

/// What to conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This NIC has failed; the others live.
    NicFailure,
    /// Everything has failed at once: indistinguishable from a dead neighbourhood, nothing moves.
    GroupFailure,
}

/// What a member can say about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// It exists and is not offline.
    pub in_service: bool,
    /// IFF_FAILED.
    pub failed: bool,
    /// Its link flag in the kernel right now, which may be ahead of what has been recorded.
    pub link: bool,
    /// It is being probed.
    pub probed: bool,
    /// Its newest answer.
    pub last_ack: Option<Time>,
}

/// Decides about the suspect, given all *other* members and whether the group has failed already.
pub fn decide(others: &[Witness], group_failed: bool, cause: Cause) -> Verdict {
    if !others.iter().any(|w| w.in_service) {
        return Verdict::NicFailure; // alone: nobody to compare with
    }
    let alive = |w: &&Witness| w.in_service && !w.failed && w.link;
    let vouched = match cause {
        Cause::Link | Cause::Port => others.iter().any(|w| alive(&w)),
        Cause::Probes(first) => {
            others.iter().filter(alive).any(|w| !w.probed || w.last_ack.is_some_and(|at| at > first))
        }
    };
    if vouched && !group_failed { Verdict::NicFailure } else { Verdict::GroupFailure }
}

/// Part A: whether all families of the NIC that can be judged have lost enough in a row, and since when.
///
/// Where losses are confirmed (`confirm` holds the detection time), an answer to anything ends the run, and there is no
/// verdict before enough has been asked in vain or the detection time ends.
pub fn suspect(nic: &mut Nic, now: Time, confirm: Option<Duration>) -> Option<Cause> {
    if !nic.link {
        return Some(Cause::Link);
    }
    if confirm.is_some_and(|fdt| !nic.confirm.ready(now, fdt)) {
        return None;
    }
    let over = confirm.is_some_and(|fdt| nic.confirm.over(now, fdt));
    let asked_in_vain = nic.confirm.enough(now);
    let heard = Heard { path: nic.confirm.life.filter(|_| confirm.is_some()), target: None };
    let mut first = None;
    let mut judged = false;
    for i in nic.instances.iter_mut().filter(|i| i.capable()) {
        let run = i.ring.loss_run(now, heard);
        if run.length == 0 && i.mute(now) {
            continue; // it must not ask, and has nothing to say
        }
        judged = true;
        // When the detection time ends, what was asked has to do: where manners forbid to ask more, and where the targets
        // have just been replaced, so that the run is of the new ones.
        let enough =
            run.length >= PROBE_FAILS || (run.length > 0 && over && (i.manners.bound() || asked_in_vain));
        if !enough || i.quiet(now) || i.vouched_since(run.first) {
            return None; // either family working keeps the NIC up
        }
        first = [first, run.first].into_iter().flatten().min();
    }
    if judged { first.map(Cause::Probes) } else { None }
}

/// Whether ten answers in a row, overall or of one target, in any family prove the path again.
pub fn proven_by_probes(nic: &mut Nic, now: Time) -> bool {
    nic.instances.iter_mut().filter(|i| i.capable()).any(|i| {
        let (all, of_target) = i.ring.ack_run(now);
        all >= PROBE_REPAIRS || of_target >= PROBE_REPAIRS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Time = Time(1000);

    fn witness(in_service: bool, failed: bool, link: bool, probed: bool, ack: Option<u64>) -> Witness {
        Witness { in_service, failed, link, probed, last_ack: ack.map(Time) }
    }

    #[test]
    fn every_combination_of_one_sibling() {
        for bits in 0..32u8 {
            let b = |n: u8| bits & (1 << n) != 0;
            let w = witness(b(0), b(1), b(2), b(3), b(4).then_some(1001));
            let alive = w.in_service && !w.failed && w.link;
            let nic = |vouched: bool| {
                if !w.in_service || vouched { Verdict::NicFailure } else { Verdict::GroupFailure }
            };
            assert_eq!(decide(&[w], false, Cause::Link), nic(alive), "{w:?}");
            let fresh = !w.probed || w.last_ack.is_some();
            assert_eq!(decide(&[w], false, Cause::Probes(T)), nic(alive && fresh), "{w:?}");
            let failed_group = if w.in_service { Verdict::GroupFailure } else { Verdict::NicFailure };
            assert_eq!(decide(&[w], true, Cause::Link), failed_group, "{w:?}");
        }
    }

    #[test]
    fn the_tie_is_decided_by_the_time_of_the_first_loss() {
        let sibling = |ack| [witness(true, false, true, true, Some(ack))];
        assert_eq!(decide(&sibling(1000), false, Cause::Probes(T)), Verdict::GroupFailure);
        assert_eq!(decide(&sibling(1001), false, Cause::Probes(T)), Verdict::NicFailure);
    }
}
