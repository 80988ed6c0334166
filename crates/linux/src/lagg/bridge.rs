//! The bridge back-end: ports are isolated from each other and learn nothing, and all but the active one are dormant.
//!
//! Without spanning tree the kernel opens each port whose carrier rises, also one that was closed
//! (lagg-carp.md C.4). An interface in dormant mode (RFC 2863) is not operational by its carrier alone: nobody opens it, whatever
//! becomes of its cable or of this daemon, and as a port of a bridge it is disabled. The active port is in the usual
//! mode, so that it comes back by itself. Opening comes before closing, or the bridge would have no carrier for a moment: both go
//! to the kernel with one system call, and isolation keeps the two ports from making a loop in between.
//!
//! The last resort where neither the bonding driver nor nf_tables is there; nothing can be taken from a port that drains.

use super::{Backend, Target, errno};
use crate::netlink::{Socket, create, ports};
use mpath_model::kernel::Steering;
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;

/// It knows nothing that the kernel does not.
#[derive(Debug, Default)]
pub(super) struct Bridge;

impl Backend for Bridge {
    fn create(&mut self, socket: &mut Socket, name: &str, mac: Mac, mtu: u32) -> Result<(), Errno> {
        super::make(socket, (name, mac, mtu), create::bridge)
    }

    fn destroy(&mut self, socket: &mut Socket, name: &str) -> Result<(), Errno> {
        super::delete(socket, name)
    }

    /// The port is dormant before it joins, so that it is isolated before it can forward.
    fn attach(&mut self, socket: &mut Socket, lagg: IfIndex, port: IfIndex) -> Result<(), Errno> {
        first_error(ports::open_and_close(socket, None, &[port]))?;
        errno(create::set_master(socket, port, lagg))?;
        errno(create::set_port_isolated(socket, port, true))?;
        errno(ports::set_port_learning(socket, port, false))
    }

    fn detach(&mut self, socket: &mut Socket, port: IfIndex) -> Result<(), Errno> {
        first_error(ports::free(socket, port))
    }

    fn steer(&mut self, socket: &mut Socket, _: Target<'_>, steering: &Steering) -> Result<(), Errno> {
        let shut: Vec<IfIndex> = steering.draining.iter().chain(&steering.blocked).copied().collect();
        let mut errors = ports::open_and_close(socket, steering.active, &shut);
        // One that has just vanished is closed enough.
        let closed = errors.iter_mut().skip(usize::from(steering.active.is_some()));
        closed.filter(|e| **e == Errno::ENODEV as i32).for_each(|e| *e = 0);
        first_error(errors)
    }
}

fn first_error(errors: Vec<i32>) -> Result<(), Errno> {
    errors.into_iter().find(|e| *e != 0).map_or(Ok(()), |e| Err(Errno::from_raw(e)))
}
