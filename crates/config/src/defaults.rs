//! `/etc/default/mpathd`, the three variables of in.mpathd(1M), by the rules of mpathd-behaviour.md 6.1, with
//! these mended: `yes` and `no` are whole words, blanks at the end of a line do not matter, and a last line
//! without newline counts. A bad value never stops the daemon: it is logged, and the default holds.

use crate::Notice;
use mpath_model::event::Level;
use std::time::Duration;

/// FAILURE_DETECTION_TIME where nothing says otherwise, ms (in.mpathd(1M)).
const DEFAULT_FDT: i64 = 10_000;

/// Smallest FAILURE_DETECTION_TIME of this file, ms (in.mpathd(1M)).
const MINIMUM_FDT: i64 = 100;

/// Largest failure detection time anywhere, ms.
const MAXIMUM_FDT: i64 = 3_600_000;

/// Bytes of a line, its newline included (mpathd-behaviour.md 6.1: a buffer of 1024 with its final NUL).
const LONGEST_LINE: usize = 1023;

/// A variable that the file sets to a usable value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What it means.
    pub value: T,
    /// As written.
    pub raw: String,
    /// Line, 1 and up.
    pub line: u32,
}

/// What the file says. Nothing is set where the file is missing, says nothing or is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Name of the file, for log lines.
    pub file: String,
    /// FAILURE_DETECTION_TIME, 100 ms to 1 h.
    pub failure_detection_time: Option<Setting<Duration>>,
    /// FAILBACK.
    pub failback: Option<Setting<bool>>,
    /// TRACK_INTERFACES_ONLY_WITH_GROUPS.
    pub track_interfaces_only_with_groups: Option<Setting<bool>>,
    /// What is to be logged.
    pub notices: Vec<Notice>,
}

/// Reads the text of the file. Any bytes will do.
pub fn parse(text: &[u8], file_name: &str) -> Defaults {
    let mut defaults = Defaults { file: file_name.to_owned(), ..Defaults::default() };
    let lines = Lines::new(text);
    if let Some(line) = lines.too_long {
        let text = format!(
            "A line of {file_name} is longer than {LONGEST_LINE} bytes: nothing is read from there on"
        );
        defaults.note(text, line, None);
    }
    defaults.failure_detection_time = defaults.detection_time(&lines);
    defaults.failback = defaults.yes_or_no(&lines, "FAILBACK");
    defaults.track_interfaces_only_with_groups =
        defaults.yes_or_no(&lines, "TRACK_INTERFACES_ONLY_WITH_GROUPS");
    defaults
}

impl Defaults {
    fn note(&mut self, text: String, line: u32, value: Option<&str>) {
        let mut notice = Notice::new(Level::Warning, text).with("file", &self.file).with("line", line);
        if let Some(value) = value {
            notice = notice.with("value", value);
        }
        self.notices.push(notice);
    }

    fn detection_time(&mut self, lines: &Lines<'_>) -> Option<Setting<Duration>> {
        let (raw, line) = lines.find("FAILURE_DETECTION_TIME")?;
        let number = c_integer(&raw).filter(|n| (1..=i64::from(i32::MAX)).contains(n));
        let Some(number) = number else {
            let text = format!("Invalid failure detection time assuming default {DEFAULT_FDT}");
            self.note(text, line, Some(&raw));
            return None;
        };
        if number < MINIMUM_FDT {
            let text = format!("Too small failure detection time of {raw} assuming minimum {MINIMUM_FDT}");
            self.note(text, line, Some(&raw));
            // Several old manuals give the unit as seconds (mpathd-behaviour.md 6.1, pitfall a).
            let text = format!(
                "FAILURE_DETECTION_TIME is in milliseconds: for {number} seconds write {}",
                number * 1000
            );
            self.note(text, line, Some(&raw));
        } else if number > MAXIMUM_FDT {
            let text = format!("Too large failure detection time of {raw} assuming maximum {MAXIMUM_FDT}");
            self.note(text, line, Some(&raw));
        }
        let ms = number.clamp(MINIMUM_FDT, MAXIMUM_FDT);
        let value = Duration::from_millis(u64::try_from(ms).expect("clamped to positive numbers"));
        Some(Setting { value, raw, line })
    }

    fn yes_or_no(&mut self, lines: &Lines<'_>, name: &str) -> Option<Setting<bool>> {
        let (raw, line) = lines.find(name)?;
        let value = if raw.eq_ignore_ascii_case("yes") {
            true
        } else if raw.eq_ignore_ascii_case("no") {
            false
        } else {
            self.note(format!("Invalid value for {name} {raw}"), line, Some(&raw));
            return None;
        };
        Some(Setting { value, raw, line })
    }
}

/// The lines that are read: up to the first one that is too long.
struct Lines<'a> {
    lines: Vec<&'a [u8]>,
    too_long: Option<u32>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Lines<'a> {
        let mut lines = Vec::new();
        for line in text.split_inclusive(|b| *b == b'\n') {
            if line.len() > LONGEST_LINE {
                return Lines { too_long: Some(number(lines.len())), lines };
            }
            lines.push(line);
        }
        Lines { lines, too_long: None }
    }

    /// Value and line number of the first line that starts with `NAME=`. Only spaces may stand before the
    /// name, whose case does not matter.
    fn find(&self, name: &str) -> Option<(String, u32)> {
        self.lines.iter().enumerate().find_map(|(i, line)| {
            let start = line.iter().position(|b| *b != b' ')?;
            let (head, tail) = line[start..].split_at_checked(name.len())?;
            let value = tail.strip_prefix(b"=").filter(|_| head.eq_ignore_ascii_case(name.as_bytes()))?;
            let value = String::from_utf8_lossy(value.trim_ascii_end());
            // What is logged must not upset a terminal.
            let value = value.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
            Some((value, number(i)))
        })
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// The integer at the start of `text` as strtol(3) with base 0 reads it: blanks, a sign, 0x.. or 0.. or
/// decimal; what follows is ignored. None where there is no digit or the number is beyond 64 bits.
fn c_integer(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix) = match hex {
        Some(rest) => (rest, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let value = i64::from_str_radix(&digits[..end], radix).ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests;
