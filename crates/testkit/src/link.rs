//! Interfaces of a [`Host`]: making, changing and finding them. Each function is one rtnetlink request.

use crate::error::{Context, Error};
use crate::host::Host;
use mpath_linux::netlink::create::{self, End, PortState};
use mpath_linux::netlink::ports::{self as netlink_ports, BondWatch};
use mpath_model::{Family, IfAddr, IfIndex, Mac};
use std::net::IpAddr;

impl Host {
    /// Index of an interface.
    pub fn index_of(&self, name: &str) -> Result<IfIndex, Error> {
        self.run(|| nix::net::if_::if_nametoindex(name))
            .context(|| format!("find interface {name} on {}", self.name()))
    }

    /// Whether an interface of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.index_of(name).is_ok()
    }

    /// Makes a veth pair: `one` here, `other` on the host `peer`.
    pub fn veth(&self, mut one: End, peer: &Host, mut other: End) -> Result<(), Error> {
        one.namespace = Some(self.fd());
        other.namespace = Some(peer.fd());
        create::veth(&mut self.netlink(), &one, &other).context(|| {
            format!("make veth {} on {} - {} on {}", one.name, self.name(), other.name, peer.name())
        })
    }

    /// Makes a bridge that behaves like a plain switch, and sets it up.
    pub fn bridge(&self, name: &str) -> Result<IfIndex, Error> {
        let end = End { name: name.to_owned(), ..End::default() };
        create::bridge(&mut self.netlink(), &end)
            .context(|| format!("make bridge {name} on {}", self.name()))?;
        self.set_up(name)?;
        self.index_of(name)
    }

    /// Makes a macvlan in bridge mode on `parent`.
    pub fn macvlan(&self, name: &str, parent: &str, mac: Option<Mac>) -> Result<(), Error> {
        let parent = self.index_of(parent)?;
        let end = End { name: name.to_owned(), mac, ..End::default() };
        create::macvlan(&mut self.netlink(), &end, parent)
            .context(|| format!("make macvlan {name} on {}", self.name()))
    }

    /// Makes a VLAN `PARENT.ID` on `parent`, and sets it up.
    pub fn vlan(&self, parent: &str, id: u16) -> Result<String, Error> {
        let (name, index) = (format!("{parent}.{id}"), self.index_of(parent)?);
        let end = End { name: name.clone(), ..End::default() };
        create::vlan(&mut self.netlink(), &end, index, id)
            .context(|| format!("make VLAN {name} on {}", self.name()))?;
        self.set_up(&name)?;
        Ok(name)
    }

    /// Makes an active-backup bond of these NICs, and sets it up. Ports are down while they become ports.
    pub fn bond(&self, name: &str, ports: &[&str]) -> Result<(), Error> {
        let end = End { name: name.to_owned(), ..End::default() };
        let what = || format!("make bond {name} of {ports:?} on {}", self.name());
        netlink_ports::bond(&mut self.netlink(), &end).context(what)?;
        self.enslave(name, ports)
    }

    /// The same with a bond that looks after itself and prefers the first of these NICs.
    pub fn watchful_bond(&self, name: &str, ports: &[&str], watch: BondWatch) -> Result<(), Error> {
        let end = End { name: name.to_owned(), ..End::default() };
        let what = || format!("make bond {name} of {ports:?} on {}", self.name());
        netlink_ports::watchful_bond(&mut self.netlink(), &end, watch).context(what)?;
        self.enslave(name, ports)?;
        let (bond, first) = (self.index_of(name)?, self.index_of(ports[0])?);
        netlink_ports::prefer(&mut self.netlink(), bond, first).context(what)
    }

    /// Makes NICs ports of a bond, and sets it up.
    fn enslave(&self, name: &str, ports: &[&str]) -> Result<(), Error> {
        let what = || format!("make {ports:?} ports of {name} on {}", self.name());
        let bond = self.index_of(name)?;
        for port in ports {
            let port = self.index_of(port)?;
            self.set_admin(port, false)?;
            create::set_master(&mut self.netlink(), port, bond).context(what)?;
        }
        self.set_up(name)
    }

    /// Makes a team, which is of no use without teamd. For finding out whether the kernel has such a thing.
    pub fn team(&self, name: &str) -> Result<(), Error> {
        let end = End { name: name.to_owned(), ..End::default() };
        create::team(&mut self.netlink(), &end).context(|| format!("make team {name} on {}", self.name()))
    }

    /// Makes `port` a port of a bridge, and sets it up; gives its index.
    pub fn plug_port(&self, port: &str, bridge: IfIndex) -> Result<IfIndex, Error> {
        let index = self.index_of(port)?;
        create::set_master(&mut self.netlink(), index, bridge)
            .context(|| format!("make {port} a bridge port on {}", self.name()))?;
        self.set_admin(index, true)?;
        Ok(index)
    }

    /// Administratively up.
    pub fn set_up(&self, name: &str) -> Result<(), Error> {
        self.set_admin(self.index_of(name)?, true)
    }

    /// Administratively up or down, by index.
    pub fn set_admin(&self, index: IfIndex, up: bool) -> Result<(), Error> {
        create::set_admin_state(&mut self.netlink(), index, up).context(|| {
            let state = if up { "up" } else { "down" };
            format!("set interface {index} {state} on {}", self.name())
        })
    }

    /// Sets the MTU of an interface, bytes.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> Result<(), Error> {
        let what = || format!("set the MTU of {name} on {} to {mtu}", self.name());
        create::set_mtu(&mut self.netlink(), self.index_of(name)?, mtu).context(what)
    }

    /// Lets an interface lose so many of a thousand frames that leave by it.
    pub fn lossy(&self, name: &str, permille: u32) -> Result<(), Error> {
        let index = self.index_of(name)?;
        create::lossy(&mut self.netlink(), index, permille)
            .context(|| format!("let {name} on {} lose {permille} of a thousand frames", self.name()))
    }

    /// Sets the state of a bridge port.
    pub fn set_port_state(&self, port: IfIndex, state: PortState) -> Result<(), Error> {
        create::set_port_state(&mut self.netlink(), port, state)
            .context(|| format!("set bridge port {port} {state:?} on {}", self.name()))
    }

    /// Locks a bridge port: nothing comes in by it, frames still go out.
    pub fn set_port_locked(&self, port: IfIndex, locked: bool) -> Result<(), Error> {
        create::set_port_locked(&mut self.netlink(), port, locked)
            .context(|| format!("lock bridge port {port} on {}", self.name()))
    }

    /// Renames an interface.
    pub fn rename(&self, name: &str, new: &str) -> Result<(), Error> {
        let index = self.index_of(name)?;
        create::rename(&mut self.netlink(), index, new)
            .context(|| format!("rename {name} to {new} on {}", self.name()))
    }

    /// Moves an interface to another host.
    pub fn give(&self, name: &str, to: &Host) -> Result<(), Error> {
        let index = self.index_of(name)?;
        create::give(&mut self.netlink(), index, to.fd())
            .context(|| format!("move {name} from {} to {}", self.name(), to.name()))
    }

    /// Sets a link-layer address.
    pub fn set_mac(&self, name: &str, mac: Mac) -> Result<(), Error> {
        let index = self.index_of(name)?;
        create::set_mac(&mut self.netlink(), index, mac)
            .context(|| format!("set link-layer address {mac} of {name} on {}", self.name()))
    }

    /// Deletes an interface.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let index = self.index_of(name)?;
        create::delete(&mut self.netlink(), index).context(|| format!("delete {name} on {}", self.name()))
    }

    /// Adds an address, given like `192.0.2.1/24`.
    pub fn add_address(&self, name: &str, addr: &str) -> Result<(), Error> {
        let (index, addr) = (self.index_of(name)?, parse(addr)?);
        create::add_address(&mut self.netlink(), index, addr)
            .context(|| format!("add {addr} to {name} on {}", self.name()))
    }

    /// Deletes an address.
    pub fn del_address(&self, name: &str, addr: &str) -> Result<(), Error> {
        let (index, addr) = (self.index_of(name)?, parse(addr)?);
        create::del_address(&mut self.netlink(), index, addr)
            .context(|| format!("delete {addr} from {name} on {}", self.name()))
    }

    /// Adds a static route, given like `0.0.0.0/0`, `192.0.2.1`.
    pub fn add_route(&self, name: &str, dst: &str, gateway: &str) -> Result<(), Error> {
        let (index, dst, gateway) = (self.index_of(name)?, parse(dst)?, parse_ip(gateway)?);
        create::add_route(&mut self.netlink(), index, dst, gateway)
            .context(|| format!("add route {dst} via {gateway} dev {name} on {}", self.name()))
    }

    /// Adds many static routes, one after the other.
    pub fn add_routes(
        &self,
        name: &str,
        to: impl IntoIterator<Item = String>,
        gateway: &str,
    ) -> Result<(), Error> {
        let (index, gateway) = (self.index_of(name)?, parse_ip(gateway)?);
        let mut socket = self.netlink();
        for dst in to {
            create::add_route(&mut socket, index, parse(&dst)?, gateway)
                .context(|| format!("add route {dst} via {gateway} dev {name} on {}", self.name()))?;
        }
        Ok(())
    }

    /// Every policy rule of a family, as the kernel tells it.
    pub fn rules(&self, family: Family) -> Result<Vec<Vec<u8>>, Error> {
        create::rules(&mut self.netlink(), family).context(|| format!("list the rules of {}", self.name()))
    }
}

fn parse(addr: &str) -> Result<IfAddr, Error> {
    addr.parse::<IfAddr>().context(|| "read an address")
}

fn parse_ip(addr: &str) -> Result<IpAddr, Error> {
    addr.parse::<IpAddr>().context(|| format!("read the address {addr}"))
}
