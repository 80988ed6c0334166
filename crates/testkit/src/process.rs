//! A child process with captured log lines, killed by its pid when it goes out of scope.

use crate::error::{Context, Error};
use crate::wait::poll_until;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Log lines kept of one process; the oldest go first.
const MAX_LINES: usize = 50_000;

/// A captured line and when it was read.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// When the line was read.
    pub at: Instant,
    /// The line without its newline.
    pub text: String,
}

type Lines = Arc<Mutex<VecDeque<LogLine>>>;

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    lines: Lines,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the command with its stderr captured and no signal blocked, in the namespaces of the calling thread.
    pub fn start(mut command: Command) -> Result<Process, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        // A child inherits the mask of the thread that starts it.
        let mask = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK).context(|| "unblock signals")?;
        let started = command.spawn();
        mask.thread_set_mask().context(|| "block signals")?;
        let mut child = started.context(|| format!("start {name}"))?;
        let lines = Lines::default();
        let reader = child.stderr.take().map(|pipe| {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || capture(pipe, &lines))
        });
        Ok(Process { name, child, lines, reader })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.id();
        kill(pid, signal).context(|| format!("send {signal} to {} (pid {pid})", self.name))
    }

    /// Whether it has ended; its exit status can still be had.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let state = waitid(Id::Pid(self.id()), flags);
        !matches!(state, Ok(WaitStatus::StillAlive))
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits in i32"))
    }

    /// Exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end; an error at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        let status = poll_until(deadline, || self.ended());
        let status = status.ok_or_else(|| {
            Error::new(
                format!("wait for {} (pid {})", self.name, self.child.id()),
                format!("still running after {deadline:?}"),
            )
        })?;
        self.join_reader();
        Ok(status)
    }

    /// SIGKILL, and the end of it.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_reader();
    }

    /// The captured lines so far.
    pub fn log(&self) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Lets the reader take the last lines in; not for ever, because a grandchild may hold the pipe open.
    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            poll_until(Duration::from_secs(1), || reader.is_finished().then_some(()));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Reads lines until the pipe closes.
fn capture(pipe: ChildStderr, lines: &Lines) {
    for line in BufReader::new(pipe).split(b'\n') {
        let Ok(line) = line else { return };
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine { at: Instant::now(), text });
    }
}
