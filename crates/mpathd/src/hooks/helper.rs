//! The helper process: takes orders from its stdin, a socket, and runs event programs, a few at a time, in the order of the
//! events. When all hands are busy it reads no further, so that the socket fills up and the daemon counts what it drops.

use super::{MAX_MESSAGE, Order, run};
use mpath_core::diag::Line;
use mpath_ipc::TimedEvent;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{MsgFlags, recv, send};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Tells this run that it is the helper.
pub(super) const MARK: &str = "MPATHD_EVENT_HELPER";
/// Programs at a time.
const AT_ONCE: usize = 4;
/// Events that wait here; some hundred more wait in the socket.
const QUEUE: usize = 16;

type Job = (PathBuf, TimedEvent);

/// Whether this run is the helper.
pub(crate) fn is_helper() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs programs until the daemon closes the socket, then finishes what is left.
pub(crate) fn serve() -> ExitCode {
    // `pkill -HUP mpathd` means the daemon. What is run gets all signals: `Command` sees to that.
    let mut meant = SigSet::empty();
    [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].into_iter().for_each(|signal| meant.add(signal));
    let _ = meant.thread_block();
    let socket = io::stdin().as_raw_fd();
    loop {
        let (queue, jobs) = sync_channel(QUEUE);
        let hands = hands(socket, jobs);
        let again = obey(socket, |job| drop(queue.send(job)));
        drop(queue);
        hands.into_iter().for_each(|hand| drop(hand.join()));
        if !again {
            return ExitCode::SUCCESS;
        }
        // If the program file cannot be run this one goes on.
        if let Ok(program) = std::env::current_exe() {
            let path = program.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
            let _ = Command::new(path).arg0("mpathd: event programs").exec();
        }
    }
}

/// Takes orders; true if the program is to run again, false at the end.
fn obey(socket: RawFd, mut hand_on: impl FnMut(Job)) -> bool {
    let mut message = vec![0; MAX_MESSAGE];
    loop {
        match recv(socket, &mut message, MsgFlags::empty()) {
            Ok(0) => return false,
            Ok(n) => match serde_json::from_slice(&message[..n]) {
                Ok(Order::Run { program, event }) => hand_on((program, event)),
                Ok(Order::Again) => return true,
                // From a newer daemon; it would have had this program run again.
                Err(_) => {}
            },
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

fn hands(socket: RawFd, jobs: Receiver<Job>) -> Vec<JoinHandle<()>> {
    let jobs = Arc::new(Mutex::new(jobs));
    let hand = || {
        let jobs = Arc::clone(&jobs);
        thread::spawn(move || {
            loop {
                let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((program, event)) = next else { return };
                run::program(&program, &event, run::LIMIT, |line| tell(socket, &line));
            }
        })
    };
    (0..AT_ONCE).map(|_| hand()).collect()
}

/// To the daemon's log. A daemon that does not listen has lost a line, not an event.
fn tell(socket: RawFd, line: &Line) {
    let bytes = serde_json::to_vec(line).unwrap_or_default();
    if bytes.len() <= MAX_MESSAGE {
        let _ = send(socket, &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }
}
