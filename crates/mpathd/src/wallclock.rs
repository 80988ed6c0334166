//! Wall-clock time as text, for log lines and events. The engine never sees it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::SystemTime;

/// Writes times in one time zone, read once: the daemon may later be unable to open `/etc/localtime`.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    zone: TimeZone,
}

impl WallClock {
    /// In the zone of the system; UTC if it has none.
    pub(crate) fn system() -> WallClock {
        WallClock { zone: TimeZone::try_system().unwrap_or(TimeZone::UTC) }
    }

    /// In UTC.
    #[cfg(test)]
    pub(crate) fn utc() -> WallClock {
        WallClock { zone: TimeZone::UTC }
    }

    /// RFC 3339 with milliseconds and offset: `2026-11-22T01:41:36.123+00:00`.
    pub(crate) fn rfc3339(&self, at: SystemTime) -> String {
        // Outside of the years -9999 to 9999 there is nothing sensible to say.
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn milliseconds_and_offset() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_311_696_007);
        assert_eq!(WallClock::utc().rfc3339(at), "2026-11-22T01:41:36.007+00:00");
    }
}
