//! How often packets wake the daemon. Where a flood does so thousands of times in a second, packets are looked at once a
//! millisecond instead, all that have come by then: they carry the time of their arrival, so nothing is judged by that. The
//! kernel's events, signals and the engine's times wait for nobody.

use mpath_model::Time;
use std::time::Duration;

/// Pause between two looks at packets.
const PAUSE: Duration = Duration::from_millis(1);
/// It is decided anew after this.
const WINDOW: Duration = Duration::from_millis(10);
/// Wake-ups by packets in a window that make it a flood: 2,000 a second.
const FLOOD: u32 = 20;
/// Looks in a window that found packets, so that it is still one: of ten.
const STILL: u32 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Noise {
    since: Time,
    times: u32,
    flood: bool,
}

impl Noise {
    /// Packets are there.
    pub(super) fn heard(&mut self) {
        self.times = self.times.saturating_add(1);
    }

    /// How long packets have to wait now, if they have to.
    pub(super) fn pause(&mut self, now: Time) -> Option<Duration> {
        if now - self.since >= WINDOW {
            self.flood = self.times >= if self.flood { STILL } else { FLOOD };
            (self.since, self.times) = (now, 0);
        }
        self.flood.then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets come at this pace for so long: how often they have woken somebody.
    fn wakes(noise: &mut Noise, now: &mut Time, every: Duration, long: Duration) -> u32 {
        let (end, mut count) = (*now + long, 0);
        while *now < end {
            *now = *now + noise.pause(*now).unwrap_or_default().max(every);
            noise.heard();
            count += 1;
        }
        count
    }

    #[test]
    fn a_flood_is_looked_at_once_a_millisecond_and_nothing_else_waits() {
        let (mut noise, mut now) = (Noise::default(), Time(0) + Duration::from_secs(1));
        let second = Duration::from_secs(1);
        let calm = wakes(&mut noise, &mut now, Duration::from_millis(1), second);
        assert_eq!((calm, noise.flood), (1000, false));
        let flood = wakes(&mut noise, &mut now, Duration::from_micros(100), second);
        assert!(noise.flood && (1000..1200).contains(&flood), "{flood}");
        wakes(&mut noise, &mut now, Duration::from_millis(3), Duration::from_millis(30));
        assert_eq!(noise.pause(now), None);
    }
}
