//! The kernel refuses: netlink calls of a process fail with an error of the caller's choice. The process is started
//! under a seccomp filter that reports sendmsg and recvmsg to a thread here (seccomp_unotify(2)), which lets them go on or
//! has them fail. The process sees what it would see of a kernel without memory, or of one that has taken its rights.

use crate::error::{Context, Error};
use crate::traffic::Stop;
use mpath_linux::sys::{self, ReportedCall};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where the process holds the listener: beyond what it opens itself.
const LISTENER: RawFd = 900;
/// How often an idle thread looks whether it shall end, in milliseconds.
const IDLE_MS: u16 = 50;
/// NETLINK_ROUTE in /proc/net/netlink.
const ROUTE: &str = "0";

/// What is to fail, and what has.
#[derive(Debug, Default)]
struct Plan {
    errno: Option<Errno>,
    permille: u32,
    chance: u64,
    refused: u64,
}

/// Holds sway over the netlink calls of one process.
pub struct Refusals {
    plan: Arc<Mutex<Plan>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// Makes a command one whose calls can be refused.
pub fn prepare(command: &mut Command) {
    sys::report_calls(command, [libc::SYS_sendmsg, libc::SYS_recvmsg], LISTENER);
}

impl Refusals {
    /// Of a process that was started as a prepared command. Everything is permitted at first.
    pub fn attach(process: u32) -> Result<Refusals, Error> {
        let what = || format!("answer the system calls of process {process}");
        let listener = sys::descriptor_of(process, LISTENER).context(what)?;
        let (plan, stop) = (Arc::new(Mutex::new(Plan { chance: 1, ..Plan::default() })), Stop::default());
        let (theirs, asked) = (Arc::clone(&plan), stop.clone());
        let answer = move || answer(process, &listener, &theirs, &asked);
        let thread = std::thread::Builder::new().name("refusals".into()).spawn(answer).context(what)?;
        Ok(Refusals { plan, stop, thread: Some(thread) })
    }

    /// From now on so many of a thousand netlink calls, to send and to receive, fail with this error.
    pub fn refuse(&self, errno: Errno, permille: u32) {
        let mut plan = lock(&self.plan);
        (plan.errno, plan.permille) = (Some(errno), permille);
    }

    /// From now on none does. Gives how many have failed so far.
    pub fn permit(&self) -> u64 {
        let mut plan = lock(&self.plan);
        plan.errno = None;
        plan.refused
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Plan {
    fn draw(&mut self) -> Option<Errno> {
        let errno = self.errno?;
        // Xorshift (Marsaglia 2003).
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance % 1000 < self.permille.into()).then_some(errno)
    }
}

/// Answers until the process has ended. While nobody does, its calls wait.
fn answer(process: u32, listener: &OwnedFd, plan: &Mutex<Plan>, stop: &Stop) {
    let mut netlink = HashMap::new();
    while !stop.asked() {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut fds, PollTimeout::from(IDLE_MS)).is_ok_and(|n| n > 0) {
            continue;
        }
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            return;
        }
        let Ok(call) = sys::reported_call(listener.as_fd()) else { continue };
        let mut refusal = lock(plan).draw();
        if refusal.is_some() && !is_netlink(process, call, &mut netlink) {
            refusal = None;
        }
        if sys::answer_call(listener.as_fd(), call.id, refusal).is_ok() {
            lock(plan).refused += u64::from(refusal.is_some());
        }
    }
}

/// Whether a call is on a socket of NETLINK_ROUTE. `known`: by inode.
fn is_netlink(process: u32, call: ReportedCall, known: &mut HashMap<String, bool>) -> bool {
    let link = fs::read_link(format!("/proc/{}/fd/{}", call.thread, call.descriptor));
    let Some(inode) = link.ok().and_then(|l| {
        let text = l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(text.to_owned())
    }) else {
        return false;
    };
    *known.entry(inode).or_insert_with_key(|inode| {
        let table = fs::read_to_string(format!("/proc/{process}/net/netlink")).unwrap_or_default();
        let row = table.lines().find(|line| line.split_whitespace().next_back() == Some(inode.as_str()));
        row.is_some_and(|line| line.split_whitespace().nth(1) == Some(ROUTE))
    })
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}
