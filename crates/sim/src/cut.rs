//! Which part of a seed's worlds is left: one of the three, with some of its faults, an earlier end, without some NICs.
//! What is left of a world is named by a line of options, and is the same world wherever that line is run at one commit.
//! What can be left out of a host lies in `parts`, how faults keep their places in `script`; [`crate::minimise`] looks for the
//! smallest piece.

mod parts;
mod script;
#[cfg(test)]
mod tests;

pub(crate) use script::Script;

use clap::{Args, FromArgMatches};
use mpath_model::Time;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One of the worlds of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A host with one or two groups.
    Groups,
    /// Two hosts with a virtual address.
    Carp,
    /// A host with a lagg.
    Lagg,
}

impl Kind {
    /// All of them, in the order in which they are run.
    pub const ALL: [Kind; 3] = [Kind::Groups, Kind::Carp, Kind::Lagg];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Groups => "groups",
            Kind::Carp => "carp",
            Kind::Lagg => "lagg",
        })
    }
}

/// Numbers of faults: `3,17,21`, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(pub BTreeSet<u32>);

impl FromStr for Numbers {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Numbers, Self::Err> {
        let numbers = text.split(',').filter(|t| *t != "none");
        numbers.map(str::parse).collect::<Result<_, _>>().map(Numbers)
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(if numbers.is_empty() { "none" } else { "" })?;
        f.write_str(&numbers.join(","))
    }
}

/// What is left of a world; by default, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Cut {
    /// Only these faults happen, by number as `minimise` and --trace show them; "none" for none
    #[arg(long, value_name = "N,...")]
    pub only_faults: Option<Numbers>,
    /// Everything is mended at this virtual time, and nothing happens from then on
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub until: Option<Time>,
    /// Leave out these NICs, groups and addresses (groups only)
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub without: Vec<String>,
}

impl Cut {
    /// Nothing is left out.
    pub fn is_whole(&self) -> bool {
        *self == Cut::default()
    }

    /// A fault happens, if everything is not mended before.
    pub(crate) fn keeps(&self, number: u32) -> bool {
        self.only_faults.as_ref().is_none_or(|only| only.0.contains(&number))
    }

    /// Everything is to be mended now.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// So much of a pause as lies before the end.
    pub(crate) fn before_end(&self, now: Time, pause: Duration) -> Duration {
        self.until.map_or(pause, |until| pause.min(until - now))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(only) = &self.only_faults {
            write!(f, " --only-faults {only}")?;
        }
        if let Some(until) = self.until {
            write!(f, " --until {}", seconds(until))?;
        }
        if !self.without.is_empty() {
            write!(f, " --without {}", self.without.join(","))?;
        }
        Ok(())
    }
}

/// A piece of one world of a seed.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Piece {
    /// Seed of the world
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// Which of the worlds of the seed
    #[arg(long, value_enum)]
    pub world: Kind,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its members are the help")]
    pub cut: Cut,
}

impl Piece {
    /// All of it.
    pub fn whole(seed: u64, world: Kind) -> Piece {
        Piece { seed, world, cut: Cut::default() }
    }
}

impl FromStr for Piece {
    type Err = clap::Error;

    /// From the line of options that displaying it gives.
    fn from_str(line: &str) -> Result<Piece, clap::Error> {
        let command = Piece::augment_args(clap::Command::new("replay").no_binary_name(true));
        Piece::from_arg_matches(&command.try_get_matches_from(line.split_whitespace())?)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {} --world {}{}", self.seed, self.world, self.cut)
    }
}

/// Seconds with as many decimals as are needed.
pub fn seconds(time: Time) -> String {
    let text = format!("{}.{:09}", time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn parse_seconds(text: &str) -> Result<Time, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return Err("not a number of seconds with at most nine decimals".to_owned());
    }
    let ns = format!("{whole}{decimals:0<9}").parse().map_err(|e| format!("{e}"))?;
    Ok(Time(ns))
}

/// Something that happened to a world, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Faults with one number are left out together: what breaks, and what mends it.
    pub number: u32,
    /// Virtual time.
    pub at: Time,
    /// In words.
    pub what: String,
}
