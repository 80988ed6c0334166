//! Becoming a daemon: `--daemonize`, or being called in.mpathd. No fork of a program with threads: the program
//! runs itself again in a session of its own and waits until that answers on its control socket, so that whoever
//! gets exit status 0 can talk to it at once.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// Tells the second run that it is the daemon. The value is the name under which the first was called.
const MARK: &str = "MPATHD_DETACHED";
/// The daemon's last word on stderr before it closes it.
const READY: &str = "ready";

/// The name to log under, if this run is the daemon itself.
pub(crate) fn ident() -> Option<String> {
    std::env::var(MARK).ok()
}

/// Whether the program was called as in.mpathd, which always runs in the background.
pub(crate) fn called_in_mpathd() -> bool {
    program_name() == "in.mpathd"
}

fn program_name() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&first).file_name().unwrap_or(OsStr::new("mpathd"));
    name.to_string_lossy().into_owned()
}

/// Starts the daemon and waits until it is ready or has given up. The exit status is the daemon's if it has one.
pub(crate) fn launch() -> io::Result<ExitCode> {
    let name = program_name();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0(&name)
        .args(std::env::args_os().skip(1))
        .env(MARK, &name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    mpath_linux::sys::new_session(&mut command);
    let mut daemon = command.spawn()?;
    let mut words = BufReader::new(daemon.stderr.take().expect("stderr is a pipe"));
    let mut line = String::new();
    while words.read_line(&mut line)? > 0 {
        if line.trim_end() == READY {
            return Ok(ExitCode::SUCCESS);
        }
        eprint!("{line}");
        line.clear();
    }
    let mut rest = String::new();
    let _ = words.read_to_string(&mut rest);
    Ok(code(daemon.wait()?))
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    ExitCode::from(code)
}

/// Tells the first run that this one is ready, and lets go of its stderr.
pub(crate) fn ready() {
    if ident().is_some() {
        let _ = std::env::set_current_dir("/");
        eprintln!("{READY}");
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stderr(null.as_fd());
        }
    }
}
