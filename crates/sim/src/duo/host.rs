//! One of two hosts: an engine, a kernel that drops addresses when their lifetimes are over, and NICs with cables.

use super::Manner;
use crate::kernel::Kernel;
use mpath_core::Engine;
use mpath_model::carp::Over;
use mpath_model::kernel::{Heard, KernelEvent, KernelOp};
use mpath_model::settings::{Carp, Group, Interface, ProbeMode};
use mpath_model::{Address, IfAddr, IfIndex, Mac, Settings, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// NICs of a host.
pub(super) const NICS: usize = 2;
/// The addresses of the vhid.
pub(super) const VIPS: [&str; 2] = ["192.0.2.100/24", "2001:db8::100/64"];

pub(super) struct Host {
    pub(super) engine: Option<Engine>,
    pub(super) kernel: Kernel,
    pub(super) settings: Settings,
    /// Until then the daemon does nothing.
    pub(super) frozen: Option<Time>,
    /// What has come in while nobody read it.
    pub(super) waiting: Vec<Heard>,
    pub(super) takeovers: u32,
    nics: [IfIndex; NICS],
    vips: [IpAddr; 2],
    /// When the kernel drops an address.
    expiry: BTreeMap<(IfIndex, IfAddr), Time>,
    /// When the kernel tells of a link.
    news: Vec<(Time, IfIndex)>,
}

fn addr(text: &str) -> IfAddr {
    text.parse().expect("a constant address")
}

/// Of host `n`.
pub(super) fn settings(manner: Manner, n: usize) -> Settings {
    let over = if manner.group { Over::Group("g".into()) } else { Over::Interface("eth0".into()) };
    let carp = Carp {
        advskew: manner.skew[n],
        preempt: manner.preempt,
        addresses: VIPS.map(addr).to_vec(),
        ..Carp::new(over, 1)
    };
    let member = |nic| Interface { name: format!("eth{nic}"), test_addresses: Vec::new(), standby: false };
    let group = Group {
        name: "g".into(),
        failure_detection_time: Duration::from_secs(1),
        failback: true,
        probe: ProbeMode::Link,
        targets: Vec::new(),
        adopt: Default::default(),
        confirm: Default::default(),
        thresholds: Default::default(),
        interfaces: (0..NICS).map(member).collect(),
        addresses: Vec::new(),
    };
    let groups = if manner.group { vec![group] } else { Vec::new() };
    Settings { carps: vec![carp], groups, ..Settings::default() }
}

impl Host {
    pub(super) fn new(n: usize, settings: Settings) -> Host {
        let mut kernel = Kernel::new();
        let nics = [0, 1].map(|nic| {
            let last = 10 * nic + n + 1;
            let index =
                kernel.create_link(&format!("eth{nic}"), Mac([2, 0, 0, 0, n as u8 + 1, nic as u8 + 1]));
            kernel.set_admin(index, true);
            kernel.apply(&KernelOp::AddAddress(Address::plain(index, addr(&format!("192.0.2.{last}/24")))));
            index
        });
        let mut host = Host {
            engine: None,
            kernel,
            settings,
            frozen: None,
            waiting: Vec::new(),
            takeovers: 0,
            nics,
            vips: VIPS.map(|v| addr(v).address),
            expiry: BTreeMap::new(),
            news: Vec::new(),
        };
        host.events();
        host
    }

    pub(super) fn nics(&self) -> [IfIndex; NICS] {
        self.nics
    }

    pub(super) fn linked(&self, index: IfIndex) -> bool {
        self.kernel.link(index).is_some_and(|l| l.up && l.running)
    }

    pub(super) fn state(&self) -> String {
        let carps = self.engine.as_ref().map(|e| e.snapshot().carps);
        carps.and_then(|c| c.first().map(|c| c.state.clone())).unwrap_or_default()
    }

    /// One of the addresses is on an interface that is up, with a cable below.
    pub(super) fn answers(&self) -> bool {
        let within_reach = |index: IfIndex| {
            let Some(link) = self.kernel.link(index) else { return false };
            let below = link.name.rsplit_once('-').and_then(|(_, hex)| IfIndex::from_str_radix(hex, 16).ok());
            link.up && self.linked(below.unwrap_or(index))
        };
        let vip = |a: &Address| self.vips.contains(&a.addr.address);
        self.kernel.addresses().iter().any(|a| vip(a) && within_reach(a.index))
    }

    /// A daemon runs, and is not frozen.
    pub(super) fn awake(&self) -> bool {
        self.engine.is_some() && self.frozen.is_none()
    }

    /// What the daemon waits for, if it is awake.
    pub(super) fn timer(&self) -> Option<Time> {
        self.engine.as_ref().filter(|_| self.frozen.is_none()).and_then(Engine::next_deadline)
    }

    /// When something is due on this host next.
    pub(super) fn next(&self, now: Time) -> Option<Time> {
        let timer = self.timer().map(|t| t.max(now));
        let others = self.expiry.values().chain(self.news.iter().map(|(t, _)| t)).copied();
        timer.into_iter().chain(self.frozen).chain(others).min()
    }

    pub(super) fn lives(&mut self, index: IfIndex, addr: IfAddr, until: Time) {
        self.expiry.insert((index, addr), until);
    }

    pub(super) fn expire(&mut self, now: Time) {
        let over: Vec<_> = self.expiry.iter().filter(|(_, t)| **t <= now).map(|(k, _)| *k).collect();
        for (index, addr) in over {
            self.expiry.remove(&(index, addr));
            self.kernel.drop_address(index, &addr);
        }
    }

    pub(super) fn cable(&mut self, nic: usize, plugged: bool, told: Time) {
        self.kernel.set_carrier(self.nics[nic], plugged);
        self.news.push((told, self.nics[nic]));
    }

    pub(super) fn tell_of_cables(&mut self, now: Time) {
        for (_, index) in self.news.extract_if(.., |(at, _)| *at <= now) {
            self.kernel.link_event(index);
        }
    }

    /// What the kernel has to tell. Nobody else has an address that a host wants.
    pub(super) fn events(&mut self) -> Vec<KernelEvent> {
        for (index, address) in self.kernel.take_dad() {
            self.kernel.finish_dad(index, address, |_| false);
        }
        self.kernel.take_events()
    }
}
