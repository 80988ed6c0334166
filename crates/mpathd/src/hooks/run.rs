//! Running one event program: the event in its environment and as JSON on its stdin, its output as log lines, and
//! an end to it after [`LIMIT`].

use mpath_core::diag::Line;
use mpath_ipc::TimedEvent;
use mpath_model::event::Level;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may run.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const LOOK: u16 = 50;
/// Lines of its output that are logged.
const MAX_LINES: usize = 32;
/// Bytes of a line that are logged.
const MAX_LINE: usize = 512;
/// Where programs find programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it to its end, or kills it and what it has started after `limit`. What it prints, and that it fails, is reported.
pub(super) fn program(path: &Path, event: &TimedEvent, limit: Duration, mut report: impl FnMut(Line)) {
    let kind = serde_json::to_value(event.event.event).ok();
    let kind = kind.as_ref().and_then(|k| k.as_str()).unwrap_or_default().to_owned();
    let mut say = |level, text: String, fields: &[(&str, String)]| {
        let mut all =
            vec![("program".to_owned(), path.display().to_string()), ("event".to_owned(), kind.clone())];
        all.extend(fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        report(Line { level, text, fields: all });
    };
    let mut output = Output::default();
    let outcome = trusted(path).and_then(|()| {
        let (child, pipe) = start(path, &kind, event).map_err(|e| e.to_string())?;
        follow(child, pipe, limit, &mut output).map_err(|e| e.to_string())
    });
    for line in output.finish() {
        say(Level::Info, format!("event program: {line}"), &[]);
    }
    match outcome {
        Ok(Some(status)) if status.success() => {}
        Ok(Some(status)) => {
            say(Level::Warning, "event program failed".to_owned(), &[("status", status.to_string())])
        }
        Ok(None) => say(Level::Warning, format!("event program killed after {} s", limit.as_secs_f32()), &[]),
        Err(cause) => say(Level::Err, "event program cannot be run".to_owned(), &[("cause", cause)]),
    }
}

/// Only what nobody but root and the daemon's own user can have written is run with the daemon's rights.
fn trusted(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if ![0, geteuid().as_raw()].contains(&meta.uid()) {
        return Err(format!("it belongs to user {}, not to root", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err("group or others may write it".to_owned());
    }
    Ok(())
}

fn start(path: &Path, kind: &str, event: &TimedEvent) -> io::Result<(Child, PipeReader)> {
    let (pipe, end) = io::pipe()?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut child = Command::new(path)
        .env_clear()
        .env("PATH", PATH)
        .env("MPATHD_EVENT", kind)
        .env("MPATHD_TIME", &event.time)
        .env("MPATHD_INTERFACE", text(&event.event.interface))
        .env("MPATHD_GROUP", text(&event.event.group))
        .env("MPATHD_MESSAGE", &event.event.message)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(end.try_clone()?)
        .stderr(end)
        .process_group(0)
        .spawn()?;
    let mut json = serde_json::to_vec(event)?;
    json.push(b'\n');
    // A message is shorter than what a pipe holds, so this does not wait; a program may also not care to read it.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&json);
    }
    let flags = OFlag::from_bits_truncate(fcntl(&pipe, FcntlArg::F_GETFL)?);
    fcntl(&pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok((child, pipe))
}

/// Reads what it prints until it ends; a process that it leaves behind does not count. None: it had to be killed.
fn follow(
    mut child: Child,
    mut pipe: PipeReader,
    limit: Duration,
    output: &mut Output,
) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut open = true;
    loop {
        if open {
            let _ = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK));
        } else {
            std::thread::sleep(Duration::from_millis(LOOK.into()));
        }
        open = open && output.read(&mut pipe);
        if let Some(status) = child.try_wait()? {
            output.read(&mut pipe);
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits in i32"));
            let _ = killpg(group, Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
    }
}

/// The beginning of what a program has printed.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    /// More than was kept.
    more: bool,
}

impl Output {
    /// Reads what is there; false at the end.
    fn read(&mut self, pipe: &mut PipeReader) -> bool {
        let mut chunk = [0; 4096];
        // A program that prints without end is looked after all the same.
        for _ in 0..16 {
            match pipe.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => {
                    let room = (MAX_LINES * MAX_LINE).saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&chunk[..n.min(room)]);
                    self.more |= n > room;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        true
    }

    fn finish(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut lines: Vec<String> = text
            .lines()
            .filter(|l| !l.trim().is_empty())
            .map(|l| l.chars().take(MAX_LINE).collect())
            .collect();
        if self.more || lines.len() > MAX_LINES {
            lines.truncate(MAX_LINES);
            lines.push("(more output is not logged)".to_owned());
        }
        lines
    }
}
