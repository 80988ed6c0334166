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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Port of the echo service and of the bulk source, unless the caller takes another.
pub const PORT: u16 = 7007;

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
