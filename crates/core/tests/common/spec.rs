//! The usual host: NICs eth0, eth1, ... in group g, test addresses 192.0.2.11 on, a router 192.0.2.1.

use super::{Kernel, Lab, Net, secs, via};
use mpath_model::Settings;
use mpath_model::settings::{self, Adopt, Confirm, DataAddress, Interface, ProbeMode, TestAddress};
use std::time::Duration;

/// What the host is like.
#[derive(Clone)]
pub struct Spec {
    pub nics: usize,
    pub standby: Vec<usize>,
    pub fdt: Duration,
    pub failback: bool,
    pub probe: ProbeMode,
    /// IPv4 test addresses.
    pub four: bool,
    /// IPv6 test addresses.
    pub six: bool,
    /// Declared data addresses and their homes.
    pub data: Vec<(&'static str, usize)>,
    /// Routers 192.0.2.1 (fe80::1) on, reached by routes through eth0.
    pub routers: u8,
    /// Hosts 192.0.2.101 (fe80::101) on.
    pub hosts: u8,
    /// The hosts answer 224.0.0.1.
    pub multicast: bool,
    pub confirm: Confirm,
    pub seed: u64,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            nics: 2,
            standby: Vec::new(),
            fdt: secs(1),
            failback: true,
            probe: ProbeMode::Auto,
            four: true,
            six: false,
            data: vec![("192.0.2.10/24", 0)],
            routers: 1,
            hosts: 0,
            multicast: true,
            confirm: Confirm::All,
            seed: 1,
        }
    }
}

impl Spec {
    fn group(&self) -> settings::Group {
        let interface = |n: usize| {
            let four = self.four.then(|| format!("192.0.2.{}/24", 11 + n));
            let six = self.six.then(|| format!("fe80::{}/64", 11 + n));
            let all = four.into_iter().chain(six);
            let test_addresses = all.map(|t| TestAddress::Address(t.parse().unwrap())).collect();
            Interface { name: format!("eth{n}"), test_addresses, standby: self.standby.contains(&n) }
        };
        let data =
            |(a, n): &(&str, usize)| DataAddress { address: a.parse().unwrap(), home: format!("eth{n}") };
        settings::Group {
            name: "g".into(),
            failure_detection_time: self.fdt,
            failback: self.failback,
            probe: self.probe,
            targets: Vec::new(),
            adopt: Adopt::Static,
            confirm: self.confirm,
            thresholds: Default::default(),
            interfaces: (0..self.nics).map(interface).collect(),
            addresses: self.data.iter().map(data).collect(),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings { groups: vec![self.group()], ..Settings::default() }
    }

    pub fn kernel(&self) -> Kernel {
        let mut k = Kernel::new();
        for n in 0..self.nics as u32 {
            k.add_link(n + 2, &format!("eth{n}"));
            if self.six {
                k.put(n + 2, &format!("fe80::{}/64", 11 + n));
            }
        }
        for r in 1..=self.routers {
            let whole = r == 1;
            if self.four || !self.six {
                let dst = if whole { "0.0.0.0/0".into() } else { format!("198.51.{r}.0/24") };
                k.add_route(via(&dst, &format!("192.0.2.{r}"), 2));
            }
            if self.six {
                let dst = if whole { "::/0".into() } else { format!("2001:db8:{r}::/48") };
                k.add_route(via(&dst, &format!("fe80::{r}"), 2));
            }
        }
        k
    }

    pub fn net(&self) -> Net {
        let mut net = Net::default();
        for n in (1..=self.routers).chain(101..101 + self.hosts) {
            net.host(&format!("192.0.2.{n}")).multicast = self.multicast && n > 100;
            net.host(&format!("fe80::{n}"));
        }
        net
    }

    /// The engine on this host, freshly started.
    pub fn fresh(&self) -> Lab {
        Lab::start(self.seed, self.settings(), self.kernel(), self.net(), None)
    }

    /// The engine on this host after 20 detection times; what it said until then is forgotten.
    pub fn lab(&self) -> Lab {
        let mut lab = self.fresh();
        lab.run(self.fdt * 20);
        lab.mark();
        lab
    }
}
