//! Multicast memberships on behalf of others. A group that a program joined stays on the interface it was joined on; while
//! that one is out of service, the daemon joins the same groups on the interface that took over, and the program hears
//! them again (linux-failover.md, pitfall 19). Programs with IP_MULTICAST_ALL=0 or bound to the interface do not.

use crate::sys;
use mpath_model::{Family, IfIndex};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};

/// Memberships held at the same time, at most; each one has a socket.
const MAX_JOINED: usize = 256;
/// Longest table that is read, bytes.
const MAX_TABLE: usize = 1 << 20;

/// Groups joined for others.
#[derive(Debug, Default)]
pub struct Memberships {
    joined: BTreeMap<(IfIndex, IpAddr), OwnedFd>,
    refused: u64,
}

impl Memberships {
    /// Joins on the second interface of each pair what programs have joined on the first, and leaves everything else.
    pub fn follow(&mut self, pairs: &[(IfIndex, IfIndex)]) {
        self.joined.retain(|(index, _), _| pairs.iter().any(|(_, to)| to == index));
        if pairs.is_empty() {
            return;
        }
        // Who cannot look leaves everything as it is.
        let (Some(mut all), Some(six)) = (members(Family::Inet), members(Family::Inet6)) else { return };
        all.extend(six);
        let mut wanted = BTreeSet::new();
        for (from, to) in pairs {
            wanted.extend(
                all.iter().filter(|(index, g)| index == from && is_public(g)).map(|(_, g)| (*to, *g)),
            );
        }
        // An interface forgets its groups when it goes, or is no place for a family for a while.
        self.joined.retain(|key, _| wanted.contains(key) && all.contains(key));
        for key @ (index, group) in wanted {
            if self.joined.contains_key(&key) {
                continue;
            }
            // Not even for a moment: switches would be told.
            let room = self.joined.len() < MAX_JOINED;
            match room.then(|| join(index, group)) {
                Some(Ok(fd)) => drop(self.joined.insert(key, fd)),
                _ => self.refused += 1,
            }
        }
    }

    /// What is joined at present.
    pub fn joined(&self) -> impl Iterator<Item = (IfIndex, IpAddr)> + '_ {
        self.joined.keys().copied()
    }

    /// Joins that failed since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// The groups that are joined at present on all interfaces, by whomever; none if that cannot be found out.
pub(crate) fn members(family: Family) -> Option<Vec<(IfIndex, IpAddr)>> {
    let path = match family {
        Family::Inet => "/proc/net/igmp",
        Family::Inet6 => "/proc/net/igmp6",
    };
    let text = match fs::read_to_string(path) {
        // A kernel without the family.
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        text => text.ok().filter(|t| t.len() <= MAX_TABLE)?,
    };
    Some(match family {
        Family::Inet => parse4(&text),
        Family::Inet6 => parse6(&text),
    })
}

/// A socket that is a member; closing it leaves.
fn join(index: IfIndex, group: IpAddr) -> Result<OwnedFd, Errno> {
    let open = |family| net::socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    match group {
        IpAddr::V4(group) => {
            let fd = open(AddressFamily::Inet)?;
            // struct ip_mreqn: group, local address, interface index.
            let mut request = [0; 12];
            request[..4].copy_from_slice(&group.octets());
            request[8..].copy_from_slice(&index.to_ne_bytes());
            sys::set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)?;
            Ok(fd)
        }
        IpAddr::V6(group) => {
            let fd = open(AddressFamily::Inet6)?;
            // struct ipv6_mreq: group, interface index.
            let mut request = [0; 20];
            request[..16].copy_from_slice(&group.octets());
            request[16..].copy_from_slice(&index.to_ne_bytes());
            sys::set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)?;
            Ok(fd)
        }
    }
}

/// Not one of those that the kernel joins by itself: all hosts, all nodes, solicited nodes.
fn is_public(group: &IpAddr) -> bool {
    match group {
        IpAddr::V4(g) => *g != Ipv4Addr::new(224, 0, 0, 1),
        IpAddr::V6(g) => {
            let s = g.segments();
            let nodes = s[0] & 0xfff0 == 0xff00 && s[1..7] == [0; 6] && (s[7] == 1 || s[7] == 2);
            let solicited = s[..5] == [0xff02, 0, 0, 0, 0] && s[5] == 1 && s[6] & 0xff00 == 0xff00;
            !nodes && !solicited
        }
    }
}

/// `/proc/net/igmp`: a line for each interface, then indented lines with its groups, whose bytes are those of memory.
fn parse4(text: &str) -> Vec<(IfIndex, IpAddr)> {
    let mut found = Vec::new();
    let mut index = None;
    for line in text.lines().skip(1) {
        let first = line.split_whitespace().next().unwrap_or_default();
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            index = first.parse().ok();
        } else if let (Some(index), Ok(group)) = (index, u32::from_str_radix(first, 16)) {
            found.push((index, IpAddr::V4(Ipv4Addr::from(group.to_ne_bytes()))));
        }
    }
    found
}

/// `/proc/net/igmp6`: index, name, group.
fn parse6(text: &str) -> Vec<(IfIndex, IpAddr)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let index = words.next()?.parse().ok()?;
        let group = words.nth(1).filter(|w| w.len() == 32)?;
        let group = u128::from_str_radix(group, 16).ok()?;
        Some((index, IpAddr::V6(Ipv6Addr::from(group))))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let four = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                    1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                    5\teth0      :     2      V3\n\t\t\t\t030201EF     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
        let all = parse4(four);
        let own: IpAddr =
            if cfg!(target_endian = "little") { "239.1.2.3" } else { "3.2.1.239" }.parse().unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.contains(&(5, own)));
        let six = "5    eth0            ff02000000000000000000010003abcd     1 00000004 0\n\
                   5    eth0            ff0200000000000000000001ff000001     1 00000004 0\n\
                   5    eth0            ff020000000000000000000000000001     1 0000000C 0\n\
                   garbage\n";
        let public: Vec<_> = parse6(six).into_iter().filter(|(_, g)| is_public(g)).collect();
        assert_eq!(public, [(5, "ff02::1:3:abcd".parse().unwrap())]);
    }
}
