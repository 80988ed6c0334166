//! `mpathctl online IF`: puts a NIC back into service.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_ipc::Request;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "The addresses of the NIC come home, also in a group with failback = false.")]
pub(crate) struct Args {
    /// Name of the NIC
    #[arg(value_name = "IF")]
    interface: String,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Online { interface: args.interface.clone() })?;
    Ok(Exit::Done)
}
