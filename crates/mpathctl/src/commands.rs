//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod offline;
pub(crate) mod online;
pub(crate) mod reload;
pub(crate) mod status;
pub(crate) mod watch;

use crate::cli::{Cli, Command};
use crate::exit::{Error, Exit};
use mpath_ipc::client::{Client, TIMEOUT};

/// Runs the command.
pub(crate) fn run(cli: &Cli) -> Result<Exit, Error> {
    match &cli.command {
        Command::Status(args) => status::run(cli, args),
        Command::Watch => watch::run(cli),
        Command::Offline(args) => offline::run(cli, args),
        Command::Online(args) => online::run(cli, args),
        Command::Check(args) => check::run(cli, args),
        Command::Reload => reload::run(cli),
        Command::Demo(args) => demo::run(cli, args),
    }
}

/// A connection to the daemon.
fn connect(cli: &Cli) -> Result<Client, Error> {
    Ok(Client::connect(&cli.socket, TIMEOUT)?)
}
