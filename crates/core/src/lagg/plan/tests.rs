use super::*;
use mpath_model::kernel::{Inventory as Dump, KernelEvent, Steering, inner_name};
use mpath_model::settings::{self, Detection};

const LAGG: IfIndex = 10;
const INNER: IfIndex = 11;

fn own(index: IfIndex) -> Mac {
    Mac([2, 0, 0, 0, 0, index as u8])
}

fn link(index: IfIndex, name: &str, kind: Option<&str>) -> Link {
    Link { kind: kind.map(str::to_string), ..Link::ethernet(index, name, own(index)) }
}

struct Lab {
    lagg: Lagg,
    nics: Vec<Nic>,
    inv: Inventory,
}

impl Lab {
    /// Ports `e1` (index 1) and up, nothing made yet.
    fn new(ports: u32, backend: LaggBackend) -> Lab {
        let mut settings = settings::Lagg::new("lagg0", &Detection::default());
        settings.backend = Some(backend);
        settings.ports = (1..=ports).map(|n| format!("e{n}")).collect();
        settings.addresses = vec!["192.0.2.5/24".parse().unwrap()];
        let mut inv = Inventory::default();
        let links = (1..=ports).map(|n| link(n, &format!("e{n}"), None)).collect();
        inv.replace(Dump { links, ..Dump::default() });
        let nic = |name: &String| {
            let mut nic = Nic::new(settings::Interface {
                name: name.clone(),
                test_addresses: Vec::new(),
                standby: false,
            });
            nic.index = name[1..].parse().ok();
            nic
        };
        let nics = settings.ports.iter().map(nic).collect();
        Lab { lagg: Lagg::new(settings), nics, inv }
    }

    /// Plans, and does what is planned, until nothing is left to do.
    fn settle(&mut self) -> Vec<KernelOp> {
        let mut all = Vec::new();
        for _ in 0..10 {
            self.lagg.remember(&self.nics, &self.inv);
            let ops = plan(&mut self.lagg, &self.nics, &self.inv);
            if ops.is_empty() {
                return all;
            }
            ops.iter().for_each(|op| self.apply(op));
            all.extend(ops);
        }
        panic!("never at rest: {all:?}");
    }

    fn apply(&mut self, op: &KernelOp) {
        let mut set = |index: IfIndex, change: &dyn Fn(&mut Link)| {
            change(self.inv.links.get_mut(&index).unwrap());
        };
        match op {
            KernelOp::Lagg(LaggOp::Create { name, backend, mac, mtu }) => {
                let kind = if *backend == LaggBackend::Redirect { "veth" } else { "bridge" };
                let new = Link { mac: Some(*mac), mtu: *mtu, up: false, ..link(LAGG, name, Some(kind)) };
                self.inv.apply(&KernelEvent::Link(new));
                if *backend == LaggBackend::Redirect {
                    let inner = Link { mtu: *mtu, up: false, ..link(INNER, &inner_name(name), Some("veth")) };
                    self.inv.apply(&KernelEvent::Link(inner));
                }
            }
            KernelOp::Lagg(LaggOp::Destroy { name, .. }) => {
                self.inv.steering.remove(name);
                self.inv.links.retain(|i, _| ![LAGG, INNER].contains(i));
            }
            KernelOp::Lagg(LaggOp::Attach { lagg, port, .. }) => set(*port, &|l| {
                (l.master, l.passes) = (Some(*lagg), Some(false));
            }),
            KernelOp::Lagg(LaggOp::Detach { port, .. }) => {
                set(*port, &|l| (l.master, l.passes) = (None, None));
            }
            KernelOp::Lagg(LaggOp::Steer { name, backend: LaggBackend::Redirect, steering, .. }) => {
                self.inv.steering.insert(name.clone(), steering.clone());
            }
            KernelOp::Lagg(LaggOp::Steer { steering, .. }) => {
                steering.blocked.iter().for_each(|p| set(*p, &|l| l.passes = Some(false)));
                steering.active.iter().for_each(|p| set(*p, &|l| l.passes = Some(true)));
            }
            KernelOp::Lagg(LaggOp::SetMac { index, mac }) => set(*index, &|l| l.mac = Some(*mac)),
            KernelOp::Lagg(LaggOp::SetMtu { index, mtu }) => set(*index, &|l| l.mtu = *mtu),
            KernelOp::Lagg(LaggOp::SetPromisc { index, on }) => set(*index, &|l| l.promisc = *on),
            KernelOp::Lagg(LaggOp::SetUp { index, up }) => set(*index, &|l| (l.up, l.running) = (*up, *up)),
            KernelOp::AddAddress(a) => self.inv.apply(&KernelEvent::Address(a.clone())),
            KernelOp::DelAddress { index, addr } => {
                self.inv.apply(&KernelEvent::AddressGone(Address::plain(*index, *addr)));
            }
            other => panic!("{other:?}"),
        }
    }

    fn mac(&self, index: IfIndex) -> Mac {
        self.inv.links[&index].mac.unwrap()
    }
}

fn steering(active: Option<IfIndex>, blocked: &[IfIndex]) -> Steering {
    Steering { active, draining: Vec::new(), blocked: blocked.to_vec() }
}

#[test]
fn a_redirecting_lagg_from_nothing_and_back() {
    let mut lab = Lab::new(3, LaggBackend::Redirect);
    let before = lab.inv.links.clone();
    lab.lagg.active = Some(0);
    let ops = lab.settle();
    assert!(matches!(&ops[0], KernelOp::Lagg(LaggOp::Create { .. })));
    // Shut before it looks like the lagg: never can the lagg's address leave by two ports.
    let at = |wanted: &dyn Fn(&LaggOp) -> bool| {
        ops.iter().position(|op| matches!(op, KernelOp::Lagg(l) if wanted(l))).unwrap()
    };
    let steered = at(&|op| matches!(op, LaggOp::Steer { .. }));
    assert!(steered < at(&|op| matches!(op, LaggOp::SetMac { index: 2, .. })));
    assert_eq!(lab.inv.steering["lagg0"], steering(Some(1), &[2, 3]));
    for port in [1, 2, 3, LAGG] {
        assert_eq!(lab.mac(port), own(1), "{port}");
    }
    assert!([1, 2, 3].iter().all(|p| lab.inv.links[p].promisc));
    assert!(lab.inv.links[&LAGG].up && lab.inv.links[&INNER].up);
    assert_eq!(lab.inv.addresses.len(), 1);

    lab.lagg.active = Some(2);
    let ops = lab.settle();
    assert_eq!(ops.len(), 1, "a switch is one request: {ops:?}");
    for _ in 0..3 {
        let ops = release(&mut lab.lagg, &lab.inv);
        ops.iter().for_each(|op| lab.apply(op));
    }
    assert_eq!(lab.inv.links, before);
    assert_eq!(release(&mut lab.lagg, &lab.inv), []);
}

#[test]
fn the_primary_leaves() {
    let mut lab = Lab::new(3, LaggBackend::Redirect);
    lab.lagg.active = Some(1);
    lab.settle();
    let mut settings = lab.lagg.settings.clone();
    settings.ports.remove(0);
    lab.lagg = lab.lagg.with(settings);
    lab.nics.remove(0);
    assert_eq!(lab.lagg.active, Some(0), "the active port stays");
    lab.settle();
    assert_eq!((lab.mac(1), lab.mac(2), lab.mac(3), lab.mac(LAGG)), (own(1), own(2), own(2), own(2)));
    assert!(!lab.inv.links[&1].promisc);
    assert_eq!(lab.inv.steering["lagg0"], steering(Some(2), &[3]));
}

#[test]
fn an_administrator_changes_the_lagg_and_the_ports_follow() {
    let mut lab = Lab::new(2, LaggBackend::Redirect);
    lab.lagg.active = Some(0);
    lab.settle();
    let lagg = lab.inv.links.get_mut(&LAGG).unwrap();
    (lagg.mac, lagg.mtu, lagg.up) = (Some(own(99)), 9000, false);
    lab.settle();
    for port in [1, 2] {
        assert_eq!((lab.mac(port), lab.inv.links[&port].mtu), (own(99), 9000));
    }
    assert_eq!(lab.inv.links[&INNER].mtu, 9000);
    assert!(!lab.inv.links[&LAGG].up, "whoever sets the lagg down means it");
}

#[test]
fn the_link_of_the_lagg_is_that_of_any_port() {
    let mut lab = Lab::new(2, LaggBackend::Redirect);
    lab.lagg.active = Some(0);
    lab.settle();
    for port in [1, 2] {
        assert!(lab.inv.links[&INNER].up);
        lab.inv.links.get_mut(&port).unwrap().running = false;
        lab.settle();
    }
    assert!(!lab.inv.links[&INNER].up);
}

#[test]
fn a_bridge_takes_its_ports_before_it_opens_one() {
    let mut lab = Lab::new(2, LaggBackend::Bridge);
    lab.lagg.active = Some(1);
    let ops = lab.settle();
    assert!(ops.len() > 3, "{ops:?}");
    assert_eq!((lab.inv.links[&1].passes, lab.inv.links[&2].passes), (Some(false), Some(true)));
    // The kernel has opened a port by itself.
    lab.inv.links.get_mut(&1).unwrap().passes = Some(true);
    lab.settle();
    assert_eq!((lab.inv.links[&1].passes, lab.inv.links[&2].passes), (Some(false), Some(true)));
}

/// Somebody deletes the bridge while nobody runs, and the lagg leaves the configuration.
#[test]
fn ports_of_a_bridge_that_has_gone_do_not_stay_dormant() {
    let mut lab = Lab::new(2, LaggBackend::Bridge);
    lab.lagg.active = Some(1);
    lab.settle();
    lab.inv.links.remove(&LAGG);
    lab.inv.links.values_mut().for_each(|l| l.master = None);
    let ops = release(&mut lab.lagg, &lab.inv);
    assert_eq!(ops, [KernelOp::Lagg(LaggOp::Detach { backend: LaggBackend::Bridge, port: 1 })]);
    ops.iter().for_each(|op| lab.apply(op));
    assert_eq!(release(&mut lab.lagg, &lab.inv), []);
    assert!(lab.lagg.found.is_empty());
}

#[test]
fn a_lagg_without_ports_takes_the_address_of_its_first() {
    let mut lab = Lab::new(1, LaggBackend::Redirect);
    let nics = std::mem::take(&mut lab.nics);
    lab.settle();
    assert_ne!(lab.mac(LAGG), own(1));
    lab.nics = nics;
    lab.settle();
    assert_eq!(lab.mac(LAGG), own(1));
}

#[test]
fn somebody_elses_interface_is_left_alone() {
    let mut lab = Lab::new(1, LaggBackend::Bridge);
    lab.inv.apply(&KernelEvent::Link(link(LAGG, "lagg0", Some("bridge"))));
    assert_eq!(lab.settle(), []);
    assert_eq!(release(&mut lab.lagg, &lab.inv), []);
}

#[test]
fn a_standby_speaks_with_an_address_that_is_not_the_laggs() {
    let mut lab = Lab::new(2, LaggBackend::Redirect);
    lab.lagg.active = Some(0);
    lab.settle();
    assert_eq!(lab.lagg.voice("e2", Some(own(1))), Some(own(2)));
    let odd = lab.lagg.voice("e1", Some(own(1))).unwrap();
    assert_ne!(odd, own(1));
    assert_eq!(odd.0[0] & 3, 2, "locally administered, unicast");
}
