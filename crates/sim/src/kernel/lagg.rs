//! Laggs as the bonding driver makes them: a port is open or shut, a lagg has a carrier while a port has one. The other
//! back-ends this kernel lacks.

use super::{Kernel, errno};
use mpath_model::kernel::{KernelEvent, LaggBackend, LaggOp};
use mpath_model::{IfIndex, Link};

impl Kernel {
    pub(super) fn lagg(&mut self, op: &LaggOp) -> i32 {
        if op.index().is_some_and(|i| !self.links.contains_key(&i)) {
            return errno::ENODEV;
        }
        match op {
            LaggOp::Create { backend, .. } if *backend != LaggBackend::Bond => return errno::EOPNOTSUPP,
            LaggOp::Create { name, .. } if self.index_of(name).is_some() => return errno::EEXIST,
            LaggOp::Create { name, mac, mtu, .. } => {
                let index = self.create_link(name, *mac);
                self.carrier.insert(index, false);
                self.alter(index, |l| (l.kind, l.mtu) = (Some("bond".to_string()), *mtu));
            }
            LaggOp::Destroy { name, .. } => {
                let Some(index) = self.index_of(name) else { return errno::ENODEV };
                for port in self.ports(index) {
                    self.alter(port, leave);
                }
                self.remove_link(index);
            }
            LaggOp::Attach { lagg, port, .. } => {
                let mac = self.links.get(lagg).and_then(|l| l.mac);
                self.alter(*port, |l| (l.master, l.passes, l.mac) = (Some(*lagg), Some(false), mac));
                // The driver keeps IPv6 off its ports.
                let six: Vec<_> = self.on(*port).map(|a| a.addr).filter(|a| a.address.is_ipv6()).collect();
                six.iter().for_each(|addr| self.drop_address(*port, addr));
                self.settle_lagg(*lagg);
            }
            LaggOp::Detach { port, .. } => {
                let lagg = self.links.get(port).and_then(|l| l.master);
                self.alter(*port, leave);
                lagg.into_iter().for_each(|lagg| self.settle_lagg(lagg));
            }
            LaggOp::Steer { lagg, steering, .. } => {
                let active = steering.active.and_then(|i| self.links.get(&i));
                if active.is_some_and(|l| !l.running || l.master != Some(*lagg)) {
                    return errno::EINVAL;
                }
                for port in self.ports(*lagg) {
                    let passes = Some(Some(port) == steering.active);
                    if self.links.get(&port).is_some_and(|l| l.passes != passes) {
                        self.alter(port, |l| l.passes = passes);
                    }
                }
            }
            LaggOp::SetMac { index, mac } => self.alter(*index, |l| l.mac = Some(*mac)),
            LaggOp::SetMtu { index, mtu } => self.alter(*index, |l| l.mtu = *mtu),
            LaggOp::SetPromisc { index, on } => self.alter(*index, |l| l.promisc = *on),
            LaggOp::SetUp { index, up } => {
                self.set_admin(*index, *up);
                let lagg = self.links.get(index).and_then(|l| l.master);
                lagg.into_iter().for_each(|lagg| self.settle_lagg(lagg));
            }
        }
        0
    }

    /// Ports of a lagg.
    pub fn ports(&self, lagg: IfIndex) -> Vec<IfIndex> {
        self.links.values().filter(|l| l.master == Some(lagg)).map(|l| l.index).collect()
    }

    /// A port's carrier has changed: the lagg's may follow. The driver shuts a port that has none.
    pub fn settle_lagg(&mut self, lagg: IfIndex) {
        for port in self.ports(lagg) {
            let link = &self.links[&port];
            if !link.running && link.passes == Some(true) {
                self.alter(port, |l| l.passes = Some(false));
            }
        }
        let carrier = self.ports(lagg).iter().any(|p| self.links[p].running);
        if self.carrier.get(&lagg) != Some(&carrier) {
            self.set_carrier(lagg, carrier);
            self.link_event(lagg);
        }
    }

    fn alter(&mut self, index: IfIndex, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(&index) {
            change(link);
            self.events.push(KernelEvent::Link(link.clone()));
        }
    }
}

fn leave(link: &mut Link) {
    (link.master, link.passes) = (None, None);
}
