//! Duties: what a fault in calm circumstances obliges the engine to, and until when.

use crate::faults::Fault;
use crate::lan::{Nic, Path};
use crate::world::World;
use mpath_model::settings::LinkPoll;
use mpath_model::status::{Interface, InterfaceState, ProbeState};
use mpath_model::{Family, IfAddr, Time};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Something owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Until when.
    pub due: Time,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A silent path has been noticed.
    Detected(Nic),
    /// Nothing is on the broken NIC any more, and these destinations are reached without it.
    Emptied(Nic, Vec<IpAddr>),
    /// The group is as it should be.
    Repaired(usize),
    /// The address deleted by hand is back.
    Restored(usize),
    /// Everybody on the link is dead: addresses stay where they are, for no NIC is better than another.
    Stayed(Vec<(usize, Vec<Nic>)>),
}

/// Reading events, applying a batch, reporting it.
const SLACK: Duration = Duration::from_millis(60);

impl World {
    /// How late the engine can learn of a carrier change.
    fn link_bound(&self) -> Duration {
        SLACK
            + match self.scenario.settings.daemon.link_poll {
                LinkPoll::Auto => Duration::from_millis(100),
                LinkPoll::Every(period) => period,
                LinkPoll::Off => Duration::from_secs(1),
            }
    }

    /// What a fault that is about to happen will oblige to.
    pub(crate) fn duties_of(&self, fault: Fault) -> Vec<Duty> {
        match fault {
            Fault::Carrier { nic, present: false }
            | Fault::Admin { nic, up: false }
            | Fault::Remove { nic } => {
                if !self.lan.ports[nic].running || self.partner(nic, false).is_none() {
                    return Vec::new();
                }
                let what = What::Emptied(nic, self.reached(nic));
                vec![Duty { due: self.now + self.link_bound(), what }]
            }
            Fault::Path { nic, path } if path.tx_blocked || path.rx_blocked => self.silent(nic),
            Fault::AllNodes { segment, alive: false } => self.deserted(segment),
            _ => Vec::new(),
        }
    }

    /// Owed where every NIC of the group has answers up to now: one that is not asked speaks for itself.
    fn deserted(&self, group: usize) -> Vec<Duty> {
        let status = self.status();
        let all = self.scenario.members(group).all(|n| {
            let view = self.interface(&status, n);
            self.perfect(n) && view.is_some_and(|i| i.state == InterfaceState::Ok && answered(i))
        });
        if !all || !self.lan.segments[group].iter().all(|n| n.alive) {
            return Vec::new();
        }
        let tracked = self.tracked.iter().enumerate().filter(|(_, t)| t.group == group && !t.forgotten);
        let stay = tracked.map(|(i, t)| (i, self.hosts(&t.addr))).collect();
        let fdt = Duration::from_millis(status.groups[group].failure_detection_time_ms);
        let seen = self.now + fdt + self.lan.delay + self.lan.jitter;
        vec![Duty { due: seen + SLACK, what: What::Stayed(stay) }]
    }

    fn silent(&self, nic: Nic) -> Vec<Duty> {
        let status = self.status();
        let group = self.scenario.nics[nic].group;
        let all_alive = self.lan.segments[group].iter().all(|n| n.alive);
        let probed = self.interface(&status, nic).is_some_and(answered);
        if !self.perfect(nic) || !all_alive || !probed || self.partner(nic, true).is_none() {
            return Vec::new();
        }
        let fdt = Duration::from_millis(status.groups[group].failure_detection_time_ms);
        let seen = self.now + fdt + self.lan.delay + self.lan.jitter;
        vec![
            Duty { due: seen, what: What::Detected(nic) },
            Duty { due: seen + SLACK, what: What::Emptied(nic, self.reached(nic)) },
        ]
    }

    /// What a fault that has just happened obliges to.
    pub(crate) fn duties_after(&self, fault: Fault) -> Vec<Duty> {
        let (group, extra) = match fault {
            Fault::DeleteDeclared { group, address } => return self.restored(group, address),
            Fault::Carrier { nic, present: true } => (self.scenario.nics[nic].group, self.link_bound()),
            Fault::Path { nic, path: Path::CLEAN } => (self.scenario.nics[nic].group, SLACK),
            // The link-local address is tentative for up to two seconds.
            Fault::Admin { nic, up: true } | Fault::Create { nic } => {
                (self.scenario.nics[nic].group, self.link_bound() + Duration::from_secs(3))
            }
            _ => return Vec::new(),
        };
        let status = self.status();
        let fine = self.scenario.members(group).all(|n| {
            let view = self.interface(&status, n);
            let judged =
                view.is_some_and(|i| i.probe != ProbeState::Disabled && i.state != InterfaceState::Offline);
            self.perfect(n) && judged
        });
        if !fine || !self.lan.segments[group].iter().all(|n| n.alive) {
            return Vec::new();
        }
        let fdt = Duration::from_millis(status.groups[group].failure_detection_time_ms);
        // A NIC without an address asks nobody for half a minute who has not answered five times.
        let settings = &self.scenario.settings.groups[group];
        let untested = settings.interfaces.iter().any(|i| i.test_addresses.is_empty());
        let manners = if untested { Duration::from_secs(30) + fdt } else { Duration::ZERO };
        vec![Duty { due: self.now + fdt * 2 + extra + manners, what: What::Repaired(group) }]
    }

    fn restored(&self, group: usize, address: usize) -> Vec<Duty> {
        let addr = self.scenario.settings.groups[group].addresses[address].address;
        let status = self.status();
        let fine = |n: Nic| self.interface(&status, n).is_some_and(|i| i.state == InterfaceState::Ok);
        let t = self.tracked.iter().position(|t| t.group == group && t.addr == addr);
        match t {
            Some(t)
                if self.left_alone(&addr).is_none()
                    && self.scenario.members(group).any(|n| fine(n) && self.perfect(n)) =>
            {
                vec![Duty { due: self.now + Duration::from_secs(1), what: What::Restored(t) }]
            }
            _ => Vec::new(),
        }
    }

    /// The NIC from which an address was deleted again and again: whoever takes it away a fourth time within a minute is not
    /// fought there, for another minute. Elsewhere it is put all the same.
    fn left_alone(&self, addr: &IfAddr) -> Option<Nic> {
        let recent = |nic: Nic| {
            let all = self.deletions.iter();
            all.filter(|d| d.0 == *addr && d.1 == nic && self.now - d.2 < Duration::from_secs(120)).count()
        };
        (0..self.index.len()).find(|nic| recent(*nic) > 3)
    }

    /// A working NIC of the group that could take over, and (with `witness`) is known to by its probes.
    fn partner(&self, nic: Nic, witness: bool) -> Option<Nic> {
        let status = self.status();
        let group = self.scenario.nics[nic].group;
        let fine = |n: Nic| {
            self.interface(&status, n).is_some_and(|i| {
                i.state == InterfaceState::Ok
                    && (answered(i) || (!witness && i.probe == ProbeState::Disabled))
            })
        };
        if !self.interface(&status, nic).is_some_and(|i| i.state == InterfaceState::Ok) {
            return None;
        }
        let alive = self.lan.segments[group].iter().all(|n| n.alive);
        self.scenario.members(group).find(|n| *n != nic && self.perfect(*n) && alive && fine(*n))
    }

    /// Destinations that are reached now and must be afterwards.
    fn reached(&self, nic: Nic) -> Vec<IpAddr> {
        let group = self.scenario.nics[nic].group;
        let mut to = vec![
            IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1)),
        ];
        let node = &self.lan.segments[group][0];
        let near = node.four.map(IpAddr::V4).into_iter().chain(node.six.get(1).copied().map(IpAddr::V6));
        to.extend(near.filter(|a| {
            // Only a data address with a network speaks for the way to its neighbours.
            self.tracked
                .iter()
                .any(|t| t.group == group && !t.forgotten && !t.addr.is_host() && t.addr.contains(a))
        }));
        to.retain(|a| {
            self.kernel
                .lookup(a)
                .and_then(|i| self.nic_at(i))
                .is_some_and(|n| self.scenario.nics[n].group == group)
        });
        to
    }

    pub(crate) fn check_duties(&mut self) {
        let now = self.now;
        let (due, rest): (Vec<Duty>, Vec<Duty>) = self.duties.drain(..).partition(|d| d.due <= now);
        self.duties = rest;
        if !self.undisturbed() {
            return;
        }
        for duty in due {
            self.stats.duties += 1;
            let found = match &duty.what {
                What::Detected(nic) => {
                    self.check_detected(*nic).map_err(|e| ("verdict within the detection time", e))
                }
                What::Emptied(nic, to) => self.check_emptied(*nic, to).map_err(|e| ("off the bad NIC", e)),
                What::Repaired(group) => self.healthy(*group, None).map_err(|e| ("repair in time", e)),
                What::Restored(t) => self.check_restored(*t).map_err(|e| ("declared address put back", e)),
                What::Stayed(stay) => self.check_stayed(stay).map_err(|e| ("nowhere better", e)),
            };
            if let Err((invariant, what)) = found {
                self.violate(invariant, what);
            }
        }
    }

    fn check_detected(&self, nic: Nic) -> Result<(), String> {
        match self.interface(&self.status(), nic) {
            Some(i) if i.state == InterfaceState::Failed => Ok(()),
            other => {
                Err(format!("{} is silent but {:?}", self.scenario.nics[nic].name, other.map(|i| i.state)))
            }
        }
    }

    fn check_emptied(&self, nic: Nic, to: &[IpAddr]) -> Result<(), String> {
        let name = &self.scenario.nics[nic].name;
        let status = self.status();
        let group = self.scenario.nics[nic].group;
        for t in self.tracked.iter().filter(|t| t.group == group && !t.forgotten) {
            let hosts = self.hosts(&t.addr);
            if hosts.contains(&nic) {
                return Err(format!("{} is still on the broken {name}", t.addr));
            }
            let fine = |n: &Nic| self.interface(&status, *n).is_some_and(|i| i.state == InterfaceState::Ok);
            let elsewhere = self.left_alone(&t.addr).is_some_and(|at| at != nic);
            if hosts.is_empty() && (self.unknowable(t) || elsewhere) {
                continue;
            }
            if !hosts.iter().any(fine) {
                return Err(format!("{} is on {hosts:?}, no working NIC, after {name} broke", t.addr));
            }
        }
        for a in to {
            let out = self.kernel.lookup(a).and_then(|i| self.nic_at(i));
            if out.is_none_or(|n| n == nic) {
                let family = Family::of(a).version();
                return Err(format!("the {family} way to {a} is {out:?} after {name} broke"));
            }
        }
        Ok(())
    }

    fn check_stayed(&self, stay: &[(usize, Vec<Nic>)]) -> Result<(), String> {
        for (t, was) in stay {
            let (addr, hosts) = (self.tracked[*t].addr, self.hosts(&self.tracked[*t].addr));
            if hosts != *was {
                return Err(format!(
                    "{addr} went from {was:?} to {hosts:?}, and everybody on the link is dead"
                ));
            }
        }
        Ok(())
    }

    fn check_restored(&self, t: usize) -> Result<(), String> {
        let addr = self.tracked[t].addr;
        if self.hosts(&addr).is_empty() {
            Err(format!("{addr} was deleted by hand and is not back"))
        } else {
            Ok(())
        }
    }
}

/// The NIC is probed and its probes are answered, in every family: one that finds its first target after a
/// fault has to start counting then.
fn answered(i: &Interface) -> bool {
    i.probe == ProbeState::Ok && i.instances.iter().all(|f| !f.targets.is_empty())
}
