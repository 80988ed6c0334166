//! Traffic with outage measurement. A client in one namespace talks to a data address of another; every figure comes
//! from what the client received.

mod echo;
mod flow;
mod tcp;
mod timeline;
mod udp;

pub use echo::Echo;
pub use flow::{FirstPackets, Flow};
pub use tcp::{TcpBulk, TcpReport, TcpSource};
pub use timeline::Gap;
pub use udp::{DEFAULT_RATE, Report, UdpStream};

use crate::counters;
use crate::error::Error;
use crate::host::Host;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Port of the echo service and of the bulk source, unless the caller takes another.
pub const PORT: u16 = 7007;

/// UDP packets of either family that arrived at this host and that its programs had no time for, or that it had no room to
/// send. On a loaded machine the echo service and the streams lose packets here: whatever lost them, they had arrived.
fn overflows(host: &Host) -> Result<u64, Error> {
    ["RcvbufErrors", "SndbufErrors"].into_iter().try_fold(0, |sum, name| {
        Ok(sum + counters::snmp(host, "Udp", name)? + counters::snmp6(host, &format!("Udp6{name}"))?)
    })
}

/// Ends the streams. Every packet of theirs has arrived, whether or not the program it was for had time for it on this
/// machine; `log` is shown where one has not.
#[track_caller]
pub fn assert_nothing_lost(hosts: &[&Host], streams: Vec<UdpStream>, log: &str) {
    let reports: Vec<_> = streams.into_iter().map(UdpStream::stop).collect();
    let late: u64 = hosts.iter().map(|host| overflows(host).expect("/proc can be read")).sum();
    let lost: usize = reports.iter().map(|r| r.lost).sum();
    assert!(
        reports.iter().all(|r| r.received > 0) && lost as u64 <= late,
        "{late} overflows, {reports:?}\n{log}"
    );
}

/// Tells threads to end when it goes out of scope.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
