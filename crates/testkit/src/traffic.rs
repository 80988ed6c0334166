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

use crate::error::{Context, Error};
use crate::host::Host;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Port of the echo service and of the bulk source, unless the caller takes another.
pub const PORT: u16 = 7007;

/// UDP packets of either family that arrived at this host and that its programs had no time for, or that it had no room to
/// send. On a loaded machine the echo service and the streams lose packets here: whatever lost them, they had arrived.
pub fn overflows(host: &Host) -> Result<usize, Error> {
    let read = |file: &str| {
        let path = format!("/proc/thread-self/net/{file}");
        host.run(|| std::fs::read_to_string(&path)).context(|| format!("read {path} of {}", host.name()))
    };
    let (four, six) = (read("snmp")?, read("snmp6")?);
    let (names, values) = {
        let mut lines = four.lines().filter_map(|l| l.strip_prefix("Udp:"));
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    };
    let four = names.split_whitespace().zip(values.split_whitespace());
    let six = six.lines().filter_map(|l| l.strip_prefix("Udp6")?.split_once(char::is_whitespace));
    let counted = four.chain(six).filter(|(name, _)| matches!(*name, "RcvbufErrors" | "SndbufErrors"));
    Ok(counted.filter_map(|(_, value)| value.trim().parse::<usize>().ok()).sum())
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
