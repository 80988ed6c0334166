//! The state file: what the engine wants to find again after a restart, in `<state-dir>/state.json`. It is
//! replaced as a whole and atomically; a file that cannot be understood is moved aside, never guessed at.
//!
//! It has to outlive the process, not the host, and the kernel keeps what was written whatever becomes of the process.
//! So nothing here waits for a disk (no fsync), which could hold up probes and failovers for seconds. A file that
//! cannot be written or has vanished stops nothing: it is tried again and again.

use crate::saving::afresh;
use mpath_core::diag::Line;
use mpath_core::persist::{Persistent, VERSION};
use mpath_model::Time;
use mpath_model::event::Level;
use serde::Deserialize;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the state file.
const FILE: &str = "state.json";
/// Pause before a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is looked after that the file is still there.
const LOOK: Duration = Duration::from_secs(5);
/// Longest state file that is read, bytes: far more than any host needs.
const MAX_SIZE: u64 = 64 << 20;

/// An operation on the state directory that failed.
#[derive(Debug)]
pub(crate) struct JournalError {
    operation: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path.display(), self.error)
    }
}

impl std::error::Error for JournalError {}

/// The state directory.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    /// What the file holds, so that an unchanged state costs nothing.
    written: Option<Persistent>,
    /// What it should hold, where that could not be written.
    wanted: Option<Persistent>,
    failing: bool,
    tend: Option<Time>,
}

impl Journal {
    /// Opens the state directory, and makes it (mode 0755) if it is missing.
    pub(crate) fn open(dir: &Path) -> Result<Journal, JournalError> {
        make(dir).map_err(|error| JournalError {
            operation: "create state directory",
            path: dir.to_owned(),
            error,
        })?;
        Ok(Journal { dir: dir.to_owned(), written: None, wanted: None, failing: false, tend: None })
    }

    /// What an earlier run left, if anything. The line, if any, tells of a file that was moved aside.
    pub(crate) fn load(&mut self, now: SystemTime) -> (Option<Persistent>, Option<Line>) {
        let path = self.path();
        let text = match read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return (None, None),
            Err(e) => return (None, Some(self.set_aside("unreadable", &e.to_string(), now))),
        };
        match parse(&text) {
            Ok(state) => {
                self.written = Some(state.clone());
                (Some(state), None)
            }
            Err((reason, why)) => (None, Some(self.set_aside(reason, &why, now))),
        }
    }

    /// Replaces the state file. Returns whether anything had to be written.
    pub(crate) fn store(&mut self, state: &Persistent) -> Result<bool, JournalError> {
        if self.written.as_ref() == Some(state) {
            return Ok(false);
        }
        self.written = None;
        self.replace(state)?;
        self.written = Some(state.clone());
        Ok(true)
    }

    /// When [`Journal::tend`] wants to be called.
    pub(crate) fn next(&self) -> Option<Time> {
        self.tend.filter(|_| self.written.is_some() || self.wanted.is_some())
    }

    /// Tries again what could not be written, and writes anew what has vanished.
    pub(crate) fn tend(&mut self, now: Time) -> Option<Line> {
        if self.next().is_none_or(|t| t > now) {
            return None;
        }
        self.tend = Some(now + LOOK);
        if let Some(state) = self.wanted.take() {
            return self.keep(now, &state);
        }
        if fs::symlink_metadata(self.path()).is_err()
            && let Some(state) = self.written.take()
        {
            let line = Line {
                level: Level::Err,
                text: "state has vanished: it is written anew".to_owned(),
                fields: vec![("file".to_owned(), self.path().display().to_string())],
            };
            return Some(self.keep(now, &state).unwrap_or(line));
        }
        None
    }

    /// As [`Journal::store`], with the line to log: one when writing begins to fail, one when it works again.
    pub(crate) fn keep(&mut self, now: Time, state: &Persistent) -> Option<Line> {
        let result = self.store(state);
        self.wanted = result.is_err().then(|| state.clone());
        self.tend = Some(now + if result.is_err() { RETRY } else { LOOK });
        match result {
            Ok(_) if !std::mem::take(&mut self.failing) => None,
            Ok(_) => Some(Line {
                level: Level::Notice,
                text: "state is written again".to_owned(),
                fields: vec![("file".to_owned(), self.path().display().to_string())],
            }),
            Err(_) if std::mem::replace(&mut self.failing, true) => None,
            Err(e) => Some(Line {
                level: Level::Err,
                text: "state cannot be written: a restart may not find homes and verdicts".to_owned(),
                fields: vec![("cause".to_owned(), e.to_string())],
            }),
        }
    }

    /// Removes the file: nothing is left that would have to be remembered.
    pub(crate) fn forget(&mut self) -> Result<(), JournalError> {
        (self.written, self.wanted) = (None, None);
        let path = self.path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(JournalError { operation: "remove", path, error })
            }
            _ => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    fn replace(&self, state: &Persistent) -> Result<(), JournalError> {
        let temporary = self.dir.join(format!("{FILE}.new"));
        let fail = |operation: &'static str, path: &Path| {
            let path = path.to_owned();
            move |error| JournalError { operation, path, error }
        };
        let bytes = serde_json::to_vec(state)
            .map_err(|e| fail("express state for", &temporary)(io::Error::other(e)))?;
        let mut file = afresh(&temporary, 0o600);
        if file.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound) && make(&self.dir).is_ok() {
            file = afresh(&temporary, 0o600);
        }
        let mut file = file.map_err(fail("create", &temporary))?;
        file.write_all(&bytes).map_err(fail("write", &temporary))?;
        fs::rename(&temporary, self.path()).map_err(fail("rename", &temporary))
    }

    fn set_aside(&self, reason: &'static str, why: &str, now: SystemTime) -> Line {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let path = self.path();
        let aside = self.dir.join(format!("{FILE}.{reason}-{seconds}"));
        let mut fields =
            vec![("file".to_owned(), path.display().to_string()), ("cause".to_owned(), why.to_owned())];
        match fs::rename(&path, &aside) {
            Ok(()) => fields.push(("kept_as".to_owned(), aside.display().to_string())),
            Err(e) => fields.push(("rename".to_owned(), e.to_string())),
        }
        let text = "state of an earlier run is of no use and set aside: homes start from the configuration";
        Line { level: Level::Err, text: text.to_owned(), fields }
    }
}

fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > MAX_SIZE {
        return Err(io::Error::other(format!("{size} bytes are too many")));
    }
    fs::read(path)
}

fn parse(bytes: &[u8]) -> Result<Persistent, (&'static str, String)> {
    #[derive(Deserialize)]
    struct Format {
        version: u32,
    }
    let broken = |e: serde_json::Error| ("broken", e.to_string());
    let format: Format = serde_json::from_slice(bytes).map_err(broken)?;
    if format.version != VERSION {
        let why = format!("format {} is not format {VERSION} of this version", format.version);
        return Err((if format.version > VERSION { "newer" } else { "broken" }, why));
    }
    serde_json::from_slice(bytes).map_err(broken)
}

#[cfg(test)]
mod tests;
