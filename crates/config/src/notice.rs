//! Log lines that reading the configuration gives rise to. Who logs them is the caller's business.

use mpath_model::event::Level;

/// A log line: a text and fields for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Severity.
    pub level: Level,
    /// The text.
    pub text: String,
    /// key=value pairs.
    pub fields: Vec<(String, String)>,
}

impl Notice {
    /// A line with this text and no fields yet.
    pub fn new(level: Level, text: impl Into<String>) -> Notice {
        Notice { level, text: text.into(), fields: Vec::new() }
    }

    /// The line with one more field.
    pub fn with(mut self, key: &str, value: impl ToString) -> Notice {
        self.fields.push((key.to_owned(), value.to_string()));
        self
    }
}
