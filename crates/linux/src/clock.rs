//! The daemon's clock, and the kernel's receive times brought onto it.

use mpath_model::Time;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CLOCK_MONOTONIC.
pub fn now() -> Time {
    read(ClockId::CLOCK_MONOTONIC)
}

/// The monotonic time of a moment that CLOCK_REALTIME called `stamp` (time since the epoch), not later
/// than now. Off by what the wall clock was stepped in between, which only a packet in flight can notice.
pub fn from_realtime(stamp: Duration) -> Time {
    let now = now();
    let real = read(ClockId::CLOCK_REALTIME);
    // A stamp ahead of the clock gives an age of zero.
    now.before(real.since(Time(mpath_model::time::nanos(stamp))))
}

fn read(clock: ClockId) -> Time {
    let time = clock_gettime(clock).expect("both clocks exist on every Linux");
    Time(mpath_model::time::nanos(Duration::from(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_keep_their_age_and_never_lie_ahead() {
        let before = now();
        let real = Duration::from_nanos(read(ClockId::CLOCK_REALTIME).0);
        let second_ago = from_realtime(real - Duration::from_secs(1));
        assert!(second_ago < before);
        assert!(before.since(second_ago) < Duration::from_secs(60));
        assert!(from_realtime(real + Duration::from_secs(3600)) <= now());
    }
}
