//! A recording: the engine as it was, and every input since. Whoever has it can run the engine again and see each decision
//! made (`mpathd --record`, `mpathctl replay`). What lives here are the lines and the rules of playing them; files and text are
//! other people's. Passphrases never reach the engine, so that no recording holds one.

use crate::{Action, Engine, Input};
use mpath_model::Time;
use serde::{Deserialize, Serialize};

/// Version of the lines. It rises with every change that an older program would misread.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The recording begins, or begins again after something was left out.
    Engine(Box<Head>),
    /// Something happened.
    Input(Box<Entry>),
}

/// The same for writing, with borrowed parts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LineRef<'a> {
    /// See [`Line::Engine`].
    Engine(HeadRef<'a>),
    /// See [`Line::Input`].
    Input(EntryRef<'a>),
}

/// How it began.
#[derive(Clone, Debug, Deserialize)]
pub struct Head {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Its version.
    pub version: String,
    /// Wall-clock time, RFC 3339.
    pub began: String,
    /// The same moment on the clock of the inputs.
    pub at: Time,
    /// Inputs before this that could not be written down.
    pub lost: u64,
    /// The engine.
    pub engine: Engine,
}

/// See [`Head`].
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "field by field those of Head")]
pub struct HeadRef<'a> {
    pub format: u32,
    pub version: &'a str,
    pub began: &'a str,
    pub at: Time,
    pub lost: u64,
    pub engine: &'a Engine,
}

/// One input.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// When it was handed to the engine.
    pub at: Time,
    /// How many actions followed.
    pub actions: usize,
    /// What it was.
    pub input: Input,
}

/// See [`Entry`].
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "field by field those of Entry")]
pub struct EntryRef<'a> {
    pub at: Time,
    pub actions: usize,
    pub input: &'a Input,
}

/// Why lines cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The first line is not an engine.
    NoEngine,
    /// Another version of the lines.
    Format(u32),
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplayError::NoEngine => write!(f, "it does not begin with an engine"),
            ReplayError::Format(n) => write!(f, "its format is {n}, this program reads format {FORMAT}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// What a line led to.
#[derive(Debug, Default)]
pub struct Step {
    /// The actions of the engine.
    pub actions: Vec<Action>,
    /// The program that wrote the recording took another number of actions: this one decides otherwise.
    pub differs: bool,
}

/// A recording being played.
#[derive(Debug, Default)]
pub struct Replay {
    engine: Option<Engine>,
}

impl Replay {
    /// Plays one line.
    pub fn step(&mut self, line: Line) -> Result<Step, ReplayError> {
        match line {
            Line::Engine(head) if head.format != FORMAT => Err(ReplayError::Format(head.format)),
            Line::Engine(head) => {
                self.engine = Some(head.engine);
                Ok(Step::default())
            }
            Line::Input(entry) => {
                let engine = self.engine.as_mut().ok_or(ReplayError::NoEngine)?;
                let mut actions = Vec::new();
                engine.handle(entry.at, entry.input, &mut actions);
                let differs = actions.len() != entry.actions;
                Ok(Step { actions, differs })
            }
        }
    }

    /// The engine as it is now.
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }
}
