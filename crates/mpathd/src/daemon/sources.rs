//! What the loop waits for: signals, netlink, packets, the control socket, and time.

use super::noise::Noise;
use crate::control;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use mpath_linux::clock;
use mpath_model::Time;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

const SIGNAL: Token = Token(0);
const KERNEL: Token = Token(1);
const TIMER: Token = Token(2);
const HOOKS: Token = Token(3);
const SAVED: Token = Token(4);
/// First token of the control server.
pub(crate) const CONTROL: Token = Token(16);
/// Packet sockets: their descriptor is added.
const PACKETS: usize = 1024;

/// Something that is ready.
#[derive(Debug)]
pub(crate) enum Woken {
    Signal,
    Kernel,
    Timer,
    Hooks,
    /// By [`Sources::waker`].
    Saved,
    Packets(RawFd),
    Control(mio::event::Event),
}

/// The descriptors the loop waits on.
pub(crate) struct Sources {
    poll: Poll,
    events: Events,
    /// What is waited for where packets have to wait: the kernel, signals and time.
    urgent: Poll,
    urgent_events: Events,
    noise: Noise,
    signals: SignalFd,
    timer: TimerFd,
    waker: Arc<Waker>,
    /// When the timer goes off, if it is set.
    armed: Option<Time>,
}

impl Sources {
    /// Blocks the signals that are handled here, from now on and for all threads to come.
    pub(crate) fn open(kernel: RawFd) -> io::Result<Sources> {
        let mut set = SigSet::empty();
        use Signal::*;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let poll = Poll::new()?;
        let readable =
            |fd: RawFd, token| poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE);
        readable(signals.as_raw_fd(), SIGNAL)?;
        readable(kernel, KERNEL)?;
        readable(timer.as_fd().as_raw_fd(), TIMER)?;
        let urgent = Poll::new()?;
        for fd in [signals.as_raw_fd(), kernel, timer.as_fd().as_raw_fd()] {
            urgent.registry().register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), SAVED)?);
        Ok(Sources {
            poll,
            events: Events::with_capacity(256),
            urgent,
            urgent_events: Events::with_capacity(4),
            noise: Noise::default(),
            signals,
            timer,
            waker,
            armed: None,
        })
    }

    /// Watches the helper that runs event programs.
    pub(crate) fn watch_hooks(&self, fd: RawFd) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), HOOKS, Interest::READABLE)
    }

    /// For a thread that writes files to say that it is done.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// For the control server.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Watches these packet sockets too. Those that are closed leave by themselves.
    pub(crate) fn watch(&self, fds: &[RawFd]) -> io::Result<()> {
        for fd in fds {
            let token = Token(PACKETS + usize::try_from(*fd).expect("descriptors are not negative"));
            match self.poll.registry().register(&mut SourceFd(fd), token, Interest::READABLE) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Waits until something is ready or `deadline` has come.
    pub(crate) fn wait(&mut self, deadline: Option<Time>) -> io::Result<()> {
        let now = clock::now();
        let mut timeout = None;
        match deadline {
            Some(t) if t <= now => timeout = Some(Duration::ZERO),
            // It has not gone off yet, and will then.
            Some(t) if self.armed == Some(t) => {}
            Some(t) => {
                let at = TimeSpec::from_duration(Duration::from_nanos(t.0));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
                self.armed = Some(t);
            }
            // If it goes off, it does so in vain.
            None => {}
        }
        if let Some(pause) = self.noise.pause(now).filter(|_| timeout.is_none()) {
            uninterrupted(&mut self.urgent, &mut self.urgent_events, Some(pause))?;
            timeout = Some(Duration::ZERO);
        }
        uninterrupted(&mut self.poll, &mut self.events, timeout)?;
        if self.events.iter().any(|e| e.token().0 >= PACKETS) {
            self.noise.heard();
        }
        Ok(())
    }

    /// What was ready, in the order in which it is to be handled.
    pub(crate) fn woken(&self) -> Vec<Woken> {
        let mut woken: Vec<(u8, Woken)> = self
            .events
            .iter()
            .map(|e| match e.token() {
                SIGNAL => (0, Woken::Signal),
                KERNEL => (1, Woken::Kernel),
                TIMER => (4, Woken::Timer),
                HOOKS => (4, Woken::Hooks),
                SAVED => (4, Woken::Saved),
                Token(n) if n >= PACKETS => (2, Woken::Packets((n - PACKETS) as RawFd)),
                Token(n) => {
                    debug_assert!((CONTROL.0..CONTROL.0 + control::TOKENS).contains(&n));
                    (3, Woken::Control(e.clone()))
                }
            })
            .collect();
        woken.sort_by_key(|(rank, _)| *rank);
        woken.into_iter().map(|(_, w)| w).collect()
    }

    /// The next signal that has arrived, if any.
    pub(crate) fn signal(&mut self) -> io::Result<Option<Signal>> {
        let Some(info) = self.signals.read_signal()? else { return Ok(None) };
        Ok(Signal::try_from(info.ssi_signo as i32).ok())
    }
}

fn uninterrupted(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    match poll.poll(events, timeout) {
        Err(e) if e.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}
