//! A hostile neighbour: what the daemon makes of its packets, and what they cost.

use super::options::FaultOptions;
use super::world::{OTHER, Outcome, Setup, Way, World};
use crate::cost::processor_time;
use crate::events::Events;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::{HOME, NIC, PATIENCE, Site};
use crate::stats::ms;
use mpath_model::EventKind;
use mpath_model::carp::Passphrase;
use mpath_model::status::{GroupState, Status};
use mpath_testkit::hostile::{Attacker, Hostile, Vhid};
use mpath_testkit::{Daemon, Error};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Percent of one processor beyond what a quiet link costs.
const LIMIT: f64 = 10.0;
/// How long the attacker overhears before.
const OVERHEAR: Duration = Duration::from_secs(3);
/// How long the link is quiet for comparison.
const QUIET: Duration = Duration::from_secs(3);
/// Within this the addresses are on the other NIC when a cable is cut under the flood.
const CABLE: Duration = Duration::from_millis(500);
const VHID: u8 = 7;
const PASSPHRASE: &str = "lagg-carp-lab";
const VIP: &str = "192.0.2.70";

/// One flood.
struct Run {
    /// Percent of a processor, quiet and under the flood.
    percent: [f64; 2],
    /// Packets sent a second.
    rate: f64,
    /// Events that tell of a change of state, before anything happened.
    wrong: Vec<String>,
    /// Detection time in force after the flood.
    in_force: Duration,
    cable: Outcome,
    silent: Option<Duration>,
    lost: bool,
    ended: bool,
}

/// Every kind of packets, `runs` times each.
pub(super) fn cases(site: &Site, options: &FaultOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let setup = Setup { more: 1, ..Setup::default() };
    let mut world = World::build(site, options.fdt, options.traffic.rate, setup, add_vhid)?;
    world.daemon.wait_status(PATIENCE, "it is master", is_well)?;
    let address = VIP.parse::<IpAddr>().map_err(|e| Error::new("read an address", e))?;
    let vhid = Vhid { vhid: VHID, passphrase: Passphrase::new(PASSPHRASE), addresses: vec![address] };
    let attacker = Attacker::attach(&world.lan, &[0, 1, 2], Some(vhid), OVERHEAR.max(options.fdt))?;
    if attacker.overheard() == 0 {
        return Err(Error::new("overhear answers to probes", "there were none"));
    }
    let events = Events::watch(&world.daemon.socket())?;
    let mut cases = Vec::new();
    for packets in &options.packets {
        let (name, kinds) = (packets.name(), packets.kinds());
        let progress = Progress::new(format!("hostile, {name}"), runs);
        let mut all = Vec::new();
        for number in 1..=runs {
            let run = flood(&mut world, &attacker, &events, kinds, options, seed + u64::from(number))?;
            let [quiet, busy] = run.percent;
            let text = format!("{busy:.2}% of a processor, {quiet:.2}% before, {} events", run.wrong.len());
            progress.done(number, &text);
            run.wrong.iter().for_each(|text| progress.note(text));
            if run.ended || !matches!(run.cable, Outcome::Recovered(_)) {
                progress.note(&world.log_end());
            }
            all.push(run);
        }
        cases.push(case(name, options, &all));
    }
    Ok(cases)
}

/// A virtual host on the third NIC, which is in no group.
fn add_vhid(daemon: &mut Daemon, config: String) -> Result<(), Error> {
    let key = daemon.secret("carp.key", PASSPHRASE)?;
    daemon.set_config(&format!(
        "{config}\n[[carp]]\ninterface = \"eth2\"\nvhid = {VHID}\npassphrase_file = \"{}\"\naddresses = [\"{VIP}/24\"]\n",
        key.display()
    ))?;
    daemon.restart()
}

fn is_well(status: &Status) -> bool {
    let groups = !status.groups.is_empty() && status.groups.iter().all(|g| g.state == GroupState::Ok);
    groups && !status.carps.is_empty() && status.carps.iter().all(|c| c.state == "MASTER")
}

fn flood(
    world: &mut World,
    attacker: &Attacker,
    events: &Events,
    kinds: &[Hostile],
    options: &FaultOptions,
    seed: u64,
) -> Result<Run, Error> {
    world.end()?;
    let quiet = share(world, QUIET)?;
    let begun = Instant::now();
    let flood = attacker.flood(kinds, options.hostility, seed)?;
    let busy = share(world, options.lasting)?;
    let rate = flood.sent() as f64 / begun.elapsed().as_secs_f64();
    let (ended, status) = (!world.daemon.is_running(), world.daemon.status()?);
    let told = events.all()?.into_iter().filter(|e| e.at >= begun && matters(e.event.event.event));
    let mut wrong: Vec<String> =
        told.map(|e| format!("  {} {}", e.event.time, e.event.event.message)).collect();
    if !is_well(&status) {
        wrong.push(format!("  not well in the end: {status:?}"));
    }
    let in_force = status.groups.first().map_or(0, |g| g.failure_detection_time_ms);
    let in_force = Duration::from_millis(in_force);
    // It goes on while a cable is cut, and while a path falls silent.
    let cut = world.begin(Way::Out)?;
    let cable = world.outcome(OTHER, cut)?;
    world.end()?;
    let fault = world.lan.blackhole(NIC)?;
    let told = events.wait(EventKind::NicFailed, HOME, fault, in_force * 20 + PATIENCE);
    let silent = told.ok().map(|seen| seen.at - fault);
    world.lan.heal(NIC)?;
    world.end()?;
    drop(flood);
    let lost = !world.places.absences(begun).is_empty();
    Ok(Run { percent: [quiet, busy], rate, wrong, in_force, cable, silent, lost, ended })
}

/// Whether an event tells of a change of state. The detection time follows the machine's load; a wrong digest is told of once
/// for each sender, whatever else comes of it.
fn matters(kind: EventKind) -> bool {
    !matches!(kind, EventKind::DetectionTime | EventKind::Alarm)
}

fn share(world: &World, time: Duration) -> Result<f64, Error> {
    let (begun, before) = (Instant::now(), processor_time(&world.daemon)?);
    std::thread::sleep(time);
    let used = processor_time(&world.daemon)?.saturating_sub(before);
    Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

fn case(name: &str, options: &FaultOptions, all: &[Run]) -> Case {
    let of = |value: &dyn Fn(&Run) -> Option<f64>| all.iter().filter_map(value).collect::<Vec<f64>>();
    let cost = |run: &Run| (run.percent[1] - run.percent[0]).max(0.0);
    let cable = |run: &Run| match run.cable {
        Outcome::Recovered(took) => Some(ms(took)),
        _ => None,
    };
    let cables = of(&cable);
    let most = all.iter().map(cost).fold(0.0, f64::max);
    let count = |what: &dyn Fn(&Run) -> bool| all.iter().filter(|run| what(run)).count();
    let none = |key, label: &str, found: usize| Check {
        key,
        label: label.to_owned(),
        found: found.to_string(),
        ok: found == 0,
    };
    let in_time = count(&|run| run.silent.is_some_and(|took| took <= run.in_force));
    let cut = cables.iter().filter(|took| **took <= ms(CABLE)).count();
    let all_of = |key, label: String, found: usize| Check {
        key,
        label,
        found: format!("{found} of {}", all.len()),
        ok: found == all.len(),
    };
    Case {
        title: format!(
            "hostile neighbour, {name}, {} s, {} floods",
            options.lasting.as_secs_f64(),
            all.len()
        ),
        settings: vec![
            ("hostile_hz", f64::from(options.hostility)),
            ("failure_detection_time_ms", ms(options.fdt)),
        ],
        measures: vec![
            Measure::new(
                "processor_percent",
                "processor time beyond quiet, % of one",
                of(&|r| Some(cost(r))),
            ),
            Measure::new("quiet_percent", "processor time before, % of one", of(&|r| Some(r.percent[0]))),
            Measure::new("sent_hz", "packets sent a second", of(&|r| Some(r.rate.round()))),
            Measure::new("cable_ms", "cable cut under it: all moved and answering, ms", cables.clone()),
            Measure::new("silent_ms", "silent path under it: detected, ms", of(&|r| r.silent.map(ms))),
            Measure::new("in_force_ms", "detection time in force, ms", of(&|r| Some(ms(r.in_force)))),
        ],
        checks: vec![
            Check {
                key: "processor",
                label: format!("under {LIMIT}% of a processor"),
                found: format!("{most:.2}%"),
                ok: most < LIMIT,
            },
            none("changes", "changes of state by it", all.iter().map(|run| run.wrong.len()).sum()),
            none("lost", "floods with an address lost", count(&|run| run.lost)),
            none("ended", "ends of the daemon", count(&|run| run.ended)),
            all_of("cable", format!("cable: moved within {} ms", CABLE.as_millis()), cut),
            all_of("silent", "silent path: found within the time in force".to_owned(), in_time),
        ],
    }
}
