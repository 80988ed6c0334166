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
    aged(now(), read(ClockId::CLOCK_REALTIME), Time(mpath_model::time::nanos(stamp)))
}

/// The moment `stamp` of the clock that shows `real` now, on the clock that shows `now`. A stamp ahead of its clock
/// gives an age of zero.
fn aged(now: Time, real: Time, stamp: Time) -> Time {
    now.before(real.since(stamp))
}

fn read(clock: ClockId) -> Time {
    let time = clock_gettime(clock).expect("both clocks exist on every Linux");
    Time(mpath_model::time::nanos(Duration::from(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what was stamped before the step and is read after it is off: early by a day, or as young as can be. The
    /// next packet has its true age again. An answer from before its probe is an answer without a round-trip time.
    #[test]
    fn a_step_of_the_wall_clock_touches_only_packets_in_flight() {
        const DAY: u64 = 86_400_000_000_000;
        let (now, real, age) = (Time(5 * DAY), 20_000 * DAY, 700_000);
        for stepped in [real - DAY, real, real + DAY] {
            assert_eq!(aged(now, Time(stepped), Time(stepped - age)), Time(now.0 - age));
        }
        assert_eq!(aged(now, Time(real + DAY), Time(real - age)), Time(now.0 - DAY - age));
        assert_eq!(aged(now, Time(real - DAY), Time(real - age)), now);
        // A machine that has not run for a day yet.
        assert_eq!(aged(Time(DAY / 2), Time(real + DAY), Time(real - age)), Time(0));
    }

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
