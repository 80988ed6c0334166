//! mpathd: keeps the addresses of this host reachable when a NIC, its cable, its switch port or the path
//! behind it fails. What lives here: start-up and exit status. The loop is in `daemon`.

mod control;
mod daemon;
mod detach;
mod handover;
mod hooks;
mod journal;
mod last_good;
mod lock;
mod log;
mod options;
mod recorder;
mod running;
mod sandbox;
mod saving;
mod start;
mod wallclock;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if hooks::is_helper() {
        return hooks::serve();
    }
    let options = match options::Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let background = options.daemonize || detach::called_in_mpathd();
    if background && !options.check && !options.release && detach::ident().is_none() {
        return detach::launch().unwrap_or_else(|error| {
            eprintln!("mpathd: cannot run in the background: {error}");
            ExitCode::FAILURE
        });
    }
    match start::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text);
            ExitCode::from(failure.status)
        }
    }
}
