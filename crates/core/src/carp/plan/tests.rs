use super::*;
use crate::carp::counter::Counter;
use crate::carp::demotion::Health;
use crate::carp::machine::Happening;
use crate::carp::vhid::Place;
use mpath_model::carp::Over;
use mpath_model::kernel::Inventory as Dump;
use mpath_model::settings::Carp;
use mpath_model::{Mac, Time};

fn link(index: IfIndex, name: &str, up: bool) -> Link {
    Link { up, running: up, ..Link::ethernet(index, name, Mac([2, 0, 0, 0, 0, index as u8])) }
}

fn virtual_link(index: IfIndex, parent: IfIndex, up: bool) -> Link {
    let name = device_name(1, parent);
    Link { mac: Some(virtual_mac(1)), kind: Some("macvlan".into()), ..link(index, &name, up) }
}

fn inventory(links: &[Link], addresses: &[Address]) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.replace(Dump { links: links.to_vec(), addresses: addresses.to_vec(), ..Dump::default() });
    inventory
}

/// A vhid over two members, of which `active` serves.
fn vhid(active: IfIndex, master: bool, vmac: bool) -> Vhid {
    let settings = Carp {
        vmac,
        addresses: vec!["192.0.2.100/24".parse().unwrap()],
        ..Carp::new(Over::Group("g".into()), 1)
    };
    let mut v = Vhid::new(settings, Counter::new(0, 1));
    let listen = vec![2, 3];
    let place = Place { active: Some(active), listen, usable: true, health: Health::Ok, sources: [None; 2] };
    v.moved(Time(0), place);
    if master {
        v.happen(Time(0), Happening::Resumed, 0, &mut |_| 0, &mut Vec::new());
    }
    v
}

fn vip(index: IfIndex) -> Address {
    Address {
        flags: ifa::NODAD,
        protocol: PROTO_MPATHD,
        valid_lft: 1,
        preferred_lft: 1,
        ..Address::plain(index, "192.0.2.100/24".parse().unwrap())
    }
}

fn of(v: Vhid, inventory: &Inventory) -> Plan {
    plan(&[v], inventory, &|_| false)
}

const NICS: fn() -> [Link; 2] = || [link(2, "eth0", true), link(3, "eth1", true)];

#[test]
fn the_device_is_there_before_it_is_needed() {
    let made = of(vhid(2, false, true), &inventory(&NICS(), &[]));
    let device = KernelOp::AddVirtual { name: "carp1-2".into(), parent: 2, mac: virtual_mac(1) };
    assert_eq!(made.make, [device]);
    let idle = [&NICS()[..], &[virtual_link(9, 2, false)]].concat();
    assert_eq!(of(vhid(2, false, true), &inventory(&idle, &[])), Plan::default());
}

#[test]
fn a_master_is_up_and_has_its_addresses_for_a_second() {
    let idle = [&NICS()[..], &[virtual_link(9, 2, false)]].concat();
    let bare = of(vhid(2, true, true), &inventory(&idle, &[]));
    let [KernelOp::SetLink { index: 9, up: true }, KernelOp::AddAddress(a)] = &bare.make[..] else {
        panic!("{bare:?}")
    };
    assert_eq!(*a, vip(9), "it brings the route of its network along");
    assert_eq!(bare.placed, [(9, "192.0.2.100".parse().unwrap())]);
    let resident = Address::plain(2, "192.0.2.1/24".parse().unwrap());
    let with = of(vhid(2, true, true), &inventory(&idle, &[resident]));
    assert!(matches!(&with.make[1], KernelOp::AddAddress(a) if a.has(ifa::NOPREFIXROUTE)), "{with:?}");
    let done = [&NICS()[..], &[virtual_link(9, 2, true)]].concat();
    assert_eq!(of(vhid(2, true, true), &inventory(&done, &[vip(9)])), Plan::default());
}

#[test]
fn on_another_member_first_and_only_then_away_from_the_old_one() {
    let mut links = [&NICS()[..], &[virtual_link(9, 2, true)]].concat();
    let first = of(vhid(3, true, true), &inventory(&links, &[vip(9)]));
    assert!(matches!(&first.make[..], [KernelOp::AddVirtual { parent: 3, .. }]), "{first:?}");
    assert_eq!(first.clean, []);
    links.push(virtual_link(10, 3, false));
    let second = of(vhid(3, true, true), &inventory(&links, &[vip(9)]));
    assert_eq!((second.make.len(), second.clean.len()), (2, 0), "{second:?}");
    links[3] = virtual_link(10, 3, true);
    let third = of(vhid(3, true, true), &inventory(&links, &[vip(9), vip(10)]));
    assert_eq!(third.make, []);
    assert!(third.clean.contains(&KernelOp::DelLink(9)), "{third:?}");
}

#[test]
fn who_is_no_master_is_silent_at_once() {
    let links = [&NICS()[..], &[virtual_link(9, 2, true)]].concat();
    let silent = of(vhid(2, false, true), &inventory(&links, &[vip(9)]));
    let addr = vip(9).addr;
    assert_eq!(
        silent.make,
        [KernelOp::DelAddress { index: 9, addr }, KernelOp::SetLink { index: 9, up: false }]
    );
    let plain = of(vhid(2, false, false), &inventory(&NICS(), &[vip(2)]));
    assert_eq!(plain.make, [KernelOp::DelAddress { index: 2, addr }]);
    // What an administrator put there for good is his.
    let his = Address::plain(2, addr);
    assert_eq!(of(vhid(2, false, false), &inventory(&NICS(), &[his])), Plan::default());
}

#[test]
fn what_an_earlier_life_left_is_known_by_name_kind_and_mac() {
    let ours = virtual_link(9, 0x1f, false);
    assert_eq!((ours.name.as_str(), device(&ours)), ("carp1-1f", Some((1, 0x1f))));
    assert_eq!(device(&Link { kind: None, ..ours.clone() }), None);
    assert_eq!(device(&Link { mac: Some(virtual_mac(2)), ..ours.clone() }), None);
    let plan = plan(&[], &inventory(&[ours], &[]), &|_| false);
    assert_eq!(plan.clean, [KernelOp::DelLink(9)]);
}
