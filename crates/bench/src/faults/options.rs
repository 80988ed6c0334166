//! What the command line can ask of the scenario.

use crate::cli::{LinkOptions, duration};
use clap::{Args, ValueEnum};
use mpath_testkit::hostile::Hostile;
use nix::errno::Errno;
use std::time::Duration;

/// Options of the faults.
#[derive(Clone, Debug, Args)]
pub(crate) struct FaultOptions {
    /// Failure detection time, 20ms to 60s
    #[arg(long, value_name = "T", default_value = "1s", value_parser = duration)]
    pub(crate) fdt: Duration,
    /// What happens, each a case of its own
    #[arg(
        long,
        value_name = "WHAT,...",
        value_delimiter = ',',
        default_value = "kill,stop,eperm,enobufs,ebusy,disk,interfaces,routes,hostile"
    )]
    pub(crate) what: Vec<Fault>,
    /// How long a hostile neighbour sends before anything else happens, 20ms to 60s
    #[arg(long = "for", value_name = "T", default_value = "10s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// Hostile packets a second, 100 to 100000
    #[arg(long, value_name = "HZ", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub(crate) hostility: u32,
    /// What a hostile neighbour sends, each a case of its own
    #[arg(
        long,
        value_name = "WHAT,...",
        value_delimiter = ',',
        default_value = "icmp,arp,nd,claims,malformed,carp,mixture"
    )]
    pub(crate) packets: Vec<Packets>,
    #[command(flatten)]
    pub(crate) traffic: LinkOptions,
}

/// What happens in the middle of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    Kill,
    Stop,
    Eperm,
    Enobufs,
    Ebusy,
    Disk,
    Interfaces,
    Routes,
    Hostile,
}

impl Fault {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9 and restart",
            Fault::Stop => "SIGSTOP for 3 s",
            Fault::Eperm => "netlink fails for 2 s with EPERM",
            Fault::Enobufs => "netlink fails for 2 s with ENOBUFS",
            Fault::Ebusy => "netlink fails for 2 s with EBUSY",
            Fault::Disk => "disk full, then kill -9 and restart",
            Fault::Interfaces => "1,000 interfaces come and go",
            Fault::Routes => "100,000 routes come, and go at once",
            Fault::Hostile => "hostile neighbour",
        }
    }

    /// What netlink calls fail with.
    pub(crate) fn errno(self) -> Option<Errno> {
        match self {
            Fault::Eperm => Some(Errno::EPERM),
            Fault::Enobufs => Some(Errno::ENOBUFS),
            Fault::Ebusy => Some(Errno::EBUSY),
            _ => None,
        }
    }
}

/// What a hostile neighbour sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Packets {
    Icmp,
    Arp,
    Nd,
    Claims,
    Malformed,
    Carp,
    Mixture,
}

impl Packets {
    /// In words, for headings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Packets::Icmp => "echo replies",
            Packets::Arp => "ARP",
            Packets::Nd => "neighbour advertisements",
            Packets::Claims => "claims to the router's address",
            Packets::Malformed => "malformed packets",
            Packets::Carp => "CARP adverts",
            Packets::Mixture => "a mixture without claims",
        }
    }

    /// The kinds that it takes turns with.
    pub(crate) fn kinds(self) -> &'static [Hostile] {
        match self {
            Packets::Icmp => &[Hostile::Icmp],
            Packets::Arp => &[Hostile::Arp],
            Packets::Nd => &[Hostile::Nd],
            Packets::Claims => &[Hostile::Claims],
            Packets::Malformed => &[Hostile::Malformed],
            Packets::Carp => &[Hostile::Carp],
            Packets::Mixture => {
                &[Hostile::Icmp, Hostile::Arp, Hostile::Nd, Hostile::Malformed, Hostile::Carp]
            }
        }
    }
}
