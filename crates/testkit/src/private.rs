//! Private namespaces without root: for a program that turns itself into one (`enter_private_namespace`), and for
//! a test that runs in a child of the test binary (`isolated`).

use crate::error::{Context, Error};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getegid, geteuid};
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Set in the child that runs one isolated test; holds the test's name.
const MARK: &str = "MPATH_TESTKIT_ISOLATED";

/// Longest an isolated test may run unless it asks for another limit.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// Bytes kept of a child's output.
const MAX_OUTPUT: usize = 1 << 20;

/// Turns the calling, single-threaded process into root of its own user, network and mount namespace. A process
/// that is root where user namespaces are forbidden gets plain network and mount namespaces.
pub fn enter_private_namespace() -> Result<(), Error> {
    let (uid, gid) = (geteuid(), getegid());
    let plain = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    match unshare(plain | CloneFlags::CLONE_NEWUSER) {
        Ok(()) => map_root(uid.as_raw(), gid.as_raw()),
        Err(_) if uid.is_root() && unshare(plain).is_ok() => Ok(()),
        Err(cause) => Err(Error::new("create a user namespace", format!("{}; {}", cause.desc(), remedy()))),
    }
}

/// Maps the user to root inside its new user namespace.
fn map_root(uid: u32, gid: u32) -> Result<(), Error> {
    let write = |file: &str, text: String| {
        fs::write(file, &text)
            .map_err(|e| Error::new(format!("write '{text}' to {file}"), format!("{e}; {}", remedy())))
    };
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// What the administrator has to change where user namespaces are forbidden: one line.
pub fn remedy() -> String {
    let read = |path: &str| fs::read_to_string(path).ok().map(|t| t.trim().to_owned());
    let is = |path: &str, value: &str| read(path).as_deref() == Some(value);
    let command = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "sysctl -w kernel.unprivileged_userns_clone=1"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "sysctl -w user.max_user_namespaces=10000"
    } else if is("/proc/sys/user/max_net_namespaces", "0") {
        "sysctl -w user.max_net_namespaces=10000"
    } else {
        return "this system forbids user namespaces (a container needs --security-opt seccomp=unconfined); \
                or run as root"
            .into();
    };
    format!("this system forbids user namespaces: run '{command}' as root, or run this as root")
}

/// Runs `body`, the test function called `test_name`, in a child process with namespaces of its own; 60 s at most.
///
/// `test_name` is the path that `cargo test` prints: `module::function`.
///
/// # Panics
/// If the child fails; its output is printed.
#[track_caller]
pub fn isolated(test_name: &str, body: impl FnOnce()) {
    isolated_for(test_name, DEFAULT_DEADLINE, body);
}

/// [`isolated`] for a test that starts the real daemon: makes sure first that its program is there and up to date.
///
/// # Panics
/// If the daemon cannot be built, or the child fails.
#[track_caller]
pub fn with_daemon(test_name: &str, body: impl FnOnce()) {
    if !in_child_for(test_name) {
        crate::daemon::build_daemon();
    }
    isolated(test_name, body);
}

/// Whether this is the child that runs the named test.
fn in_child_for(test_name: &str) -> bool {
    std::env::var_os(MARK).is_some_and(|name| name == test_name)
}

/// [`isolated`] with a limit of its own.
///
/// # Panics
/// If the child fails or does not end in time.
#[track_caller]
pub fn isolated_for(test_name: &str, deadline: Duration, body: impl FnOnce()) {
    if in_child_for(test_name) {
        body();
        return;
    }
    let _turn = exclusive();
    match run_child(test_name, deadline) {
        Ok((status, output)) if status.success() && output.contains("1 passed") => {}
        Ok((status, output)) => panic!("isolated test {test_name}: {status}\n{output}"),
        Err(e) => panic!("isolated test {test_name}: {e}"),
    }
}

/// Waits for this process's turn: tests that need real time run one at a time on the whole machine.
///
/// # Panics
/// If the lock file in the temp dir cannot be opened.
pub fn exclusive() -> Flock<fs::File> {
    let path = std::env::temp_dir().join(format!("mpath-testkit-{}.lock", geteuid()));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .unwrap_or_else(|e| panic!("open {}: {e}", path.display()));
    Flock::lock(file, FlockArg::LockExclusive).unwrap_or_else(|(_, e)| panic!("lock {}: {e}", path.display()))
}

/// Runs this test binary once more for one test, in new namespaces and a process group of its own.
fn run_child(test_name: &str, deadline: Duration) -> Result<(ExitStatus, String), Error> {
    let binary = std::env::current_exe().context(|| "find the test binary")?;
    let mut command = Command::new(&binary);
    command
        .args([test_name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(MARK, test_name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    mpath_linux::sys::unshare_before_exec(&mut command);
    let mut child = command
        .spawn()
        .map_err(|e| Error::new("start the child in its own namespaces", format!("{e}; {}", remedy())))?;
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits in i32"));
    let readers = [drain(child.stdout.take()), drain(child.stderr.take())];

    let end = Instant::now() + deadline;
    let mut late = false;
    let status = loop {
        if let Some(status) = child.try_wait().context(|| "wait for the child")? {
            break status;
        }
        if Instant::now() >= end {
            late = true;
            let _ = kill(group, Signal::SIGKILL);
            break child.wait().context(|| "wait for the child")?;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // Daemons the test left behind die with it, and so let go of the pipes.
    let _ = killpg(group, Signal::SIGKILL);
    let mut output = String::new();
    for reader in readers {
        output.push_str(&reader.join().unwrap_or_default());
    }
    if late {
        return Err(Error::new(format!("not finished within {deadline:?}"), output));
    }
    Ok((status, output))
}

/// Reads a pipe to its end in the background and keeps the first part.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 8192];
        let Some(mut pipe) = pipe else {
            return String::new();
        };
        while let Ok(n) = pipe.read(&mut buffer) {
            if n == 0 {
                break;
            }
            let room = MAX_OUTPUT.saturating_sub(kept.len());
            kept.extend_from_slice(&buffer[..n.min(room)]);
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}
