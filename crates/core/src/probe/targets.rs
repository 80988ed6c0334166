//! Who is asked: the target list of an instance (mpathd-behaviour.md 2.2 to 2.5). All are routers or all
//! are hosts. Hosts are active or gone; routers may also be unused, slow or dead, and recover.

use super::rtt::Rtt;
use super::{MAX_TARGETS, MIN_TARGETS};
use mpath_model::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// After this a slow or dead router becomes eligible again.
pub const RECOVERY_TIME: Duration = Duration::from_secs(60);

/// Routers known to an instance, at most; hosts never exceed [`MAX_TARGETS`].
const MAX_ROUTERS: usize = 64;

/// Standing of a router; a host is always `Active`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Being probed.
    Active,
    /// In reserve.
    Unused,
    /// Its round-trip time alone was out of line, at that time.
    Slow(Time),
    /// It alone did not answer, at that time.
    Dead(Time),
}

/// A sample that is not believed before another one says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// Round-trip time.
    pub sample: Duration,
    /// When the last of the answers came that came together.
    pub at: Time,
}

/// Somebody who can be probed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Address.
    pub address: IpAddr,
    /// Standing.
    pub standing: Standing,
    /// Conservative round-trip time.
    pub rtt: Rtt,
    /// A suspicious sample held back (mpathd-behaviour.md 1.9).
    pub deferred: Option<Deferred>,
}

/// The target list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Targets {
    list: Vec<Target>,
    routers: bool,
    /// Whom the next probe asks.
    next: Option<IpAddr>,
}

impl Targets {
    /// The targets being probed.
    pub fn active(&self) -> impl Iterator<Item = &Target> {
        self.list.iter().filter(|t| t.standing == Standing::Active)
    }

    /// All of them, whatever their standing.
    pub fn all(&self) -> impl Iterator<Item = &Target> {
        self.list.iter()
    }

    /// Whether the targets are routers (or were named by the operator).
    pub fn are_routers(&self) -> bool {
        self.routers
    }

    /// No target at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The target with this address.
    pub fn get_mut(&mut self, address: &IpAddr) -> Option<&mut Target> {
        self.list.iter_mut().find(|t| t.address == *address)
    }

    fn active_count(&self) -> usize {
        self.active().count()
    }

    /// Makes the routers exactly `wanted` (2.5): returns the targets deleted. With an empty `wanted` an
    /// instance in host mode is left as it is.
    pub fn set_routers(&mut self, wanted: &[IpAddr]) -> Vec<IpAddr> {
        let mut gone = Vec::new();
        if !self.routers {
            if wanted.is_empty() {
                return gone;
            }
            gone.extend(self.list.drain(..).map(|t| t.address)); // a router among hosts: hosts go first
            self.next = None;
            self.routers = true;
        }
        for address in self.list.iter().map(|t| t.address).filter(|a| !wanted.contains(a)).collect::<Vec<_>>()
        {
            self.remove(&address);
            gone.push(address);
        }
        for address in wanted {
            if self.list.len() < MAX_ROUTERS && self.get_mut(address).is_none() {
                let full = self.active_count() >= MAX_TARGETS;
                self.insert(*address, if full { Standing::Unused } else { Standing::Active });
            }
        }
        self.routers = !self.list.is_empty();
        gone
    }

    /// A host answered (2.2): true if it is a target now and was not before.
    pub fn offer_host(&mut self, address: IpAddr) -> bool {
        if self.routers || self.list.len() >= MAX_TARGETS || self.get_mut(&address).is_some() {
            return false;
        }
        self.insert(address, Standing::Active);
        true
    }

    fn insert(&mut self, address: IpAddr, standing: Standing) {
        self.list.insert(0, Target { address, standing, rtt: Rtt::default(), deferred: None });
        if self.next.is_none() && standing == Standing::Active {
            self.next = Some(address);
        }
    }

    /// Deletes a target.
    pub fn remove(&mut self, address: &IpAddr) {
        if self.next == Some(*address) {
            self.next = self.after(address).filter(|n| n != address);
        }
        self.list.retain(|t| t.address != *address);
        self.routers &= !self.list.is_empty();
    }

    /// Deletes all hosts (group failure, 2.6): returns them.
    pub fn flush_hosts(&mut self) -> Vec<IpAddr> {
        if self.routers {
            return Vec::new();
        }
        self.next = None;
        self.list.drain(..).map(|t| t.address).collect()
    }

    /// Deletes everything: returns it.
    pub fn clear(&mut self) -> Vec<IpAddr> {
        self.routers = false;
        self.next = None;
        self.list.drain(..).map(|t| t.address).collect()
    }

    /// This target alone does not answer (2.4), or alone is slow (1.10): a router steps back, a host goes.
    /// Returns true if it was deleted.
    pub fn set_aside(&mut self, address: &IpAddr, standing: Standing) -> bool {
        if !self.routers {
            self.remove(address);
            return true;
        }
        if let Some(t) = self.get_mut(address) {
            t.standing = standing;
            t.rtt.reset();
        }
        if self.next == Some(*address) {
            self.next = self.after(address);
        }
        false
    }

    /// Forgets all round-trip times.
    pub fn reset_rtt(&mut self) {
        self.list.iter_mut().for_each(|t| t.rtt.reset());
    }

    /// Whom to ask now (2.3); refills where the last active router has gone.
    pub fn pick(&mut self, now: Time) -> Option<IpAddr> {
        let start = self.position(self.next)?;
        for step in 0..self.list.len() {
            let i = (start + step) % self.list.len();
            let room = self.active_count() < MAX_TARGETS;
            let t = &mut self.list[i];
            match t.standing {
                Standing::Active => return self.chose(i),
                Standing::Unused if room => {
                    t.standing = Standing::Active;
                    return self.chose(i);
                }
                Standing::Unused => {}
                Standing::Slow(since) if now - since > RECOVERY_TIME => t.standing = Standing::Unused,
                Standing::Dead(since) if now - since > RECOVERY_TIME => t.standing = Standing::Slow(now),
                Standing::Slow(_) | Standing::Dead(_) => {}
            }
        }
        self.refill(now)
    }

    fn chose(&mut self, i: usize) -> Option<IpAddr> {
        self.next = Some(self.list[i].address);
        self.next
    }

    fn position(&self, of: Option<IpAddr>) -> Option<usize> {
        if self.list.is_empty() {
            return None;
        }
        Some(of.and_then(|a| self.list.iter().position(|t| t.address == a)).unwrap_or(0))
    }

    /// A probe has gone to `address`: the next one asks the following target.
    pub fn moved_on(&mut self, address: &IpAddr) {
        self.next = self.after(address);
    }

    fn after(&self, address: &IpAddr) -> Option<IpAddr> {
        let at = self.position(Some(*address))?;
        Some(self.list[(at + 1) % self.list.len()].address)
    }

    /// No active router is left: the best of the others are taken until [`MIN_TARGETS`] are active.
    fn refill(&mut self, now: Time) -> Option<IpAddr> {
        let recovered = |since: Time| now - since > RECOVERY_TIME;
        let rank = |t: &Target| match t.standing {
            Standing::Active => 0,
            Standing::Unused => 1,
            Standing::Slow(at) if recovered(at) => 2,
            Standing::Slow(_) => 3,
            Standing::Dead(at) if recovered(at) => 4,
            Standing::Dead(_) => 5,
        };
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|i| rank(&self.list[*i]));
        for i in order.iter().take(MIN_TARGETS) {
            self.list[*i].standing = Standing::Active;
        }
        order.first().and_then(|i| self.chose(*i))
    }
}

#[cfg(test)]
mod tests;
