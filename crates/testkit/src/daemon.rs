//! Driver for the real `mpathd`: starts it on a host of the private network with a configuration of its own,
//! speaks to its control socket, signals it, and reads its log.

mod binary;
mod control;
mod scratch;
mod statistics;

pub use binary::{build_daemon, find_daemon};
pub use scratch::Scratch;

use crate::error::{Context, Error};
use crate::host::Host;
use crate::process::{LogLine, Process};
use crate::refusals::{self, Refusals};
use crate::wait::poll_until;
use mpath_model::Status;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

/// How long a daemon may take to start or to stop, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to start a daemon.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// Text of `mpathd.toml`.
    pub config: String,
    /// Text of the defaults file; there is none if absent.
    pub defaults: Option<String>,
    /// The program; looked for if absent.
    pub binary: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Netlink calls of the daemon can be made to fail, see [`Daemon::refusals`]. Every one of them takes longer then.
    pub refusable: bool,
}

/// A daemon on a host, with its files in a private temporary directory.
pub struct Daemon {
    host: Arc<Host>,
    binary: PathBuf,
    arguments: Vec<String>,
    scratch: Scratch,
    process: Option<Process>,
    refusable: bool,
    /// Dropped behind the process: calls that wait for an answer die with it.
    refusals: Option<Refusals>,
    /// Log of the processes before this one.
    earlier: Vec<LogLine>,
}

impl Daemon {
    /// Starts mpathd with this configuration text and waits until its control socket answers.
    pub fn start(host: &Arc<Host>, config: &str) -> Result<Daemon, Error> {
        let options = DaemonOptions { config: config.to_owned(), ..DaemonOptions::default() };
        let daemon = Daemon::launch(host, options)?;
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Starts mpathd without waiting for anything.
    pub fn launch(host: &Arc<Host>, options: DaemonOptions) -> Result<Daemon, Error> {
        let mut daemon = Daemon {
            host: Arc::clone(host),
            binary: options.binary.map_or_else(find_daemon, Ok)?,
            arguments: options.arguments,
            scratch: Scratch::new()?,
            process: None,
            refusable: options.refusable,
            refusals: None,
            earlier: Vec::new(),
        };
        daemon.set_config(&options.config)?;
        if let Some(text) = options.defaults {
            let path = daemon.scratch.join("defaults");
            fs::write(&path, text).context(|| format!("write {}", path.display()))?;
        }
        daemon.run()?;
        Ok(daemon)
    }

    /// Writes a file that only its owner may read, beside the configuration; gives its path.
    pub fn secret(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.scratch.join(name);
        let write = || {
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        };
        write().context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// `mpathctl demote N`.
    pub fn demote(&self, by: i32) -> Result<(), Error> {
        control::demote(&self.socket(), by)
    }

    /// Replaces the configuration file; the running daemon takes no notice before a reload.
    pub fn set_config(&self, text: &str) -> Result<(), Error> {
        let path = self.scratch.join("mpathd.toml");
        fs::write(&path, text).context(|| format!("write {}", path.display()))
    }

    /// `mpathd --release` on the same files, while no daemon runs.
    pub fn release(&mut self) -> Result<ExitStatus, Error> {
        self.run_with(&["--release"])?;
        self.wait_end(PATIENCE)
    }

    fn run(&mut self) -> Result<(), Error> {
        self.run_with(&[])
    }

    fn run_with(&mut self, more: &[&str]) -> Result<(), Error> {
        let mut command = Command::new(&self.binary);
        command
            .arg("--config")
            .arg(self.scratch.join("mpathd.toml"))
            .arg("--defaults")
            .arg(self.scratch.join("defaults"))
            .arg("--state-dir")
            .arg(self.scratch.join("state"))
            .arg("--socket")
            .arg(self.socket())
            .args(&self.arguments)
            .args(more)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .env("MPATHD_SANDBOX", "strict");
        if self.refusable {
            refusals::prepare(&mut command);
        }
        let process = self.process.insert(self.host.spawn(command)?);
        self.refusals = self.refusable.then(|| Refusals::attach(process.pid())).transpose()?;
        Ok(())
    }

    /// What has netlink calls of the running daemon fail, if it was started so.
    pub fn refusals(&self) -> Option<&Refusals> {
        self.refusals.as_ref()
    }

    /// The program that runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.scratch.join("mpathd.sock")
    }

    /// The temporary directory with all its files.
    pub fn directory(&self) -> PathBuf {
        self.scratch.join("")
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.scratch.join("state")
    }

    /// Process id of the running daemon.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Waits until the control socket answers.
    pub fn wait_ready(&self) -> Result<(), Error> {
        self.wait_status(PATIENCE, "its control socket answers", |_| true).map(drop)
    }

    /// The whole picture, as the daemon tells it.
    pub fn status(&self) -> Result<Status, Error> {
        control::status(&self.socket())
    }

    /// Waits until the daemon's picture satisfies `condition`, and gives that picture. The error holds the last
    /// picture and the log.
    pub fn wait_status(
        &self,
        deadline: Duration,
        what: &str,
        mut condition: impl FnMut(&Status) -> bool,
    ) -> Result<Status, Error> {
        let mut last = None;
        let found = poll_until(deadline, || {
            let ended = self.process.as_ref().is_none_or(Process::has_ended);
            if ended {
                return Some(Err(Error::new("mpathd", "it has ended")));
            }
            let status = self.status();
            let held = status.as_ref().is_ok_and(&mut condition);
            last = Some(status);
            if held { last.take() } else { None }
        });
        match found {
            Some(Ok(status)) => Ok(status),
            Some(Err(e)) => {
                let why = format!("{e}\nits log:\n{}", self.log_text());
                Err(Error::new(format!("wait for mpathd: {what}"), why))
            }
            None => {
                let picture = match last {
                    Some(Ok(status)) => format!("last status {status:?}"),
                    Some(Err(e)) => e.to_string(),
                    None => String::new(),
                };
                let why = format!("not within {deadline:?}; {picture}\nits log:\n{}", self.log_text());
                Err(Error::new(format!("wait for mpathd: {what}"), why))
            }
        }
    }

    /// `mpathctl offline NIC`.
    pub fn offline(&self, nic: &str) -> Result<(), Error> {
        control::on_interface(&self.socket(), "org.mpathd.Offline", nic)
    }

    /// `mpathctl online NIC`.
    pub fn online(&self, nic: &str) -> Result<(), Error> {
        control::on_interface(&self.socket(), "org.mpathd.Online", nic)
    }

    /// Sends a signal to the running daemon.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        match &self.process {
            Some(process) => process.signal(signal),
            None => Err(Error::new(format!("send {signal} to mpathd"), "it does not run")),
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn term(&mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::SIGTERM)?;
        self.wait_end(PATIENCE)
    }

    /// Waits for the daemon to end by itself.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        let Some(process) = &mut self.process else {
            return Err(Error::new("wait for the end of mpathd", "it does not run"));
        };
        let status = process.wait(deadline)?;
        self.forget();
        Ok(status)
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill9();
        }
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(process) = self.process.take() {
            self.earlier.extend(process.log());
        }
    }

    /// Starts the daemon again on the same files (after [`Daemon::term`] or [`Daemon::kill9`], else after a SIGTERM)
    /// and waits until it answers.
    pub fn restart(&mut self) -> Result<(), Error> {
        if self.process.is_some() {
            self.term()?;
        }
        self.run()?;
        self.wait_ready()
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|p| p.ended().is_none())
    }

    /// All log lines so far, of every process since the first start.
    pub fn log(&self) -> Vec<LogLine> {
        let mut lines = self.earlier.clone();
        lines.extend(self.process.iter().flat_map(Process::log));
        lines
    }

    /// The log as one text.
    pub fn log_text(&self) -> String {
        self.log().into_iter().map(|line| line.text + "\n").collect()
    }

    /// Waits for a log line that contains `text`, past the first `after` lines.
    pub fn wait_log_after(&self, after: usize, deadline: Duration, text: &str) -> Result<LogLine, Error> {
        let find = || self.log().into_iter().skip(after).find(|line| line.text.contains(text));
        poll_until(deadline, find).ok_or_else(|| {
            let why = format!("not within {deadline:?}; its log:\n{}", self.log_text());
            Error::new(format!("wait for '{text}' in the log of mpathd"), why)
        })
    }

    /// Waits for a log line that contains `text`.
    pub fn wait_log(&self, deadline: Duration, text: &str) -> Result<LogLine, Error> {
        self.wait_log_after(0, deadline, text)
    }
}
