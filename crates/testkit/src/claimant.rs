//! A neighbour that checks its IPv4 address for conflicts before it takes it, as RFC 5227 wants it of a host that starts.

use crate::capture::Capture;
use crate::error::{Context, Error};
use crate::host::Host;
use crate::lan::Lan;
use mpath_linux::sys::link_address;
use mpath_model::{IfIndex, Mac};
use mpath_wire::arp::{self, Arp, Operation};
use mpath_wire::ethernet::ethertype;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, bind, send, socket};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Probes (RFC 5227, section 1.1).
const PROBE_NUM: u32 = 3;
/// Announcements.
const ANNOUNCE_NUM: u32 = 2;

/// A neighbour on the server's link.
pub struct Claimant {
    host: Arc<Host>,
    index: IfIndex,
    mac: Mac,
    address: Ipv4Addr,
    /// What is a second in RFC 5227.
    second: Duration,
}

impl Claimant {
    /// Number `n`, 0 to 99, with address 192.0.2.(100 + n). It has its address when this returns.
    pub fn attach(lan: &Lan, n: u8, second: Duration) -> Result<Claimant, Error> {
        let host = Arc::new(lan.attach_host(&format!("peer{n}"), 100 + n)?);
        let index = host.index_of("eth0")?;
        let mac = Mac([2, 0, 0, 0, 2, 100 + n]);
        let claimant = Claimant { host, index, mac, address: Ipv4Addr::new(192, 0, 2, 100 + n), second };
        claimant.host.add_address("eth0", &claimant.with_prefix())?;
        Ok(claimant)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn with_prefix(&self) -> String {
        format!("{}/24", self.address)
    }

    /// It goes down.
    pub fn shut_down(&self) -> Result<(), Error> {
        self.host.set_admin(self.index, false)?;
        self.host.del_address("eth0", &self.with_prefix())
    }

    /// It starts: checks its address and takes it if nobody objects. Gives whatever would make it do without. `chance`
    /// gives numbers from 0 to 1.
    pub fn start(&self, mut chance: impl FnMut() -> f64) -> Result<Vec<Arp>, Error> {
        let heard = Capture::incoming(&self.host, "eth0")?;
        self.host.set_admin(self.index, true)?;
        let socket = self.host.run(|| open(self.index)).context(|| "open the socket of a claimant")?;
        std::thread::sleep(self.second.mul_f64(chance())); // PROBE_WAIT
        for probe in 1..=PROBE_NUM {
            self.say(&socket, Ipv4Addr::UNSPECIFIED)?;
            if probe < PROBE_NUM {
                std::thread::sleep(self.second.mul_f64(1.0 + chance())); // PROBE_MIN to PROBE_MAX
            }
        }
        std::thread::sleep(self.second * 2); // ANNOUNCE_WAIT
        let objections =
            heard.arps().into_iter().map(|(_, arp)| arp).filter(|arp| self.objects(arp)).collect();
        self.host.add_address("eth0", &self.with_prefix())?;
        for announcement in 1..=ANNOUNCE_NUM {
            self.say(&socket, self.address)?;
            if announcement < ANNOUNCE_NUM {
                std::thread::sleep(self.second * 2); // ANNOUNCE_INTERVAL
            }
        }
        Ok(objections)
    }

    fn say(&self, socket: &OwnedFd, sender: Ipv4Addr) -> Result<(), Error> {
        let frame = arp::request_frame(self.mac, Mac::BROADCAST, sender, self.address);
        send(socket.as_raw_fd(), &frame, MsgFlags::empty()).map(drop).context(|| "send an ARP probe")
    }

    /// RFC 5227, section 2.1.1: somebody has the address, or wants to have it.
    fn objects(&self, arp: &Arp) -> bool {
        let wants = arp.operation == Operation::Request
            && arp.sender_ip.is_unspecified()
            && arp.target_ip == self.address
            && arp.sender_mac != self.mac;
        arp.sender_ip == self.address || wants
    }
}

fn open(index: IfIndex) -> Result<OwnedFd, nix::Error> {
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)?;
    bind(fd.as_raw_fd(), &link_address(index, ethertype::ARP).ok_or(nix::errno::Errno::ENODEV)?)?;
    Ok(fd)
}
