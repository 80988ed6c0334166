//! The bonding back-end: the kernel's own active-backup bond, told which port is the active one (lagg-carp.md C.3).
//!
//! The kernel leaves the active port by itself only when its link dies, so that the host is not cut off while no daemon runs;
//! it never goes back by itself. Nothing can be taken from a port that drains: the driver would deliver broadcasts twice.

use super::{Backend, Target, errno};
use crate::netlink::{Socket, create, ports};
use mpath_model::kernel::Steering;
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;

/// It knows nothing that the kernel does not.
#[derive(Debug, Default)]
pub(super) struct Bond;

impl Backend for Bond {
    fn create(&mut self, socket: &mut Socket, name: &str, mac: Mac, mtu: u32) -> Result<(), Errno> {
        super::make(socket, (name, mac, mtu), ports::bond)
    }

    fn destroy(&mut self, socket: &mut Socket, name: &str) -> Result<(), Errno> {
        super::delete(socket, name)
    }

    /// The driver takes ports only while they are down, and sets them up.
    fn attach(&mut self, socket: &mut Socket, lagg: IfIndex, port: IfIndex) -> Result<(), Errno> {
        let up = errno(ports::is_up(socket, port))?;
        errno(create::set_admin_state(socket, port, false))?;
        let joined = errno(create::set_master(socket, port, lagg));
        errno(create::set_admin_state(socket, port, up))?;
        joined
    }

    /// The driver leaves a port down.
    fn detach(&mut self, socket: &mut Socket, port: IfIndex) -> Result<(), Errno> {
        let up = errno(ports::is_up(socket, port))?;
        errno(create::set_master(socket, port, 0))?;
        errno(create::set_admin_state(socket, port, up))
    }

    fn steer(&mut self, socket: &mut Socket, to: Target<'_>, steering: &Steering) -> Result<(), Errno> {
        match steering.active {
            Some(port) => errno(ports::activate(socket, to.index, port)),
            // No port has a link, and the kernel knows that by itself.
            None => Ok(()),
        }
    }
}
