//! The bridge back-end: ports are isolated from each other and learn nothing, and all but the active one are disabled.
//!
//! The kernel opens a port by itself when its carrier rises (lagg-carp.md C.4), until the engine has heard of it and
//! closes it again: isolation keeps two open ports from making a loop in that moment. The last resort where neither the
//! bonding driver nor nf_tables is there; nothing can be taken from a port that drains.

use super::{Backend, Target, errno};
use crate::netlink::create::PortState;
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

    /// The port is down while it joins, so that it is isolated before it can forward.
    fn attach(&mut self, socket: &mut Socket, lagg: IfIndex, port: IfIndex) -> Result<(), Errno> {
        let up = errno(ports::is_up(socket, port))?;
        errno(create::set_admin_state(socket, port, false))?;
        errno(create::set_master(socket, port, lagg))?;
        errno(create::set_port_isolated(socket, port, true))?;
        errno(ports::set_port_learning(socket, port, false))?;
        errno(create::set_admin_state(socket, port, up))
    }

    fn detach(&mut self, socket: &mut Socket, port: IfIndex) -> Result<(), Errno> {
        errno(create::set_master(socket, port, 0))
    }

    fn steer(&mut self, socket: &mut Socket, _: Target<'_>, steering: &Steering) -> Result<(), Errno> {
        if let Some(port) = steering.active {
            errno(create::set_port_state(socket, port, PortState::Forwarding))?;
        }
        for port in steering.draining.iter().chain(&steering.blocked) {
            match errno(create::set_port_state(socket, *port, PortState::Disabled)) {
                // Down, or without carrier: disabled by that.
                Ok(()) | Err(Errno::ENETDOWN) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
