//! Running the program file again in place (SIGUSR2): an upgrade that misses no probe. The engine is written into memory
//! that the next program image inherits; what cannot be read there (a version that keeps other things) is taken
//! from the state directory instead, as after any start. The process, and what it is to others, stays the same.

use mpath_core::Engine;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Names the descriptor with the engine to the next image.
const MARK: &str = "MPATHD_HANDOVER";
/// In front of the names of all other descriptors that it is left.
const LEFT: &str = "MPATHD_LEFT_";
/// Version of what is handed over.
const FORMAT: u32 = 1;
/// Bytes that are taken over at most.
const MAX_SIZE: u64 = 256 << 20;

#[derive(Deserialize)]
struct Taken {
    engine: Engine,
}

#[derive(Serialize)]
struct Given<'a> {
    format: u32,
    engine: &'a Engine,
}

/// Why the program does not run again.
#[derive(Debug)]
pub(crate) struct HandoverError {
    operation: &'static str,
    error: io::Error,
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.error)
    }
}

impl std::error::Error for HandoverError {}

fn fail<E: Into<io::Error>>(operation: &'static str) -> impl Fn(E) -> HandoverError {
    move |error| HandoverError { operation, error: error.into() }
}

/// How this program was started.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
}

impl Program {
    /// This run. To be asked at the start: the file may be replaced later.
    pub(crate) fn this() -> io::Result<Program> {
        Ok(Program {
            path: std::env::current_exe()?,
            arguments: std::env::args_os().collect(),
            directory: std::env::current_dir().ok(),
        })
    }

    /// The program file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces this process image by the program file as it is now. Returns only if that fails; then nothing has changed.
    ///
    /// `leave`: descriptors for the next image, each under the name by which it asks for it with [`inherited`].
    pub(crate) fn run_again(&self, engine: &Engine, leave: &[(&str, BorrowedFd<'_>)]) -> HandoverError {
        let here = std::env::current_dir();
        if let Some(directory) = &self.directory {
            let _ = std::env::set_current_dir(directory); // relative arguments mean what they meant
        }
        let error = self.execute(engine, leave).err();
        if let Ok(directory) = here {
            let _ = std::env::set_current_dir(directory);
        }
        error.expect("a program that runs does not come back")
    }

    fn execute(&self, engine: &Engine, leave: &[(&str, BorrowedFd<'_>)]) -> Result<(), HandoverError> {
        let file = written(engine)?;
        // Copies stay open over the call; they are closed here if it fails.
        let copies = leave.iter().map(|(name, fd)| Ok((*name, nix::unistd::dup(fd)?)));
        let copies = copies.collect::<nix::Result<Vec<_>>>().map_err(fail("leave a descriptor"))?;
        let text = |s: OsString| CString::new(s.into_vec()).map_err(fail("pass on arguments"));
        let path = text(self.path.clone().into_os_string())?;
        let arguments = self.arguments.iter().cloned().map(text).collect::<Result<Vec<_>, _>>()?;
        // Those of the start of this image name descriptors that have been taken over, and may be others by now.
        let stale = |name: &OsString| name == MARK || name.as_encoded_bytes().starts_with(LEFT.as_bytes());
        let kept = std::env::vars_os().filter(|(name, _)| !stale(name));
        let mut environment = Vec::new();
        for (mut variable, value) in kept {
            variable.push("=");
            variable.push(value);
            environment.push(text(variable)?);
        }
        environment.push(text(format!("{MARK}={}", file.as_raw_fd()).into())?);
        for (name, copy) in &copies {
            environment.push(text(format!("{LEFT}{name}={}", copy.as_raw_fd()).into())?);
        }
        // Signals stay blocked over this, so that none is lost and none kills the next image before it listens.
        nix::unistd::execve(&path, &arguments, &environment).map_err(fail("run the program file"))?;
        Ok(())
    }
}

/// The engine in memory that is inherited.
fn written(engine: &Engine) -> Result<File, HandoverError> {
    let bytes = serde_json::to_vec(&Given { format: FORMAT, engine }).map_err(fail("express the engine"))?;
    let fd = memfd_create(c"mpathd-handover", MFdFlags::empty()).map_err(fail("make memory to hand over"))?;
    let mut file = File::from(fd);
    file.write_all(&bytes).and_then(|()| file.rewind()).map_err(fail("hand over the engine"))?;
    Ok(file)
}

/// A descriptor that the image before this one has left under this name.
pub(crate) fn inherited(name: &str) -> Option<OwnedFd> {
    let _: i32 = std::env::var(MARK).ok()?.parse().ok()?;
    mpath_linux::sys::inherited(std::env::var(format!("{LEFT}{name}")).ok()?.parse().ok()?)
}

/// The engine that the image before this one has left, or why it is of no use.
pub(crate) fn take() -> Option<Result<Engine, String>> {
    let fd: i32 = std::env::var(MARK).ok()?.parse().ok()?;
    let mut bytes = Vec::new();
    let read = File::open(format!("/proc/self/fd/{fd}"))
        .and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes))
        .map_err(|e| e.to_string());
    let _ = nix::unistd::close(fd);
    Some(read.and_then(|_| understood(&bytes)))
}

fn understood(bytes: &[u8]) -> Result<Engine, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let format: Format = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if format.format != FORMAT {
        return Err(format!("format {} is not format {FORMAT} of this version", format.format));
    }
    let taken: Taken = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    Ok(taken.engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_taken_over() {
        let engine = Engine::new(7, "1.0");
        let mut file = written(&engine).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let taken = understood(&bytes).unwrap();
        assert_eq!(format!("{taken:?}"), format!("{engine:?}"));
        for end in 0..bytes.len() {
            assert!(understood(&bytes[..end]).is_err());
        }
        let other = String::from_utf8(bytes).unwrap().replacen("\"format\":1", "\"format\":2", 1);
        assert!(understood(other.as_bytes()).unwrap_err().contains("format 2"));
    }
}
