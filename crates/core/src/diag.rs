//! Every message the operator can see, in one place.

use mpath_model::event::Level;
use serde::{Deserialize, Serialize};

/// A log line: a text of the manual page with its values filled in, and fields for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Severity.
    pub level: Level,
    /// The text.
    pub text: String,
    /// key=value pairs.
    pub fields: Vec<(String, String)>,
}
