//! mpathd: keeps the addresses of this host reachable when a NIC, its cable, its switch port or the path
//! behind it fails. What lives here: start-up and exit status. The loop is in `daemon`.

mod control;
mod daemon;
mod journal;
mod lock;
mod log;
mod options;
mod start;
mod wallclock;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match start::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.text);
            ExitCode::from(failure.status)
        }
    }
}
