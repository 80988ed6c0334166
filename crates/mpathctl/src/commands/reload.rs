//! `mpathctl reload`: puts the configuration file in force.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_ipc::{ClientError, Failure, Request};

pub(crate) fn run(cli: &Cli) -> Result<Exit, Error> {
    match super::connect(cli)?.call(Request::Reload) {
        Err(ClientError::Failed(Failure::ConfigError { errors })) if cli.json => {
            output::json(&errors)?;
            Ok(Exit::Usage)
        }
        other => {
            other?;
            Ok(Exit::Done)
        }
    }
}
