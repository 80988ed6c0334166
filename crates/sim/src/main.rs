//! `mpath-sim`: runs the engine of mpathd in simulated worlds and stops at the first broken invariant.

use clap::Parser;
use mpath_sim::trace::Trace;
use mpath_sim::world::World;
use mpath_sim::{Report, run_seeds};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs the engine of mpathd in simulated worlds: a virtual kernel, a LAN and seeded faults.
/// Exit status: 0 all invariants held, 1 one did not, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "mpath-sim", version)]
struct Options {
    /// Number of worlds
    #[arg(long, value_name = "N")]
    seeds: u64,
    /// Seed of the first world
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print every step (one world)
    #[arg(long)]
    trace: bool,
    /// Run all worlds and list every one in which an invariant broke
    #[arg(long)]
    keep_going: bool,
    /// Threads, by default one for each core
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.trace {
        return traced(options.seed);
    }
    let threads =
        options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let begun = Instant::now();
    let last = Mutex::new(begun);
    let progress = |done: u64| {
        let mut last = last.lock().expect("no holder of this lock panics");
        if last.elapsed() >= Duration::from_secs(1) {
            *last = Instant::now();
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            eprint!("\r{done} of {} worlds, {rate:.0}/s ", options.seeds);
        }
    };
    let outcome = run_seeds(options.seed, options.seeds, threads, options.keep_going, &progress);
    let stats = &outcome.stats;
    let time = begun.elapsed().as_secs_f64();
    eprintln!("\r{} worlds in {time:.1} s, {:.0}/s            ", stats.worlds, stats.worlds as f64 / time);
    println!(
        "{} worlds, {:.1} virtual hours, {} steps, {} packets, {} kernel requests ({} refused), {} events lost, {} dumps",
        stats.worlds,
        stats.virtual_time.as_secs_f64() / 3600.0,
        stats.steps,
        stats.sent,
        stats.requests,
        stats.refused,
        stats.lost,
        stats.dumps
    );
    println!(
        "{} faults, {} NIC failures, {} repairs, {} group failures, {} failovers, {} failbacks, {} restarts, {} timed duties checked",
        stats.faults,
        stats.nic_failures,
        stats.repairs,
        stats.group_failures,
        stats.failovers,
        stats.failbacks,
        stats.restarts,
        stats.duties
    );
    if outcome.broken.is_empty() {
        println!("no invariant broken");
        return ExitCode::SUCCESS;
    }
    if options.keep_going {
        println!("{} worlds broke an invariant:", outcome.broken.len());
        outcome.broken.iter().for_each(|v| println!("  {v}"));
    } else if let Some(report) = outcome.explain() {
        explain(&report);
    }
    ExitCode::FAILURE
}

fn explain(report: &Report) {
    println!("the last steps:");
    for line in &report.trace {
        println!("  {line}");
    }
    println!("BROKEN INVARIANT: {}", report.violation);
    println!("replay: mpath-sim --seed {} --seeds 1 --trace", report.violation.seed);
}

fn traced(seed: u64) -> ExitCode {
    let world = World::run(seed, Trace::print());
    println!("{:?}", world.stats());
    match world.violation() {
        None => {
            println!("no invariant broken");
            ExitCode::SUCCESS
        }
        Some(v) => {
            println!("BROKEN INVARIANT: {v}");
            ExitCode::FAILURE
        }
    }
}
