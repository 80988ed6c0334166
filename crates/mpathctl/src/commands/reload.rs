//! `mpathctl reload`: puts the configuration file in force.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_ipc::{ClientError, Failure, Request};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also if that loses changes that no file holds
    #[arg(long)]
    discard: bool,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    match super::connect(cli)?.call(Request::Reload { discard: args.discard }) {
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
