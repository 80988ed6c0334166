//! `mpathctl release`: takes back what mpathd installed.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_ipc::Request;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Addresses go home, routes, sysctls and ports are put back as they were found; without a name, everywhere. What \
is released stays so until the next reload or restart. With no daemon running, `mpathd --release` does the same.

Examples:
  mpathctl release eth0              before eth0 is given to somebody else
  mpathctl release                   before mpathd is removed")]
pub(crate) struct Args {
    /// NIC, group or lagg
    #[arg(value_name = "IF|GROUP|LAGG")]
    target: Option<String>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Release { target: args.target.clone() })?;
    Ok(Exit::Done)
}
