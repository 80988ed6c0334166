//! The standard network: a server with several NICs, a switch for each of them, a core switch that joins those, a
//! router, and two clients.
//!
//! ```text
//!   server            switch                                 near 192.0.2.200 2001:db8:1::200
//!     eth0 ---- p0 [sw0] u0 ---- c0 [    ] ---------------- eth0
//!     eth1 ---- p1 [sw1] u1 ---- c1 [core]                  router 192.0.2.1 2001:db8:1::1 fe80::1
//!     eth2 ---- p2 [sw2] u2 ---- c2 [    ] ---------------- eth0   eth1 -------- eth0 far
//!                                                            198.51.100.1 2001:db8:2::1    .200 ::200
//! ```
//!
//! Cutting `pN` takes the carrier away; closing `uN`-`cN` makes the path silent with the carrier up.

mod faults;
mod observe;

pub use faults::Loss;
pub use observe::NicAddress;

use crate::error::Error;
use crate::host::Host;
use crate::stack::{Stack, with_prefix};
use mpath_linux::netlink::create::{End, PortState};
use mpath_model::{Family, IfIndex, Mac};
use std::sync::Arc;

/// The data addresses of the server, IPv4 and IPv6; home is the first NIC.
pub const DATA4: &str = "192.0.2.10";
/// See [`DATA4`].
pub const DATA6: &str = "2001:db8:1::10";
/// The router on the server's link.
pub const ROUTER4: &str = "192.0.2.1";
/// The router's link-local address there.
pub const ROUTER6: &str = "fe80::1";

/// IPv4 test address of NIC `n`: 192.0.2.11/24 and up.
pub fn test_address4(n: usize) -> String {
    format!("192.0.2.{}/24", 11 + n)
}

/// What the network is to look like.
#[derive(Clone, Copy, Debug)]
pub struct LanOptions {
    /// NICs of the server, 1 to 50.
    pub nics: usize,
    /// The test addresses and the default routes of both families (through the first NIC) are on the server from
    /// the start, as an administrator's boot scripts put them there.
    pub configured: bool,
    /// Both ends of a NIC's veth have the same interface index, so that the kernel treats carrier changes like those
    /// of a plain NIC: not urgent, up to a second late (linux-failover.md, pitfall 23).
    pub late_carrier: bool,
    /// Families of the server.
    pub stack: Stack,
    /// Hosts detect duplicate IPv6 addresses (1 to 2 s before an address is usable).
    pub dad: bool,
}

impl Default for LanOptions {
    fn default() -> LanOptions {
        LanOptions { nics: 2, configured: true, late_carrier: false, stack: Stack::Dual, dad: false }
    }
}

/// A NIC of the server and its way to the core switch.
#[derive(Debug)]
struct Nic {
    name: String,
    mac: Mac,
    /// Bridge `swN`.
    switch: IfIndex,
    /// `uN` on that bridge.
    uplink: IfIndex,
    /// `cN` on the core bridge.
    core: IfIndex,
}

/// The standard network.
pub struct Lan {
    /// The host with several NICs.
    pub server: Arc<Host>,
    /// Holds all bridges; no addresses.
    pub switch: Arc<Host>,
    /// Forwards between the two networks.
    pub router: Arc<Host>,
    /// A client on the server's link.
    pub near: Arc<Host>,
    /// A client behind the router.
    pub far: Arc<Host>,
    options: LanOptions,
    nics: Vec<Nic>,
}

impl Lan {
    /// Builds the network; ready for traffic when it returns.
    pub fn new(options: LanOptions) -> Result<Lan, Error> {
        let mut lan = Lan {
            server: Arc::new(Host::new("server")?),
            switch: Arc::new(Host::new("switch")?),
            router: Arc::new(Host::new("router")?),
            near: Arc::new(Host::new("near")?),
            far: Arc::new(Host::new("far")?),
            options,
            nics: Vec::new(),
        };
        lan.set_sysctls()?;
        let core = lan.switch.bridge("core")?;
        for n in 0..options.nics {
            lan.add_switch(n, core)?;
            lan.attach(n)?;
            lan.server.set_up(&lan.nics[n].name)?;
        }
        lan.connect_clients(core)?;
        if options.configured {
            lan.configure_server()?;
        }
        Ok(lan)
    }

    /// Number of NICs.
    pub fn nics(&self) -> usize {
        self.nics.len()
    }

    /// Link-layer address of NIC `n`.
    pub fn nic_mac(&self, n: usize) -> Mac {
        self.nics[n].mac
    }

    fn set_sysctls(&self) -> Result<(), Error> {
        for host in [&self.server, &self.router, &self.near, &self.far] {
            for scope in ["all", "default"] {
                host.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
                host.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
                if !self.options.dad {
                    host.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
                }
            }
        }
        self.restrict_server()?;
        // Bridges are switches here, not hosts that answer.
        for scope in ["all", "default"] {
            self.switch.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        self.router.sysctl("net/ipv4/ip_forward", "1")?;
        self.router.sysctl("net/ipv6/conf/all/forwarding", "1")
    }

    /// Takes from the server the family it shall not have.
    fn restrict_server(&self) -> Result<(), Error> {
        match self.options.stack {
            Stack::Dual => Ok(()),
            Stack::NoIpv4 => self.server.del_address("lo", "127.0.0.1/8"),
            Stack::NoIpv6 => self.server.sysctl("net/ipv6/conf/all/disable_ipv6", "1"),
        }
    }

    /// Bridge `swN` with its uplink to the core.
    fn add_switch(&mut self, n: usize, core: IfIndex) -> Result<(), Error> {
        let (uplink, port) = (format!("u{n}"), format!("c{n}"));
        let switch = self.switch.bridge(&format!("sw{n}"))?;
        self.switch.veth(end(&uplink, None), &self.switch, end(&port, None))?;
        let nic = Nic {
            name: format!("eth{n}"),
            mac: Mac([2, 0, 0, 0, 1, u8::try_from(n).unwrap_or(u8::MAX)]),
            switch,
            uplink: self.switch.plug_port(&uplink, switch)?,
            core: self.switch.plug_port(&port, core)?,
        };
        self.nics.push(nic);
        Ok(())
    }

    /// Makes NIC `n` of the server and plugs its cable into its switch; the NIC is still admin down.
    fn attach(&self, n: usize) -> Result<(), Error> {
        let nic = &self.nics[n];
        let port = format!("p{n}");
        let index = self.options.late_carrier.then(|| 1000 + IfIndex::try_from(n).unwrap_or(0));
        let mut inside = end(&nic.name, Some(nic.mac));
        let mut outside = end(&port, None);
        (inside.index, outside.index) = (index, index);
        self.server.veth(inside, &self.switch, outside)?;
        self.switch.plug_port(&port, nic.switch)?;
        Ok(())
    }

    /// Another host on the server's link: `eth0` with link-layer address 02:00:00:00:02:`last`, up, without addresses.
    pub fn attach_host(&self, name: &str, last: u8) -> Result<Host, Error> {
        let host = Host::new(name)?;
        host.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        self.connect(&host, last, self.switch.index_of("core")?)?;
        host.set_up("eth0")?;
        Ok(host)
    }

    fn connect(&self, host: &Host, last: u8, core: IfIndex) -> Result<(), Error> {
        let mac = Mac([2, 0, 0, 0, 2, last]);
        host.veth(end("eth0", Some(mac)), &self.switch, end(host.name(), None))?;
        self.switch.plug_port(host.name(), core).map(drop)
    }

    fn connect_clients(&self, core: IfIndex) -> Result<(), Error> {
        let (router, near, far) = (&self.router, &self.near, &self.far);
        self.connect(router, 1, core)?;
        self.connect(near, 200, core)?;
        router.veth(end("eth1", None), far, end("eth0", None))?;

        router.set_up("eth0")?;
        router.set_up("eth1")?;
        router.add_address("eth0", "192.0.2.1/24")?;
        router.add_address("eth0", "2001:db8:1::1/64")?;
        router.add_address("eth0", "fe80::1/64")?;
        router.add_address("eth1", "198.51.100.1/24")?;
        router.add_address("eth1", "2001:db8:2::1/64")?;

        near.set_up("eth0")?;
        near.add_address("eth0", "192.0.2.200/24")?;
        near.add_address("eth0", "2001:db8:1::200/64")?;
        near.add_route("eth0", "0.0.0.0/0", ROUTER4)?;
        near.add_route("eth0", "::/0", ROUTER6)?;

        far.set_up("eth0")?;
        far.add_address("eth0", "198.51.100.200/24")?;
        far.add_address("eth0", "2001:db8:2::200/64")?;
        far.add_route("eth0", "0.0.0.0/0", "198.51.100.1")?;
        far.add_route("eth0", "::/0", "2001:db8:2::1")
    }

    /// What an administrator without test addresses has: the data addresses on the first NIC, and default routes.
    pub fn configure_plainly(&self) -> Result<(), Error> {
        let Some(first) = self.nics.first() else { return Ok(()) };
        for data in self.options.stack.data() {
            self.server.add_address(&first.name, &with_prefix(data))?;
        }
        self.add_default_routes(&first.name)
    }

    fn configure_server(&self) -> Result<(), Error> {
        if self.options.stack.has(Family::Inet) {
            for (n, nic) in self.nics.iter().enumerate() {
                self.server.add_address(&nic.name, &test_address4(n))?;
            }
        }
        self.nics.first().map_or(Ok(()), |first| self.add_default_routes(&first.name))
    }

    /// Default routes of the server through this NIC, in every family it has.
    pub fn add_default_routes(&self, nic: &str) -> Result<(), Error> {
        let all = [(Family::Inet, "0.0.0.0/0", ROUTER4), (Family::Inet6, "::/0", ROUTER6)];
        let mut routes = all.into_iter().filter(|(family, ..)| self.options.stack.has(*family));
        routes.try_for_each(|(_, dst, gateway)| self.server.add_route(nic, dst, gateway))
    }
}

fn end(name: &str, mac: Option<Mac>) -> End {
    End { name: name.to_owned(), mac, ..End::default() }
}
