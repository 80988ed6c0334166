//! Two hosts that stand in for each other, and a third that talks to them. Each NIC has a switch of its own; a core
//! switch joins those.
//!
//! ```text
//!   a  eth0 ---- a0 [sw0] ---- [core] ---- eth0 client 10.77.0.9 fd77::9
//!      eth1 ---- a1 [sw1] ---- [    ]
//!   b  eth0 ---- b0 [sw0]
//!      eth1 ---- b1 [sw1]
//! ```

use crate::error::Error;
use crate::host::Host;
use mpath_linux::netlink::create::{End, PortState};
use mpath_model::{IfIndex, Mac};
use std::sync::Arc;
use std::time::Instant;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Host `a`, addresses 10.77.0.1 and 10.77.0.11.
    A,
    /// Host `b`, addresses 10.77.0.2 and 10.77.0.12.
    B,
}

/// The two hosts, their client and the switches.
pub struct Pair {
    /// A host.
    pub a: Arc<Host>,
    /// Its stand-in.
    pub b: Arc<Host>,
    /// Talks to them.
    pub client: Arc<Host>,
    /// Holds all bridges.
    pub switch: Arc<Host>,
    /// Ports of the switches by side and NIC.
    ports: [Vec<IfIndex>; 2],
    /// The NICs of both hosts have addresses.
    addressed: bool,
}

impl Pair {
    /// Builds the network; each host has `nics` NICs with addresses and is ready for traffic.
    pub fn new(nics: usize) -> Result<Pair, Error> {
        Pair::build(nics, true)
    }

    /// The same, and the NICs of both hosts have no addresses: for laggs.
    pub fn bare(nics: usize) -> Result<Pair, Error> {
        Pair::build(nics, false)
    }

    fn build(nics: usize, addressed: bool) -> Result<Pair, Error> {
        let host = |name| Host::new(name).map(Arc::new);
        let mut pair = Pair {
            a: host("a")?,
            b: host("b")?,
            client: host("client")?,
            switch: host("switch")?,
            ports: [Vec::new(), Vec::new()],
            addressed,
        };
        for host in [&pair.a, &pair.b, &pair.client] {
            for scope in ["all", "default"] {
                host.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
                host.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
            }
        }
        for scope in ["all", "default"] {
            pair.switch.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        let core = pair.switch.bridge("core")?;
        for n in 0..nics {
            let switch = pair.switch.bridge(&format!("sw{n}"))?;
            pair.switch.veth(end(&format!("u{n}"), None), &pair.switch, end(&format!("c{n}"), None))?;
            pair.switch.plug_port(&format!("u{n}"), switch)?;
            pair.switch.plug_port(&format!("c{n}"), core)?;
            for side in [Side::A, Side::B] {
                let port = pair.attach(side, n, switch)?;
                pair.ports[side as usize].push(port);
            }
        }
        let client = &pair.client;
        client.veth(end("eth0", None), &pair.switch, end("client", None))?;
        pair.switch.plug_port("client", core)?;
        client.set_up("eth0")?;
        client.add_address("eth0", "10.77.0.9/24")?;
        client.add_address("eth0", "fd77::9/64")?;
        Ok(pair)
    }

    /// One of the hosts.
    pub fn host(&self, side: Side) -> &Arc<Host> {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    fn attach(&self, side: Side, n: usize, switch: IfIndex) -> Result<IfIndex, Error> {
        let (host, last) = (self.host(side), 1 + side as usize + 10 * n);
        let port = format!("{}{n}", host.name());
        let nic = format!("eth{n}");
        let mac = Mac([2, 0, 0, 77, side as u8 + 1, u8::try_from(n).unwrap_or(u8::MAX)]);
        host.veth(end(&nic, Some(mac)), &self.switch, end(&port, None))?;
        let index = self.switch.plug_port(&port, switch)?;
        host.set_up(&nic)?;
        if self.addressed {
            host.add_address(&nic, &format!("10.77.0.{last}/24"))?;
            host.add_address(&nic, &format!("fd77::{last}/64"))?;
        }
        Ok(index)
    }

    /// A NIC breaks, or a new one is put in its place, with the same name and link-layer address.
    pub fn nic(&mut self, side: Side, nic: usize, there: bool) -> Result<Instant, Error> {
        let at = Instant::now();
        if there {
            let switch = self.switch.index_of(&format!("sw{nic}"))?;
            self.ports[side as usize][nic] = self.attach(side, nic, switch)?;
        } else {
            self.host(side).delete(&format!("eth{nic}"))?;
        }
        Ok(at)
    }

    /// A switch loses its power or gets it back: the carriers of all that is plugged into it go or come.
    pub fn power(&self, nic: usize, on: bool) -> Result<Instant, Error> {
        let at = Instant::now();
        let uplink = self.switch.index_of(&format!("u{nic}"))?;
        for port in [self.ports[0][nic], self.ports[1][nic], uplink] {
            self.switch.set_admin(port, on)?;
        }
        Ok(at)
    }

    /// Pulls or plugs the cable of a NIC: its carrier goes or comes.
    pub fn cable(&self, side: Side, nic: usize, plugged: bool) -> Result<Instant, Error> {
        let at = Instant::now();
        self.switch.set_admin(self.ports[side as usize][nic], plugged)?;
        Ok(at)
    }

    /// Stops or starts what a NIC's switch port passes; the carrier stays.
    pub fn port(&self, side: Side, nic: usize, passes: bool) -> Result<Instant, Error> {
        let at = Instant::now();
        let state = if passes { PortState::Forwarding } else { PortState::Disabled };
        self.switch.set_port_state(self.ports[side as usize][nic], state)?;
        Ok(at)
    }
}

fn end(name: &str, mac: Option<Mac>) -> End {
    End { name: name.to_owned(), mac, ..End::default() }
}
