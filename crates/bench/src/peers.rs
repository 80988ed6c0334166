//! Scenario `peers`: what else does mpathd's work, on the same networks and with the same traffic, one after another.
//! What is measured between hosts and within one lives in the modules below, and the rule by which it is compared.

mod hosts;
mod nics;
mod options;
mod program;
mod verdict;
mod ways;

pub(crate) use options::PeersOptions;

use crate::progress::Progress;
use crate::report::Case;
use crate::stage::Site;
use crate::stats::ms;
use mpath_testkit::Error;
use options::Event;
use std::time::Duration;
use verdict::{Outcome, Part, Row, Table};

/// A table for each event, and for each time where everybody is told one.
pub(crate) fn run(site: &Site, options: &PeersOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for event in &options.what {
        match event {
            Event::Kill | Event::Stop => cases.push(between(site, options, *event, runs, seed)?),
            Event::Cable => cases.push(within(site, options, *event, Duration::ZERO, runs, seed)?),
            Event::Silent | Event::Loss => {
                let runs = if *event == Event::Loss { options.loss_runs } else { runs };
                for time in &options.fdt {
                    cases.push(within(site, options, *event, *time, runs, seed)?);
                }
            }
        }
    }
    Ok(cases)
}

/// Two hosts.
fn between(site: &Site, options: &PeersOptions, event: Event, runs: u32, seed: u64) -> Result<Case, Error> {
    let (mut rows, mut floor) = (Vec::new(), Vec::new());
    let rate = options.traffic.rate;
    for keeper in hosts::Keeper::ALL {
        let (key, label, part) = (keeper.key(), keeper.label(), keeper.part());
        let found = hosts::measure(site, keeper, event, (rate, runs, seed), &mut floor);
        let outcome = survive(part, &label, found)?;
        rows.push(Row { key, label, part, outcome });
    }
    Ok(Table {
        title: format!("{}: longest gap of a client in ms, {rate} packets/s, {runs} times", event.name()),
        settings: vec![("rate_hz", f64::from(rate))],
        unit: "ms",
        floor,
        rows,
        strict: strict(),
    }
    .case())
}

/// Two NICs of a host.
fn within(
    site: &Site,
    options: &PeersOptions,
    event: Event,
    time: Duration,
    runs: u32,
    seed: u64,
) -> Result<Case, Error> {
    let plan = nics::Plan { site, options, event, time, runs, seed };
    let (mut rows, mut floor) = (Vec::new(), Vec::new());
    for keeper in nics::Keeper::for_event(event) {
        let (key, label, part) = (keeper.key(), keeper.label(plan.probes()), keeper.part());
        let outcome = survive(part, &label, plan.measure(keeper, &mut floor))?;
        rows.push(Row { key, label, part, outcome });
    }
    let (rate, lasting) = (options.traffic.rate, options.lasting.as_secs_f64());
    let (what, unit) = match event {
        Event::Loss => (format!("moves to another NIC in {lasting} s"), "moves"),
        _ => ("longest gap of a client in ms, worse family".to_owned(), "ms"),
    };
    let told = plan.probes().map_or(String::new(), |t| format!(", everybody is told {} ms", t.as_millis()));
    Ok(Table {
        title: format!("{}{told}: {what}, {rate} packets/s, {runs} times", event.name()),
        settings: vec![("rate_hz", f64::from(rate)), ("told_ms", ms(time))],
        unit,
        floor,
        rows,
        strict: strict(),
    }
    .case())
}

/// Whether everybody has to be installed.
fn strict() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// Somebody else's program that does not work is told of, and the rest is measured.
fn survive(part: Part, label: &str, found: Result<Outcome, Error>) -> Result<Outcome, Error> {
    found.or_else(|e| match part {
        Part::Ours => Err(e),
        Part::Peer | Part::Beside => {
            Progress::new(label.to_owned(), 1).note(&format!("{label}: {e}"));
            Ok(Outcome::Broken)
        }
    })
}
