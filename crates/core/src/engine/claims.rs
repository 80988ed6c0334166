//! Claims to IPv4 addresses that are new to this host: before one is put on a NIC, the link is asked whether somebody has
//! it (RFC 5227, section 2.1, in less time than it takes there: an address is to serve soon). One that is taken is left
//! to its owner, and asked for again from time to time. For IPv6 the kernel does the same.
//!
//! ```text
//!   new ──► asked ──nobody answers──► ours, for ever
//!             │ ▲
//!     answer  ▼ │ after AGAIN
//!            taken
//! ```

use super::{Engine, GroupId};
use crate::action::Action;
use crate::group::NicId;
use mpath_model::kernel::{KernelOp, Transmit};
use mpath_model::{Family, IfIndex, Mac, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// When it is asked, from the wish on; nobody has it if nobody has answered by the last of these times.
const TIMES_MS: [u64; 4] = [0, 100, 200, 400];
/// Pause before an address that is taken is asked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// A question under way, or its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    /// Interface that asks.
    index: IfIndex,
    begun: Time,
    asked: usize,
    /// Who has it.
    taken: Option<Mac>,
    /// He has answered, and is not asked for a while.
    resting: bool,
}

impl Claim {
    fn due(&self) -> Time {
        let pause = Duration::from_millis(TIMES_MS[self.asked.min(TIMES_MS.len() - 1)]);
        self.begun + if self.resting { AGAIN } else { pause }
    }
}

/// Claims that are not settled.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Claims(#[serde(with = "crate::pairs")] BTreeMap<Ipv4Addr, Claim>);

impl Claims {
    fn of(&self, op: &KernelOp) -> Option<&Claim> {
        match op {
            KernelOp::AddAddress(a) => match a.addr.address {
                IpAddr::V4(address) => self.0.get(&address),
                IpAddr::V6(_) => None,
            },
            _ => None,
        }
    }

    /// Whether a request has to wait for an answer, or is given up for now.
    pub(super) fn hold(&self, op: &KernelOp) -> bool {
        self.of(op).is_some()
    }

    /// Whether a request is given up for now.
    pub(super) fn given_up(&self, op: &KernelOp) -> bool {
        self.of(op).is_some_and(|c| c.taken.is_some())
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.values().map(Claim::due).min()
    }

    /// Interfaces that ask.
    pub(super) fn asking(&self) -> impl Iterator<Item = IfIndex> + '_ {
        self.0.values().map(|c| c.index)
    }

    /// Addresses that others have, and who.
    pub(super) fn taken(&self) -> impl Iterator<Item = (Ipv4Addr, Mac)> + '_ {
        self.0.iter().filter_map(|(address, claim)| Some((*address, claim.taken?)))
    }
}

impl Engine {
    /// Every address that is new to this host is claimed, on the NIC that is to have it. Where there is no link nobody can be
    /// asked, and nobody disturbed.
    pub(super) fn sync_claims(&mut self, now: Time) {
        let mut wanted = BTreeSet::new();
        for group in self.groups.iter().filter(|g| !g.retiring && !g.anonymous) {
            for a in group.addresses.iter().filter(|a| a.declared && !a.known) {
                let IpAddr::V4(address) = a.addr.address else { continue };
                let link = group.nics[a.host].index.and_then(|i| self.inventory.links.get(&i));
                let Some(link) = link.filter(|l| l.running && l.mac.is_some()) else { continue };
                if self.inventory.is_own(&a.addr.address) {
                    continue;
                }
                wanted.insert(address);
                let claim = Claim { index: link.index, begun: now, asked: 0, taken: None, resting: false };
                let known = self.claims.0.entry(address).or_insert_with(|| claim.clone());
                if known.index != link.index {
                    *known = claim;
                }
            }
        }
        self.claims.0.retain(|address, _| wanted.contains(address));
    }

    /// Asks, and takes what nobody has.
    pub(super) fn claim(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.claims.next().is_none_or(|t| t > now) {
            return;
        }
        let mut free = Vec::new();
        for (address, claim) in self.claims.0.iter_mut().filter(|(_, c)| c.due() <= now) {
            if std::mem::take(&mut claim.resting) {
                (claim.begun, claim.asked) = (now, 0);
            }
            claim.asked += 1;
            if claim.asked == TIMES_MS.len() {
                free.push(*address);
            } else if let Some(mac) = self.inventory.links.get(&claim.index).and_then(|l| l.mac) {
                let nobody = Ipv4Addr::UNSPECIFIED;
                let bytes = mpath_wire::arp::request_frame(mac, Mac::BROADCAST, nobody, *address);
                out.push(Action::Send(Transmit::Frame { index: claim.index, bytes }));
            }
        }
        for address in free {
            self.claims.0.remove(&address);
            let all = self.groups.iter_mut().flat_map(|g| &mut g.addresses);
            all.filter(|a| a.addr.address == address).for_each(|a| a.known = true);
            self.dirty = true;
        }
    }

    /// Somebody has spoken in the name of an address, or asks for it for himself (sender 0.0.0.0).
    pub(super) fn contested(&mut self, now: Time, sender: Ipv4Addr, target: Ipv4Addr, mac: Mac) {
        let address = if sender.is_unspecified() { target } else { sender };
        let Some(claim) = self.claims.0.get_mut(&address) else { return };
        if self.inventory.links.values().any(|l| l.mac == Some(mac)) {
            return; // our own question, heard on another NIC
        }
        (claim.begun, claim.resting) = (now, true);
        self.dirty |= claim.taken.replace(mac) != Some(mac);
    }

    /// Data addresses of a member that others have.
    pub(super) fn taken_from(&self, g: GroupId, n: NicId) -> Vec<(IpAddr, Option<Mac>)> {
        let group = &self.groups[g];
        let here = |address: &IpAddr| group.hosted(n).any(|a| a.addr.address == *address);
        let four = self.claims.taken().map(|(a, mac)| (IpAddr::V4(a), Some(mac)));
        let mut all: Vec<_> = four.filter(|(a, _)| here(a)).collect();
        let failed = |a: &mpath_model::IfAddr| {
            let shown = group.nics[n].index.and_then(|i| self.inventory.addresses.get(&(i, *a)));
            shown.is_some_and(|s| s.has(mpath_model::kernel::ifa::DADFAILED))
        };
        let six = group.hosted(n).filter(|a| !a.known && a.addr.family() == Family::Inet6);
        all.extend(six.filter(|a| failed(&a.addr)).map(|a| (a.addr.address, None)));
        all
    }
}
