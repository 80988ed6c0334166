//! tun(4) devices: taps whose carrier goes when it is told to, without a peer, as that of a plain NIC does; and tunnels.

use crate::error::{Context, Error};
use crate::host::Host;
use crate::traffic::Stop;
use mpath_linux::sys;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::thread::JoinHandle;

/// How often a relay looks whether it shall end, in milliseconds.
const IDLE_MS: u16 = 50;

/// A tap. It goes away with this value.
pub struct Tap {
    name: String,
    file: File,
}

impl Tap {
    /// Makes it on a host, administratively up, with carrier.
    pub fn new(host: &Host, name: &str) -> Result<Tap, Error> {
        let tap = Tap { name: name.to_owned(), file: open(host, name, libc::IFF_TAP)? };
        host.set_up(name)?;
        Ok(tap)
    }

    /// Plugs its cable in, or pulls it.
    pub fn set_carrier(&self, on: bool) -> Result<(), Error> {
        sys::set_tun_carrier(self.file.as_fd(), on)
            .context(|| format!("set the carrier of {} to {on}", self.name))
    }
}

/// A tunnel between two hosts, of two devices of one name and threads that carry the packets.
pub struct Tunnel {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Tunnel {
    /// Makes it; both ends are up, without addresses.
    pub fn new(name: &str, one: &Host, other: &Host) -> Result<Tunnel, Error> {
        let ends = [open(one, name, libc::IFF_TUN)?, open(other, name, libc::IFF_TUN)?];
        one.set_up(name)?;
        other.set_up(name)?;
        let mut tunnel = Tunnel { stop: Stop::default(), threads: Vec::new() };
        for (from, to) in [(0, 1), (1, 0)] {
            let duplicate = |n: usize| ends[n].try_clone().context(|| format!("duplicate {name}"));
            let (from, to, stop) = (duplicate(from)?, duplicate(to)?, tunnel.stop.clone());
            tunnel.threads.push(one.spawn_thread("tunnel", move || relay(from, to, &stop))?);
        }
        Ok(tunnel)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.now();
        self.threads.drain(..).for_each(|t| drop(t.join()));
    }
}

fn relay(mut from: File, mut to: File, stop: &Stop) {
    let mut packet = [0; 4096];
    while !stop.asked() {
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(IDLE_MS)).is_ok_and(|n| n > 0)
            && let Ok(length) = from.read(&mut packet)
        {
            // What does not get in is lost, as on any link.
            let _ = to.write(&packet[..length]);
        }
    }
}

fn open(host: &Host, name: &str, kind: i32) -> Result<File, Error> {
    let what = || format!("make {name} on {}", host.name());
    host.run(|| {
        let file = File::options().read(true).write(true).open("/dev/net/tun").context(what)?;
        sys::make_tun(file.as_fd(), name, kind | libc::IFF_NO_PI).context(what)?;
        Ok(file)
    })
}
