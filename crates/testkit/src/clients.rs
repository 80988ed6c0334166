//! Both clients of a [`Lan`] at work: a UDP stream from each to every data address, a TCP transfer from each address, and what
//! the server needs for that.

use crate::daemon::Daemon;
use crate::error::Error;
use crate::lan::Lan;
use crate::traffic::{Echo, PORT, TcpBulk, TcpSource, UdpStream};
use crate::wait::poll_until;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Packets per second of a stream: enough to see that answers come.
const RATE: u32 = 100;
/// How long a connection may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The running traffic. Fields are dropped in this order.
pub struct Clients {
    streams: Vec<UdpStream>,
    transfers: Vec<TcpBulk>,
    _source: TcpSource,
    _echo: Echo,
}

impl Clients {
    /// Starts everything; returns when all TCP connections are open. IPv6 transfers go to the client on the link, IPv4 ones to
    /// that behind the router.
    pub fn start(lan: &Lan, data: &[&str]) -> Result<Clients, Error> {
        let echo = Echo::start(&lan.server, PORT)?;
        let source = TcpSource::start(&lan.server, PORT)?;
        let (mut streams, mut transfers) = (Vec::new(), Vec::new());
        for data in data {
            let address = data.parse().map_err(|e| Error::new(format!("read {data}"), e))?;
            let target = SocketAddr::new(address, PORT);
            for client in [&lan.near, &lan.far] {
                streams.push(UdpStream::start(client, target, RATE)?);
            }
            let client = if address.is_ipv6() { &lan.near } else { &lan.far };
            let transfer = poll_until(PATIENCE, || TcpBulk::start(client, target).ok());
            transfers.push(transfer.ok_or_else(|| Error::new(format!("connect to {data}"), "not in time"))?);
        }
        Ok(Clients { streams, transfers, _source: source, _echo: echo })
    }

    /// Whether every stream had an answer after that time.
    pub fn flow_since(&self, since: Instant) -> bool {
        self.streams.iter().all(|s| s.alive_since(since))
    }

    /// Waits until every transfer has had data from now on, on its first and only connection.
    pub fn tcp_lives(&self, deadline: Duration) -> bool {
        let now = Instant::now();
        let lives = || self.transfers.iter().all(|t| t.alive_since(now)).then_some(());
        poll_until(deadline, lives).is_some()
    }

    /// Everything that helps to find out what went wrong.
    pub fn picture(&self, lan: &Lan, daemon: &Daemon) -> String {
        let now = Instant::now();
        let broken: Vec<_> = self.transfers.iter().map(|t| t.window(now, now).broken).collect();
        let flows: Vec<bool> =
            self.streams.iter().map(|s| s.alive_since(now - Duration::from_secs(1))).collect();
        format!(
            "streams {flows:?}\naddresses {:?}\nTCP {broken:?}\nstatus {:?}\nkernel {:?}\nlog of mpathd:\n{}",
            lan.server.addresses(),
            daemon.status(),
            lan.server.inventory().map(|i| (i.routes, i.rules, i.neighbours)),
            daemon.log_text()
        )
    }
}
