//! The log: lines go through a bounded queue to a writer thread, so that the loop never waits for stderr or
//! the journal. A full queue drops lines and says later how many.
//!
//! Format: `<rfc3339> <level> <text> key=value ...`. Where stderr is the journal, entries go there with their fields
//! (`native`); if it does not listen, `<N>` with syslog's number of the level stands in place of time and level (sd-daemon(3)).

mod native;
mod repeats;

use crate::wallclock::WallClock;
use mpath_core::diag::Line;
use mpath_model::event::{Event, Level};
use nix::sys::signal::{SigSet, SigmaskHow};
use repeats::Repeats;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// Where syslogd listens.
const SYSLOG: &str = "/dev/log";
/// Facility daemon, shifted into place (syslog(3)).
const FACILITY_DAEMON: u8 = 3 << 3;
/// How often it is looked whether repeated lines are to be told of.
const LOOK: Duration = Duration::from_secs(10);
/// Lines that may wait.
const QUEUE: usize = 1024;

/// Where lines go.
pub(crate) enum Sink {
    /// A stream in the format of the contract.
    Plain(Box<dyn Write + Send>),
    /// The journal's socket.
    Native(UnixDatagram),
    /// A stream that the journal reads.
    Journal(Box<dyn Write + Send>),
    /// syslog(3), facility daemon; the text is the ident, `in.mpathd` or `mpathd`. Without a syslogd lines are lost until
    /// there is one.
    Syslog(UnixDatagram, String),
}

impl Sink {
    /// stderr, and whether it is the journal.
    pub(crate) fn stderr() -> Sink {
        if !stderr_is_journal() {
            return Sink::Plain(Box::new(io::stderr()));
        }
        let native = UnixDatagram::unbound().and_then(|s| s.connect(native::SOCKET).map(|()| s));
        native.map_or_else(|_| Sink::Journal(Box::new(io::stderr())), Sink::Native)
    }

    /// `/dev/log`, for a daemon without stderr. Nobody may listen there yet.
    pub(crate) fn syslog(ident: &str) -> io::Result<Sink> {
        let socket = UnixDatagram::unbound()?;
        let _ = socket.connect(SYSLOG);
        Ok(Sink::Syslog(socket, ident.to_owned()))
    }

    fn write(&mut self, clock: &WallClock, entry: &Timed) -> io::Result<()> {
        match self {
            Sink::Plain(stream) => {
                let mut text = clock.rfc3339(entry.at);
                let _ = writeln!(text, " {} {}", name(entry.line.level), body(&entry.line));
                stream.write_all(text.as_bytes())?;
                stream.flush()
            }
            Sink::Native(socket) => {
                if native::send(socket, entry).is_ok() {
                    return Ok(());
                }
                // journald was restarted: its socket is a new one.
                socket.connect(native::SOCKET)?;
                native::send(socket, entry)
            }
            Sink::Journal(stream) => {
                let text = format!("<{}>{}\n", priority(entry.line.level), body(&entry.line));
                stream.write_all(text.as_bytes())?;
                stream.flush()
            }
            Sink::Syslog(socket, ident) => {
                let priority = FACILITY_DAEMON | priority(entry.line.level);
                let text = format!("<{priority}>{ident}[{}]: {}", std::process::id(), body(&entry.line));
                if socket.send(text.as_bytes()).is_ok() {
                    return Ok(());
                }
                // syslogd was restarted: its socket is a new one.
                socket.connect(SYSLOG)?;
                socket.send(text.as_bytes()).map(drop)
            }
        }
    }
}

struct Timed {
    at: SystemTime,
    line: Line,
    /// What the line tells of.
    event: Option<Box<Event>>,
}

enum Entry {
    Line(Timed),
    /// Everything before this has been written.
    Mark(Sender<()>),
}

/// Hands lines to the writer thread. Dropping it gives the writer up to a second; [`Logger::close`] says more.
#[derive(Debug)]
pub(crate) struct Logger {
    queue: Option<SyncSender<Entry>>,
    finished: Receiver<()>,
    dropped: Arc<AtomicU64>,
    level: Level,
}

impl Logger {
    /// Starts the writer. Lines of a level below `level` are not written (`Debug` writes all).
    pub(crate) fn start(sink: Sink, level: Level, clock: WallClock) -> io::Result<Logger> {
        let (queue, lines) = sync_channel(QUEUE);
        let (done, finished) = channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let writer = move || {
            write_all(sink, &clock, &lines, &counter);
            // Nobody may be waiting any more.
            let _ = done.send(());
        };
        // The thread must take no signal: what stops the daemon is for the loop, which reads it from a
        // signalfd, and a thread inherits the mask it is made under.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let made = thread::Builder::new().name("log".to_owned()).spawn(writer);
        before.thread_set_mask()?;
        made?;
        Ok(Logger { queue: Some(queue), finished, dropped, level })
    }

    /// Queues a line; never waits.
    pub(crate) fn log(&self, line: Line) {
        self.log_event(line, None);
    }

    /// Queues a line that tells of this event.
    pub(crate) fn log_event(&self, line: Line, event: Option<&Event>) {
        if line.level > self.level {
            return;
        }
        let Some(queue) = &self.queue else { return };
        let event = event.cloned().map(Box::new);
        match queue.try_send(Entry::Line(Timed { at: SystemTime::now(), line, event })) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Queues a line made of its parts.
    pub(crate) fn say(&self, level: Level, text: impl Into<String>, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.log(Line { level, text: text.into(), fields });
    }

    /// Waits until everything up to here is written, for at most `deadline`.
    pub(crate) fn flush(&self, deadline: Duration) {
        let (done, written) = channel();
        if self.queue.as_ref().is_some_and(|q| q.try_send(Entry::Mark(done)).is_ok()) {
            let _ = written.recv_timeout(deadline);
        }
    }

    /// Writes what waits, for at most `deadline`; false if it was not enough.
    pub(crate) fn close(mut self, deadline: Duration) -> bool {
        self.finish(deadline)
    }

    fn finish(&mut self, deadline: Duration) -> bool {
        if self.queue.take().is_none() {
            return true;
        }
        !matches!(self.finished.recv_timeout(deadline), Err(RecvTimeoutError::Timeout))
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.finish(Duration::from_secs(1));
    }
}

fn write_all(mut sink: Sink, clock: &WallClock, lines: &Receiver<Entry>, dropped: &AtomicU64) {
    let mut repeats = Repeats::default();
    loop {
        let pause = if repeats.is_empty() { Duration::from_secs(3600) } else { LOOK };
        match lines.recv_timeout(pause) {
            // A log that cannot be written cannot be complained about either.
            Ok(Entry::Line(entry)) if repeats.admit(entry.at, &entry.line) => drop(sink.write(clock, &entry)),
            Ok(Entry::Line(_)) | Err(RecvTimeoutError::Timeout) => {}
            // This may be the end of this program image. Nobody may be waiting any more.
            Ok(Entry::Mark(done)) => {
                write_lines(&mut sink, clock, repeats.rest());
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        write_lines(&mut sink, clock, repeats.over(SystemTime::now()));
        report_dropped(&mut sink, clock, dropped);
    }
    write_lines(&mut sink, clock, repeats.rest());
    report_dropped(&mut sink, clock, dropped);
}

/// Lines that the writer itself has to say.
fn write_lines(sink: &mut Sink, clock: &WallClock, lines: impl IntoIterator<Item = Line>) {
    for line in lines {
        let _ = sink.write(clock, &Timed { at: SystemTime::now(), line, event: None });
    }
}

fn report_dropped(sink: &mut Sink, clock: &WallClock, dropped: &AtomicU64) {
    let count = dropped.swap(0, Ordering::Relaxed);
    if count > 0 {
        let line = Line {
            level: Level::Warning,
            text: "log lines dropped, the log is written too slowly".to_owned(),
            fields: vec![("count".to_owned(), count.to_string())],
        };
        write_lines(sink, clock, [line]);
    }
}

/// Text and fields.
fn body(line: &Line) -> String {
    let mut text = one_line(&line.text);
    for (key, value) in &line.fields {
        let _ = write!(text, " {key}={}", quoted(value));
    }
    text
}

/// Control characters escaped: a value from outside must not forge a line.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// In double quotes where blanks, quotes or `=` would make it ambiguous.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || "\"=\\".contains(c));
    if plain {
        one_line(value)
    } else {
        format!("\"{}\"", one_line(&value.replace('\\', "\\\\").replace('"', "\\\"")))
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Err => "err",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::Err => 3,
        Level::Warning => 4,
        Level::Notice => 5,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// systemd names the device and inode of the stream it gave us; stderr may since have been redirected.
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(io::stderr()).is_ok_and(|s| named == format!("{}:{}", s.st_dev, s.st_ino))
}

#[cfg(test)]
mod tests;
