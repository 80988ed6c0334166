//! Reading the files and putting their meaning together.

use crate::defaults::{self, Defaults};
use crate::problem::{Errors, Problem};
use crate::{Notice, file};
use mpath_model::Settings;
use mpath_model::event::Level;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Where `mpathd.toml` is when nobody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/mpathd/mpathd.toml";

/// Where the three variables of in.mpathd(1M) are when nobody says otherwise.
pub const DEFAULT_DEFAULTS: &str = "/etc/default/mpathd";

/// Bytes of a configuration file; a larger one is refused.
const LARGEST: usize = 1 << 20;

/// Which files to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// `--config`. None: [`DEFAULT_CONFIG`], which may be missing.
    pub config: Option<PathBuf>,
    /// `--defaults`. None: [`DEFAULT_DEFAULTS`]. Either may be missing.
    pub defaults: Option<PathBuf>,
}

/// A configuration without errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What it means.
    pub settings: Settings,
    /// What is to be logged about it.
    pub notices: Vec<Notice>,
    /// The files as they were read, `mpathd.toml` first.
    pub sources: Vec<Source>,
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes; none if it was missing.
    pub text: Option<Vec<u8>>,
}

/// Reads and checks the files. Every error of all of them is reported.
pub fn load(paths: &Paths) -> Result<Loaded, Errors> {
    let config = paths.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    let variables = paths.defaults.as_deref().unwrap_or(Path::new(DEFAULT_DEFAULTS));
    let config_name = config.display().to_string();
    let variables_name = variables.display().to_string();

    let mut problems = Vec::new();
    let config_bytes = read(config).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let config_failed = !problems.is_empty();
    let variables_bytes = read(variables).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });

    let defaults = defaults::parse(variables_bytes.as_deref().unwrap_or_default(), &variables_name);
    let mut dropped = 0;
    let mut notices = Vec::new();
    let mut settings = Settings::default();
    match &config_bytes {
        None if config_failed => {}
        None if paths.config.is_some() => {
            let message = format!("cannot read the configuration file {config_name}: it does not exist");
            problems.push(Problem::of_file(&config_name, message));
        }
        None => {
            settings = file::defaults_only(&defaults);
            let text = format!("No configuration file {config_name}: there are no groups");
            notices.push(Notice::new(Level::Info, text).with("file", &config_name));
        }
        Some(bytes) => match utf8(bytes, &config_name) {
            Err(problem) => problems.push(problem),
            Ok(text) => match file::read(text, &config_name, &defaults, false) {
                Err((found, more)) => {
                    problems.extend(found);
                    dropped = more;
                }
                Ok((found, lines)) => {
                    settings = found;
                    notices.extend(lines);
                }
            },
        },
    }
    if !problems.is_empty() {
        return Err(Errors::new(problems, dropped));
    }
    notices.splice(0..0, defaults.notices);
    let sources = vec![
        Source { path: config.to_owned(), text: config_bytes },
        Source { path: variables.to_owned(), text: variables_bytes },
    ];
    Ok(Loaded { settings, notices, sources })
}

/// Checks the text of a `mpathd.toml` that came from elsewhere. `file_name` is how errors call it. The
/// notices do not repeat those of `defaults`.
pub fn parse(text: &str, file_name: &str, defaults: &Defaults) -> Result<Loaded, Errors> {
    understand(text, file_name, defaults, false)
}

/// The same without a look into the files with passphrases that it names.
pub fn parse_alone(text: &str, file_name: &str, defaults: &Defaults) -> Result<Loaded, Errors> {
    understand(text, file_name, defaults, true)
}

fn understand(text: &str, file_name: &str, defaults: &Defaults, alone: bool) -> Result<Loaded, Errors> {
    let (settings, notices) = file::read(text, file_name, defaults, alone)
        .map_err(|(problems, dropped)| Errors::new(problems, dropped))?;
    let source = Source { path: PathBuf::from(file_name), text: Some(text.as_bytes().to_vec()) };
    Ok(Loaded { settings, notices, sources: vec![source] })
}

/// The bytes of a file, none if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let name = path.display().to_string();
    let fail = |what: String| Err(Problem::of_file(&name, format!("cannot read {name}: {what}")));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return fail(cause(&e)),
    };
    match file.metadata() {
        Ok(about) if about.is_dir() => return fail("it is a directory".to_owned()),
        Ok(_) => {}
        Err(e) => return fail(cause(&e)),
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(LARGEST).expect("a megabyte fits") + 1;
    match file.take(limit).read_to_end(&mut bytes) {
        Err(e) => fail(cause(&e)),
        Ok(_) if bytes.len() > LARGEST => fail(format!("it is larger than {LARGEST} bytes")),
        Ok(_) => Ok(Some(bytes)),
    }
}

/// An error of the system without its number.
fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map_err(|e| {
        let good = &bytes[..e.valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let start = good.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let column = String::from_utf8_lossy(&good[start..]).chars().count() + 1;
        let mut problem = Problem::of_file(name, "the file is not UTF-8 text");
        problem.line = u32::try_from(line).ok();
        problem.column = u32::try_from(column).ok();
        problem
    })
}

#[cfg(test)]
mod tests;
