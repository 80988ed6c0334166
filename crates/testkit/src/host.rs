//! A host: one network namespace, what runs in it and the rtnetlink socket that configures it.

use crate::error::{Context, Error};
use crate::process::Process;
use mpath_linux::netlink::Socket;
use mpath_linux::sys::die_with_parent;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::gettid;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;

/// A network namespace. It lives as long as this value, or a process or thread in it.
pub struct Host {
    name: String,
    namespace: File,
    socket: Mutex<Socket>,
    holder: Holder,
}

/// Something to do on the thread that lives in the namespace.
type Job = Box<dyn FnOnce() + Send>;

/// The thread that stays inside the namespace, so that nsenter finds it by its thread id. It is the parent of the
/// processes started there: they die with it, even if the whole program is killed.
struct Holder {
    tid: i32,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Host {
    /// Makes a new network namespace with its loopback up. Needs CAP_SYS_ADMIN in the user namespace, as
    /// [`crate::isolated`] and [`crate::enter_private_namespace`] give it.
    pub fn new(name: &str) -> Result<Host, Error> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (ready, made) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("netns-{name}"))
            .spawn(move || {
                let _ = ready.send(make_namespace());
                todo.into_iter().for_each(|job| job());
            })
            .context(|| format!("start the thread that holds network namespace {name}"))?;
        let (namespace, socket, tid) = made
            .recv()
            .context(|| format!("make network namespace {name}"))?
            .map_err(|e| Error::new(format!("network namespace {name}"), e))?;
        let host = Host {
            name: name.to_owned(),
            namespace,
            socket: Mutex::new(socket),
            holder: Holder { tid, jobs: Some(jobs), thread: Some(thread) },
        };
        host.set_up("lo")?;
        Ok(host)
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Thread that stays in the namespace: `nsenter -t TID -U -n`.
    pub fn tid(&self) -> i32 {
        self.holder.tid
    }

    /// Descriptor of the namespace, for moving interfaces into it.
    pub fn fd(&self) -> RawFd {
        self.namespace.as_raw_fd()
    }

    /// The rtnetlink socket of this namespace, for this caller alone.
    pub(crate) fn netlink(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `f` on a thread inside the namespace. Sockets that `f` opens stay in it wherever they are used.
    ///
    /// # Panics
    /// If the namespace cannot be entered; a panic of `f` goes on in the caller.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET)
                .unwrap_or_else(|e| panic!("enter network namespace {}: {e}", self.name));
            f()
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Starts a thread of its own inside the namespace.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        name: &str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, Error> {
        let namespace =
            self.namespace.try_clone().context(|| format!("duplicate network namespace {}", self.name))?;
        let host = self.name.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET)
                    .unwrap_or_else(|e| panic!("enter network namespace {host}: {e}"));
                f()
            })
            .context(|| format!("start thread {name}"))
    }

    /// Starts a process inside the namespace, with its stderr captured. It is killed when the returned value goes
    /// away, and when the host does.
    pub fn spawn(&self, mut command: Command) -> Result<Process, Error> {
        die_with_parent(&mut command);
        let (done, started) = mpsc::channel();
        let job: Job = Box::new(move || drop(done.send(Process::start(command))));
        let jobs = self.holder.jobs.as_ref().expect("jobs are taken until the host is dropped");
        jobs.send(job).context(|| format!("start a process on {}", self.name))?;
        started.recv().context(|| format!("start a process on {}", self.name))?
    }

    /// Writes a file below /proc/sys as this namespace shows it: `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), Error> {
        let path = format!("/proc/sys/{key}");
        self.run(|| fs::write(&path, value)).context(|| format!("write '{value}' to {path} on {}", self.name))
    }

    /// Reads a file below /proc/sys as this namespace shows it.
    pub fn read_sysctl(&self, key: &str) -> Result<String, Error> {
        let path = format!("/proc/sys/{key}");
        self.run(|| fs::read_to_string(&path))
            .map(|text| text.trim().to_owned())
            .context(|| format!("read {path} on {}", self.name))
    }
}

/// Runs on the new thread: leaves the old namespace and opens what belongs to the new one.
fn make_namespace() -> Result<(File, Socket, i32), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("unshare: {e}"))?;
    let namespace =
        File::open("/proc/thread-self/ns/net").map_err(|e| format!("open its descriptor: {e}"))?;
    let socket = Socket::open().map_err(|e| format!("open rtnetlink: {e}"))?;
    Ok((namespace, socket, gettid().as_raw()))
}
