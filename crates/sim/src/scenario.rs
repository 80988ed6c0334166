//! What a seed means: the host's NICs, groups and addresses, the nodes on the links, and how hostile the
//! kernel is. The schedule of faults is made in [`crate::faults`].

use crate::lan::{Lan, Node, Path, Port};
use crate::rng::Rng;
use mpath_model::settings::{DataAddress, Group, Interface, LinkPoll, ProbeMode, TestAddress};
use mpath_model::{Family, IfAddr, Mac, Settings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A NIC of the host.
#[derive(Clone, Debug)]
pub struct NicPlan {
    /// Interface name.
    pub name: String,
    /// Link-layer address.
    pub mac: Mac,
    /// Group, which is also the number of its switch.
    pub group: usize,
    /// Addresses it has when the daemon starts; those that are not test addresses are adopted.
    pub found: Vec<IfAddr>,
    /// It is not there when the daemon starts.
    pub absent: bool,
}

/// A world before its first moment.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it was made from.
    pub seed: u64,
    /// Configuration of the daemon.
    pub settings: Settings,
    /// NICs of the host; those of group 0 first.
    pub nics: Vec<NicPlan>,
    /// Links outside.
    pub lan: Lan,
    /// NIC with a default route, for each family.
    pub default_route: [Option<usize>; 2],
    /// The daemon is killed and its configuration changed again and again.
    pub churn: bool,
    /// One fault after the other, each given the time to be dealt with, rather than all at once.
    pub orderly: bool,
    /// NICs keep IPv6 addresses on admin down even before the daemon asks for it.
    pub keep_addr: bool,
    /// Of IPv6 routes that vanish on admin down no event tells.
    pub silent6: bool,
}

impl Scenario {
    /// The world of a seed.
    pub fn generate(seed: u64) -> Scenario {
        let mut rng = Rng::new(seed, 1);
        let mut s = Scenario {
            seed,
            settings: Settings::default(),
            nics: Vec::new(),
            lan: Lan::default(),
            default_route: [None, None],
            churn: seed >= crate::churn::CHURN,
            orderly: rng.chance(500),
            keep_addr: rng.chance(300),
            silent6: rng.chance(500),
        };
        if rng.chance(250) {
            s.settings.daemon.link_poll = LinkPoll::Off;
        }
        let groups = if rng.chance(250) { 2 } else { 1 };
        for g in 0..groups {
            s.group(g, &mut rng);
        }
        let fdt = s.fastest();
        s.lan.delay = rng.duration(Duration::from_micros(50), fdt / 200);
        s.lan.jitter = rng.duration(Duration::ZERO, fdt / 150);
        s
    }

    /// Shortest failure detection time of all groups.
    pub fn fastest(&self) -> Duration {
        let fdt = self.settings.groups.iter().map(|g| g.failure_detection_time);
        fdt.min().unwrap_or(Duration::from_secs(10))
    }

    /// Longest failure detection time of all groups.
    pub fn slowest(&self) -> Duration {
        let fdt = self.settings.groups.iter().map(|g| g.failure_detection_time);
        fdt.max().unwrap_or(Duration::from_secs(10))
    }

    /// NICs of a group.
    pub fn members(&self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.nics.len()).filter(move |n| self.nics[*n].group == group)
    }

    fn group(&mut self, g: usize, rng: &mut Rng) {
        let families: &[Family] = match rng.below(4) {
            0 => &[Family::Inet],
            1 => &[Family::Inet6],
            _ => &Family::BOTH,
        };
        self.segment(g, families, rng);
        let count = *rng.pick(&[2, 2, 2, 3, 3, 4]);
        let standbys = usize::try_from(rng.below(3)).unwrap_or(0).min(count - 1);
        let tested = rng.chance(650);
        let mut interfaces = Vec::new();
        for i in 0..count {
            let standby = i >= count - standbys;
            interfaces.push(self.nic(g, i, families, tested, standby, rng));
        }
        let homes = count - standbys;
        let mut addresses = Vec::new();
        for k in 0..rng.range(1, 4) {
            let family = *rng.pick(families);
            let host_only = rng.chance(200);
            let home = if rng.chance(600) { 0 } else { rng.index(homes) };
            addresses.push(DataAddress {
                address: address(g, family, 10 + k, host_only),
                home: interfaces[home].name.clone(),
            });
        }
        let ms: &[u64] = &[100, 200, 500, 500, 1000, 1000, 1000, 2000, 5000, 10_000];
        let probe = match rng.below(10) {
            0 => ProbeMode::Link,
            1 => ProbeMode::TestAddress,
            _ => ProbeMode::Auto,
        };
        self.settings.groups.push(Group {
            name: ["production", "storage"][g % 2].to_string(),
            failure_detection_time: Duration::from_millis(*rng.pick(ms)),
            failback: rng.chance(750),
            probe,
            targets: Vec::new(),
            adopt: Default::default(),
            confirm: Default::default(),
            thresholds: Default::default(),
            interfaces,
            addresses,
        });
        if g == 0 {
            self.default_routes(families, rng);
        }
    }

    fn segment(&mut self, g: usize, families: &[Family], rng: &mut Rng) {
        let nodes = (1..=rng.range(1, 5)).map(|n| Node {
            mac: Mac([2, 0xee, 0, 0, byte(g), byte(n)]),
            four: families.contains(&Family::Inet).then(|| Ipv4Addr::new(10, byte(g) + 1, 0, byte(n))),
            six: if families.contains(&Family::Inet6) {
                vec![
                    Ipv6Addr::new(0xfe80, 0, 0, 0, 0xee, 0, g as u16, n as u16),
                    Ipv6Addr::new(0x2001, 0xdb8, g as u16 + 1, 0, 0, 0, 0, n as u16),
                ]
            } else {
                Vec::new()
            },
            alive: true,
        });
        self.lan.segments.push(nodes.collect());
    }

    fn nic(
        &mut self,
        g: usize,
        i: usize,
        families: &[Family],
        tested: bool,
        standby: bool,
        rng: &mut Rng,
    ) -> Interface {
        let n = self.nics.len();
        let mac = Mac([2, 0, 0, 0, byte(g), byte(i) + 1]);
        let name = format!("eth{n}");
        let mut found = Vec::new();
        let mut test_addresses = Vec::new();
        if tested && families.contains(&Family::Inet) {
            let test = IfAddr::new(IpAddr::V4(Ipv4Addr::new(10, byte(g) + 1, 0, 101 + byte(i))), 24);
            test_addresses.push(TestAddress::Address(test));
            if rng.chance(500) {
                found.push(test);
            }
        }
        if tested && families.contains(&Family::Inet6) {
            test_addresses.push(TestAddress::LinkLocal);
        }
        if !standby && rng.chance(400) {
            for k in 0..rng.range(1, 2) {
                found.push(address(g, *rng.pick(families), 40 + 10 * (i as u64) + k, false));
            }
        }
        self.nics.push(NicPlan { name: name.clone(), mac, group: g, found, absent: rng.chance(30) });
        self.lan.ports.push(Port { segment: g, mac, path: Path::CLEAN, running: false, link_local: None });
        Interface { name, test_addresses, standby }
    }

    /// A default route through the first NIC: IPv4 needs an address there to reach its gateway.
    fn default_routes(&mut self, families: &[Family], rng: &mut Rng) {
        let first = &self.nics[0];
        let four = first.found.iter().any(|a| a.family() == Family::Inet);
        if four && !first.absent && rng.chance(800) {
            self.default_route[0] = Some(0);
        }
        if families.contains(&Family::Inet6) && !first.absent && rng.chance(800) {
            self.default_route[1] = Some(0);
        }
    }
}

/// The k-th address of a group.
fn address(g: usize, family: Family, k: u64, host_only: bool) -> IfAddr {
    match family {
        Family::Inet => IfAddr::new(
            IpAddr::V4(Ipv4Addr::new(10, byte(g) + 1, 0, byte(k))),
            if host_only { 32 } else { 24 },
        ),
        Family::Inet6 => IfAddr::new(
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, g as u16 + 1, 0, 0, 0, 1, k as u16)),
            if host_only { 128 } else { 64 },
        ),
    }
}

fn byte<T: TryInto<u8>>(n: T) -> u8 {
    n.try_into().unwrap_or(u8::MAX)
}
