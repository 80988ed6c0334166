//! `mpathctl offline IF`: takes a NIC out of service.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_ipc::Request;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Data addresses, routes and multicast go to another NIC of the group, probing stops and test addresses are \
taken off; the NIC stays up. Refused with status 1 if no other NIC of the group is usable. Lasts until \
`mpathctl online IF` or a reboot.")]
pub(crate) struct Args {
    /// Name of the NIC
    #[arg(value_name = "IF")]
    interface: String,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Offline { interface: args.interface.clone() })?;
    Ok(Exit::Done)
}
