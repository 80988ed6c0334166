//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Watches and controls mpathd, which moves IP addresses between the NICs of a group when one fails.
#[derive(Debug, Parser)]
#[command(name = "mpathctl", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Control socket of the daemon
    #[arg(long, value_name = "PATH", global = true, default_value = mpath_ipc::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mpathctl status                    every group, NIC and address, and what is wrong
  mpathctl status --exit-code        for monitoring: 0 all ok, 1 degraded, 2 failed
  mpathctl watch                     events as they happen; stop with ^C
  mpathctl why eth1                  the evidence against a NIC, and what would repair it
  mpathctl plan eth0                 what its failure would move, and where to
  mpathctl offline eth0              before the cable of eth0 is pulled for maintenance
  mpathctl online eth0               afterwards: its addresses come home
  mpathctl check mpathd.toml && mpathctl reload
  mpathctl --json status | jq '.groups[].state'
  mpathctl demo                      see a failover in a private network; needs no root

Exit status: 0 done; 1 refused or failed; 2 usage or configuration; 3 no daemon answers.";

/// What to do. One file in `commands/` each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every group with its NICs and addresses
    Status(crate::commands::status::Args),
    /// Show events as they happen
    Watch,
    /// Show everything on the full screen, live
    Top,
    /// Tell why a NIC is judged as it is, and what would change that
    Why(crate::commands::why::Args),
    /// Tell what the failure of a NIC, or a configuration, would do now; changes nothing
    Plan(crate::commands::plan::Args),
    /// Take a NIC out of service: its addresses move to another NIC of the group
    Offline(crate::commands::offline::Args),
    /// Put a NIC back into service and bring its addresses home
    Online(crate::commands::online::Args),
    /// Watch and report, and move nothing because of unanswered probes
    Freeze(crate::commands::freeze::Args),
    /// End `freeze`: probes count again
    Thaw,
    /// Add to the CARP demotion counter, so that other hosts take over
    Demote(crate::commands::demote::Args),
    /// Check configuration files; needs no daemon
    Check(crate::commands::check::Args),
    /// Put the configuration file in force; a bad one is refused and the old one stays
    Reload(crate::commands::reload::Args),
    /// Write the running configuration into the configuration file
    #[command(after_help = "\
The file before stays as FILE~. After `mpathctl ifconfig` it is written anew, without your comments and with what \
/etc/default/mpathd says; passphrases go into files beside it. Refused during a trial, and if the file has changed \
since it was read.")]
    Save,
    /// Put a configuration in force that returns by itself unless confirmed in time
    Try(crate::commands::trial::Args),
    /// Keep the configuration on trial
    Confirm,
    /// Take back what mpathd installed: addresses go home, routes and sysctls are as found
    Release(crate::commands::release::Args),
    /// Tell what on this host will get in the way, and the remedy
    Doctor(crate::commands::doctor::Args),
    /// Translate foreign configurations into a mpathd.toml
    Import(crate::commands::import::Args),
    /// Play a recording of the daemon again and explain each decision
    Replay(crate::commands::replay::Args),
    /// Change or show interfaces in the words of ifconfig
    Ifconfig(crate::commands::ifconfig::Args),
    /// Wait until every group and lagg has a usable NIC
    WaitOnline(crate::commands::wait_online::Args),
    /// Print the completions of a shell
    Completions(crate::commands::completions::Args),
    /// Show failovers in a private network with the real daemon; needs no root
    Demo(crate::commands::demo::Args),
}

#[cfg(test)]
mod man;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in [
            ["mpathctl", "--json", "--socket", "/s", "status"],
            ["mpathctl", "status", "--json", "--socket", "/s"],
            ["mpathctl", "--socket", "/s", "status", "--json"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.json && cli.socket == std::path::Path::new("/s"));
        }
    }

    #[test]
    fn wrong_usage_ends_with_2() {
        for line in [&["mpathctl", "fly"][..], &["mpathctl", "offline"], &["mpathctl", "check"]] {
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
