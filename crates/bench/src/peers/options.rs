//! What can be asked for on the command line.

use crate::cli::{LinkOptions, duration};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Options of the peers.
#[derive(Clone, Debug, Args)]
pub(crate) struct PeersOptions {
    /// What happens, each a table of its own
    #[arg(
        long,
        value_name = "WHAT,...",
        value_delimiter = ',',
        default_value = "kill,stop,cable,silent,loss"
    )]
    pub(crate) what: Vec<Event>,
    /// Times that everybody is given for silent paths and losses, each a table of its own, 20ms to 60s
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_value = "100ms,20ms", value_parser = duration)]
    pub(crate) fdt: Vec<Duration>,
    /// How long frames are lost, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "60s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// How often, in place of --runs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) loss_runs: u32,
    #[command(flatten)]
    pub(crate) traffic: LinkOptions,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Event {
    Kill,
    Stop,
    Cable,
    Silent,
    Loss,
}

impl Event {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Event::Kill => "the host with the address dies",
            Event::Stop => "its program stops",
            Event::Cable => "the cable in use is cut",
            Event::Silent => "the path in use falls silent",
            Event::Loss => "20% of all frames lost each way",
        }
    }
}
