//! `mpathctl ifconfig ...`, the same as the link named ifconfig.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::names::{Trouble, ifconfig};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
The words that in.mpathd, lagg(4) and carp(4) gave to ifconfig, on the running daemon. What they change survives a \
restart of mpathd, not a reboot, until `mpathctl save`; up, down and mtu are the kernel's and end with the boot. Without \
words, or with inet or inet6 alone, it prints interfaces. `-failover` makes an address a test address, `failover` a data \
address: of IF:N the one that is printed as such, of `IF inet6` the link-local one.

Examples:
  mpathctl ifconfig eth0 group production
  mpathctl ifconfig eth0 addif 192.0.2.11/24 deprecated -failover up
  mpathctl ifconfig eth1 standby
  mpathctl ifconfig lagg0 create laggport em0 laggport em1 192.0.2.5/24
  mpathctl ifconfig em0 vhid 1 advskew 100 pass - alias 192.0.2.10/32 < key
  mpathctl ifconfig lagg0"
)]
pub(crate) struct Args {
    /// Interface and words
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    match ifconfig::run(&cli.socket, &args.arguments) {
        Ok(()) => Ok(Exit::Done),
        Err(Trouble::Output(e)) => Err(Error::Output(e)),
        Err(Trouble::Said) => Ok(Exit::Failed),
        Err(Trouble::Say(text)) => Err(Error::Failed(text)),
        Err(Trouble::Ended(exit, text)) => {
            Error::Failed(text).report();
            Ok(exit)
        }
    }
}
