//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod demote;
pub(crate) mod doctor;
pub(crate) mod freeze;
pub(crate) mod ifconfig;
pub(crate) mod import;
pub(crate) mod offline;
pub(crate) mod online;
pub(crate) mod plan;
pub(crate) mod release;
pub(crate) mod reload;
pub(crate) mod replay;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod trial;
pub(crate) mod wait_online;
pub(crate) mod watch;
pub(crate) mod why;

use crate::cli::{Cli, Command};
use crate::exit::{Error, Exit};
use mpath_ipc::client::{Client, TIMEOUT};

/// Runs the command.
pub(crate) fn run(cli: &Cli) -> Result<Exit, Error> {
    match &cli.command {
        Command::Status(args) => status::run(cli, args),
        Command::Top => top::run(cli),
        Command::Doctor(args) => doctor::run(cli, args),
        Command::Watch => watch::run(cli),
        Command::Offline(args) => offline::run(cli, args),
        Command::Online(args) => online::run(cli, args),
        Command::Demote(args) => demote::run(cli, args),
        Command::Check(args) => check::run(cli, args),
        Command::Why(args) => why::run(cli, args),
        Command::Plan(args) => plan::run(cli, args),
        Command::Freeze(args) => freeze::run(cli, args),
        Command::Thaw => freeze::thaw(cli),
        Command::WaitOnline(args) => wait_online::run(cli, args),
        Command::Completions(args) => completions::run(args),
        Command::Reload(args) => reload::run(cli, args),
        Command::Release(args) => release::run(cli, args),
        Command::Import(args) => import::run(cli, args),
        Command::Replay(args) => replay::run(cli, args),
        Command::Save => trial::save(cli),
        Command::Try(args) => trial::run(cli, args),
        Command::Confirm => trial::confirm(cli),
        Command::Ifconfig(args) => ifconfig::run(cli, args),
        Command::Demo(args) => demo::run(cli, args),
    }
}

/// A connection to the daemon.
fn connect(cli: &Cli) -> Result<Client, Error> {
    Ok(Client::connect(&cli.socket, TIMEOUT)?)
}

/// A duration of the command line, with its unit.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    mpath_config::duration::parse(text).map_err(|bad| format!("{}; {}", bad.message, bad.help))
}
