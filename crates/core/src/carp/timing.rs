//! CARP's times (lagg-carp.md B.5), and those at which the kernel's lifetimes of the addresses are renewed, so that the
//! addresses of a daemon that has died are gone before another host answers for them.

use super::machine::Heard;
use std::time::Duration;

/// Greatest skew in an advert that is no resignation.
pub const MAX_SKEW: u8 = 240;
/// What the kernel may keep an address beyond its lifetime: it looks about once a second.
const OVERDUE: Duration = Duration::from_millis(1300);
/// Part of a lifetime after which it must have been renewed, in hundredths: the kernel rounds down by 20 ms.
const RENEW_WITHIN: u32 = 90;

/// `advbase` seconds and `advskew` 256ths of a second, in whole microseconds.
pub fn interval(advbase: u8, advskew: u8) -> Duration {
    Duration::from_secs(advbase.into()) + Duration::from_micros(u64::from(advskew) * 1_000_000 / 256)
}

/// Silence after which a master is taken for dead: three times `advbase`, and the skew once.
pub fn patience(advbase: u8, advskew: u8) -> Duration {
    interval(advbase, 0) * 3 + interval(0, advskew)
}

/// The skew that is advertised under a demotion.
pub fn effective_skew(advskew: u8, demotion: i32) -> u8 {
    let sum = i32::from(advskew).saturating_add(demotion);
    u8::try_from(sum.clamp(0, MAX_SKEW.into())).expect("clamped to 0..=240")
}

/// What an advert with these values amounts to for a host that would advertise every `own` and waits for `patience`.
pub fn judge(own: Duration, patience: Duration, advbase: u8, advskew: u8) -> Heard {
    let theirs = interval(advbase, advskew);
    if patience < theirs {
        Heard::Resigning
    } else if own < theirs {
        Heard::Worse
    } else {
        Heard::Better
    }
}

/// Valid lifetime of the addresses in whole seconds: the largest with which a host whose last renewal was half an
/// `advbase` after its last advert has lost them before anybody takes over.
pub fn lifetime(advbase: u8) -> u32 {
    let limit = interval(advbase, 0) * 5 / 2 - OVERDUE;
    u32::try_from(limit.as_nanos().saturating_sub(1) / 1_000_000_000).unwrap_or(u32::MAX).max(1)
}

/// How long after an advert a lifetime may still be renewed.
pub fn renewable(advbase: u8) -> Duration {
    interval(advbase, 0) * 3 - OVERDUE - Duration::from_secs(lifetime(advbase).into())
}

/// Time from one advert to the next: what is advertised, unless the lifetime of the addresses would run out meanwhile
/// (`advbase` 1 and a great skew). More adverts than promised harm nobody.
pub fn period(advbase: u8, effective_skew: u8) -> Duration {
    let lifetime = Duration::from_secs(lifetime(advbase).into());
    interval(advbase, effective_skew).min(renewable(advbase) + lifetime * RENEW_WITHIN / 100)
}

/// When the lifetimes are renewed after each advert, beside the time of the advert itself: at a quarter and at half
/// of the period, but never so late that they would outlast another host's patience.
pub fn renewals(advbase: u8, effective_skew: u8) -> [Duration; 2] {
    let period = period(advbase, effective_skew);
    let latest = renewable(advbase) - Duration::from_millis(5);
    [(period / 4).min(latest), (period / 2).min(latest)]
}

/// Time since the last advert after which another host may have taken over from this one, whatever its skew.
pub fn usurped(advbase: u8) -> Duration {
    interval(advbase, 0) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn intervals_and_patience_of_freebsd() {
        assert_eq!(interval(1, 0), MS(1000));
        assert_eq!(interval(1, 100), Duration::from_micros(1_390_625));
        assert_eq!(patience(1, 100), Duration::from_micros(3_390_625));
        assert_eq!(patience(3, 0), MS(9000));
        assert_eq!(interval(255, 255), Duration::from_micros(255_996_093));
    }

    #[test]
    fn skew_is_clamped() {
        let skews: Vec<u8> =
            [0, 100, 139, 140, 141, 1000, -50, -200].map(|d| effective_skew(100, d)).to_vec();
        assert_eq!(skews, [100, 200, 239, 240, 240, 240, 50, 0]);
        assert_eq!(effective_skew(254, 0), 240);
        assert_eq!(effective_skew(0, i32::MIN), 0);
        assert_eq!(effective_skew(254, i32::MAX), 240);
    }

    #[test]
    fn adverts_are_judged_by_their_times() {
        let of = |base, skew| judge(interval(1, 100), patience(1, 100), base, skew);
        assert_eq!(of(1, 0), Heard::Better);
        assert_eq!(of(1, 100), Heard::Better, "a tie");
        assert_eq!(of(1, 101), Heard::Worse);
        assert_eq!(of(3, 100), Heard::Worse, "exactly the patience");
        assert_eq!(of(3, 101), Heard::Resigning);
        assert_eq!(of(255, 255), Heard::Resigning);
    }

    /// The largest whole L with L + 1.3 s + advbase/2 < 3 advbase, 1 s at advbase 1.
    #[test]
    fn lifetimes() {
        assert_eq!([1, 2, 3, 4, 10].map(lifetime), [1, 3, 6, 8, 23]);
        for base in 1..=255 {
            let fits =
                |l: u32| MS(u64::from(l) * 1000 + 1300) + interval(base, 0) / 2 < interval(base, 0) * 3;
            assert!(fits(lifetime(base)), "advbase {base}");
            assert!(!fits(lifetime(base) + 1), "advbase {base}");
        }
    }

    /// Whatever the moment at which a daemon dies, its addresses are gone before anybody takes over; and as long as it
    /// lives they are never at their end.
    #[test]
    fn addresses_neither_outlive_the_patience_of_others_nor_run_out() {
        for base in 1..=255 {
            for skew in 0..=MAX_SKEW {
                let (period, lifetime) = (period(base, skew), Duration::from_secs(lifetime(base).into()));
                assert!(period <= interval(base, skew));
                let points = [Duration::ZERO, renewals(base, skew)[0], renewals(base, skew)[1], period];
                for pair in points.windows(2) {
                    assert!(pair[0] <= pair[1], "{base}/{skew}: {points:?}");
                    assert!(pair[1] - pair[0] <= lifetime * 92 / 100, "{base}/{skew}: {points:?}");
                    assert!(pair[0] + lifetime + OVERDUE < usurped(base), "{base}/{skew}: {points:?}");
                }
            }
        }
    }
}
