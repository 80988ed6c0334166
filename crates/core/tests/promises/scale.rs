//! What the engine itself costs, with many addresses, routes and NICs: it grows with what there is, and no faster. What
//! is compared is processor time, with itself only, the best of several.

use crate::common::{ETH0, ETH1, Kernel, Lab, Net, Spec, ms, secs, via};
use mpath_model::kernel::Route;
use mpath_model::settings::DataAddress;
use mpath_model::{IfIndex, Settings};
use std::time::Duration;

/// Ten times as much may cost this many times as much. The square would cost a hundred times as much.
const TENFOLD: u32 = 35;

/// Settings with so many data addresses of each family on eth0.
fn settings(count: usize) -> Settings {
    let mut settings = Spec::default().settings();
    let four = (0..count).map(|n| format!("10.77.{}.{}/16", n / 250, n % 250 + 1));
    let six = (0..count).map(|n| format!("2001:db8:77::{:x}/64", n + 1));
    let data = |a: String| DataAddress { address: a.parse().unwrap(), home: "eth0".into() };
    settings.groups[0].addresses = four.chain(six).map(data).collect();
    settings
}

/// So many routes through eth0 that somebody has put there.
fn routes(count: usize, protocol: u8) -> Vec<Route> {
    let dst = |n: usize| format!("172.{}.{}.{}/32", 16 + (n >> 16), (n >> 8) & 255, n & 255);
    (0..count).map(|n| Route { protocol, ..via(&dst(n), "192.0.2.1", 2) }).collect()
}

/// What the engine spends on a start, on a failover, and on the way home; each between two full comparisons.
fn costs(addresses: usize, routes: Vec<Route>) -> [Duration; 3] {
    let spec = Spec::default();
    let mut kernel = spec.kernel();
    kernel.routes.extend(routes);
    let mut lab = Lab::start(1, settings(addresses), kernel, spec.net(), None);
    lab.run(secs(21));
    let start = std::mem::take(&mut lab.spent);
    lab.carrier(&[ETH0], false);
    lab.run(secs(4));
    assert_eq!(lab.kernel.on(ETH1).count(), 2 * addresses + 1);
    let failover = std::mem::take(&mut lab.spent);
    lab.carrier(&[ETH0], true);
    lab.run(secs(14));
    assert_eq!(lab.kernel.on(ETH0).count(), 2 * addresses + 1);
    [start, failover, lab.spent]
}

/// The best of three, each part by itself.
fn best<const N: usize>(measure: impl Fn() -> [Duration; N]) -> [Duration; N] {
    let all = [measure(), measure(), measure()];
    std::array::from_fn(|part| all.iter().map(|m| m[part]).min().unwrap())
}

#[track_caller]
fn at_most<const N: usize>(times: u32, few: [Duration; N], many: [Duration; N]) {
    eprintln!("few {few:?}, many {many:?}");
    let within = few.iter().zip(&many).all(|(few, many)| *many <= *few * times);
    assert!(within, "more than {times} times as much: {few:?}, then {many:?}");
}

#[test]
fn the_cost_of_an_address_does_not_depend_on_their_number() {
    at_most(TENFOLD, best(|| costs(60, Vec::new())), best(|| costs(600, Vec::new())));
}

#[test]
fn the_cost_of_a_route_does_not_depend_on_their_number() {
    at_most(TENFOLD, best(|| costs(1, routes(60, 4))), best(|| costs(1, routes(600, 4))));
}

/// Protocol 12 is bird's.
#[test]
fn a_hundred_times_the_routes_of_a_routing_daemon_cost_little() {
    let moves = |count| {
        let [_, failover, failback] = costs(10, routes(count, 12));
        [failover, failback]
    };
    at_most(25, best(|| moves(200)), best(|| moves(20_000)));
}

/// What the engine spends on a failover with so many groups of two NICs each.
fn groups(count: usize) -> [Duration; 1] {
    let mut settings = Settings::default();
    let mut kernel = Kernel::new();
    let index = |n: usize| IfIndex::try_from(n).unwrap() + ETH0;
    for g in 0..count {
        let names = [format!("eth{}", 2 * g), format!("eth{}", 2 * g + 1)];
        let mut group = Spec { four: false, ..Spec::default() }.settings().groups.remove(0);
        group.name = format!("g{g}");
        for (n, name) in names.iter().enumerate() {
            group.interfaces[n].name.clone_from(name);
            kernel.add_link(index(2 * g + n), name);
        }
        let address = format!("10.{g}.0.10/24").parse().unwrap();
        group.addresses = vec![DataAddress { address, home: names[0].clone() }];
        settings.groups.push(group);
    }
    let mut lab = Lab::start(1, settings, kernel, Net::default(), None);
    lab.run(secs(20));
    lab.spent = Duration::ZERO;
    for g in 0..count {
        lab.carrier(&[index(2 * g)], false);
        lab.run(ms(100));
        assert_eq!(lab.where_is(&format!("10.{g}.0.10")), [index(2 * g + 1)]);
    }
    [lab.spent / u32::try_from(count).unwrap()]
}

/// Thirty-two groups instead of eight: a single failover looks at four times as much.
#[test]
fn sixty_four_nics_cost_as_much_as_there_are() {
    at_most(12, best(|| groups(8)), best(|| groups(32)));
}
