//! Start-up: everything that can stand in the way is found before anything is touched.

use crate::control::{Access, Server};
use crate::daemon::{self, Daemon};
use crate::detach;
use crate::handover::{self, Program};
use crate::hooks::{self, Hooks};
use crate::journal::Journal;
use crate::last_good;
use crate::lock::Lock;
use crate::log::{Logger, Sink};
use crate::options::Options;
use crate::recorder;
use crate::sandbox;
use crate::wallclock::WallClock;
use mpath_config::Loaded;
use mpath_core::diag::Line;
use mpath_core::persist::{Persistent, VERSION};
use mpath_core::{Engine, Input};
use mpath_linux::kernel::Kernel;
use mpath_linux::probes::{Keys, Probes};
use mpath_model::Settings;
use mpath_model::event::Level;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;
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
    let program = Program::this().map_err(cannot)?;
    let kept = options.last_good.as_deref().filter(|_| !options.check);
    let (start, mut lines) = beginning(&options, kept)?;
    if options.check {
        lines.iter().for_each(|l| eprintln!("{}", l.text));
        return Ok(());
    }
    let keys = match (daemon::keys(start.settings()), &start) {
        (Ok(keys), _) => keys,
        // An upgrade must not end what works: the vhid is silent, which is told, and everything else goes on.
        (Err(bad), Start::Again(_)) => {
            lines.extend(bad.into_iter().map(|text| Line { level: Level::Err, text, fields: Vec::new() }));
            Keys::default()
        }
        (Err(bad), Start::Afresh(_)) => {
            return Err(Failure { status: CONFIGURATION, text: bad.join("\n") });
        }
    };
    if let Start::Afresh(loaded) = &start {
        lines.extend(last_good::keep(loaded, kept));
    }
    let (lock, complaint) = Lock::take().map_err(cannot)?;
    lines.extend(complaint);
    capabilities().map_err(cannot)?;
    let (hooks, complaint) = Hooks::start(program.path(), hooks::inherited());
    lines.extend(complaint);
    let mut journal = Journal::open(&options.state_dir).map_err(cannot)?;
    let clock = WallClock::system();
    let (sandbox, line) = sandbox::enter(&options);
    lines.push(line);
    let logger = Logger::start(sink().map_err(cannot)?, Level::Info, clock.clone()).map_err(cannot)?;
    let kernel = Kernel::open().map_err(cannot)?;
    let poll = daemon::Sources::open(kernel.event_fd()).map_err(cannot)?;
    let mut access = Access::default();
    let access_lines = access.change(mpath_linux::clock::now(), &start.settings().daemon);
    let server =
        Server::bind(&options.socket(), access, poll.registry(), daemon::CONTROL, env!("CARGO_PKG_VERSION"))
            .map_err(cannot)?;

    lines.into_iter().chain(access_lines).for_each(|l| logger.log(l));
    // An engine that was handed over knows more than any file.
    let mut state = None;
    if matches!(start, Start::Afresh(_)) {
        let (found, complaint) = journal.load(SystemTime::now());
        complaint.into_iter().for_each(|l| logger.log(l));
        state = found;
    }
    let release = options.release;
    if release {
        state = Some(to_release(state, &options));
    }

    if let Some(fd) = hooks.fd() {
        poll.watch_hooks(fd).map_err(cannot)?;
    }
    let recorder = recorder::of(&options, &clock).map_err(cannot)?;
    let with = |engine| {
        let mut daemon = Daemon::new(
            engine,
            kernel,
            Probes::new(),
            journal,
            logger,
            server,
            hooks,
            poll,
            clock,
            options,
            program,
            sandbox,
            lock,
        );
        daemon.record(recorder);
        daemon
    };
    let mut daemon = match start {
        Start::Again(engine) => {
            let mut daemon = with(engine.resumed(env!("CARGO_PKG_VERSION")));
            daemon.resume(keys);
            daemon
        }
        Start::Afresh(loaded) => {
            let mut daemon = with(Engine::new(seed().map_err(cannot)?, env!("CARGO_PKG_VERSION")));
            daemon.feed(Input::WallClock { unix: since_epoch(SystemTime::now()) });
            if release {
                daemon.configure(loaded.settings, keys);
            } else {
                daemon.begin(&loaded);
            }
            if let Some(state) = state {
                daemon.feed(Input::Restore(state));
            }
            daemon
        }
    };
    let result = if release {
        let left = || {
            cannot("something could not be taken back; the log says what, and --release can be tried again")
        };
        daemon.release().map_err(cannot).and_then(|all| if all { Ok(()) } else { Err(left()) })
    } else {
        daemon.run().map_err(cannot)
    };
    daemon.close(Duration::from_secs(1));
    result
}

/// What the daemon begins with.
enum Start {
    /// The engine of the program image before this one (SIGUSR2), with the settings that were in force.
    Again(Box<Engine>),
    /// The configuration as it is in the files.
    Afresh(Box<Loaded>),
}

impl Start {
    fn settings(&self) -> &Settings {
        match self {
            Start::Again(engine) => engine.settings(),
            Start::Afresh(loaded) => &loaded.settings,
        }
    }
}

/// What there is to begin with, and what is to be logged about it.
fn beginning(options: &Options, kept: Option<&Path>) -> Result<(Start, Vec<Line>), Failure> {
    let mut lines = Vec::new();
    if options.release {
        return Ok((Start::Afresh(Box::default()), lines));
    }
    match handover::take() {
        Some(Ok(engine)) => return Ok((Start::Again(Box::new(engine)), lines)),
        Some(Err(cause)) => lines.push(Line {
            level: Level::Err,
            text: "what the program before this one knew is of no use: probes start afresh".to_owned(),
            fields: vec![("cause".to_owned(), cause)],
        }),
        None => {}
    }
    let (loaded, more) = last_good::load(&options.paths(), kept)
        .map_err(|errors| Failure { status: CONFIGURATION, text: errors.to_string() })?;
    lines.extend(more);
    lines.extend(loaded.notices.iter().map(daemon::line));
    Ok((Start::Afresh(Box::new(loaded)), lines))
}

/// What is to be taken back: what is remembered, under the settings that were in force. Where those are not known, those of the
/// files have to do.
fn to_release(state: Option<Persistent>, options: &Options) -> Persistent {
    let mut state = state.unwrap_or(Persistent { version: VERSION, ..Persistent::default() });
    if state.settings.is_none() {
        state.settings = mpath_config::load(&options.paths()).ok().map(|loaded| Box::new(loaded.settings));
    }
    state
}

/// In 2^-32 seconds.
fn since_epoch(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
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
