//! `mpathctl completions SHELL`: what a shell needs to complete our words.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mpathctl completions bash > /usr/share/bash-completion/completions/mpathctl
  mpathctl completions fish > ~/.config/fish/completions/mpathctl.fish")]
pub(crate) struct Args {
    /// Shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mpathctl", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
