//! Scenario `lagg`: a lagg over two ports, made by each back-end. What is measured lives in the modules below.

mod cable;
mod silent;
mod speed;

use crate::cli::{Backend, LaggFault, LaggOptions};
use crate::events::Events;
use crate::report::Case;
use crate::stage::{PATIENCE, Site};
use mpath_testkit::daemon::DaemonOptions;
use mpath_testkit::lan::{DATA4, DATA6, ROUTER4, ROUTER6};
use mpath_testkit::traffic::PORT;
use mpath_testkit::{Daemon, Echo, Error, Lan, LanOptions, TcpSource, poll_until};

/// Measures everything asked for with each back-end.
pub(crate) fn run(site: &Site, options: &LaggOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for backend in &options.backend {
        for what in &options.what {
            cases.push(match what {
                LaggFault::Cable => cable::case(site, *backend, options.traffic.rate, runs, seed)?,
                LaggFault::Silent => silent::case(site, *backend, runs, seed)?,
                LaggFault::Speed => speed::case(site, *backend)?,
            });
        }
    }
    Ok(cases)
}

/// Everything that runs. Fields are dropped in this order.
pub(crate) struct Stage {
    _echo: Echo,
    _source: TcpSource,
    daemon: Daemon,
    events: Events,
    pub(crate) lan: Lan,
}

impl Stage {
    /// A server with `nics` NICs, the first two of which are ports of lagg0; `more` is what else stands in `[[lagg]]`.
    pub(crate) fn build(site: &Site, backend: Backend, nics: usize, more: &str) -> Result<Stage, Error> {
        let lan = Lan::new(LanOptions { nics, configured: false, ..LanOptions::default() })?;
        let config = format!(
            "[[lagg]]\nname = \"lagg0\"\nports = [\"eth0\", \"eth1\"]\naddresses = [\"{DATA4}/24\", \"{DATA6}/64\"]\n\
             backend = \"{}\"\n{more}\n",
            backend.name()
        );
        let options = DaemonOptions { config, binary: Some(site.daemon.clone()), ..DaemonOptions::default() };
        let daemon = Daemon::launch(&lan.server, options)?;
        site.interrupt.remove_at_end(daemon.directory());
        daemon.wait_ready()?;
        let events = Events::watch(&daemon.socket())?;
        let (echo, source) = (Echo::start(&lan.server, PORT)?, TcpSource::start(&lan.server, PORT)?);
        let stage = Stage { _echo: echo, _source: source, daemon, events, lan };
        stage.wait_active("eth0")?;
        stage.add_routes()?;
        Ok(stage)
    }

    /// Default routes through the lagg: the routers are what probes ask. Its addresses come a moment after its ports.
    fn add_routes(&self) -> Result<(), Error> {
        let server = &self.lan.server;
        let there = || [DATA4, DATA6].iter().all(|data| server.holders(data) == ["lagg0"]).then_some(());
        poll_until(PATIENCE, there)
            .ok_or_else(|| Error::new("wait for the addresses of lagg0", self.daemon.log_text()))?;
        server.add_route("lagg0", "0.0.0.0/0", ROUTER4)?;
        server.add_route("lagg0", "::/0", ROUTER6)
    }

    /// All that the daemon has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.log_text()
    }

    /// Waits until a port carries the traffic.
    pub(crate) fn wait_active(&self, port: &str) -> Result<(), Error> {
        let active = || {
            let status = self.daemon.status().ok()?;
            (status.laggs.first()?.active.as_deref() == Some(port)).then_some(())
        };
        poll_until(PATIENCE, active).ok_or_else(|| {
            let why = format!("not within {PATIENCE:?}; the log of mpathd:\n{}", self.daemon.log_text());
            Error::new(format!("wait until {port} is active"), why)
        })
    }

    /// Waits until the probes of both ports have had answers.
    pub(crate) fn wait_answers(&self) -> Result<(), Error> {
        let answered = || self.daemon.all_answered().is_ok_and(|all| all).then_some(());
        poll_until(PATIENCE, answered).ok_or_else(|| {
            let why = format!("not within {PATIENCE:?}; the log of mpathd:\n{}", self.daemon.log_text());
            Error::new("wait for answers to the probes of both ports", why)
        })
    }
}
