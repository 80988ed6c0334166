//! `mpathctl demote N`: adds to the CARP demotion counter.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_ipc::Request;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is written is added, as with FreeBSD's sysctl net.inet.carp.demotion: `mpathctl demote 240` hands all \
virtual addresses to hosts that preempt, `mpathctl demote -240` takes it back. Lasts over a restart, not a \
reboot. `mpathctl status` shows the sum, in which failed interfaces count too.")]
pub(crate) struct Args {
    /// How much to add; less than nothing is taken off
    #[arg(value_name = "N", allow_negative_numbers = true)]
    by: i32,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Demote { by: args.by })?;
    Ok(Exit::Done)
}
