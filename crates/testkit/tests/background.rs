//! The daemon in the background: called in.mpathd, or told to.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use mpath_testkit::daemon::find_daemon;
use mpath_testkit::{wait_until, with_daemon};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// Runs the daemon under a name; returns when the caller gets his prompt back.
fn call(dir: &Path, name: &str, config: &str, arguments: &[&str]) -> Output {
    let program = dir.join(name);
    if !program.exists() {
        symlink(find_daemon().unwrap(), &program).unwrap();
    }
    std::fs::write(dir.join("mpathd.toml"), config).unwrap();
    let mut command = Command::new(program);
    // Relative on purpose: the daemon leaves the working directory.
    command.current_dir(dir).args(["--config", "mpathd.toml", "--defaults", "none", "--state-dir", "state"]);
    command.args(arguments).env_remove("NOTIFY_SOCKET").output().unwrap()
}

/// The process behind the control socket.
fn listener(socket: &Path) -> Pid {
    let stream = UnixStream::connect(socket).unwrap();
    Pid::from_raw(getsockopt(&stream, sockopt::PeerCredentials).unwrap().pid())
}

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn called_in_mpathd_it_runs_in_the_background() {
    with_daemon("called_in_mpathd_it_runs_in_the_background", || {
        let dir = scratch("in.mpathd");
        let done = call(&dir, "in.mpathd", "", &[]);
        assert!(done.status.success(), "{done:?}");
        let socket = dir.join("state/mpathd.sock");
        let daemon = listener(&socket); // answers at once
        let cwd = std::fs::read_link(format!("/proc/{daemon}/cwd")).unwrap();
        assert_eq!(cwd, Path::new("/"));
        let second = call(&dir, "mpathd", "", &[]);
        assert_eq!(second.status.code(), Some(1));
        let text = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(text.contains("is another instance of in.mpathd already active?"), "{text}");
        kill(daemon, Signal::SIGTERM).unwrap();
        wait_until(SOON, "the daemon is gone", || !socket.exists());
        let again = call(&dir, "mpathd", "", &["--daemonize"]);
        assert!(again.status.success(), "{again:?}");
        kill(listener(&socket), Signal::SIGTERM).unwrap();
        wait_until(SOON, "the daemon is gone", || !socket.exists());
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn errors_reach_whoever_called() {
    with_daemon("errors_reach_whoever_called", || {
        let dir = scratch("in.mpathd-errors");
        let done = call(&dir, "in.mpathd", "nonsense = 1\n", &[]);
        assert_eq!(done.status.code(), Some(2));
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(text.contains("mpathd.toml:1"), "{text}");
        std::fs::remove_dir_all(&dir).unwrap();
    });
}
