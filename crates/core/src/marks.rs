//! Whose an address is, on kernels that cannot tell: before Linux 5.18 addresses carry no IFA_PROTO, and what mpathd has put on
//! an interface looks like anybody's. There its own notes stand in for the mark.

use mpath_model::kernel::Address;
use mpath_model::{IfAddr, IfIndex, PROTO_MPATHD};
use std::collections::BTreeSet;

/// The notes. They are only made while the kernel has not shown that it keeps marks.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    kept: bool,
    ours: BTreeSet<(IfIndex, IfAddr)>,
}

impl Marks {
    /// Notes that an earlier run has left.
    pub fn recall(&mut self, ours: &[(IfIndex, IfAddr)]) {
        if !self.kept {
            self.ours.extend(ours);
        }
    }

    /// The notes.
    pub fn all(&self) -> Vec<(IfIndex, IfAddr)> {
        self.ours.iter().copied().collect()
    }

    /// The kernel has shown that it keeps marks.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// This address is about to be put on its interface by us.
    pub fn putting(&mut self, a: &Address) {
        if a.protocol == PROTO_MPATHD && !self.kept {
            self.ours.insert((a.index, a.addr));
        } else {
            self.gone(a.index, &a.addr);
        }
    }

    /// It is not there any more, or is somebody else's.
    pub fn gone(&mut self, index: IfIndex, addr: &IfAddr) {
        self.ours.remove(&(index, *addr));
    }

    /// The interface is not there any more.
    pub fn link_gone(&mut self, index: IfIndex) {
        self.ours.retain(|(i, _)| *i != index);
    }

    /// The address as a kernel that keeps marks would show it.
    pub fn restored(&mut self, mut a: Address) -> Address {
        if a.protocol == PROTO_MPATHD {
            self.kept = true;
            self.ours.clear();
        } else if a.protocol == 0 && self.ours.contains(&(a.index, a.addr)) {
            a.protocol = PROTO_MPATHD;
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_in_for_marks_until_the_kernel_shows_one() {
        let plain = Address::plain(2, "192.0.2.10/24".parse().unwrap());
        let ours = Address { protocol: PROTO_MPATHD, ..plain.clone() };
        let mut m = Marks::default();
        assert_eq!(m.restored(plain.clone()), plain, "nobody has noted anything");
        m.putting(&ours);
        assert_eq!(m.restored(plain.clone()), ours);
        let foreign = Address { protocol: 3, ..plain.clone() };
        assert_eq!(m.restored(foreign.clone()), foreign);
        m.putting(&plain);
        assert_eq!(m.restored(plain.clone()), plain, "put back as found");
        m.putting(&ours);
        m.restored(ours.clone());
        assert_eq!((m.all(), m.restored(plain.clone())), (vec![], plain), "this kernel keeps marks");
    }
}
