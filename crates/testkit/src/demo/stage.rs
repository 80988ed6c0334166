//! The stage: the network, the daemon and the traffic that runs through all acts.

use super::figures::{ClientFigures, Floor};
use super::interrupt::Interrupt;
use super::{Options, Teller};
use crate::daemon::{Daemon, DaemonOptions};
use crate::error::Error;
use crate::group::GroupConfig;
use crate::host::Host;
use crate::lan::{DATA4, DATA6, Lan, LanOptions};
use crate::traffic::{DEFAULT_RATE, Echo, PORT, TcpBulk, TcpReport, TcpSource, UdpStream};
use crate::wait::poll_until;
use mpath_model::status::{GroupState, ProbeState, Status};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the daemon may take until it watches all NICs.
const READY: Duration = Duration::from_secs(15);

/// How long traffic may take to start.
const FLOWING: Duration = Duration::from_secs(5);

/// Length of the calm before the first act, which gives the floor of the measurement.
const CALM: Duration = Duration::from_secs(1);

/// Time for packets under way to arrive before a window is evaluated.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// The stage with everything on it.
pub(super) struct Stage {
    streams: Vec<(&'static str, &'static str, UdpStream)>,
    transfers: Vec<TcpBulk>,
    _source: TcpSource,
    _echo: Echo,
    pub(super) daemon: Daemon,
    pub(super) lan: Lan,
}

impl Stage {
    /// Builds the network, starts daemon and traffic, and waits until both run.
    pub(super) fn build(
        options: &Options,
        program: PathBuf,
        teller: &Teller,
        interrupt: &Interrupt,
    ) -> Result<Stage, Error> {
        let lan = Lan::new(LanOptions { nics: 3, ..LanOptions::default() })?;
        teller.say("A private network is up; nothing outside it is touched:");
        DRAWING.iter().for_each(|line| teller.line(&format!("         {line}")));
        teller.say(&format!("Starting {}", program.display()));
        let daemon = Daemon::launch(
            &lan.server,
            DaemonOptions {
                config: config(options.failure_detection_time),
                binary: Some(program),
                ..DaemonOptions::default()
            },
        )?;
        interrupt.remove_at_end(daemon.directory());
        daemon.wait_status(READY, "it watches all NICs", all_well)?;
        let both = || [DATA4, DATA6].iter().all(|data| lan.server.holders(data) == ["eth0"]);
        if poll_until(READY, || both().then_some(())).is_none() {
            let why = format!("they are not on eth0; the log of mpathd:\n{}", daemon.log_text());
            return Err(Error::new(format!("find {DATA4} and {DATA6} in the kernel"), why));
        }
        teller.say(&format!("mpathd watches eth0, eth1 and eth2; {DATA4} and {DATA6} live on eth0."));

        let echo = Echo::start(&lan.server, PORT)?;
        let source = TcpSource::start(&lan.server, PORT)?;
        let stage = Stage {
            streams: streams(&lan)?,
            transfers: vec![
                TcpBulk::start(&lan.far, target(DATA4))?,
                TcpBulk::start(&lan.near, target(DATA6))?,
            ],
            _source: source,
            _echo: echo,
            daemon,
            lan,
        };
        let start = Instant::now();
        if poll_until(FLOWING, || stage.flows_since(start).then_some(())).is_none() {
            let why = "not every client gets answers, before anything was broken";
            return Err(Error::new("start the traffic", why));
        }
        teller.say("Two clients, one on the link and one behind the router, exchange 1,000 UDP packets a second each");
        teller.say("with both addresses, and two TCP transfers run.");
        Ok(stage)
    }

    /// A second without a fault.
    pub(super) fn calm(&self, teller: &Teller) -> Floor {
        let from = Instant::now();
        std::thread::sleep(CALM);
        let clients = self.udp_window(from, Instant::now());
        let floor = Floor {
            outage: clients.iter().map(|c| c.report.outage).max().unwrap_or_default(),
            lost: clients.iter().map(|c| c.report.lost).sum(),
        };
        teller.say(&format!(
            "A second of calm: longest time between two packets {:.1} ms, {} lost.",
            super::figures::ms(floor.outage),
            floor.lost
        ));
        floor
    }

    /// Whether every client had an answer, UDP and TCP, after `since`.
    fn flows_since(&self, since: Instant) -> bool {
        self.udp_flows_since(since) && self.tcp_flows_since(since)
    }

    /// Whether every UDP client had an answer after `since`.
    pub(super) fn udp_flows_since(&self, since: Instant) -> bool {
        self.streams.iter().all(|(_, _, stream)| stream.alive_since(since))
    }

    /// Whether every TCP transfer lives and moved data after `since`.
    pub(super) fn tcp_flows_since(&self, since: Instant) -> bool {
        self.transfers.iter().all(|t| t.alive_since(since))
    }

    /// What the UDP clients saw between two times; waits for what is under way.
    pub(super) fn udp_window(&self, from: Instant, to: Instant) -> Vec<ClientFigures> {
        std::thread::sleep(UNDER_WAY);
        let figures = self.streams.iter().map(|(client, family, stream)| ClientFigures {
            client,
            family,
            report: stream.window(from, to),
        });
        figures.collect()
    }

    /// What the TCP clients saw between two times.
    pub(super) fn tcp_window(&self, from: Instant, to: Instant) -> Vec<TcpReport> {
        self.transfers.iter().map(|t| t.window(from, to)).collect()
    }

    /// NICs that hold the data addresses, as the kernel shows them: one entry if all are together on one.
    pub(super) fn places(&self) -> Vec<String> {
        let mut nics: Vec<String> =
            [DATA4, DATA6].iter().flat_map(|data| self.lan.server.holders(data)).collect();
        let complete = nics.len() == 2;
        nics.sort();
        nics.dedup();
        if complete { nics } else { Vec::new() }
    }

    /// Waits until the daemon says that all NICs work.
    pub(super) fn wait_all_well(&self) -> Result<Status, Error> {
        self.daemon.wait_status(READY, "all NICs work", all_well)
    }

    pub(super) fn stop_daemon(&mut self) -> Result<(), Error> {
        self.daemon.term().map(drop)
    }

    pub(super) fn daemon_log(&self) -> Vec<String> {
        self.daemon.log().into_iter().map(|line| line.text).collect()
    }
}

const DRAWING: [&str; 5] = [
    "server                  switches",
    "  eth0 ------------------ sw0 ---.           near   192.0.2.200   2001:db8:1::200",
    "  eth1 ------------------ sw1 ---+-- core --<",
    "  eth2 (standby) -------- sw2 ---'           router --- far 198.51.100.200 2001:db8:2::200",
    "  data addresses 192.0.2.10 and 2001:db8:1::10",
];

/// The daemon's configuration.
fn config(failure_detection_time: Duration) -> String {
    let config = GroupConfig { nics: 3, standby: vec![2], failure_detection_time, ..GroupConfig::default() };
    config.text()
}

/// Every NIC is watched by probes and works.
fn all_well(status: &Status) -> bool {
    let groups = &status.groups;
    let watched = groups.iter().flat_map(|g| &g.interfaces).all(|i| i.probe == ProbeState::Ok);
    !groups.is_empty() && watched && groups.iter().all(|g| g.state == GroupState::Ok)
}

fn streams(lan: &Lan) -> Result<Vec<(&'static str, &'static str, UdpStream)>, Error> {
    let near: &Arc<Host> = &lan.near;
    let all = [
        ("near", near, "IPv4", DATA4),
        ("near", near, "IPv6", DATA6),
        ("far", &lan.far, "IPv4", DATA4),
        ("far", &lan.far, "IPv6", DATA6),
    ];
    all.into_iter()
        .map(|(name, host, family, data)| {
            Ok((name, family, UdpStream::start(host, target(data), DEFAULT_RATE)?))
        })
        .collect()
}

fn target(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("the data addresses are addresses"), PORT)
}
