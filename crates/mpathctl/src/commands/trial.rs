//! `mpathctl try`, `confirm` and `save`: a configuration that returns by itself unless somebody who still reaches the host says
//! that it may stay.

use super::plan;
use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output::{self, Style};
use crate::table::wrap;
use mpath_ipc::{Change, LONGEST_TRIAL, Request};
use mpath_model::explain::Plan;
use serde::Serialize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows what will change and whether the session you type in runs through it, then puts FILE in force. If \
nobody says `mpathctl confirm` in time, the configuration before comes back by itself: no typo can lock you \
out. What is confirmed is kept over restarts, not over a reboot, until `mpathctl save`.

Example:
  mpathctl try new.toml --for 2m && mpathctl status && mpathctl confirm && mpathctl save")]
pub(crate) struct Args {
    /// Configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Return after this time unless confirmed
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = super::duration)]
    time: Duration,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    if args.time > LONGEST_TRIAL {
        let most = mpath_config::duration::format(LONGEST_TRIAL);
        return Err(Error::Usage(format!("--for: a trial lasts {most} at most")));
    }
    let (text, name) = plan::read(&args.file)?;
    let mut client = super::connect(cli)?;
    let foreseen = client.plan(Request::PlanConfiguration { text: text.clone(), name: name.clone() })?;
    let session = session().map(|address| Session::in_plan(&foreseen, address));
    let colour = output::colour();
    if !cli.json {
        output::text(&plan::render(&foreseen, colour))?;
        session.iter().try_for_each(|session| output::text(&session.render(colour)))?;
    }
    let trial_ms = u64::try_from(args.time.as_millis()).ok();
    let change = Change { text, name, trial_ms, ..Change::default() };
    client.call(Request::Configure(Box::new(change)))?;
    if cli.json {
        output::json(&Begun { trial_ms, session, plan: foreseen })?;
    } else {
        let limit = mpath_config::duration::format(args.time);
        output::text(&format!("in force for {limit}; `mpathctl confirm` makes it stay\n"))?;
    }
    Ok(Exit::Done)
}

/// A trial that has begun, in JSON.
#[derive(Debug, Serialize)]
struct Begun {
    trial_ms: Option<u64>,
    session: Option<Session>,
    plan: Plan,
}

pub(crate) fn confirm(cli: &Cli) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Confirm)?;
    Ok(Exit::Done)
}

pub(crate) fn save(cli: &Cli) -> Result<Exit, Error> {
    super::connect(cli)?.call(Request::Save)?;
    Ok(Exit::Done)
}

/// What becomes of the session in which the operator types.
#[derive(Debug, Serialize)]
struct Session {
    /// Address of this host by which it came in.
    address: IpAddr,
    /// NIC to which that moves.
    moves_to: Option<String>,
    /// The address goes.
    lost: bool,
}

impl Session {
    fn in_plan(plan: &Plan, address: IpAddr) -> Session {
        let affected = plan.addresses.iter().find(|a| a.address.address == address);
        let moves_to = affected.and_then(|a| a.to.clone());
        Session { address, lost: affected.is_some() && moves_to.is_none(), moves_to }
    }

    fn render(&self, colour: bool) -> String {
        let what = match (&self.moves_to, self.lost) {
            (Some(to), _) => format!("moves to {to}"),
            (None, true) => "GOES: you will lose this session".to_owned(),
            (None, false) => "mpathd leaves where it is".to_owned(),
        };
        let text = wrap(&format!("this session comes in by {}, which {what}", self.address), "", "  ");
        let affected = self.lost || self.moves_to.is_some();
        if affected { Style::Bad.paint(text.trim_end(), colour) + "\n" } else { text }
    }
}

/// Address of this host by which the session came in: SSH_CONNECTION of this process or of one it descends from, since
/// sudo takes it away.
fn session() -> Option<IpAddr> {
    let own = std::env::var("SSH_CONNECTION").ok();
    own.as_deref().and_then(local).or_else(|| {
        let mut pid = std::process::id();
        for _ in 0..16 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // pid (name) state ppid ...; the name may hold anything.
            pid = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let variable =
                environ.split(|b| *b == 0).find_map(|v| v.strip_prefix(b"SSH_CONNECTION=".as_slice()));
            if let Some(value) = variable {
                return local(&String::from_utf8_lossy(value));
            }
        }
        None
    })
}

/// `CLIENT PORT SERVER PORT` (ssh(1)).
fn local(connection: &str) -> Option<IpAddr> {
    connection.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::explain::PlannedAddress;

    #[test]
    fn a_session_that_is_about_to_be_cut_is_told() {
        assert_eq!(local("198.51.100.7 50000 192.0.2.10 22"), "192.0.2.10".parse().ok());
        let address = "192.0.2.10".parse().unwrap();
        let mut plan = Plan::default();
        assert!(Session::in_plan(&plan, address).render(false).contains("leaves where it is"));
        let from = Some("eth0".to_owned());
        plan.addresses.push(PlannedAddress { address: "192.0.2.10/24".parse().unwrap(), from, to: None });
        let session = Session::in_plan(&plan, address);
        assert!(session.lost && session.moves_to.is_none());
        assert_eq!(
            session.render(false),
            "this session comes in by 192.0.2.10, which GOES: you will lose this session\n"
        );
        plan.addresses[0].to = Some("eth1".to_owned());
        let session = Session::in_plan(&plan, address);
        assert!(!session.lost && session.render(false).ends_with("which moves to eth1\n"));
    }
}
