//! Frames that come in on an interface, each with its time, as far as the caller picks them.

use crate::capture;
use crate::error::{Context, Error};
use crate::host::Host;
use crate::traffic::Stop;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Frames kept by one sniffer; what comes later is not.
const MOST: usize = 4_000_000;

/// A frame that was picked: when, and what the caller made of it.
type Picked<T> = Vec<(Instant, T)>;

/// Reads all that comes in on an interface until it goes away.
pub struct Sniffer<T> {
    seen: Arc<Mutex<Picked<T>>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Sniffer<T> {
    /// Keeps what `pick` makes of a frame, from now on.
    pub fn start(
        host: &Host,
        interface: &str,
        pick: impl Fn(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<Sniffer<T>, Error> {
        let index = host.index_of(interface)?;
        let fd = host
            .run(|| {
                let fd = capture::open(index, true)?;
                setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
                Ok::<_, Errno>(fd)
            })
            .context(|| format!("sniff on {interface} of {}", host.name()))?;
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Stop::default());
        let (keep, asked) = (Arc::clone(&seen), stop.clone());
        let read = move || {
            let mut frame = [0u8; 2048];
            while !asked.asked() {
                let Ok((length, at)) = receive(&fd, &mut frame) else { continue };
                let Some(picked) = pick(&frame[..length]) else { continue };
                let mut keep = lock(&keep);
                if keep.len() < MOST {
                    keep.push((at, picked));
                }
            }
        };
        let thread = Some(host.spawn_thread("sniffer", read)?);
        Ok(Sniffer { seen, stop, thread })
    }

    /// What has been picked so far, in order.
    pub fn seen(&self) -> MutexGuard<'_, Picked<T>> {
        lock(&self.seen)
    }
}

/// A frame, and when the kernel received it: however late this thread is.
fn receive(fd: &OwnedFd, frame: &mut [u8]) -> Result<(usize, Instant), Errno> {
    let mut space = cmsg_space!(TimeSpec);
    let room = frame.len();
    let mut slices = [IoSliceMut::new(frame)];
    let got = recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
    let stamp = got.cmsgs().into_iter().flatten().find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    });
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = stamp.map_or(Duration::ZERO, |stamp| clock.saturating_sub(stamp));
    Ok((got.bytes.min(room), Instant::now() - age))
}

impl<T> Drop for Sniffer<T> {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(seen: &Mutex<Picked<T>>) -> MutexGuard<'_, Picked<T>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
