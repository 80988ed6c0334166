//! Chores of the project that are more than one command: `cargo demo`, `cargo xtask licences`.

mod deb;
mod defects;
mod demo;
mod licences;
mod man;
mod metadata;

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod operations;

use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  demo [ARGS...]    build mpathd and mpathctl and run `mpathctl demo ARGS...` (also: cargo demo)
  deb [--profile P] [--version V]  build the Debian package of the release build, or of that of profile P
  defects [NAME...] put one known defect after another into the engine: mpath-sim has to find each
  man               write docs/man anew, from the command lines and the table of keys
  licences          check the licences of all dependencies against deny.toml, list duplicate versions
";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next();
    let rest: Vec<OsString> = args.collect();
    let outcome = match command.as_deref().and_then(|c| c.to_str()) {
        Some("demo") => demo::run(&rest),
        Some("deb") => deb::run(&rest),
        Some("defects") => defects::run(&rest),
        Some("man") if rest.is_empty() => man::run(),
        Some("licences") if rest.is_empty() => licences::run(),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
