//! `mpathctl plan`: what the failure of a NIC, or a configuration, would do now. The daemon tries it on a copy of its
//! engine; here the outcome is laid out.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output::{self, Style};
use crate::table::{Cell, plain, styled, table, wrap};
use mpath_ipc::Request;
use mpath_model::explain::Plan;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is changed. A plan holds for the state of this moment.

Examples:
  mpathctl plan eth0                 what if its link went down now
  mpathctl plan --config new.toml    what if this file were loaded now")]
#[group(required = true, multiple = false)]
pub(crate) struct Args {
    /// NIC that is to fail
    #[arg(value_name = "IF")]
    interface: Option<String>,
    /// Configuration file that is to be loaded
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let request = match (&args.interface, &args.config) {
        (Some(interface), _) => Request::PlanFailure { interface: interface.clone() },
        (None, Some(file)) => {
            let (text, name) = read(file)?;
            Request::PlanConfiguration { text, name }
        }
        (None, None) => unreachable!("clap requires one of them"),
    };
    let plan = super::connect(cli)?.plan(request)?;
    if cli.json {
        output::json(&plan)?;
    } else {
        output::text(&render(&plan, output::colour()))?;
    }
    Ok(Exit::Done)
}

/// A configuration file, with the name errors call it by.
pub(crate) fn read(file: &Path) -> Result<(String, String), Error> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok((text, name)),
        Err(e) => Err(Error::Usage(format!("cannot read {name}: {e}"))),
    }
}

/// Lays a plan out.
pub(crate) fn render(plan: &Plan, colour: bool) -> String {
    let mut out = String::new();
    for member in &plan.members {
        out.push_str(&wrap(member, "", "  "));
    }
    let rows: Vec<Vec<Cell>> = plan
        .addresses
        .iter()
        .map(|a| {
            let from = a.from.as_deref().unwrap_or("(new)");
            let to = match &a.to {
                Some(to) => plain(to),
                None => styled("(removed)", Style::Warn),
            };
            vec![plain(a.address.to_string()), plain(from), to]
        })
        .collect();
    if !rows.is_empty() {
        out.push_str(&table(&["ADDRESS", "FROM", "TO"], &rows, "", colour));
    }
    let rows: Vec<Vec<Cell>> =
        plan.routes.iter().map(|r| vec![plain(&r.route), plain(&r.from), plain(&r.to)]).collect();
    if !rows.is_empty() {
        out.push_str(&table(&["ROUTE", "FROM", "TO"], &rows, "", colour));
    }
    if !plan.announcements_ms.is_empty() {
        let times: Vec<String> = plan.announcements_ms.iter().map(|ms| format!("{ms} ms")).collect();
        let text = format!("each address on its new NIC is announced after {}", times.join(", "));
        out.push_str(&wrap(&text, "", "  "));
    }
    for remark in &plan.remarks {
        out.push_str(&wrap(&format!("note: {remark}"), "", "  "));
    }
    if out.is_empty() {
        out.push_str("no address or route would move\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_model::explain::{PlannedAddress, PlannedRoute};

    #[test]
    fn a_plan_reads_like_a_table() {
        let plan = Plan {
            addresses: vec![
                PlannedAddress {
                    address: "192.0.2.10/24".parse().unwrap(),
                    from: Some("eth0".to_owned()),
                    to: Some("eth1".to_owned()),
                },
                PlannedAddress {
                    address: "192.0.2.9/24".parse().unwrap(),
                    from: Some("eth0".to_owned()),
                    to: None,
                },
            ],
            routes: vec![PlannedRoute {
                route: "0.0.0.0/0 via 192.0.2.1".to_owned(),
                from: "eth0".to_owned(),
                to: "eth1".to_owned(),
            }],
            members: vec!["eth2 joins group production".to_owned()],
            announcements_ms: vec![0, 20],
            remarks: vec!["group production would have no spare NIC left".to_owned()],
        };
        let golden = "\
eth2 joins group production
ADDRESS        FROM  TO
192.0.2.10/24  eth0  eth1
192.0.2.9/24   eth0  (removed)
ROUTE                    FROM  TO
0.0.0.0/0 via 192.0.2.1  eth0  eth1
each address on its new NIC is announced after 0 ms, 20 ms
note: group production would have no spare NIC left
";
        assert_eq!(render(&plan, false), golden);
        assert_eq!(render(&Plan::default(), false), "no address or route would move\n");
    }
}
