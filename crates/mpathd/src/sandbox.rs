//! The sandbox of the daemon: what it may write, and how it passes from one program image to the next (SIGUSR2). A sandbox
//! cannot be left; the next image stays in that of the first.

use crate::handover;
use crate::options::Options;
use mpath_core::diag::Line;
use mpath_linux::sandbox::{Offence, Sandbox};
use mpath_model::event::Level;
use std::fmt::Display;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// `off`: no sandbox, for debuggers. `strict`: a forbidden system call kills, for tests.
const VARIABLE: &str = "MPATHD_SANDBOX";
/// Under these names the next image finds what it needs.
const INHERITED: [&str; 2] = ["SANDBOX_PIN0", "SANDBOX_PIN1"];

/// Enters it, or finds itself in it. The line says how far that went; the addresses come first, also where a kernel refuses.
pub(crate) fn enter(options: &Options) -> (Sandbox, Line) {
    let pins: Vec<_> = INHERITED.into_iter().filter_map(handover::inherited).collect();
    if !pins.is_empty() {
        return (Sandbox::entered(pins), held("as before", "as before"));
    }
    let offence = match std::env::var(VARIABLE).as_deref() {
        Ok("off") => return (Sandbox::default(), held("off", "off")),
        Ok("strict") => Offence::Kills,
        _ => Offence::Fails,
    };
    match Sandbox::enter(&writable(options), offence) {
        Ok((sandbox, landlock, seccomp)) => (sandbox, held(landlock, seccomp)),
        Err(error) => {
            let line = Line { level: Level::Warning, text: error.to_string(), fields: Vec::new() };
            (Sandbox::default(), line)
        }
    }
}

/// What the next program image is left.
pub(crate) fn leave(sandbox: &Sandbox) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
    INHERITED.into_iter().zip(sandbox.leave())
}

/// Where the daemon writes: its state, which may have to be made anew, the socket, the configuration (`mpathctl save`), the
/// last good one and the recording.
fn writable(options: &Options) -> Vec<PathBuf> {
    let config = options.paths().config.unwrap_or(mpath_config::DEFAULT_CONFIG.into());
    let more = [options.last_good.clone(), options.record.clone()];
    let files = [options.state_dir.clone(), options.socket(), config].into_iter().map(Some).chain(more);
    let files: Vec<_> = files.collect();
    let beside = files.iter().flatten().filter_map(|file| file.parent()).map(PathBuf::from);
    beside.chain([options.state_dir.clone()]).collect()
}

fn held(landlock: impl Display, seccomp: impl Display) -> Line {
    let fields =
        vec![("landlock".to_owned(), landlock.to_string()), ("seccomp".to_owned(), seccomp.to_string())];
    Line { level: Level::Info, text: "in the sandbox".to_owned(), fields }
}
