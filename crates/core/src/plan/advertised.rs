//! Default routes that a router advertised (RTPROT_RA). They are never copied to another NIC. That of a NIC that cannot
//! serve is demoted: `ra_defrtr_metric` makes the next advertisement install it at a bad metric, and until then a copy
//! of ours at that metric stands in for the present one. After the repair the routers are asked for an advertisement,
//! which puts the kernel's own route back; the copy goes when it is there, or when its lifetime is over.

use super::link;
use crate::group::{Group, NicId};
use crate::inventory::Inventory;
use mpath_model::kernel::{KernelOp, Route, Sysctl};
use mpath_model::{IfIndex, PROTO_MPATHD};

/// RTPROT_RA.
const RTPROT_RA: u8 = 9;
/// Added to the metric of a demoted route.
pub const DEMOTION: u32 = 10_000;

fn advertised(r: &Route) -> bool {
    r.protocol == RTPROT_RA && r.is_default() && r.dst.address.is_ipv6() && r.hops.len() == 1
}

fn stands_in(r: &Route) -> bool {
    let ours = r.protocol == PROTO_MPATHD && r.is_default() && r.dst.address.is_ipv6();
    ours && r.table == 254 && r.metric >= DEMOTION && r.hops.len() == 1
}

/// Whether what a router advertised through this NIC has to step back.
pub fn is_demoted(group: &Group, nic: NicId) -> bool {
    let n = &group.nics[nic];
    (n.failed || n.offline) && !group.failed && !group.retiring && !group.anonymous
}

/// The copy that stands in for an advertised route.
fn copy(r: &Route) -> Route {
    Route { protocol: PROTO_MPATHD, metric: r.metric + DEMOTION, ..r.clone() }
}

/// Whether `r` is the advertised route for which the wanted one stands in.
pub fn is_original_of(r: &Route, wanted: &Route) -> bool {
    advertised(r)
        && r.metric < DEMOTION
        && stands_in(wanted)
        && (r.table, &r.hops) == (wanted.table, &wanted.hops)
}

/// The copies that should be there.
pub(super) fn demoted(group: &Group, inv: &Inventory) -> Vec<Route> {
    let mut wanted: Vec<Route> = Vec::new();
    for (id, nic) in group.nics.iter().enumerate() {
        let Some(index) = nic.index.filter(|i| inv.links.get(i).is_some_and(|l| l.up)) else { continue };
        let present = || inv.routes_through(index).filter(|r| advertised(r));
        let back = |c: &Route| present().any(|r| r.hops == c.hops);
        if is_demoted(group, id) {
            wanted.extend(present().filter(|r| r.metric < DEMOTION).map(copy));
        }
        let kept = inv.routes_through(index).filter(|c| stands_in(c) && !back(c)).cloned();
        wanted.extend(kept);
    }
    wanted
}

/// Asks the routers of repaired NICs for what was demoted.
pub fn solicitations(group: &Group, inv: &Inventory) -> Vec<KernelOp> {
    let waits = |index: IfIndex| inv.routes_through(index).any(stands_in);
    let usable = (0..group.nics.len()).filter(|n| group.nics[*n].usable());
    let up = usable.filter_map(|n| link(group, inv, n)).filter(|l| l.up && l.running).map(|l| l.index);
    up.filter(|i| waits(*i)).map(KernelOp::SolicitRouters).collect()
}

/// The metric that advertised default routes of a NIC should get, if it is known: as found, or demoted. `original` is
/// the metric as it was found.
pub fn metric(group: &Group, inv: &Inventory, nic: NicId, original: Option<i32>) -> Option<i32> {
    let index = group.nics[nic].index?;
    let key = (group.nics[nic].name().to_string(), Sysctl::RaDefrtrMetric);
    let now = *inv.sysctls.get(&key)?;
    if is_demoted(group, nic) {
        let concerned = original.is_some() || inv.routes_through(index).any(advertised);
        concerned.then(|| original.unwrap_or(now).saturating_add_unsigned(DEMOTION))
    } else {
        original
    }
}
