//! Durations as the configuration writes them: `20ms`, `10s`, `1m30s`, `1.5s`, `1h`. The unit is never
//! guessed: in.mpathd's millisecond-or-second confusion is not repeated (mpathd-behaviour.md 6.1).

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDuration {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const HELP: &str = "write a number and a unit: us, ms, s, m or h, like \"20ms\", \"10s\" or \"1m30s\"";

/// The duration a text stands for; at most 584 years.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = |message: String, help: &str| BadDuration { message, help: help.to_owned() };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad("the duration is empty".to_owned(), HELP));
    }
    if rest.starts_with('-') {
        return Err(bad(format!("the duration \"{text}\" is negative"), HELP));
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        let end = behind
            .find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let (mantissa, scale) =
            decimal(number).ok_or_else(|| bad(format!("\"{text}\" is not a duration"), HELP))?;
        if unit.is_empty() {
            return Err(missing_unit(text, number));
        }
        let (_, nanos) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| bad(format!("\"{unit}\" is not a unit of time"), HELP))?;
        total = total.saturating_add(mantissa.saturating_mul(u128::from(*nanos)) / scale);
        rest = next.trim_start();
    }
    match u64::try_from(total) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos)),
        Err(_) => Err(bad(format!("the duration \"{text}\" is too long"), HELP)),
    }
}

/// The error for a number without a unit.
pub fn missing_unit(text: &str, number: &str) -> BadDuration {
    BadDuration {
        message: format!("the duration {text} has no unit"),
        help: format!("write \"{number}ms\" or \"{number}s\""),
    }
}

/// `12.5` as 125 and 10. At most 18 digits on either side.
fn decimal(number: &str) -> Option<(u128, u128)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let fits = |part: &str| (1..=18).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !fits(whole) || !fits(fraction) {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    Some((whole.parse::<u128>().ok()? * scale + fraction.parse::<u128>().ok()?, scale))
}

/// The shortest way to write a duration: `1m30s`, `20ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let mut rest = mpath_model::time::nanos(duration);
    let mut text = String::new();
    for (unit, nanos) in [("h", 7), ("m", 5), ("s", 4), ("ms", 3), ("us", 1), ("ns", 0)] {
        let size = UNITS[nanos].1;
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let table = [
            ("0s", 0),
            ("20ms", 20_000_000),
            ("500us", 500_000),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1min 30 s", 90_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1.5s", 1_500_000_000),
        ];
        for (text, nanos) in table {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn no_durations() {
        let table = [
            ("", "the duration is empty"),
            ("10", "the duration 10 has no unit"),
            ("1m30", "the duration 1m30 has no unit"),
            ("-1s", "the duration \"-1s\" is negative"),
            ("10 parsecs", "\"parsecs\" is not a unit of time"),
            ("10S", "\"S\" is not a unit of time"),
            ("s", "\"s\" is not a duration"),
            ("1.s", "\"1.s\" is not a duration"),
            ("1..5s", "\"1..5s\" is not a duration"),
            ("999999999999999999h", "the duration \"999999999999999999h\" is too long"),
            ("1000000000000000000000s", "\"1000000000000000000000s\" is not a duration"),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).unwrap_err().message, message, "{text}");
        }
        assert_eq!(parse("10").unwrap_err().help, "write \"10ms\" or \"10s\"");
    }

    proptest! {
        #[test]
        fn format_and_parse_agree(nanos: u64) {
            let d = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(d)), Ok(d));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = parse(&text);
        }
    }
}
