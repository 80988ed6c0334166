//! `mpathctl demo`: the real daemon in a private network. What happens in it is `mpath_testkit::demo`'s affair.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_testkit::demo::{Options, run as play};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A host with two NICs and a standby, a switch, a router and two clients are built in namespaces of their own: \
no root is needed and nothing outside is touched. The mpathd program beside mpathctl, else the one in PATH, \
runs on the host; cables are cut and paths black-holed while clients send to its addresses. The figures are \
what the clients measured. Ends with 0 if every act went as it should, else with 1.

Examples:
  mpathctl demo                      the whole story, less than a minute
  mpathctl demo --keep               leaves the network up, to break things by hand
  mpathctl demo --sabotage           stops the daemon first: proof that the demo can fail
  mpathctl demo --json > table.json  the table as data; the story goes to stderr")]
pub(crate) struct Args {
    /// Leave the network up at the end and say how to enter it
    #[arg(long)]
    keep: bool,
    /// Stop the daemon before the first fault: the demo must fail then
    #[arg(long)]
    sabotage: bool,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let options = Options { json: cli.json, keep: args.keep, sabotage: args.sabotage, ..Options::default() };
    Ok(match play(&options) {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}
