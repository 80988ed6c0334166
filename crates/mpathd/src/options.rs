//! The command line of mpathd.

use clap::Parser;
use std::path::PathBuf;

/// Keeps the addresses of this host reachable when a NIC, its cable, its switch port or the path behind it fails.
///
/// Runs in the foreground and logs to stderr, unless told or called otherwise. Without a configuration it is idle and harmless.
/// SIGHUP reloads the configuration; SIGUSR1 logs the probe statistics; SIGUSR2 runs the program file again in place, for
/// upgrades; SIGTERM stops mpathd and leaves every address
/// and route where it is, for the next start to adopt.
#[derive(Debug, Parser)]
#[command(name = "mpathd", version, max_term_width = 100)]
pub(crate) struct Options {
    /// Configuration file [default: /etc/mpathd/mpathd.toml, which may be missing]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The three variables of in.mpathd(1M) [default: /etc/default/mpathd, which may be missing]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults: Option<PathBuf>,

    /// Where homes, verdicts and original sysctls are remembered while mpathd is not running
    #[arg(long, value_name = "DIR", default_value = "/run/mpathd")]
    pub(crate) state_dir: PathBuf,

    /// Control socket [default: STATE_DIR/mpathd.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Keep each configuration that loads in FILE, and use it in place of a broken one at the start
    #[arg(long, value_name = "FILE")]
    pub(crate) last_good: Option<PathBuf>,

    /// Write everything that happens into FILE, for `mpathctl replay`; at each start, and at 64 MiB, it becomes FILE.1 in place of the one before
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Take back everything that an earlier run has installed, and exit: addresses go home, routes and sysctls are as they were found
    #[arg(long, conflicts_with_all = ["daemonize", "check"])]
    pub(crate) release: bool,

    /// Run in the background, once the control socket answers, and log to syslog (as when called in.mpathd)
    #[arg(long)]
    pub(crate) daemonize: bool,

    /// Read the configuration, print every error with file, line and caret, and exit
    #[arg(long)]
    pub(crate) check: bool,
}

impl Options {
    /// The same with paths that do not depend on the working directory, which a daemon leaves.
    pub(crate) fn absolute(mut self) -> std::io::Result<Options> {
        self.state_dir = std::path::absolute(&self.state_dir)?;
        let named =
            [&mut self.config, &mut self.defaults, &mut self.socket, &mut self.last_good, &mut self.record];
        for path in named.into_iter().flatten() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(self)
    }

    /// Control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state_dir.join("mpathd.sock"))
    }

    /// The configuration files.
    pub(crate) fn paths(&self) -> mpath_config::Paths {
        mpath_config::Paths { config: self.config.clone(), defaults: self.defaults.clone() }
    }
}

#[cfg(test)]
mod man;
