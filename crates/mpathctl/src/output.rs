//! stdout: plain or coloured text, JSON, and the end of a pipe.

use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// Whether colours are wanted: on a terminal, unless NO_COLOR is set or the terminal is dumb.
pub(crate) fn colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Writes text, on which names, recordings and events from elsewhere have no power over the terminal.
pub(crate) fn text(text: &str) -> io::Result<()> {
    raw(&harmless(text))
}

fn raw(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes one JSON value over several lines, for people who look at it.
pub(crate) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let body = serde_json::to_string_pretty(value)?;
    raw(&(body + "\n"))
}

/// Writes one JSON value on one line, for a stream of them.
pub(crate) fn json_line<T: Serialize>(value: &T) -> io::Result<()> {
    let body = serde_json::to_string(value)?;
    raw(&(body + "\n"))
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// Bold.
    Bold,
    /// Green.
    Good,
    /// Yellow.
    Warn,
    /// Bold red.
    Bad,
}

impl Style {
    /// `text` in this style, if colours are wanted.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Style::Bold => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "1;31",
            Style::Plain => return text.to_owned(),
        };
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// One line on stderr. Nobody is left to tell when that is gone.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().write_all(format!("mpathctl: {}\n", harmless(text)).as_bytes());
}

/// Control characters but line ends, tabs and colours are shown as such.
fn harmless(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let colour = |rest: &str| {
        let parameters =
            rest.strip_prefix('[').map(|r| r.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        parameters.is_some_and(|r| r.starts_with('m'))
    };
    let shown = text.char_indices().map(|(at, c)| {
        let allowed = !odd(c) || (c == '\x1b' && colour(&text[at + 1..]));
        if allowed { c } else { char::REPLACEMENT_CHARACTER }
    });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_power_over_the_terminal() {
        let red = Style::Bad.paint("FAILED", true) + "\tof\n";
        assert_eq!(harmless(&red), red);
        assert_eq!(
            harmless("eth0\x1b]0;title\x07\u{9b}2J\r"),
            "eth0\u{fffd}]0;title\u{fffd}\u{fffd}2J\u{fffd}"
        );
        assert_eq!(harmless("\x1b[2Jx\x1b"), "\u{fffd}[2Jx\u{fffd}");
    }
}
