//! The exit status, and errors with the status they end in.

use mpath_ipc::{ClientError, Failure, Problem};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0
    Done,
    /// 1: refused, failed, or not as it should be.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: no daemon answers.
    NoDaemon,
    /// What `status --exit-code` found: 0 to 2.
    Health(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoDaemon => 3,
            Exit::Health(code) => code,
        })
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Error {
    /// The daemon refused, or did not answer.
    Client(ClientError),
    /// It was not done: the whole line that says why.
    Failed(String),
    /// What the operator gave cannot be used: a sentence.
    Usage(String),
    /// Writing to stdout failed.
    Output(io::Error),
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Error {
        Error::Client(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Output(error)
    }
}

impl Error {
    /// The status the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Error::Client(ClientError::Failed(failure)) => match failure {
                Failure::ConfigError { .. } => Exit::Usage,
                _ => Exit::Failed,
            },
            Error::Client(ClientError::Forbidden(_)) => Exit::Failed,
            Error::Client(_) => Exit::NoDaemon,
            Error::Failed(_) => Exit::Failed,
            Error::Usage(_) => Exit::Usage,
            // Whoever reads has enough: that is no failure.
            Error::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Error::Output(_) => Exit::Failed,
        }
    }

    /// Tells on stderr, in one line unless the configuration is at fault.
    pub(crate) fn report(&self) {
        if !matches!(self, Error::Output(e) if e.kind() == io::ErrorKind::BrokenPipe) {
            // Nobody is left to tell when stderr is gone.
            let _ = io::stderr().write_all(format!("{self}\n").as_bytes());
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(ClientError::Failed(failure @ Failure::ConfigError { errors })) => {
                write!(f, "{}mpathctl: {failure}; nothing was changed", problems(errors))
            }
            Error::Client(error) => write!(f, "mpathctl: {error}"),
            Error::Failed(text) => f.write_str(text),
            Error::Usage(text) => write!(f, "mpathctl: {text}"),
            Error::Output(e) => write!(f, "mpathctl: cannot write to stdout: {e}"),
        }
    }
}

/// The errors of a configuration as the daemon rendered them.
fn problems(errors: &[Problem]) -> String {
    errors.iter().map(|p| format!("{}\n\n", p.text.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn statuses_are_those_of_the_contract() {
        let path = || PathBuf::from("/s");
        let failed = |f| Error::Client(ClientError::Failed(f));
        let message = || "m".to_owned();
        for (error, exit) in [
            (Error::Client(ClientError::Missing(path())), Exit::NoDaemon),
            (Error::Client(ClientError::Dead(path())), Exit::NoDaemon),
            (Error::Client(ClientError::Foreign(path(), message())), Exit::NoDaemon),
            (Error::Client(ClientError::Closed(path())), Exit::NoDaemon),
            (Error::Client(ClientError::Forbidden(path())), Exit::Failed),
            (failed(Failure::PermissionDenied { message: message() }), Exit::Failed),
            (failed(Failure::Refused { reason: message(), message: message() }), Exit::Failed),
            (failed(Failure::ConfigError { errors: vec![] }), Exit::Usage),
            (Error::Output(io::ErrorKind::BrokenPipe.into()), Exit::Done),
            (Error::Output(io::ErrorKind::StorageFull.into()), Exit::Failed),
        ] {
            assert_eq!(error.exit(), exit, "{error:?}");
        }
    }
}
