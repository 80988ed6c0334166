//! Worlds in which the daemon is killed, and its configuration changed, again and again. In half of them a kill also cuts the
//! journal off at some byte.

use crate::faults::Fault;
use crate::rng::Rng;
use crate::scenario::Scenario;
use mpath_model::Settings;
use mpath_model::settings::Group;
use std::time::Duration;

/// Seeds from here on are such worlds.
pub const CHURN: u64 = 1 << 62;

/// One of the faults that such a world has besides all others.
pub(crate) fn pick(s: &Scenario, rng: &mut Rng) -> Option<Fault> {
    let torn = s.seed % 2 == 1;
    match rng.below(100) {
        50..=84 => Some(Fault::Restart {
            down: rng.duration(Duration::from_millis(1), Duration::from_millis(500)),
            midway: rng.chance(800),
            torn: torn.then(|| rng.below(1_000_000) as u32),
        }),
        85..=99 => Some(Fault::Reconfigure { change: rng.below(1 << 20) as u32 }),
        _ => None,
    }
}

/// The settings with something changed.
pub(crate) fn altered(settings: &Settings, change: u32) -> Settings {
    let mut new = settings.clone();
    let (what, which) = (change % 9, change as usize / 9);
    let count = new.groups.len();
    let group = &mut new.groups[which % count];
    let nic = which / 2 % group.interfaces.len();
    let address = which / 2 % group.addresses.len().max(1);
    match what {
        0 => drop_nic(group, nic),
        1 if !group.addresses.is_empty() => drop(group.addresses.remove(address)),
        2 if !group.addresses.is_empty() => {
            group.addresses[address].home = group.interfaces[nic].name.clone()
        }
        3 => group.interfaces[nic].standby ^= true,
        4 => group.name = "renamed".to_owned(),
        5 => group.failback ^= true,
        6 => group.interfaces[nic].test_addresses.clear(),
        7 => split(&mut new, which % count, nic),
        _ => drop(new.groups.remove(which % count)),
    }
    new
}

/// The NIC leaves; what has its home there gets another.
pub(crate) fn drop_nic(group: &mut Group, nic: usize) {
    if group.interfaces.len() > 1 {
        let gone = group.interfaces.remove(nic).name;
        let other = group.interfaces[0].name.clone();
        group.addresses.iter_mut().filter(|a| a.home == gone).for_each(|a| a.home = other.clone());
    }
}

/// The NIC and what is at home there become a group of their own.
fn split(settings: &mut Settings, group: usize, nic: usize) {
    let from = &mut settings.groups[group];
    if from.interfaces.len() < 2 {
        return;
    }
    let interface = from.interfaces.remove(nic);
    let mut new = Group { name: "apart".to_owned(), ..from.clone() };
    from.addresses.retain(|a| a.home != interface.name);
    new.addresses.retain(|a| a.home == interface.name);
    new.interfaces = vec![interface];
    settings.groups.push(new);
}
