//! The sockets the engine listens and sends with: which are open follows from what it wants to hear.

use crate::Error;
use crate::adverts::Adverts;
use crate::echo::{EchoSocket, Request};
use crate::packet::{Listener, Sender};
use mpath_model::carp::{CarpId, Passphrase};
use mpath_model::kernel::{Heard, Listen, Transmit};
use mpath_model::{Family, IfIndex, Mac, settings};
use mpath_wire::carp::Authenticator;
use mpath_wire::ethernet::ethertype;
use mpath_wire::{beacon, icmp};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// What makes and proves the digests of each vhid.
pub type Keys = HashMap<CarpId, Authenticator>;

/// The keys of vhids with their passphrases; a vhid without one gets none, and neither sends nor believes anything.
pub fn keys_of(carps: &[settings::Carp], passphrases: &[(CarpId, Passphrase)]) -> Keys {
    let one = |carp: &settings::Carp| {
        let id = carp.id();
        let (_, passphrase) = passphrases.iter().find(|(of, _)| *of == id)?;
        let addresses: Vec<_> = carp.addresses.iter().map(|a| a.address).collect();
        Some((id, Authenticator::new(passphrase, carp.vhid, &addresses)))
    };
    carps.iter().filter_map(one).collect()
}

/// All probe sockets, and those of CARP.
#[derive(Debug, Default)]
pub struct Probes {
    echo: BTreeMap<(IfIndex, Family), EchoSocket>,
    /// By interface and EtherType.
    listeners: BTreeMap<(IfIndex, u16), Listener>,
    ports: BTreeMap<(IfIndex, Mac), Listener>,
    adverts: Adverts,
    sender: Option<Sender>,
    generation: u64,
    /// Where each descriptor of probes is to be found, CARP's aside.
    places: HashMap<RawFd, Place>,
    /// None: that cannot be found out.
    waiting: Option<Waiting>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Echo(IfIndex, Family),
    Frames(IfIndex, u16),
    Port(IfIndex, Mac),
}

/// Tells which of many sockets have something, at a cost that does not depend on their number.
#[derive(Debug)]
struct Waiting {
    epoll: Epoll,
    /// Room for all of them.
    events: Vec<EpollEvent>,
}

impl Waiting {
    /// These sockets, and no others.
    fn for_all<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> Result<Waiting, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut events = Vec::new();
        for socket in sockets {
            let readable = EpollEvent::new(EpollFlags::EPOLLIN, socket.as_raw_fd().unsigned_abs().into());
            epoll.add(socket, readable)?;
            events.push(EpollEvent::empty());
        }
        Ok(Waiting { epoll, events })
    }

    /// Those that have something.
    fn ready(&mut self) -> Result<Vec<RawFd>, Errno> {
        if self.events.is_empty() {
            return Ok(Vec::new());
        }
        let count = self.epoll.wait(&mut self.events, EpollTimeout::ZERO)?;
        Ok(self.events[..count].iter().filter_map(|event| RawFd::try_from(event.data()).ok()).collect())
    }
}

impl Probes {
    /// No sockets.
    pub fn new() -> Probes {
        Probes::default()
    }

    /// Opens what is wanted and not open, closes what is open and not wanted. Returns what could not be
    /// opened, by interface; it is tried again with the next call. `names` is for the errors only.
    pub fn listen(
        &mut self,
        wanted: &Listen,
        names: &dyn Fn(IfIndex) -> Option<String>,
    ) -> Vec<(IfIndex, Error)> {
        let frames: Vec<(IfIndex, u16)> = frames(wanted).collect();
        let before = (self.echo.len(), self.listeners.len(), self.ports.len());
        self.echo.retain(|key, _| wanted.echo.contains(key));
        self.listeners.retain(|key, socket| frames.contains(key) && !socket.is_dead());
        self.ports.retain(|key, socket| wanted.ports.contains(key) && !socket.is_dead());
        let mut changed = before != (self.echo.len(), self.listeners.len(), self.ports.len());
        let mut errors = Vec::new();
        for key @ (index, family) in &wanted.echo {
            if !self.echo.contains_key(key) {
                match EchoSocket::open(*index, *family) {
                    Ok(socket) => changed |= self.echo.insert(*key, socket).is_none(),
                    Err(error) => errors.push((*index, named(error, *index, names))),
                }
            }
        }
        for key @ (index, ethertype) in frames {
            if let Entry::Vacant(place) = self.listeners.entry(key) {
                match Listener::open(index, ethertype) {
                    Ok(socket) => {
                        place.insert(socket);
                        changed = true;
                    }
                    Err(error) => errors.push((index, named(error, index, names))),
                }
            }
        }
        for key @ (index, mac) in &wanted.ports {
            if !self.ports.contains_key(key) {
                match Listener::open_port(*index, *mac) {
                    Ok(socket) => changed |= self.ports.insert(*key, socket).is_none(),
                    Err(error) => errors.push((*index, named(error, *index, names))),
                }
            }
        }
        let failed = self.adverts.listen(&wanted.carp, &mut changed);
        errors.extend(failed.into_iter().map(|(index, error)| (index, named(error, index, names))));
        if changed {
            self.generation += 1;
            self.find_places();
        }
        errors
    }

    fn find_places(&mut self) {
        let echo = self.echo.iter().map(|((i, f), s)| (s.as_fd(), Place::Echo(*i, *f)));
        let frames = self.listeners.iter().map(|((i, t), s)| (s.as_fd(), Place::Frames(*i, *t)));
        let ports = self.ports.iter().map(|((i, m), s)| (s.as_fd(), Place::Port(*i, *m)));
        let all: Vec<_> = echo.chain(frames).chain(ports).collect();
        let waiting = Waiting::for_all(all.iter().map(|(fd, _)| *fd)).ok();
        self.places = all.into_iter().map(|(fd, place)| (fd.as_raw_fd(), place)).collect();
        self.waiting = waiting;
    }

    /// Descriptors that are open now.
    pub fn fds(&self) -> Vec<RawFd> {
        self.places.keys().copied().chain(self.adverts.fds()).collect()
    }

    /// Those on which something may be waiting.
    pub fn ready(&mut self) -> Vec<RawFd> {
        match self.waiting.as_mut().and_then(|waiting| waiting.ready().ok()) {
            Some(ready) => ready.into_iter().chain(self.adverts.fds()).collect(),
            None => self.fds(),
        }
    }

    /// Passphrases of CARP's vhids with their addresses, in place of those known before.
    pub fn set_keys(&mut self, keys: Keys) {
        self.adverts.set_keys(keys);
    }

    /// Counts the changes of [`Probes::fds`]. After a change all descriptors have to be registered anew: a
    /// number may stand for another socket.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes what a descriptor has, up to a bound of 256 packets. Whether more may be waiting: an
    /// edge-triggered caller has to come back for it.
    pub fn receive(&mut self, fd: RawFd, out: &mut Vec<Heard>) -> bool {
        let more = match self.places.get(&fd) {
            None => return self.adverts.receive(fd, out),
            Some(Place::Echo(index, family)) => {
                self.echo.get(&(*index, *family)).map(|socket| socket.receive(out))
            }
            Some(Place::Frames(index, kind)) => {
                self.listeners.get(&(*index, *kind)).map(|socket| socket.receive(out))
            }
            Some(Place::Port(index, mac)) => {
                self.ports.get(&(*index, *mac)).map(|socket| socket.receive(out))
            }
        };
        more.unwrap_or(false)
    }

    /// Sends a packet. An echo needs its socket open (see [`Probes::listen`]), else ENOTCONN.
    pub fn send(&mut self, what: &Transmit) -> io::Result<()> {
        let sent = match what {
            Transmit::Echo { index, source, target, ident, seq, payload } => {
                let key = (*index, Family::of(target));
                let socket = self.echo.get(&key).ok_or(Errno::ENOTCONN)?;
                socket.send(Request {
                    source: *source,
                    target: *target,
                    echo: icmp::Echo { ident: *ident, seq: *seq, payload },
                })
            }
            Transmit::Frame { index, bytes } => self.sender()?.send(*index, bytes),
            Transmit::Advert(advert) => match self.adverts.send(advert)? {
                Some(frame) => self.sender()?.send(advert.index, &frame),
                None => Ok(()),
            },
        };
        sent.map_err(io::Error::from)
    }

    fn sender(&mut self) -> Result<&Sender, Errno> {
        if self.sender.is_none() {
            let opened = Sender::open().map_err(|e| Errno::from_raw(e.errno()))?;
            self.sender = Some(opened);
        }
        self.sender.as_ref().ok_or(Errno::EBADF)
    }
}

/// Whose frames are wanted, and which.
fn frames(wanted: &Listen) -> impl Iterator<Item = (IfIndex, u16)> {
    let arp = wanted.arp.iter().map(|i| (*i, ethertype::ARP));
    arp.chain(wanted.beacons.iter().map(|i| (*i, beacon::ETHERTYPE)))
}

/// The error with the interface's name in place of its index.
fn named(error: Error, index: IfIndex, names: &dyn Fn(IfIndex) -> Option<String>) -> Error {
    match (error, names(index)) {
        (Error::System { operation, errno }, Some(name)) => {
            Error::System { operation: operation.replace(&format!("interface {index}"), &name), errno }
        }
        (error, _) => error,
    }
}
