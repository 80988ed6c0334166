//! A small typed reader over the spanned TOML document. A wrong value is reported and read as absent, so that
//! one pass finds every error; what the values mean is the caller's business.

use crate::problem::Problem;
use crate::{Notice, duration, suggest};
use mpath_model::event::Level;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// What is collected while a file is read.
pub(crate) struct Cx<'f> {
    file: &'f str,
    /// Files that it names are not looked into.
    pub(crate) alone: bool,
    text: Arc<str>,
    /// The errors, at most [`MOST_PROBLEMS`].
    pub(crate) problems: Vec<Problem>,
    /// Errors beyond those.
    pub(crate) dropped: usize,
    /// Takes what is said about a dropped error.
    scratch: Problem,
    /// Log lines, at most [`MOST_NOTICES`].
    pub(crate) notices: Vec<Notice>,
}

/// Errors that are worked out. More are only counted: each costs a walk through the text.
const MOST_PROBLEMS: usize = 1000;

/// Log lines that one file can give rise to.
const MOST_NOTICES: usize = 100;

impl<'f> Cx<'f> {
    pub(crate) fn new(file: &'f str, text: &str) -> Cx<'f> {
        Cx {
            file,
            alone: false,
            text: Arc::from(text),
            problems: Vec::new(),
            dropped: 0,
            scratch: Problem::of_file(file, ""),
            notices: Vec::new(),
        }
    }

    /// Reports an error; the result takes help and a second place.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        if self.problems.len() >= MOST_PROBLEMS {
            self.dropped += 1;
            return &mut self.scratch;
        }
        self.problems.push(Problem::at(self.file, &self.text, span, message.into()));
        self.problems.last_mut().expect("pushed just above")
    }

    /// Logs a warning about a place.
    pub(crate) fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.note(Level::Warning, span, text);
    }

    /// Logs a line about a place.
    pub(crate) fn note(&mut self, level: Level, span: Span, text: impl Into<String>) {
        if self.notices.len() >= MOST_NOTICES {
            return;
        }
        let line = Problem::at(self.file, &self.text, span, String::new()).line.unwrap_or(1);
        self.notices.push(Notice::new(level, text).with("file", self.file).with("line", line));
    }

    /// How the file is called.
    pub(crate) fn file(&self) -> &'f str {
        self.file
    }
}

/// A table whose keys have been checked.
pub(crate) struct Table<'t> {
    table: &'t DeTable<'t>,
    /// Where it stands: its header, or its braces.
    pub(crate) span: Span,
    /// How it is called: `[daemon]`, `[[group]]`.
    pub(crate) name: &'static str,
}

/// What a value is, for "... must be a string, this is ...".
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl<'t> Table<'t> {
    /// A table; keys it cannot have are reported.
    pub(crate) fn new(
        cx: &mut Cx<'_>,
        table: &'t DeTable<'t>,
        span: Span,
        name: &'static str,
        keys: &[&str],
    ) -> Table<'t> {
        for (key, _) in table.iter().filter(|(key, _)| !keys.contains(&key.get_ref().as_ref())) {
            super::unknown_key(cx, key.get_ref(), key.span(), name, keys);
        }
        Table { table, span, name }
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Where the values of a key stand: each element of an array of tables, or the one value.
    pub(crate) fn spans(&self, key: &str) -> Vec<Span> {
        match self.get(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(a) if !a.is_empty() => a.iter().map(Spanned::span).collect(),
                _ => vec![value.span()],
            },
        }
    }

    fn wrong(&self, cx: &mut Cx<'_>, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("`{key}` in {} must be {wanted}, this is {}", self.name, kind(value.get_ref()));
        let problem = cx.error(value.span(), message);
        match (value.get_ref(), wanted) {
            (DeValue::String(s), "true or false") if matches!(s.as_ref(), "yes" | "on" | "true") => {
                problem.help("write true, without quotes");
            }
            (DeValue::String(s), "true or false") if matches!(s.as_ref(), "no" | "off" | "false") => {
                problem.help("write false, without quotes");
            }
            (DeValue::String(s), "an array of strings") => {
                problem.help(format!("write [\"{s}\"]"));
            }
            _ => {}
        }
    }

    /// The sub-table of a key, written `[name]`.
    pub(crate) fn table(
        &self,
        cx: &mut Cx<'_>,
        key: &str,
        name: &'static str,
        keys: &[&str],
    ) -> Option<Table<'t>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(cx, table, value.span(), name, keys)),
            other => {
                let at = self.spans(key).first().cloned().unwrap_or(value.span());
                let found = kind(other);
                cx.error(at, format!("`{key}` must be one table, this is {found}"))
                    .help(format!("write {name}, once"));
                None
            }
        }
    }

    /// The array of tables of a key, written `[[name]]`.
    pub(crate) fn tables(
        &self,
        cx: &mut Cx<'_>,
        key: &str,
        name: &'static str,
        keys: &[&str],
    ) -> Vec<Table<'t>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{key}` must be an array of tables, this is {}", kind(value.get_ref()));
            cx.error(value.span(), message).help(format!("write {name}"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::Table(table) => tables.push(Table::new(cx, table, element.span(), name, keys)),
                other => {
                    let message = format!("`{key}` must hold tables, this is {}", kind(other));
                    cx.error(element.span(), message).help(format!("write {name}"));
                }
            }
        }
        tables
    }

    /// The string of a key.
    pub(crate) fn string(&self, cx: &mut Cx<'_>, key: &str) -> Option<At<&'t str>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.as_ref(), span: value.span() }),
            _ => {
                self.wrong(cx, key, value, "a string");
                None
            }
        }
    }

    /// The string of a key, if it is one; nothing is reported.
    pub(crate) fn peek(&self, key: &str) -> Option<&'t str> {
        self.get(key).and_then(|value| value.get_ref().as_str())
    }

    /// The string of a key that must be there.
    pub(crate) fn required(&self, cx: &mut Cx<'_>, key: &str) -> Option<At<&'t str>> {
        if self.get(key).is_none() {
            cx.error(self.span.clone(), format!("{} has no `{key}`", self.name))
                .help(format!("add {key} = \"...\" to it"));
        }
        self.string(cx, key)
    }

    /// The boolean of a key.
    pub(crate) fn boolean(&self, cx: &mut Cx<'_>, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(b) => Some(*b),
            _ => {
                self.wrong(cx, key, value, "true or false");
                None
            }
        }
    }

    /// The integer of a key.
    pub(crate) fn integer(&self, cx: &mut Cx<'_>, key: &str, range: RangeInclusive<u8>) -> Option<At<u8>> {
        let value = self.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong(cx, key, value, "an integer");
            return None;
        };
        let found = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let found = found.and_then(|n| u8::try_from(n).ok()).filter(|n| range.contains(n));
        if found.is_none() {
            cx.error(value.span(), format!("`{key}`: {number} is out of range")).help(format!(
                "anything from {} to {} will do",
                range.start(),
                range.end()
            ));
        }
        found.map(|n| At { value: n, span: value.span() })
    }

    /// The strings of a key.
    pub(crate) fn strings(&self, cx: &mut Cx<'_>, key: &str) -> Vec<At<&'t str>> {
        self.elements(cx, key, "an array of strings")
            .into_iter()
            .filter_map(|value| match value.get_ref() {
                DeValue::String(text) => Some(At { value: text.as_ref(), span: value.span() }),
                other => {
                    let message = format!("`{key}` must hold strings, this is {}", kind(other));
                    cx.error(value.span(), message);
                    None
                }
            })
            .collect()
    }

    fn elements(&self, cx: &mut Cx<'_>, key: &str, wanted: &str) -> Vec<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => {
                self.wrong(cx, key, value, wanted);
                Vec::new()
            }
        }
    }

    /// Whether the key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the value of a key stands.
    pub(crate) fn span_of(&self, key: &str) -> Option<Span> {
        self.get(key).map(Spanned::span)
    }

    /// The key's word, one of a few.
    pub(crate) fn word<T: Copy>(&self, cx: &mut Cx<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(cx, key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!("`{key}` in {} cannot be \"{}\"", self.name, text.value);
            let help = match suggest::nearest(text.value, words.iter().map(|(word, _)| *word)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write {}", all.join(" or ")),
            };
            cx.error(text.span, message).help(help);
        }
        found.map(|(_, value)| *value)
    }

    /// The duration of a key.
    pub(crate) fn duration(
        &self,
        cx: &mut Cx<'_>,
        key: &str,
        range: &RangeInclusive<Duration>,
    ) -> Option<At<Duration>> {
        let value = self.get(key)?;
        duration_of(cx, key, value, range)
    }

    /// The durations of a key.
    pub(crate) fn durations(
        &self,
        cx: &mut Cx<'_>,
        key: &str,
        range: &RangeInclusive<Duration>,
    ) -> Vec<At<Duration>> {
        let elements = self.elements(cx, key, "an array of durations");
        elements.into_iter().filter_map(|value| duration_of(cx, key, value, range)).collect()
    }
}

fn duration_of(
    cx: &mut Cx<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    range: &RangeInclusive<Duration>,
) -> Option<At<Duration>> {
    let parsed = match value.get_ref() {
        DeValue::String(text) => duration::parse(text),
        DeValue::Integer(number) => Err(duration::missing_unit(&number.to_string(), number.as_str())),
        DeValue::Float(number) => Err(duration::missing_unit(number.as_str(), number.as_str())),
        other => Err(duration::BadDuration {
            message: format!("it is {}", kind(other)),
            help: "write a string like \"10s\"".to_owned(),
        }),
    };
    match parsed {
        Err(bad) => {
            cx.error(value.span(), format!("`{key}`: {}", bad.message)).help(bad.help);
            None
        }
        Ok(found) if !range.contains(&found) => {
            let found = duration::format(found);
            let (low, high) = (duration::format(*range.start()), duration::format(*range.end()));
            cx.error(value.span(), format!("`{key}`: {found} is out of range"))
                .help(format!("anything from {low} to {high} will do"));
            None
        }
        Ok(found) => Some(At { value: found, span: value.span() }),
    }
}
