//! `mpathctl`, the operator's tool: it asks the daemon over its control socket and prints the answer. What
//! an answer means is decided by the daemon; here live the command line, the texts and the exit status.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;
mod names;
mod netlink;
mod output;
mod table;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = names::dispatch() {
        return code;
    }
    let cli = cli::Cli::parse();
    let outcome = commands::run(&cli);
    let exit = match outcome {
        Ok(exit) => exit,
        Err(error) => {
            error.report();
            error.exit()
        }
    };
    exit.into()
}
