//! Start-up: everything that can stand in the way is found before anything is touched.

use crate::control::{Access, Server};
use crate::daemon::{self, Daemon};
use crate::detach;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::log::{Logger, Sink};
use crate::options::Options;
use crate::wallclock::WallClock;
use mpath_core::{Engine, Input};
use mpath_linux::kernel::Kernel;
use mpath_linux::probes::Probes;
use mpath_model::event::Level;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime};

/// Could not start: another instance, no permission.
const CANNOT_START: u8 = 1;
/// Usage or configuration.
const CONFIGURATION: u8 = 2;

/// Why mpathd is not running.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) status: u8,
    /// For stderr.
    pub(crate) text: String,
}

fn cannot<E: Display>(error: E) -> Failure {
    Failure { status: CANNOT_START, text: format!("mpathd: {error}") }
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let options = options.absolute().map_err(cannot)?;
    let loaded = mpath_config::load(&options.paths())
        .map_err(|errors| Failure { status: CONFIGURATION, text: errors.to_string() })?;
    if options.check {
        for notice in &loaded.notices {
            eprintln!("{}", notice.text);
        }
        return Ok(());
    }
    let lock = Lock::take().map_err(cannot)?;
    capabilities().map_err(cannot)?;
    let mut journal = Journal::open(&options.state_dir).map_err(cannot)?;
    let clock = WallClock::system();
    let logger = Logger::start(sink().map_err(cannot)?, Level::Info, clock.clone()).map_err(cannot)?;
    let kernel = Kernel::open().map_err(cannot)?;
    let poll = daemon::Sources::open(kernel.event_fd()).map_err(cannot)?;
    let (access, lines) = Access::of(&loaded.settings.daemon);
    let server =
        Server::bind(&options.socket(), access, poll.registry(), daemon::CONTROL, env!("CARGO_PKG_VERSION"))
            .map_err(cannot)?;

    loaded.notices.iter().for_each(|n| logger.log(daemon::line(n)));
    lines.into_iter().for_each(|l| logger.log(l));
    let (state, complaint) = journal.load(SystemTime::now());
    complaint.into_iter().for_each(|l| logger.log(l));

    let engine = Engine::new(seed().map_err(cannot)?, env!("CARGO_PKG_VERSION"));
    let mut daemon =
        Daemon::new(engine, kernel, Probes::new(), journal, logger, server, poll, clock, options);
    daemon.configure(loaded.settings);
    if let Some(state) = state {
        daemon.feed(Input::Restore(state));
    }
    let result = daemon.run().map_err(cannot);
    daemon.close(Duration::from_secs(1));
    drop(lock);
    result
}

/// syslog for the daemon in the background, else stderr.
fn sink() -> std::io::Result<Sink> {
    match detach::ident() {
        Some(ident) => Sink::syslog(&ident),
        None => Ok(Sink::stderr()),
    }
}

/// A seed nobody on the network can guess: probes carry nonces made from it.
fn seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .map_err(|e| format!("cannot read /dev/urandom: {e}"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// CAP_NET_ADMIN and CAP_NET_RAW (capabilities(7)): without them nothing here can work.
fn capabilities() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| format!("cannot read /proc/self/status: {e}"))?;
    let effective = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    let missing: Vec<&str> = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")]
        .into_iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("no permission: {} missing; run it as root or from its systemd unit", missing.join(" and ")))
}
