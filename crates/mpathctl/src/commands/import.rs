//! `mpathctl import FILE...`: foreign configurations as a mpathd.toml on stdout.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_config::import::{Source, import};
use mpath_config::words::apply::Key;
use serde::Serialize;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Understands rc.conf of FreeBSD (lagg and carp), /etc/hostname.IF and /etc/default/mpathd of Solaris, and bonds \
in active-backup mode as systemd-networkd (.netdev, .network) and ifupdown (interfaces) write them. Files are \
told apart by name and contents and translated together. What contradicts itself, other modes and unknown words \
of ifconfig are errors with file and line, and nothing is written; what is left to the system is told on stderr, \
and options of no use here are passed over. Passphrases go into files in the directory of --keys alone.

Examples:
  mpathctl import /etc/rc.conf --keys /etc/mpathd > mpathd.toml
  mpathctl import hostname.hme0 hostname.hme1 default/mpathd > mpathd.toml
  mpathctl check mpathd.toml")]
pub(crate) struct Args {
    /// Files to translate
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory for passphrases; made if it is not there
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let mut sources = Vec::new();
    for file in &args.files {
        let (text, path) = super::plan::read(file)?;
        sources.push(Source { path, text });
    }
    // The daemon does not know where the operator stood.
    let keys = args.keys.as_ref().map(std::path::absolute).transpose();
    let keys = keys.map_err(|e| Error::Usage(format!("--keys: {e}")))?.unwrap_or_default();
    let imported = import(&sources, keys).map_err(|troubles| {
        let lines: Vec<String> = troubles.iter().map(ToString::to_string).collect();
        Error::Usage(format!("these files cannot be carried over as they are:\n{}", lines.join("\n")))
    })?;
    let text = mpath_config::render(&imported.settings);
    let written = match &args.keys {
        None if !imported.keys.is_empty() => {
            return Err(Error::Usage(
                "there are passphrases in it: say with --keys DIR where they are to go".into(),
            ));
        }
        None => Vec::new(),
        Some(dir) => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|e| Error::Failed(format!("mpathctl: cannot make {}: {e}", dir.display())))?;
            keep(dir, &imported.keys)?
        }
    };
    // What contradicts itself there would do so here. Passphrase files are looked into.
    if let Err(errors) = mpath_config::parse(&text, "mpathd.toml", &mpath_config::Defaults::default()) {
        take_back(&written);
        let what = "what these files say contradicts itself";
        return Err(Error::Usage(format!("{what}\n{errors}\nin this translation:\n{text}")));
    }
    if cli.json {
        output::json(&Translation { configuration: &text, notes: &imported.notes })?;
    } else {
        imported.notes.iter().for_each(|note| output::complain(note));
        output::text(&text)?;
    }
    Ok(Exit::Done)
}

/// What is printed, in JSON.
#[derive(Serialize)]
struct Translation<'a> {
    /// The mpathd.toml.
    configuration: &'a str,
    /// What the operator should know, with its place.
    notes: &'a [String],
}

/// Writes the passphrases down, all of them or none. Those that an earlier import has written stay as they are; the files that
/// are new are told.
fn keep(dir: &Path, keys: &[Key]) -> Result<Vec<PathBuf>, Error> {
    let mut written = Vec::new();
    for key in keys {
        let path = dir.join(&key.name);
        let text = format!("{}\n", key.passphrase);
        if std::fs::read_to_string(&path).is_ok_and(|known| known == text) {
            continue;
        }
        if let Err(e) = write(&path, &text) {
            take_back(&written);
            return Err(Error::Failed(format!("mpathctl: cannot write {}: {e}", path.display())));
        }
        written.push(path);
    }
    Ok(written)
}

/// A file that is there is somebody else's.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| take_back(&[path.to_owned()]))
}

fn take_back(written: &[PathBuf]) {
    written.iter().for_each(|path| drop(std::fs::remove_file(path)));
}
