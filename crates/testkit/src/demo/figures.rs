//! The figures of one act: what the clients noticed, and whether that is as it should be.

use crate::traffic::{Report, TcpReport};
use std::time::Duration;

/// What one UDP client saw.
pub(super) struct ClientFigures {
    /// `near` or `far`.
    pub(super) client: &'static str,
    /// `IPv4` or `IPv6`.
    pub(super) family: &'static str,
    pub(super) report: Report,
}

/// What the clients saw of one act.
pub(super) struct Figures {
    pub(super) act: &'static str,
    /// Longest outage that is still as it should be.
    pub(super) limit: Duration,
    pub(super) clients: Vec<ClientFigures>,
    pub(super) transfers: Vec<TcpReport>,
    /// Every TCP connection is the one it was, and moves data.
    pub(super) tcp_survived: bool,
    /// What else is not as it should be.
    pub(super) problem: Option<String>,
}

impl Figures {
    /// Longest outage of any client.
    pub(super) fn outage(&self) -> Duration {
        self.clients.iter().map(|c| c.report.outage).max().unwrap_or_default()
    }

    /// Packets lost, all clients.
    pub(super) fn lost(&self) -> usize {
        self.clients.iter().map(|c| c.report.lost).sum()
    }

    /// Packets sent, all clients.
    pub(super) fn sent(&self) -> usize {
        self.clients.iter().map(|c| c.report.sent).sum()
    }

    /// Longest stall of any TCP transfer.
    pub(super) fn stall(&self) -> Duration {
        self.transfers.iter().map(|t| t.stall).max().unwrap_or_default()
    }

    /// Everything is as it should be. No packets at all is not.
    pub(super) fn ok(&self) -> bool {
        let received = self.clients.iter().all(|c| c.report.received > 0);
        received && self.outage() <= self.limit && self.tcp_survived && self.problem.is_none()
    }
}

/// The network at rest: no fault, and still no clock is perfect.
pub(super) struct Floor {
    /// Longest time without a packet.
    pub(super) outage: Duration,
    pub(super) lost: usize,
}

/// Milliseconds with fractions.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
