//! What ifconfig prints: members of groups as Solaris does, laggs and all others as FreeBSD does (mpathd-behaviour.md
//! 7.6, lagg-carp.md A.11 and B.10).

mod flags;

use super::{connect, fetch, say};
use crate::names::Trouble;
use crate::netlink::link::{self, Link};
use mpath_model::settings::TestAddress;
use mpath_model::status::{Carp, Group, Interface, LinkState};
use mpath_model::{Family, IfAddr, Settings, Status};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// What is known from where.
struct Picture {
    links: Vec<Link>,
    /// Addresses of this family alone.
    family: Option<Family>,
    /// Empty without a daemon.
    status: Status,
    settings: Settings,
}

/// One interface or all of them, with the addresses of one family or both.
pub(super) fn print(
    socket: &Path,
    interface: Option<&str>,
    family: Option<Family>,
    flags: &[&str],
) -> Result<(), Trouble> {
    let links = link::links().map_err(|e| say(format!("cannot list the interfaces: {e}")))?;
    let mut picture = Picture { links, family, status: Status::default(), settings: Settings::default() };
    // Without a daemon the kernel's part is printed.
    if let Ok(mut client) = connect(socket)
        && let Ok(status) = client.status()
    {
        picture.status = status;
        picture.settings = fetch(&mut client)?.0;
    }
    if flags.contains(&"-l") {
        let names: Vec<&str> = picture.links.iter().map(|l| l.name.as_str()).collect();
        return Ok(crate::output::text(&(names.join(" ") + "\n"))?);
    }
    let wanted = |l: &&Link| match interface {
        Some(name) => l.name == name,
        None => {
            let up = l.flags & link::UP != 0;
            !(flags.contains(&"-u") && !up || flags.contains(&"-d") && up)
        }
    };
    let verbose = flags.contains(&"-v");
    let text: String = picture.links.iter().filter(wanted).map(|l| picture.block(l, verbose)).collect();
    match interface {
        Some(name) if text.is_empty() => Err(say(format!("interface {name} does not exist"))),
        _ => Ok(crate::output::text(&text)?),
    }
}

impl Picture {
    fn block(&self, link: &Link, verbose: bool) -> String {
        let member = self.status.groups.iter().find_map(|g| {
            let i = g.interfaces.iter().find(|i| i.name == link.name)?;
            Some((g, i))
        });
        match member {
            Some((group, interface)) => self.solaris(link, group, interface),
            None => self.freebsd(link, verbose),
        }
    }

    /// A member of a group: a paragraph for each address, the first with the group's name.
    fn solaris(&self, link: &Link, group: &Group, interface: &Interface) -> String {
        let units = self.units(link, group);
        let mut out = String::new();
        let first = units.first().map_or(0, |u| u.0);
        for (n, address, test) in &units {
            let unit = if *n == 0 { link.name.clone() } else { format!("{}:{n}", link.name) };
            out.push_str(&format!("{unit}: {}", flags::solaris(link, interface, address.as_ref(), *test)));
            out.push_str(&format!(" mtu {} index {}\n", link.mtu, link.index));
            if let Some(a) = address {
                out.push_str(&inet(a, true));
                out.push_str(&self.vhid_of(a, &link.name));
                out.push('\n');
            }
            if *n == first {
                out.push_str(&format!("\tgroupname {}\n", group.name));
                link.mac.iter().for_each(|m| out.push_str(&format!("\tether {m}\n")));
            }
        }
        out + &self.carps(&link.name)
    }

    /// The addresses that are on a member, numbered as its words count them, and whether each is a test address. A member
    /// without any still has its unit 0.
    fn units(&self, link: &Link, group: &Group) -> Vec<(usize, Option<IfAddr>, bool)> {
        let same = |list: &[IfAddr], a: &IfAddr| list.iter().any(|o| o.address == a.address);
        let mut order: Vec<IfAddr> =
            group.addresses.iter().filter(|a| a.home == link.name).map(|a| a.address).collect();
        let members = self.settings.groups.iter().flat_map(|g| &g.interfaces);
        let configured = members.filter(|i| i.name == link.name).flat_map(|i| &i.test_addresses);
        let tests: Vec<IfAddr> = configured.filter_map(TestAddress::address).collect();
        order.extend(&tests);
        let others: Vec<IfAddr> = link.addresses.iter().filter(|a| !same(&order, a)).copied().collect();
        order.extend(others);
        let numbered = order.into_iter().enumerate();
        let numbered = numbered.filter(|(_, a)| same(&link.addresses, a) && self.shows(a));
        let found: Vec<_> = numbered.map(|(n, a)| (n, Some(a), same(&tests, &a))).collect();
        if found.is_empty() { vec![(0, None, false)] } else { found }
    }

    fn shows(&self, address: &IfAddr) -> bool {
        self.family.is_none_or(|family| address.family() == family)
    }

    fn freebsd(&self, link: &Link, verbose: bool) -> String {
        let mut out = format!("{}: {} metric 0 mtu {}\n", link.name, flags::freebsd(link), link.mtu);
        let loopback = link.flags & link::LOOPBACK != 0;
        if let Some(mac) = link.mac.filter(|_| !loopback) {
            out.push_str(&format!("\tether {mac}\n"));
            let own = link.permanent.filter(|p| *p != mac);
            own.iter().for_each(|p| out.push_str(&format!("\thwaddr {p}\n")));
        }
        // A vhid's addresses are the interface's, also while another host answers for them.
        let mut all = link.addresses.clone();
        for v in self.carps_on(&link.name).flat_map(|c| &c.addresses) {
            if !all.iter().any(|a| a.address == v.address) {
                all.push(*v);
            }
        }
        for a in all.iter().filter(|a| self.shows(a)) {
            out.push_str(&inet(a, false));
            out.push_str(&self.vhid_of(a, &link.name));
            out.push('\n');
        }
        out.push_str(&self.carps(&link.name));
        out.push_str(&self.lagg(&link.name, verbose));
        if !loopback {
            let status = if link.flags & link::RUNNING != 0 { "active" } else { "no carrier" };
            out.push_str(&format!("\tmedia: Ethernet autoselect\n\tstatus: {status}\n"));
        }
        out
    }

    fn lagg(&self, name: &str, verbose: bool) -> String {
        let Some(lagg) = self.status.laggs.iter().find(|l| l.name == name) else { return String::new() };
        let mut out = "\tlaggproto failover lagghash l2,l3,l4\n".to_owned();
        if verbose {
            let active = lagg.ports.iter().filter(|p| p.link == LinkState::Up).count();
            out.push_str("\tlagg options:\n\t\tflags=0<>\n\t\tflowid_shift: 16\n");
            out.push_str(&format!("\tlagg statistics:\n\t\tactive ports: {active}\n\t\tflapping: 0\n"));
        }
        for port in &lagg.ports {
            let bit = |name: &str, value: u32| if port.flags.iter().any(|f| f == name) { value } else { 0 };
            let bits = bit("MASTER", 1) | bit("ACTIVE", 4);
            out.push_str(&format!("\tlaggport: {} flags={bits:x}<{}>\n", port.name, port.flags.join(",")));
        }
        out + "\tgroups: lagg\n"
    }

    fn carps_on(&self, name: &str) -> impl Iterator<Item = &Carp> {
        self.status.carps.iter().filter(move |c| c.interface.as_deref() == Some(name))
    }

    fn vhid_of(&self, address: &IfAddr, name: &str) -> String {
        let has = |c: &&Carp| c.addresses.iter().any(|a| a.address == address.address);
        self.carps_on(name).find(has).map_or(String::new(), |c| format!(" vhid {}", c.vhid))
    }

    fn carps(&self, name: &str) -> String {
        let mut out = String::new();
        for c in self.carps_on(name) {
            let (vhid, base, skew) = (c.vhid, c.advbase, c.advskew);
            out.push_str(&format!("\tcarp: {} vhid {vhid} advbase {base} advskew {skew}\n", c.state));
            let peer = c.peer.map_or("224.0.0.18".to_owned(), |p| p.to_string());
            let peer6 = c.peer6.map_or("ff02::12".to_owned(), |p| p.to_string());
            out.push_str(&format!("\t      peer {peer} peer6 {peer6}\n"));
        }
        out
    }
}

fn inet(a: &IfAddr, solaris: bool) -> String {
    match a.address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - a.prefix_len)).unwrap_or(0);
            let broadcast = Ipv4Addr::from_bits(address.to_bits() | !mask);
            let prefix = if solaris { "" } else { "0x" };
            format!("\tinet {address} netmask {prefix}{mask:08x} broadcast {broadcast}")
        }
        IpAddr::V6(address) if solaris => format!("\tinet6 {address}/{}", a.prefix_len),
        IpAddr::V6(address) => format!("\tinet6 {address} prefixlen {}", a.prefix_len),
    }
}

#[cfg(test)]
mod tests;
