//! Where addresses are, looked at over and over: whether one was ever nowhere, and on which interfaces each is now.

use crate::error::{Context, Error};
use crate::host::Host;
use crate::traffic::Stop;
use mpath_linux::netlink::{Socket, decode, encode};
use mpath_model::{Family, IfIndex};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// Absences kept.
const MOST: usize = 10_000;

/// An address and the interfaces that have it.
pub type Held = (IpAddr, Vec<IfIndex>);

/// An address that was nowhere, twice in a row.
pub type Absence = (Instant, IpAddr);

#[derive(Debug, Default)]
struct Seen {
    /// When the last look began, and who had each address.
    last: Option<(Instant, Vec<Vec<IfIndex>>)>,
    absent: Vec<Absence>,
    looks: u64,
}

/// Watches addresses of a host.
pub struct Places {
    addresses: Vec<IpAddr>,
    seen: Arc<Mutex<Seen>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Places {
    /// Watches from now on. All of them are there already.
    pub fn watch(host: &Host, addresses: &[&str]) -> Result<Places, Error> {
        let what = || format!("watch addresses of {}", host.name());
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|a| a.parse()).collect::<Result<_, _>>().context(what)?;
        let mut socket = host.run(Socket::open).context(what)?;
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Stop::default());
        let (theirs, asked, wanted) = (Arc::clone(&seen), stop.clone(), addresses.clone());
        let look = move || {
            let mut before = vec![false; wanted.len()];
            while !asked.asked() {
                let at = Instant::now();
                // An interrupted dump shows nothing; the next one will.
                if let Ok(found) = holders(&mut socket, &wanted) {
                    let absent: Vec<bool> = found.iter().map(Vec::is_empty).collect();
                    let twice = absent.iter().zip(&before).zip(&wanted).filter(|((a, b), _)| **a && **b);
                    let mut seen = lock(&theirs);
                    if seen.absent.len() < MOST {
                        seen.absent.extend(twice.map(|(_, address)| (at, *address)));
                    }
                    seen.last = Some((at, found));
                    seen.looks += 1;
                    before = absent;
                }
                std::thread::sleep(PAUSE);
            }
        };
        let thread = Some(host.spawn_thread("places", look)?);
        Ok(Places { addresses, seen, stop, thread })
    }

    /// When the last look began, if it found every address on this interface and nowhere else.
    pub fn all_on(&self, index: IfIndex) -> Option<Instant> {
        let seen = lock(&self.seen);
        let (at, found) = seen.last.as_ref()?;
        found.iter().all(|holders| *holders == [index]).then_some(*at)
    }

    /// When the last look began, and the addresses with their holders.
    pub fn last(&self) -> Option<(Instant, Vec<Held>)> {
        let seen = lock(&self.seen);
        let (at, found) = seen.last.as_ref()?;
        Some((*at, self.addresses.iter().copied().zip(found.iter().cloned()).collect()))
    }

    /// When an address was nowhere, from `since` on.
    pub fn absences(&self, since: Instant) -> Vec<Absence> {
        lock(&self.seen).absent.iter().filter(|(at, _)| *at >= since).copied().collect()
    }

    /// How often has been looked.
    pub fn looks(&self) -> u64 {
        lock(&self.seen).looks
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn holders(socket: &mut Socket, wanted: &[IpAddr]) -> Result<Vec<Vec<IfIndex>>, mpath_linux::Error> {
    let mut found = vec![Vec::new(); wanted.len()];
    for family in Family::BOTH {
        let all =
            socket.dump_with(encode::get_addresses(family, 0), |_, payload| decode::address(payload))?;
        for address in all {
            let place = wanted.iter().position(|w| *w == address.addr.address);
            place.into_iter().for_each(|n| found[n].push(address.index));
        }
    }
    Ok(found)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
