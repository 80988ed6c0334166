//! Who stamps what the kernel tells of a host: the loss of a NIC's carrier, and the arrival of addresses on another. Spins
//! while it is armed, so that its own waking up is in no figure.

use mpath_linux::netlink::Socket;
use mpath_model::IfIndex;
use mpath_testkit::{Error, Host};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR.
const GROUPS: [u32; 3] = [1, 5, 9];
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
/// IFF_LOWER_UP.
const LOWER_UP: u32 = 0x10000;

/// The observer of one host.
pub(crate) struct Observer {
    orders: Option<Sender<usize>>,
    results: Receiver<Duration>,
    ready: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// An observation under way.
pub(crate) struct Armed<'a>(&'a Observer);

impl Observer {
    /// Watches for the loss of the carrier of `from` and for addresses on `to`.
    pub(crate) fn start(host: &Host, from: &str, to: &str) -> Result<Observer, Error> {
        let (from, to) = (host.index_of(from)?, host.index_of(to)?);
        let socket = host
            .run(|| {
                let socket = Socket::open()?;
                GROUPS.iter().try_for_each(|group| socket.join(*group))?;
                Ok::<Socket, mpath_linux::Error>(socket)
            })
            .map_err(|e| Error::new("open the observer's socket", e))?;
        let (orders, taken) = channel();
        let (done, results) = channel();
        let (armed, ready) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let observe = move || {
            let mut socket = socket;
            while let Ok(count) = taken.recv() {
                clear(&mut socket);
                let _ = armed.send(());
                if let Some(took) = observation(&mut socket, from, to, count, &asked) {
                    let _ = done.send(took);
                }
            }
        };
        let thread = Some(host.spawn_thread("observer", observe)?);
        Ok(Observer { orders: Some(orders), results, ready, thread, stop })
    }

    /// From now on: the next loss of carrier, and `count` addresses after it.
    pub(crate) fn arm(&self, count: usize) -> Armed<'_> {
        if let Some(orders) = &self.orders {
            let _ = orders.send(count);
        }
        let _ = self.ready.recv();
        Armed(self)
    }
}

impl Armed<'_> {
    /// From the carrier event to the last of the addresses.
    pub(crate) fn wait(self, patience: Duration) -> Result<Duration, Error> {
        match self.0.results.recv_timeout(patience) {
            Ok(took) => Ok(took),
            Err(RecvTimeoutError::Timeout) => {
                self.0.stop.store(true, Ordering::Relaxed);
                Err(Error::new("observe a move", format!("not all addresses came within {patience:?}")))
            }
            Err(e) => Err(Error::new("observe a move", e)),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn clear(socket: &mut Socket) {
    let _ = socket.drain(|_, _, _, _| Ok(()));
}

fn observation(
    socket: &mut Socket,
    from: IfIndex,
    to: IfIndex,
    count: usize,
    stop: &AtomicBool,
) -> Option<Duration> {
    let mut begun = None;
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let _ = socket.read_ahead();
        let now = Instant::now();
        socket.hand_out(|kind, _, _, payload| {
            let word =
                |at: usize| payload.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
            match kind {
                RTM_NEWLINK if word(4) == Some(from) && word(8).is_some_and(|f| f & LOWER_UP == 0) => {
                    begun = begun.or(Some(now));
                }
                RTM_NEWADDR if word(4) == Some(to) => seen += 1,
                _ => {}
            }
            Ok(())
        });
        if let Some(begun) = begun.filter(|_| seen >= count) {
            return Some(now - begun);
        }
    }
    None
}
