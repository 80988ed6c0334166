//! Claims to addresses that may be somebody else's. Before an IPv4 address that is new to this host is put on a NIC, the
//! link is asked whether somebody has it (RFC 5227, section 2.1, in less time than it takes there: an address is to serve
//! soon). For IPv6 the kernel asks, and shows an address that is taken (RFC 4862, section 5.4). Either way it is left to
//! its owner, and asked for again from time to time.
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
use crate::inventory::usable;
use mpath_model::kernel::{KernelOp, Transmit, ifa};
use mpath_model::{IfIndex, Mac, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// When it is asked, from the wish on; nobody has it if nobody has answered by the last of these times.
const TIMES_MS: [u64; 4] = [0, 100, 200, 400];
/// Pause before an address that is taken is asked for again.
const AGAIN: Duration = Duration::from_secs(30);
/// What left the configuration so lately and comes back, as when a trial ends, is not new to this host.
const LATELY: Duration = Duration::from_secs(120);

/// A question under way, or its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    /// Interface that asks.
    index: IfIndex,
    begun: Time,
    asked: usize,
    /// Somebody has it.
    taken: bool,
    /// Who, for IPv4.
    owner: Option<Mac>,
    /// He has answered, and is not asked for a while.
    resting: bool,
}

impl Claim {
    fn new(index: IfIndex, now: Time) -> Claim {
        Claim { index, begun: now, asked: 0, taken: false, owner: None, resting: false }
    }

    fn rest(&mut self, now: Time, owner: Option<Mac>) {
        (self.begun, self.taken, self.owner, self.resting) = (now, true, owner, true);
    }

    /// When something is to be done about it: nothing while the kernel asks.
    fn due(&self, address: &IpAddr) -> Option<Time> {
        let pause = Duration::from_millis(TIMES_MS[self.asked.min(TIMES_MS.len() - 1)]);
        let pause = if self.resting { AGAIN } else { pause };
        (self.resting || address.is_ipv4()).then(|| self.begun + pause)
    }
}

/// Claims that are not settled, and addresses that have left the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(with = "crate::pairs")]
    open: BTreeMap<IpAddr, Claim>,
    #[serde(with = "crate::pairs")]
    gone: BTreeMap<IpAddr, Time>,
}

impl Claims {
    fn of(&self, op: &KernelOp) -> Option<&Claim> {
        match op {
            KernelOp::AddAddress(a) => self.open.get(&a.addr.address),
            KernelOp::DelAddress { addr, .. } if addr.address.is_ipv6() => self.open.get(&addr.address),
            _ => None,
        }
    }

    /// Whether a request has to wait for an answer; one that is given up waits for more than that.
    pub(super) fn hold(&self, op: &KernelOp) -> bool {
        self.of(op).is_some_and(|c| !c.taken)
    }

    /// Whether a request is given up for now. An IPv6 one asks anew when its rest is over.
    pub(super) fn given_up(&self, op: &KernelOp) -> bool {
        self.of(op).is_some_and(|c| c.owner.is_some() || c.resting)
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.open.iter().filter_map(|(address, c)| c.due(address)).min()
    }

    /// Interfaces that ask by ARP.
    pub(super) fn asking(&self) -> impl Iterator<Item = IfIndex> + '_ {
        self.open.iter().filter(|(address, _)| address.is_ipv4()).map(|(_, c)| c.index)
    }

    /// An address has been taken off for good.
    pub(super) fn gave_up(&mut self, now: Time, address: IpAddr) {
        self.gone.insert(address, now);
    }
}

impl Engine {
    /// Every IPv4 address that is new to this host is claimed, on the NIC that is to have it; where there is no link nobody
    /// can be asked, and nobody disturbed. An IPv6 address that the kernel shows to be taken is somebody else's, unless it
    /// was a copy of our own that the kernel met.
    pub(super) fn sync_claims(&mut self, now: Time) {
        let mut wanted = BTreeSet::new();
        let (claims, inventory) = (&mut self.claims, &self.inventory);
        claims.gone.retain(|_, since| now - *since < LATELY);
        for group in self.groups.iter_mut().filter(|g| !g.retiring && !g.anonymous) {
            for a in &mut group.addresses {
                let address = a.addr.address;
                let link = group.nics[a.host].index.and_then(|i| inventory.links.get(&i));
                let Some(link) = link.filter(|l| l.running && l.mac.is_some()) else { continue };
                if address.is_ipv4() {
                    let new = a.declared && !a.known && !claims.gone.contains_key(&address);
                    if !new || inventory.is_own(&address) {
                        continue;
                    }
                    let claim = claims.open.entry(address).or_insert_with(|| Claim::new(link.index, now));
                    if claim.index != link.index {
                        // Whoever had it may not be here.
                        let before = (claim.taken, claim.owner);
                        *claim = Claim::new(link.index, now);
                        (claim.taken, claim.owner) = before;
                    }
                    wanted.insert(address);
                    continue;
                }
                let there = inventory.addresses.get(&(link.index, a.addr));
                if there.is_some_and(|t| t.has(ifa::DADFAILED)) {
                    let copy = |o: &mpath_model::Address| o.addr.address == address && usable(o);
                    a.known = inventory.addresses.values().any(copy);
                    let open = (!a.known).then(|| claims.open.entry(address));
                    let claim = open.map(|c| c.or_insert_with(|| Claim::new(link.index, now)));
                    if let Some(claim) = claim.filter(|c| !c.resting && (!c.taken || c.begun < now)) {
                        claim.rest(now, None);
                    }
                }
                if claims.open.contains_key(&address) && !there.is_some_and(usable) {
                    wanted.insert(address);
                }
            }
        }
        claims.open.retain(|address, _| wanted.contains(address));
    }

    /// Asks, and takes what nobody has.
    pub(super) fn claim(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.claims.next().is_none_or(|t| t > now) {
            return;
        }
        let mut free = BTreeSet::new();
        for (address, claim) in &mut self.claims.open {
            if claim.due(address).is_none_or(|t| t > now) {
                continue;
            }
            if std::mem::take(&mut claim.resting) {
                (claim.begun, claim.asked) = (now, 0);
            }
            let IpAddr::V4(address) = *address else {
                self.dirty = true; // the kernel asks
                continue;
            };
            claim.asked += 1;
            if claim.asked == TIMES_MS.len() {
                free.insert(IpAddr::V4(address));
            } else if let Some(mac) = self.inventory.links.get(&claim.index).and_then(|l| l.mac) {
                let nobody = Ipv4Addr::UNSPECIFIED;
                let bytes = mpath_wire::arp::request_frame(mac, Mac::BROADCAST, nobody, address);
                out.push(Action::Send(Transmit::Frame { index: claim.index, bytes }));
            }
        }
        self.dirty |= !free.is_empty();
        self.claims.open.retain(|address, _| !free.contains(address));
        let all = self.groups.iter_mut().flat_map(|g| &mut g.addresses);
        all.filter(|a| free.contains(&a.addr.address)).for_each(|a| a.known = true);
    }

    /// Somebody has spoken in the name of an address, or asks for it for himself (sender 0.0.0.0).
    pub(super) fn contested(&mut self, now: Time, sender: Ipv4Addr, target: Ipv4Addr, mac: Mac) {
        let address = if sender.is_unspecified() { target } else { sender };
        let Some(claim) = self.claims.open.get_mut(&IpAddr::V4(address)) else { return };
        if self.inventory.is_own_mac(mac) {
            return; // our own question, heard on another NIC
        }
        self.dirty |= claim.owner != Some(mac);
        claim.rest(now, Some(mac));
    }

    /// Data addresses of a member that others have.
    pub(super) fn taken_from(&self, g: GroupId, n: NicId) -> Vec<(IpAddr, Option<Mac>)> {
        let group = &self.groups[g];
        let here = |address: &IpAddr| group.hosted(n).any(|a| a.addr.address == *address);
        let taken = self.claims.open.iter().filter(|(address, c)| c.taken && here(address));
        taken.map(|(address, c)| (*address, c.owner)).collect()
    }
}
