//! stdout: plain or coloured text, JSON, and the end of a pipe.

use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Whether colours are wanted: on a terminal, unless NO_COLOR is set or the terminal is dumb.
pub(crate) fn colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Writes text.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes one JSON value over several lines, for people who look at it.
pub(crate) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let body = serde_json::to_string_pretty(value)?;
    text(&(body + "\n"))
}

/// Writes one JSON value on one line, for a stream of them.
pub(crate) fn json_line<T: Serialize>(value: &T) -> io::Result<()> {
    let body = serde_json::to_string(value)?;
    text(&(body + "\n"))
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
    let _ = io::stderr().write_all(format!("mpathctl: {text}\n").as_bytes());
}
