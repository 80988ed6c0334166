//! A hostile neighbour: a host on the link that sends a NIC or several of them packets nobody wants, thousands in a second.
//! It knows what a host on the link can know at best: the addresses of everybody, and the answers to probes as they were a
//! while ago, identifier and sequence number included. What it does not know are the nonces of probes under way and
//! passphrases. What it sends is made by [`forger`].

mod forger;

pub use forger::{Aim, Hostile, Vhid};

use crate::error::{Context, Error};
use crate::lan::Lan;
use crate::sniffer::Sniffer;
use crate::traffic::Stop;
use crate::{Host, wait_until};
use forger::{Forger, is_answer};
use mpath_linux::sys::link_address;
use mpath_model::{IfIndex, Mac};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, send, socket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Last octet of the attacker's link-layer address.
const LAST: u8 = 66;
/// Packets sent at once by an attacker that was kept from the processor. It does not make up for more.
const BURST: u32 = 64;
/// Answers that the attacker has overheard, at most.
const OVERHEARD: usize = 512;

/// The attacker, on the link and quiet.
pub struct Attacker {
    host: Arc<Host>,
    index: IfIndex,
    aims: Vec<Aim>,
    vhid: Option<Vhid>,
    overheard: Vec<Vec<u8>>,
}

impl Attacker {
    /// Joins the link, and overhears the answers to probes that NICs `nics` of the server get within `time`. `vhid`: the
    /// virtual host among its aims.
    pub fn attach(lan: &Lan, nics: &[usize], vhid: Option<Vhid>, time: Duration) -> Result<Attacker, Error> {
        let host = Arc::new(lan.attach_host("mallory", LAST)?);
        let index = host.index_of("eth0")?;
        let aims = nics.iter().map(|n| Aim::of(lan, *n)).collect();
        let ears = nics
            .iter()
            .map(|n| {
                let pick = |frame: &[u8]| is_answer(frame).then(|| frame.to_vec());
                Sniffer::start(&lan.switch, &format!("u{n}"), pick)
            })
            .collect::<Result<Vec<_>, _>>()?;
        std::thread::sleep(time);
        let heard = ears.iter().flat_map(|ear| ear.seen().clone()).map(|(_, frame)| frame);
        let overheard = heard.take(OVERHEARD).collect();
        Ok(Attacker { host, index, aims, vhid, overheard })
    }

    /// Answers to probes that it knows.
    pub fn overheard(&self) -> usize {
        self.overheard.len()
    }

    /// Sends `rate` packets a second, of these kinds in turns, until the flood is dropped.
    pub fn flood(&self, kinds: &[Hostile], rate: u32, seed: u64) -> Result<Flood, Error> {
        let mac = Mac([2, 0, 0, 0, 2, LAST]);
        let mut forger = Forger::new(mac, self.aims.clone(), self.vhid.clone(), self.overheard.clone(), seed);
        let socket = self.host.run(|| open(self.index)).context(|| "open the socket of an attacker")?;
        let (sent, stop, kinds) = (Arc::new(AtomicU64::new(0)), Stop::default(), kinds.to_vec());
        let (count, asked) = (Arc::clone(&sent), stop.clone());
        let pause = Duration::from_secs(1) / rate.max(1);
        let send_all = move || {
            let mut next = Instant::now();
            for kind in kinds.iter().cycle() {
                if asked.asked() {
                    return;
                }
                let frame = forger.frame(*kind);
                if send(socket.as_raw_fd(), &frame, MsgFlags::empty()).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                let now = Instant::now();
                next = (next + pause).max(now.checked_sub(pause * BURST).unwrap_or(now));
                std::thread::sleep(next.saturating_duration_since(now));
            }
        };
        let thread = Some(self.host.spawn_thread("flood", send_all)?);
        Ok(Flood { sent, stop, thread })
    }
}

/// A flood under way.
pub struct Flood {
    sent: Arc<AtomicU64>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until so many have been sent.
    ///
    /// # Panics
    /// If they are not within the deadline.
    #[track_caller]
    pub fn wait(&self, packets: u64, deadline: Duration) {
        wait_until(deadline, "packets of an attacker", || self.sent() >= packets);
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(index: IfIndex) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)?;
    bind(fd.as_raw_fd(), &link_address(index, 0).ok_or(Errno::ENODEV)?)?;
    Ok(fd)
}
