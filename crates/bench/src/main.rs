//! `mpath-bench`: measures the real daemon in private namespaces and says whether the figures are within their
//! limits. A scenario makes the faults and takes the samples; what is common to all lives in the other modules.

#![forbid(unsafe_code)]

mod calm;
mod carp;
mod cli;
mod cost;
mod crash;
mod events;
mod faults;
mod interrupt;
mod lagg;
mod link;
mod loss;
mod machine;
mod observer;
mod peers;
mod presence;
mod progress;
mod render;
mod report;
mod rng;
mod scale;
mod silent;
mod stage;
mod stats;
mod svg;
mod tcp;

use clap::Parser;
use cli::{Cli, Scenario};
use machine::Machine;
use mpath_testkit::Error;
use report::Report;
use stage::Site;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match measure(&cli) {
        Ok(report) => {
            let text = if cli.json { render::json(&report) } else { render::text(&report) };
            print!("{text}");
            if let Some(dir) = &cli.svg
                && let Err(e) = svg::write(&report, dir)
            {
                eprintln!("mpath-bench: cannot write plots to {}: {e}", dir.display());
                return ExitCode::FAILURE;
            }
            if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            eprintln!("mpath-bench: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenario. Enters namespaces of its own first, while there is one thread.
fn measure(cli: &Cli) -> Result<Report, Error> {
    // Found first: the outside world is still the same.
    let daemon = match &cli.daemon {
        Some(path) => path.clone(),
        None => mpath_testkit::daemon::find_daemon()?,
    };
    mpath_testkit::enter_private_namespace()?;
    let site = Site { daemon, interrupt: interrupt::Interrupt::catch()? };
    let before = Machine::look();
    let (scenario, cases) = match &cli.scenario {
        Scenario::Link(options) => ("link", link::run(&site, options, false, cli.runs, cli.seed)?),
        Scenario::Late(options) => ("late", link::run(&site, options, true, cli.runs, cli.seed)?),
        Scenario::Planned(options) => ("planned", link::planned(&site, options, cli.runs, cli.seed)?),
        Scenario::Tcp => ("tcp", tcp::run(&site, cli.runs, cli.seed)?),
        Scenario::Addresses(options) => ("addresses", presence::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Lagg(options) => ("lagg", lagg::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Carp(options) => ("carp", carp::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Peers(options) => ("peers", peers::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Calm(options) => ("calm", calm::run(&site, options, cli.runs)?),
        Scenario::Loss(options) => ("loss", loss::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Crash => ("crash", crash::run(&site, cli.runs, cli.seed)?),
        Scenario::Faults(options) => ("faults", faults::run(&site, options, cli.runs, cli.seed)?),
        Scenario::Scale(options) => ("scale", scale::run(&site, options, cli.runs)?),
        Scenario::Idle(options) => ("idle", scale::idle(&site, options, cli.runs)?),
        Scenario::Silent(options) => ("silent", silent::run(&site, options, cli.runs, cli.seed)?),
    };
    Ok(Report {
        scenario,
        runs: cli.runs,
        seed: cli.seed,
        daemon: site.daemon.display().to_string(),
        load_after: machine::load(),
        machine: before,
        cases,
    })
}
