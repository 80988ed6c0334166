//! What must hold. Some invariants are checked after every step (here), some are duties that fall due a
//! bounded time after a fault (`duty`), some are checked when everything has been healed (`healthy`).

mod duty;
mod exact;
mod healthy;

pub use duty::Duty;

use crate::lan::{Nic, Path};
use crate::world::{Hostile, World};
use mpath_core::{Action, Input};
use mpath_model::kernel::{KernelEvent, KernelOp, ifa};
use mpath_model::status::{Interface, InterfaceState, Status};
use mpath_model::{IfAddr, Time};
use std::fmt;
use std::time::Duration;

/// The engine compares everything at least this often, so that refusals and losses are forgotten then.
const RECONCILED: Duration = Duration::from_secs(25);

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Seed of the world.
    pub seed: u64,
    /// Virtual time.
    pub at: Time,
    /// Name of the invariant.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.at.0 / 1_000_000_000, self.at.0 / 1_000_000 % 1000);
        write!(f, "seed {} at {s}.{ms:03} s: {}: {}", self.seed, self.invariant, self.what)
    }
}

/// A data address the daemon is responsible for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub(crate) addr: IfAddr,
    pub(crate) group: usize,
    pub(crate) home: Nic,
    /// In the configuration; else adopted.
    pub(crate) declared: bool,
    /// How it was found at home, for an adopted one.
    pub(crate) found: Option<mpath_model::Address>,
    /// The kernel had it somewhere after the last change, and had not found it at another host.
    pub(crate) present: bool,
    /// Adopted and deleted by hand: nobody's business any more.
    pub(crate) forgotten: bool,
}

impl World {
    /// The engine's own view; empty while it is dead.
    pub(crate) fn status(&self) -> Status {
        self.daemon.engine.as_ref().map(mpath_core::Engine::snapshot).unwrap_or_default()
    }

    /// A NIC in the engine's view.
    pub(crate) fn interface<'a>(&self, status: &'a Status, nic: Nic) -> Option<&'a Interface> {
        let name = &self.scenario.nics[nic].name;
        status.groups.iter().flat_map(|g| &g.interfaces).find(|i| i.name == *name)
    }

    /// The truth: the NIC works in both directions and loses nothing.
    pub(crate) fn perfect(&self, nic: Nic) -> bool {
        self.lan.connected(nic) && self.lan.ports[nic].path == Path::CLEAN
    }

    /// NICs that hold the address, usable.
    pub(crate) fn hosts(&self, addr: &IfAddr) -> Vec<Nic> {
        let on = self.kernel.addresses().iter().filter(|a| a.addr == *addr && !a.has(ifa::DADFAILED));
        on.filter_map(|a| self.nic_at(a.index)).collect()
    }

    /// Once a journal has been lost: of an adopted address that the kernel took away with its NIC it alone knew.
    pub(crate) fn unknowable(&self, t: &Tracked) -> bool {
        self.forgetful && !t.declared
    }

    /// The daemon is well and nothing is done to it.
    pub(crate) fn undisturbed(&self) -> bool {
        let d = &self.daemon;
        d.engine.is_some()
            && d.doomed.is_none()
            && !self.starving()
            && self.hostile == Hostile::default()
            && self.file == self.scenario.settings
            && self.mistreated.is_none_or(|at| self.now - at > RECONCILED)
    }

    /// The configuration file names the address.
    pub(crate) fn declares(&self, addr: &IfAddr) -> bool {
        self.file.groups.iter().any(|g| g.addresses.iter().any(|a| a.address == *addr))
    }

    /// Nothing is under way.
    pub(crate) fn idle(&self) -> bool {
        let d = &self.daemon;
        d.batches.is_empty() && d.dumps == 0 && !d.overflow && d.socket.is_empty() && d.backlog.is_empty()
    }

    /// Undisturbed for so long that the engine must have come to terms with everything before.
    pub(crate) fn calm(&self) -> bool {
        let pause = self.scenario.slowest() * 3 + Duration::from_secs(1);
        self.undisturbed()
            && self.now - self.disturbed >= pause
            && self.now.0 > 1_000_000_000 + mpath_model::time::nanos(pause)
    }

    /// After a batch of the engine: no data address may have lost its last copy by it.
    pub(crate) fn check_presence(&mut self, ops: &[KernelOp]) {
        let touches = |o: &KernelOp| matches!(o, KernelOp::AddAddress(_) | KernelOp::DelAddress { .. });
        if !ops.iter().any(touches) {
            return;
        }
        for t in 0..self.tracked.len() {
            let here = self.kernel.holds(&self.tracked[t].addr.address);
            let lost = self.tracked[t].present && !here && !self.tracked[t].forgotten;
            let lost = lost && (!self.tracked[t].declared || self.declares(&self.tracked[t].addr));
            // The copy that was to stay has gone with its NIC, and nobody has read that yet.
            let gone = self.tracked[t].addr.address;
            let untold = |e: &KernelEvent| matches!(e, KernelEvent::AddressGone(a) if a.addr.address == gone);
            let backlog = self.daemon.backlog.iter().filter_map(|input| match input {
                Input::Kernel(events) => Some(events),
                _ => None,
            });
            let lost = lost && !self.daemon.socket.iter().chain(backlog.flatten()).any(untold);
            self.tracked[t].present = self.serves(&self.tracked[t].addr);
            if lost {
                let what = format!("{} is nowhere after the daemon's own requests", self.tracked[t].addr);
                self.violate("address lost", what);
            }
        }
    }

    /// After a fault: what the outside took away the daemon has not lost. An adopted address deleted by
    /// hand is forgotten.
    pub(crate) fn note_presence(&mut self, by_hand: bool) {
        for n in 0..self.tracked.len() {
            let here = self.kernel.holds(&self.tracked[n].addr.address);
            let serves = self.serves(&self.tracked[n].addr);
            let t = &mut self.tracked[n];
            if t.present && !here && by_hand && !t.declared {
                t.forgotten = true;
            }
            t.present = serves;
        }
    }

    /// Some copy of it is in use, or will be. One that the kernel has found at another host is nobody's loss: the daemon
    /// takes it away and puts it on again, as nothing else makes the kernel ask anew.
    fn serves(&self, addr: &IfAddr) -> bool {
        self.kernel.addresses().iter().any(|a| a.addr.address == addr.address && !a.has(ifa::DADFAILED))
    }

    /// After every step that did something: when nothing is under way, no address is in two places.
    pub(crate) fn check_step(&mut self) {
        let settled =
            self.undisturbed() && self.idle() && self.now - self.disturbed > Duration::from_millis(2500);
        if !settled {
            return;
        }
        let twice = self.tracked.iter().filter(|t| !t.forgotten).find(|t| self.hosts(&t.addr).len() > 1);
        if let Some(addr) = twice.map(|t| t.addr) {
            self.violate("exactly one NIC", format!("{addr} is on several NICs and nothing is under way"));
        }
        self.check_offline();
    }

    /// What an operator may ask has an answer at every moment, the same as the status gives. Where the program looks for
    /// overflows: it is asked often, and worlds by the million have other things to do.
    pub(crate) fn check_questions(&mut self) {
        let (true, Some(engine)) = (cfg!(debug_assertions), &self.daemon.engine) else { return };
        let told: Vec<_> =
            engine.explain(self.now, None).into_iter().map(|e| (e.interface, e.state)).collect();
        let status = engine.snapshot();
        let mut all = status.groups.iter().flat_map(|g| &g.interfaces).chain(&status.ungrouped);
        let wrong = all.find(|i| !told.iter().any(|(name, state)| (name, state) == (&i.name, &i.state)));
        for (name, _) in &told {
            // Whether it can be foreseen or not is the answer.
            let _ = engine.plan_failure(self.now, name);
        }
        if let Some(nic) = wrong {
            self.violate("questions", format!("status and why differ about {}", nic.name));
        }
    }

    /// What an operator has taken out of service stays out of it, whoever dies in the meantime, unless nobody can know any more.
    fn check_offline(&mut self) {
        if self.offline.is_empty() || self.forgetful {
            return;
        }
        let status = self.status();
        let out = |n: &Nic| {
            let state = self.interface(&status, *n).map(|i| i.state);
            matches!(state, Some(InterfaceState::Offline | InterfaceState::Unknown))
        };
        if let Some(back) = self.offline.iter().find(|n| !out(n)) {
            let name = self.scenario.nics[*back].name.clone();
            self.violate("offline stays offline", format!("{name} is back, and nobody asked for it"));
        }
    }

    /// Actions in this second of virtual time; a flood is one that no work explains.
    pub(crate) fn count(&mut self, actions: &[Action]) {
        let second = self.now.0 / 1_000_000_000;
        if self.second.0 != second {
            self.second = (second, 0, 0);
        }
        for a in actions {
            match a {
                Action::Send(_) => self.second.1 += 1,
                Action::Prepare { .. } => {}
                Action::Kernel { ops, .. } => self.second.2 += u32::try_from(ops.len()).unwrap_or(u32::MAX),
                _ => self.second.2 += 1,
            }
        }
        let rate = 7.0 / self.scenario.fastest().as_secs_f64();
        let instances = 2.0 * self.scenario.nics.len() as f64;
        let doubts = self.scenario.nics.len() as f64 * (rate * 8.0).min(500.0);
        let sends = (instances * (rate * 4.0 + 10.0) + doubts) as u32 + 100;
        let others = 500 + 100 * u32::try_from(self.tracked.len() + self.scenario.nics.len()).unwrap_or(0);
        if self.second.1 > sends {
            self.violate("action flood", format!("more than {sends} packets in a second"));
        }
        if self.second.2 > others {
            self.violate("action flood", format!("more than {others} requests and messages in a second"));
        }
    }
}
