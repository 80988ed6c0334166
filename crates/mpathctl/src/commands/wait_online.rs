//! `mpathctl wait-online`: for units that must not start before the addresses can be reached.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_ipc::ClientError;
use mpath_model::Status;
use mpath_model::status::InterfaceState;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with 0 as soon as every group has a NIC whose state is ok and every lagg a usable port, also if the \
daemon is started only meanwhile. Ends with 1 and says who is missing when the time is over, with 3 if no \
daemon answered until then.")]
pub(crate) struct Args {
    /// Wait no longer than this; 0s: look once
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = super::duration)]
    timeout: Duration,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let deadline = Instant::now() + args.timeout;
    loop {
        let outcome = look(cli);
        if matches!(&outcome, Ok(missing) if missing.is_empty()) {
            return told(cli, Vec::new(), Exit::Done);
        }
        if Instant::now() >= deadline {
            let missing = outcome?;
            output::complain(&format!("no usable NIC yet: {}", missing.join(", ")));
            return told(cli, missing, Exit::Failed);
        }
        if let Err(ClientError::Failed(_) | ClientError::Forbidden(_)) = &outcome {
            outcome?;
        }
        std::thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
    }
}

/// `{ "missing": ["group production"] }`
fn told(cli: &Cli, missing: Vec<String>, exit: Exit) -> Result<Exit, Error> {
    if cli.json {
        output::json(&BTreeMap::from([("missing", missing)]))?;
    }
    Ok(exit)
}

fn look(cli: &Cli) -> Result<Vec<String>, ClientError> {
    let mut client = mpath_ipc::Client::connect(&cli.socket, mpath_ipc::client::TIMEOUT)?;
    Ok(missing(&client.status()?))
}

/// Groups and laggs without a usable NIC.
fn missing(status: &Status) -> Vec<String> {
    let dead = |g: &&mpath_model::status::Group| g.interfaces.iter().all(|i| i.state != InterfaceState::Ok);
    let groups = status.groups.iter().filter(dead).map(|g| format!("group {}", g.name));
    let laggs = status.laggs.iter().filter(|l| !l.usable()).map(|l| format!("lagg {}", l.name));
    groups.chain(laggs).collect()
}
