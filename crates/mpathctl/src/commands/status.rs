//! `mpathctl status`: the whole picture. [`text`] lays it out; here is what it comes to.

pub(crate) mod text;

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_model::Status;
use mpath_model::status::{AddressState, GroupState, InterfaceState};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End with 0 if NICs, addresses, laggs and vhids are ok, 1 if one is degraded (or this user may not read), 2 if a group or lagg has failed
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let status = super::connect(cli)?.status()?;
    if cli.json {
        output::json(&status)?;
    } else {
        output::text(&text::render(&status, output::colour()))?;
    }
    Ok(if args.exit_code { Exit::Health(health(&status)) } else { Exit::Done })
}

/// 0: all ok; 1: something is degraded; 2: something has failed.
fn health(status: &Status) -> u8 {
    let groups = status.groups.iter().map(|g| match g.state {
        // An address may be nowhere though every NIC is well: another host has it, or somebody takes it away.
        GroupState::Ok => u8::from(g.addresses.iter().any(|a| a.state == AddressState::Down)),
        GroupState::Degraded => 1,
        GroupState::Failed => 2,
    });
    let laggs = status.laggs.iter().map(|l| match l.usable() {
        true => u8::from(l.ports.iter().any(|p| p.state != InterfaceState::Ok)),
        false => 2,
    });
    let ungrouped = status.ungrouped.iter().map(|i| u8::from(i.state != InterfaceState::Ok));
    let carps = status.carps.iter().map(|c| u8::from(c.state == "INIT"));
    groups.chain(laggs).chain(ungrouped).chain(carps).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
