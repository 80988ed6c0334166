//! `mpathctl freeze` and `thaw`: probes are watched and move nothing.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use mpath_ipc::Request;
use std::time::Duration;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For the time of work on routers or switches: NICs are judged and reported as ever, but nothing moves because \
probes are unanswered, or answered again. A lost link, `offline` and `online` still move addresses. \
Remembered over a restart of mpathd.

Examples:
  mpathctl freeze --for 30m          thaws by itself
  mpathctl freeze && mpathctl thaw")]
pub(crate) struct Args {
    /// Thaw by itself after this time, like 30m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    time: Option<Duration>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let for_ms = args.time.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    super::connect(cli)?.call(Request::Freeze { for_ms })?;
    Ok(Exit::Done)
}

pub(crate) fn thaw(cli: &Cli) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Thaw)?;
    Ok(Exit::Done)
}
