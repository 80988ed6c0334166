//! `mpath-sim`: runs the engine of mpathd in simulated worlds and stops at the first broken invariant.

use clap::{Parser, Subcommand};
use mpath_model::settings::Confirm;
use mpath_sim::churn::CHURN;
use mpath_sim::cut::{Kind, Piece};
use mpath_sim::invariants::Violation;
use mpath_sim::loss::{self, Model};
use mpath_sim::minimise::{Progress, first_broken, minimise};
use mpath_sim::trace::Trace;
use mpath_sim::{Report, run_piece, run_seeds};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Runs the engine of mpathd in simulated worlds: a virtual kernel, a LAN and seeded faults.
/// Exit status: 0 all invariants held, 1 one did not, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "mpath-sim", version, subcommand_negates_reqs = true)]
struct Options {
    #[command(subcommand)]
    special: Option<Special>,
    /// Number of worlds
    #[arg(long, value_name = "N", required = true, default_value = "0", hide_default_value = true)]
    seeds: u64,
    /// Seed of the first world
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Kill the daemon and change its configuration again and again
    #[arg(long)]
    churn: bool,
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

#[derive(Debug, Subcommand)]
enum Special {
    /// The smallest piece of a world that still breaks the invariant that the whole one breaks
    Minimise {
        /// Seed of the world
        #[arg(long, value_name = "S")]
        seed: u64,
        /// Worlds to run at most
        #[arg(long, value_name = "N", default_value_t = 3000)]
        budget: u32,
    },
    /// Run a world again, or the piece of it that `minimise` has found
    Replay {
        #[command(flatten)]
        piece: Piece,
        /// Print every step
        #[arg(long)]
        trace: bool,
    },
    /// False failures an hour as a function of loss, by the classic rule and with confirmation
    Loss {
        /// Failure detection time, ms
        #[arg(long, value_name = "MS", default_value_t = 100)]
        fdt: u64,
        /// Virtual hours for each figure
        #[arg(long, value_name = "H", default_value_t = 1)]
        hours: u64,
        /// Bursts of this mean length instead of independent losses, ms
        #[arg(long, value_name = "MS")]
        bursts: Option<u64>,
        /// Losses in each direction (with bursts: share of time in which all is lost), percent
        #[arg(long, value_name = "P,...", value_delimiter = ',', default_value = "1,5,10,15,20,25,30,40,50",
              value_parser = clap::value_parser!(u32).range(0..=100))]
        percent: Vec<u32>,
        /// What `confirm` says, a column each
        #[arg(long, value_name = "RULE,...", value_delimiter = ',', default_value = "off,icmp,all")]
        confirm: Vec<Rule>,
        /// Seed of the losses
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,
    },
}

/// A value of `confirm`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Rule {
    Off,
    Icmp,
    All,
}

/// What `mpath-sim loss` shall look at.
struct Losses {
    fdt: Duration,
    hours: u64,
    bursts: Option<Duration>,
    percent: Vec<u32>,
    confirm: Vec<Rule>,
    seed: u64,
}

/// The table of `mpath-sim loss`.
fn losses(wanted: &Losses) -> ExitCode {
    let Losses { fdt, hours, bursts, .. } = *wanted;
    let time = Duration::from_secs(3600 * hours);
    println!(
        "failure detection time {fdt:?}, {hours} h of two NICs for each figure; NIC and group failures an hour"
    );
    if let Some(mean) = bursts {
        println!("bursts in which everything is lost, {mean:?} on average (Gilbert-Elliott)");
    }
    let heading = |rule: &Rule| format!(" {:>12}", format!("{rule:?}").to_lowercase());
    let headings: String = wanted.confirm.iter().map(heading).collect();
    println!("{:>6}{headings} {:>14}", "loss", "last: degraded");
    for percent in &wanted.percent {
        let model = match bursts {
            Some(mean) => Model::Bursts { share: percent * 10, mean },
            None => Model::Independent { loss: percent * 10 },
        };
        let mut line = format!("{percent:>5}%");
        let mut degraded = 0;
        for rule in &wanted.confirm {
            let confirm = match rule {
                Rule::Off => Confirm::Off,
                Rule::Icmp => Confirm::Icmp,
                Rule::All => Confirm::All,
            };
            let found = loss::run(wanted.seed, fdt, confirm, model, time);
            let rate = (found.failures + found.group_failures) as f64 / hours as f64;
            line.push_str(&format!(" {rate:>12.3}"));
            degraded = found.degraded;
        }
        println!("{line} {:>14.3}", degraded as f64 / hours as f64);
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.special {
        Some(Special::Loss { fdt, hours, bursts, percent, confirm, seed }) => {
            let (fdt, bursts) = (Duration::from_millis(fdt), bursts.map(Duration::from_millis));
            return losses(&Losses { fdt, hours, bursts, percent, confirm, seed });
        }
        Some(Special::Minimise { seed, budget }) => return minimised(seed, budget),
        Some(Special::Replay { piece, trace }) => return replayed(&piece, trace),
        None => {}
    }
    let first = options.seed | if options.churn { CHURN } else { 0 };
    if options.trace {
        return traced(first);
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
    let outcome = run_seeds(first, options.seeds, threads, options.keep_going, &progress);
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
    println!(
        "{} steps of two hosts with CARP, {} takeovers; {} steps of a host with a lagg, {} switches",
        stats.carp_steps, stats.takeovers, stats.lagg_steps, stats.switches
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
    println!("minimise: mpath-sim minimise --seed {}", report.violation.seed);
}

fn traced(seed: u64) -> ExitCode {
    let headings = ["a host with groups:", "two hosts with CARP:", "a host with a lagg:"];
    let mut broken = None;
    for (world, heading) in Kind::ALL.into_iter().zip(headings) {
        println!("{heading}");
        let ran = run_piece(&Piece::whole(seed, world), Trace::print());
        println!("{:?}", ran.stats);
        broken = broken.or(ran.violation);
    }
    verdict(broken.as_ref())
}

fn verdict(broken: Option<&Violation>) -> ExitCode {
    match broken {
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

fn replayed(piece: &Piece, trace: bool) -> ExitCode {
    if let Err(what) = piece.check() {
        eprintln!("mpath-sim: {piece}: {what}");
        return ExitCode::from(2);
    }
    let ran = run_piece(piece, if trace { Trace::print() } else { Trace::off() });
    verdict(ran.violation.as_ref())
}

fn minimised(seed: u64, budget: u32) -> ExitCode {
    // A panic is a broken invariant like others: it is found again hundreds of times, and said once.
    std::panic::set_hook(Box::new(|_| {}));
    let run = |piece: &Piece| run_piece(piece, Trace::off());
    let begun = Instant::now();
    let mut last = begun;
    let mut progress = |p: Progress| {
        if last.elapsed() >= Duration::from_millis(200) {
            last = Instant::now();
            eprint!("\r{} of at most {budget} worlds run, {} faults left ", p.worlds, p.faults);
        }
    };
    let broken = first_broken(seed);
    let smallest = broken.and_then(|piece| minimise(&piece, budget, &run, &mut progress));
    eprintln!("\r{:.1} s                                                  ", begun.elapsed().as_secs_f64());
    match smallest {
        None => verdict(None),
        Some(smallest) => {
            println!("{smallest}");
            ExitCode::FAILURE
        }
    }
}
