//! Called by another name, the program is another program: `ipmpstat`, `if_mpadm` and `ifconfig` take the arguments
//! of the programs of those names and print their output. Beside those, each takes `--socket PATH` in front.

pub(crate) mod if_mpadm;
pub(crate) mod ifconfig;
pub(crate) mod ipmpstat;

use crate::exit::{Error, Exit};
use mpath_ipc::{Client, ClientError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How one of these programs ends when it does not do its work: what it says on stderr, without its name.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Lines for stderr.
    Say(String),
    /// The same, with the status of `mpathctl`; a program by a name of its own ends with 1.
    Ended(Exit, String),
    /// All has been said.
    Said,
    /// Writing to stdout failed.
    Output(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Output(error)
    }
}

/// Runs the program whose name this one was called by, if it is not our own.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let name = PathBuf::from(args.next()?);
    let name = name.file_name()?.to_str()?.to_owned();
    let program: fn(&Path, &[String]) -> Result<(), Trouble> = match name.as_str() {
        "ipmpstat" => ipmpstat::run,
        "if_mpadm" => if_mpadm::run,
        "ifconfig" => ifconfig::run,
        _ => return None,
    };
    // Bytes that are no text cannot be the name of anything here.
    let mut args: Vec<String> = args.map(|a| a.to_string_lossy().into_owned()).collect();
    let socket = socket(&mut args);
    Some(match program(&socket, &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Trouble::Output(e)) => say(&Error::Output(e).to_string()),
        Err(Trouble::Say(text) | Trouble::Ended(_, text)) => say(&text),
        Err(Trouble::Said) => ExitCode::FAILURE,
    })
}

fn say(text: &str) -> ExitCode {
    // Nobody is left to tell when stderr is gone.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    ExitCode::FAILURE
}

/// The socket, taken out of the front of the arguments.
fn socket(args: &mut Vec<String>) -> PathBuf {
    match args.first().map(String::as_str) {
        Some("--socket") if args.len() > 1 => {
            let path = args.drain(..2).nth(1).expect("there are two");
            PathBuf::from(path)
        }
        _ => PathBuf::from(mpath_ipc::DEFAULT_SOCKET),
    }
}

fn connect(socket: &Path) -> Result<Client, ClientError> {
    Client::connect(socket, mpath_ipc::client::TIMEOUT)
}
