//! Configuration as text, turned into [`mpath_model::Settings`]: `mpathd.toml` and `/etc/default/mpathd`.
//!
//! [`load`] reads the files, [`parse`] takes text that is already there. Either everything is right and a
//! [`Loaded`] comes back, or every error of every file comes back at once as [`Errors`], each with its
//! file, line and caret. Nothing here looks at the host: whether a NIC exists is not a matter of configuration.

#![forbid(unsafe_code)]

pub mod defaults;
pub mod duration;
mod file;
pub mod import;
mod load;
mod notice;
mod passphrase;
mod problem;
pub mod render;
mod suggest;
pub mod words;

pub use defaults::Defaults;
pub use load::{DEFAULT_CONFIG, DEFAULT_DEFAULTS, Loaded, Paths, Source, load, parse, parse_alone};
pub use notice::Notice;
pub use passphrase::{hidden_from_service, passphrases};
pub use problem::{Errors, Problem};
pub use render::render;
