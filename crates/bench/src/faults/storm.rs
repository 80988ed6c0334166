//! Storms on the server that are none of the daemon's business.

use mpath_linux::netlink::create::End;
use mpath_testkit::{Error, Host, Lan};

/// Interfaces of a storm.
const INTERFACES: u32 = 1000;
/// Routes of a storm.
const ROUTES: u32 = 100_000;
/// The interface that the routes lead through, and its other end.
const ENDS: [&str; 2] = ["other0", "other1"];

/// Interfaces above the NIC that stands in come and go, two at a time.
pub(super) fn interfaces(server: &Host) -> Result<(), Error> {
    for n in 0..INTERFACES / 2 {
        let names = [format!("a{n}"), format!("b{n}")];
        names.iter().try_for_each(|name| server.macvlan(name, super::world::OTHER, None))?;
        names.iter().try_for_each(|name| server.delete(name))?;
    }
    Ok(())
}

/// Makes the interface that the routes will lead through.
pub(super) fn prepare_routes(lan: &Lan) -> Result<(), Error> {
    let end = |name: &str| End { name: name.to_owned(), ..End::default() };
    lan.server.veth(end(ENDS[0]), &lan.switch, end(ENDS[1]))?;
    lan.switch.set_up(ENDS[1])?;
    lan.server.set_up(ENDS[0])?;
    lan.server.add_address(ENDS[0], "203.0.113.1/24")
}

/// Adds the routes, one after the other.
pub(super) fn routes(server: &Host) -> Result<(), Error> {
    let far = (0..ROUTES).map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255));
    server.add_routes(ENDS[0], far, "203.0.113.2")
}

/// All routes go at once, with their interface.
pub(super) fn end_routes(server: &Host) -> Result<(), Error> {
    server.delete(ENDS[0])
}
