//! The first moment of a world: a booted host before the daemon starts.

use super::{Daemon, Happening, Hostile, World};
use crate::cut::Cut;
use crate::faults::{BOOTED, Schedule};
use crate::invariants::Tracked;
use crate::kernel::Kernel;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::trace::Trace;
use mpath_model::kernel::{KernelOp, Neighbour, Placing, Sysctl, nud};
use mpath_model::settings::TestAddress;
use mpath_model::{Address, Family, IfAddr, Route, Time};
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

impl World {
    pub(super) fn new(seed: u64, cut: &Cut, trace: Trace) -> World {
        let mut scenario = Scenario::generate(seed);
        let mut schedule = Schedule::generate(&scenario);
        for name in &cut.without {
            // Whoever asks for something that is not there has been told so by `Piece::check`.
            let _ = scenario.leave_out(name, &mut schedule);
        }
        schedule.cut(cut);
        let mut kernel = Kernel::new();
        kernel.silent6 = scenario.silent6;
        kernel.no_marks = seed % 4 == 3;
        let count = scenario.nics.len();
        let mut world = World {
            now: BOOTED,
            rng: Rng::new(seed, 3),
            kernel,
            lan: scenario.lan.clone(),
            index: vec![None; count],
            carrier: vec![true; count],
            daemon: Daemon::default(),
            hostile: Hostile::default(),
            believed: Default::default(),
            file: scenario.settings.clone(),
            forgetful: false,
            disturbed: Time(0),
            mistreated: None,
            tracked: Vec::new(),
            duties: Vec::new(),
            offline: Default::default(),
            deletions: Vec::new(),
            found_routes: Vec::new(),
            removed: vec![false; count],
            second: (0, 0, 0),
            violation: None,
            stats: Stats::default(),
            trace,
            queue: BinaryHeap::new(),
            order: 0,
            ticks: 0,
            finished: false,
            slowest: Duration::ZERO,
            sabotage: None,
            scenario,
            schedule,
        };
        world.boot();
        world
    }

    fn boot(&mut self) {
        for nic in 0..self.scenario.nics.len() {
            if !self.scenario.nics[nic].absent {
                self.boot_nic(nic);
            }
        }
        self.boot_routes();
        self.kernel.take_events();
        self.kernel.take_dad();
        self.sync_ports();
        self.track();
        self.trace.note(self.now, format_args!("settings {:?}", self.scenario.settings));
        self.plan(Duration::from_millis(1), Happening::Start);
        for segment in 0..self.lan.segments.len() {
            self.plan(Duration::from_millis(100), Happening::Chatter(segment));
        }
        let faults = self.schedule.faults.clone();
        for f in faults {
            self.plan_at(f.at, Happening::Fault(f.number, f.fault));
        }
        self.plan_at(self.schedule.end, Happening::Final);
    }

    fn boot_nic(&mut self, nic: usize) {
        let plan = self.scenario.nics[nic].clone();
        let index = self.kernel.create_link(&plan.name, plan.mac);
        self.index[nic] = Some(index);
        let keep = i32::from(self.scenario.keep_addr);
        self.kernel.set_sysctl(&plan.name, Sysctl::KeepAddrOnDown, keep);
        self.kernel.set_admin(index, true);
        for addr in &plan.found {
            self.kernel.apply(&KernelOp::AddAddress(Address::plain(index, *addr)));
        }
        for (index, address) in self.kernel.take_dad() {
            self.kernel.finish_dad(index, address, |_| false);
        }
        for node in &self.lan.segments[plan.group] {
            let four = node.four.map(IpAddr::V4);
            let six = node.six.first().copied().map(IpAddr::V6);
            for (address, router) in
                four.into_iter().map(|a| (a, false)).chain(six.into_iter().map(|a| (a, true)))
            {
                let mac = Some(node.mac);
                self.kernel.learn(Neighbour { index, address, mac, state: nud::REACHABLE, router });
            }
        }
    }

    fn boot_routes(&mut self) {
        for (slot, family) in Family::BOTH.into_iter().enumerate() {
            let Some(nic) = self.scenario.default_route[slot] else {
                continue;
            };
            let Some(index) = self.index[nic] else { continue };
            let router = &self.lan.segments[0][0];
            let (dst, gateway, metric) = match family {
                Family::Inet => {
                    (IfAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), router.four.map(IpAddr::V4), 0)
                }
                Family::Inet6 => (
                    IfAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
                    router.six.first().copied().map(IpAddr::V6),
                    1024,
                ),
            };
            let mut route = Route::onlink(dst, index, metric, 4);
            route.scope = 0;
            route.hops[0].gateway = gateway;
            if self.kernel.apply(&KernelOp::AddRoute(route.clone(), Placing::After)) == 0 {
                self.found_routes.push((nic, route));
            }
        }
    }

    /// Everything the daemon is responsible for.
    fn track(&mut self) {
        for (group, g) in self.scenario.settings.groups.iter().enumerate() {
            for a in &g.addresses {
                let home = self.scenario.nics.iter().position(|n| n.name == a.home);
                let home = home.expect("homes are members");
                self.tracked.push(Tracked {
                    addr: a.address,
                    group,
                    home,
                    declared: true,
                    found: None,
                    present: false,
                    forgotten: false,
                });
            }
        }
        let mut adopted = Vec::new();
        for (nic, plan) in self.scenario.nics.iter().enumerate().filter(|(_, p)| !p.absent) {
            for addr in plan.found.iter().copied().filter(|a| !self.is_test(nic, a)) {
                let group = plan.group;
                let found = self.kernel.addresses().iter().find(|a| a.addr == addr).cloned();
                adopted.push(Tracked {
                    addr,
                    group,
                    home: nic,
                    declared: false,
                    found: found.clone(),
                    present: true,
                    forgotten: false,
                });
            }
        }
        self.tracked.append(&mut adopted);
    }

    fn is_test(&self, nic: usize, addr: &IfAddr) -> bool {
        let plan = &self.scenario.nics[nic];
        let group = &self.scenario.settings.groups[plan.group];
        let settings = group.interfaces.iter().find(|i| i.name == plan.name);
        settings.is_some_and(|i| i.test_addresses.contains(&TestAddress::Address(*addr)))
    }

    /// The switches see what the kernel did to the NICs.
    pub(crate) fn sync_ports(&mut self) {
        for nic in 0..self.index.len() {
            let index = self.index[nic];
            let link = index.and_then(|i| self.kernel.link(i));
            self.lan.ports[nic].running = link.is_some_and(|l| l.running);
            self.lan.ports[nic].link_local = index.and_then(|i| {
                self.kernel.on(i).find_map(|a| match a.addr.address {
                    IpAddr::V6(v6) if mpath_model::addr::is_link_local6(&a.addr.address) => Some(v6),
                    _ => None,
                })
            });
        }
    }
}
