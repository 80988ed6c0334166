//! The proof of a move. When the kernel shows what was planned, the new host has to show that it serves: somebody on the
//! link is asked from a moved address, through the new NIC, and has to answer to that address. Until then the address is
//! announced and the question asked again; if no answer comes, the next NIC gets its chance.
//!
//! ```text
//!   settled ──► asked ──answer──► proved
//!                │ ▲
//!                └─┘ TIMES_MS: announce and ask again
//!                │ all in vain
//!                └──► the NIC is distrusted for a while; what it holds goes to one that is not, if there is one
//! ```
//!
//! Asked are only hosts of which it is known that they answer. Where there is none, nothing is proved and nothing blamed.

use super::{Engine, GroupId};
use crate::action::Action;
use crate::diag;
use crate::group::{Move, NicId};
use mpath_model::addr::{Family, is_link_local6};
use mpath_model::kernel::{KernelOp, Transmit};
use mpath_model::{IfIndex, Mac, Time};
use mpath_wire::probe::{Kind, Payload};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// When it is asked, from the move on; the verdict falls at the last of these times.
const TIMES_MS: [u64; 7] = [0, 20, 80, 200, 400, 800, 1500];
/// A NIC whose proof failed is avoided for so long.
pub const DISTRUST: Duration = Duration::from_secs(60);
/// Addresses announced again at each question, at most.
const MAX_ANNOUNCED: usize = 64;
/// Sequence number of proofs: never that of a probe under way, which is told apart by its nonce anyway.
const SEQ: u16 = 0;

/// A proof under way: one family of one move.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Proof {
    index: IfIndex,
    address: IpAddr,
    target: IpAddr,
    nonce: u64,
    begun: Time,
    asked: usize,
}

impl Proof {
    fn due(&self) -> Time {
        self.begun + Duration::from_millis(TIMES_MS[self.asked.min(TIMES_MS.len() - 1)])
    }
}

impl Engine {
    /// A move is over as far as the kernel shows: the proof begins.
    pub(super) fn demand_proof(&mut self, now: Time, g: GroupId, m: Move) {
        for family in Family::BOTH {
            let group = &self.groups[g];
            let nic = &group.nics[m.to];
            let Some(index) = nic.index.filter(|_| nic.usable() && nic.link) else { continue };
            let address = group.hosted(m.to).map(|a| a.addr).find(|a| a.family() == family);
            let Some(target) = address.and_then(|a| self.witness_for(g, m.to, family, &a)) else { continue };
            let Some(address) = address.map(|a| a.address) else { continue };
            let nonce = self.rng.next_u64();
            self.proofs.retain(|p| p.index != index || Family::of(&p.address) != family);
            self.proofs.push(Proof { index, address, target, nonce, begun: now, asked: 0 });
        }
    }

    /// Somebody on the link of whom it is known that he answers: a target of the group with a round-trip time, the
    /// NIC's own first.
    fn witness_for(
        &self,
        g: GroupId,
        n: NicId,
        family: Family,
        from: &mpath_model::IfAddr,
    ) -> Option<IpAddr> {
        let group = &self.groups[g];
        let own = std::iter::once(&group.nics[n]);
        let others = group.nics.iter().enumerate().filter(|(o, _)| *o != n).map(|(_, nic)| nic);
        let on_link = |a: &IpAddr| from.contains(a) || is_link_local6(a);
        own.chain(others)
            .flat_map(|nic| nic.instances.iter().filter(|i| i.family == family))
            .flat_map(|i| i.targets.active())
            .find(|t| t.rtt.conservative().is_some() && on_link(&t.address))
            .map(|t| t.address)
    }

    /// When the next question or verdict is due.
    pub(super) fn proving_deadline(&self) -> Option<Time> {
        self.proofs.iter().map(Proof::due).min()
    }

    /// When the first NIC of a group is trusted again.
    pub(super) fn distrust_deadline(&self, g: GroupId) -> Option<Time> {
        self.groups[g].nics.iter().filter_map(|n| n.distrusted).min()
    }

    /// Trusts NICs again whose time is over.
    pub(super) fn end_distrust(&mut self, now: Time, groups: &[GroupId]) {
        for &g in groups {
            if self.distrust_deadline(g).is_none_or(|t| t > now) {
                continue;
            }
            for nic in self.groups[g].nics.iter_mut().filter(|n| n.distrusted.is_some_and(|t| t <= now)) {
                nic.distrusted = None;
            }
            self.dirty = true;
        }
    }

    /// Asks and judges whatever is due.
    pub(super) fn prove(&mut self, now: Time, out: &mut Vec<Action>) {
        self.drop_proofs();
        let (due, rest): (Vec<Proof>, Vec<Proof>) =
            std::mem::take(&mut self.proofs).into_iter().partition(|p| p.due() <= now);
        self.proofs = rest;
        for mut proof in due {
            proof.asked += 1;
            if proof.asked == TIMES_MS.len() {
                self.unproved(now, &proof, out);
            } else {
                self.ask_for_proof(now, &proof, out);
                self.proofs.push(proof);
            }
        }
    }

    /// Forgets proofs about NICs that no longer host what they are about.
    fn drop_proofs(&mut self) {
        let groups = &self.groups;
        self.proofs.retain(|p| {
            groups.iter().any(|g| {
                let hosts = |n: NicId| g.hosted(n).any(|a| a.addr.address == p.address);
                g.nic_at(p.index).is_some_and(|n| g.nics[n].usable() && g.nics[n].link && hosts(n))
            })
        });
    }

    fn ask_for_proof(&mut self, now: Time, p: &Proof, out: &mut Vec<Action>) {
        if p.asked > 1 {
            let router = self.is_router(p.index);
            let family = Family::of(&p.address);
            let hosted = self.groups.iter().filter_map(|g| Some((g, g.nic_at(p.index)?)));
            let hosted = hosted.flat_map(|(g, n)| g.hosted(n)).map(|a| a.addr.address);
            let again: Vec<KernelOp> = hosted
                .filter(|a| Family::of(a) == family)
                .take(MAX_ANNOUNCED)
                .map(|address| KernelOp::Announce { index: p.index, address, router })
                .collect();
            self.submit(now, again, out);
        }
        let payload = Payload { sent: now, kind: Kind::Multicast, nonce: p.nonce }.emit().to_vec();
        let (index, source, target, ident) = (p.index, p.address, p.target, self.ident);
        out.push(Action::Send(Transmit::Echo { index, source, target, ident, seq: SEQ, payload }));
        if let (IpAddr::V4(source), IpAddr::V4(target)) = (p.address, p.target)
            && let Some(mac) = self.inventory.links.get(&index).and_then(|l| l.mac)
        {
            let bytes = mpath_wire::arp::request_frame(mac, Mac::BROADCAST, source, target);
            out.push(Action::Send(Transmit::Frame { index, bytes }));
        }
        // Answered without a route to the address, too: a target need not know the network of what moved.
        if let (IpAddr::V6(source), IpAddr::V6(target)) = (p.address, p.target)
            && let Some(bytes) = self.solicitation(index, source, target)
        {
            out.push(Action::Send(Transmit::Frame { index, bytes }));
        }
    }

    /// An answer to a data address, by echo.
    pub(super) fn proved_by_echo(&mut self, index: IfIndex, to: IpAddr, nonce: u64) -> bool {
        let before = self.proofs.len();
        self.proofs.retain(|p| (p.index, p.address, p.nonce) != (index, to, nonce));
        self.proofs.len() != before
    }

    /// An answer of a target to a data address, by ARP or Neighbour Advertisement, which name no question.
    pub(super) fn proved_by_neighbour(&mut self, index: IfIndex, target: IpAddr, to: IpAddr) {
        self.proofs.retain(|p| (p.index, p.address, p.target) != (index, to, target));
    }

    /// No answer at all.
    fn unproved(&mut self, now: Time, p: &Proof, out: &mut Vec<Action>) {
        let Some((g, n)) = self.groups.iter().enumerate().find_map(|(g, x)| Some((g, x.nic_at(p.index)?)))
        else {
            return;
        };
        let trusted = |o: NicId| {
            let nic = &self.groups[g].nics[o];
            o != n && nic.usable() && nic.distrusted.is_none()
        };
        let another = (0..self.groups[g].nics.len()).any(trusted);
        self.tell(out, diag::unproved(self.about(g, n), &p.address, &p.target, another));
        if another {
            self.groups[g].nics[n].distrusted = Some(now + DISTRUST);
            self.dirty = true;
        }
    }

    /// Interfaces on which a proof is under way, with the family.
    pub(super) fn proving(&self) -> impl Iterator<Item = (IfIndex, Family)> + '_ {
        self.proofs.iter().map(|p| (p.index, Family::of(&p.address)))
    }
}
