//! Devices with a virtual MAC for CARP (lagg-carp.md C.8): macvlans that answer for what is put on them and do nothing
//! of their own accord. Their mode is bridge: a private one swallows every frame that comes from its own MAC, and with
//! it the adverts of another master, so that a split would never heal.

use crate::netlink::{Socket, create};
use crate::sysctl;
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;

/// What such a device needs. rp_filter: the way back leads through the parent, and the effective value is the greater
/// of `all` and this. IPv6: both hosts would make the same link-local address out of the MAC.
const SYSCTLS: [(&str, &str, i32); 7] = [
    ("ipv4", "rp_filter", 2),
    ("ipv4", "arp_ignore", 1),
    ("ipv4", "arp_announce", 2),
    ("ipv6", "addr_gen_mode", 1),
    ("ipv6", "accept_ra", 0),
    ("ipv6", "autoconf", 0),
    ("ipv6", "accept_dad", 0),
];

/// Makes a device, down. One that cannot be set up as needed is taken away again.
pub(crate) fn create(socket: &mut Socket, name: &str, parent: IfIndex, mac: Mac) -> Result<(), Errno> {
    let end = create::End { name: name.to_owned(), mac: Some(mac), ..create::End::default() };
    create::macvlan(socket, &end, parent).map_err(|e| Errno::from_raw(e.errno()))?;
    for (family, key, value) in SYSCTLS {
        let written = sysctl::write_file(&format!("/proc/sys/net/{family}/conf/{name}/{key}"), value);
        match written {
            // A kernel without IPv6 has none of its files.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                if let Ok(index) = nix::net::if_::if_nametoindex(name) {
                    let _ = create::delete(socket, index);
                }
                return Err(errno);
            }
        }
    }
    Ok(())
}
