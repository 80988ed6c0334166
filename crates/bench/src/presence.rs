//! Scenario `addresses`: from the carrier event to the moment when every address is present on the other NIC, for the
//! daemon and for a hand-rolled reflex on a network of its own, a program of its own (`bin/mpath-floor.rs`): messages
//! assembled beforehand, one system call, one announcement of each address, nothing else. The same observer stamps both.

use crate::cli::AddressOptions;
use crate::cost::user_time;
use crate::machine;
use crate::observer::{Observer, Seen};
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::rng::Rng;
use crate::stage::{HOME, NIC, PATIENCE, Site};
use crate::stats::{Summary, ms};
use mpath_linux::Kernel;
use mpath_model::kernel::{Address, KernelOp, Placing, ifa};
use mpath_model::status::GroupState;
use mpath_model::{IfIndex, PROTO_MPATHD, Route};
use mpath_testkit::daemon::DaemonOptions;
use mpath_testkit::process::Process;
use mpath_testkit::{Daemon, Error, GroupConfig, Lan, LanOptions, poll_until};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The cut comes at a random moment within this time.
const SPREAD: Duration = Duration::from_millis(200);
/// For so long, or a tenth of what it sees, the observer may have looked away in a run that counts.
const BLIND: Duration = Duration::from_micros(50);
/// Limits of the ratio to the floor: p50 and p99 with one address of each family, p50 with more.
const RATIO_ONE: (f64, f64) = (1.25, 2.0);
const RATIO_MANY: f64 = 1.3;

/// Data addresses with prefix length: `count` of each family.
fn addresses(count: usize) -> Vec<String> {
    let four = (0..count).map(|n| format!("10.77.{}.{}/16", n / 250, n % 250 + 1));
    let six = (0..count).map(|n| format!("2001:db8:77::{:x}/64", n + 1));
    four.chain(six).collect()
}

/// Measures `runs` failures for each count, daemon and floor in turns.
pub(crate) fn run(site: &Site, options: &AddressOptions, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    machine::stay_off_the_last_processor();
    let mut smaller: Option<(usize, f64)> = None;
    let mut cases = Vec::new();
    for count in &options.counts {
        let (mut case, own) = case(site, *count, runs, seed)?;
        let label = "the daemon's own (user) processor time for a failover and the way home, ms".to_owned();
        case.measures.push(Measure::new("own_ms", label, vec![own]));
        if let Some((fewer, had)) = smaller.filter(|(fewer, _)| fewer < count) {
            // Both families, there and back.
            let each = (own - had) * 1000.0 / (4 * (count - fewer)) as f64;
            let label = format!("the same for each move of one address beyond {fewer}, us");
            case.measures.push(Measure::new("own_each_us", label, vec![each]));
        }
        smaller = Some((*count, own));
        cases.push(case);
    }
    Ok(cases)
}

/// One number of addresses, and the processor time that the daemon itself took for each run, ms: what the kernel takes for its
/// requests is not the daemon's.
fn case(site: &Site, count: usize, runs: u32, seed: u64) -> Result<(Case, f64), Error> {
    let progress = Progress::new(format!("addresses {count}"), runs);
    let guarded = Guarded::build(site, count)?;
    let reflex = Reflexive::build(count)?;
    let mut rng = Rng::new(seed);
    let (mut daemon, mut floor) = (Samples::default(), Samples::default());
    let before = user_time(&guarded.daemon)?;
    let mut late = 0;
    for number in 1..=runs {
        floor.push(watched(&mut rng, runs, &mut late, || reflex.failure())?);
        daemon.push(watched(&mut rng, runs, &mut late, || guarded.failure())?);
        let last = |s: &Samples| s.announced.last().copied().unwrap_or_default();
        progress.done(number, &format!("{:.3} ms, floor {:.3} ms", last(&daemon), last(&floor)));
    }
    let own = user_time(&guarded.daemon)?.saturating_sub(before);
    let mut case = result(count, daemon, floor);
    case.settings.push(("repeated_because_the_observer_was_late", f64::from(late)));
    Ok((case, ms(own) / f64::from(runs)))
}

/// A failure that the observer saw as it happened. Where others had its processor meanwhile, it would tell of them: it looks again,
/// as often as there are runs in all.
fn watched(
    rng: &mut Rng,
    runs: u32,
    late: &mut u32,
    failure: impl Fn() -> Result<Seen, Error>,
) -> Result<Seen, Error> {
    loop {
        std::thread::sleep(rng.below(SPREAD));
        let seen = failure()?;
        if seen.blind <= BLIND.max(seen.announced / 10) || *late >= runs {
            return Ok(seen);
        }
        *late += 1;
    }
}

/// Times of all runs, ms.
#[derive(Default)]
struct Samples {
    present: Vec<f64>,
    announced: Vec<f64>,
}

impl Samples {
    fn push(&mut self, seen: Seen) {
        self.present.push(ms(seen.present));
        self.announced.push(ms(seen.announced));
    }
}

fn result(count: usize, daemon: Samples, floor: Samples) -> Case {
    let summary =
        |v: &[f64]| Summary::of(v).unwrap_or(Summary { min: 0.0, p50: 0.0, p95: 0.0, p99: 0.0, max: 0.0 });
    let (d, f) = (summary(&daemon.present), summary(&floor.present));
    let ratio = |a: f64, b: f64| a / b.max(f64::MIN_POSITIVE);
    let check = |key, label: String, found: f64, limit: f64| Check {
        key,
        label: format!("{label} at most {limit} times the floor"),
        found: format!("{found:.2}"),
        ok: found <= limit,
    };
    let p50 = ratio(d.p50, f.p50);
    let checks = if count == 1 {
        let p99 = ratio(d.p99, f.p99);
        vec![check("p50", "p50".into(), p50, RATIO_ONE.0), check("p99", "p99".into(), p99, RATIO_ONE.1)]
    } else {
        let announced = ratio(summary(&daemon.announced).p50, summary(&floor.announced).p50);
        vec![
            check("p50", "p50".into(), p50, RATIO_MANY),
            check("announced_p50", "announced once, p50".into(), announced, RATIO_MANY),
        ]
    };
    let each = daemon.announced.iter().map(|d| d * 1000.0 / (2 * count) as f64).collect();
    Case {
        title: format!(
            "{count} addresses of each family present on the other NIC, {} failures",
            daemon.present.len()
        ),
        settings: vec![("addresses_of_each_family", count as f64)],
        measures: vec![
            Measure::new("present_ms", "carrier event to all present, ms", daemon.present),
            Measure::new("floor_present_ms", "floor: hand-rolled reflex, ms", floor.present),
            Measure::new("announced_ms", "to all announced once, ms", daemon.announced),
            Measure::new("floor_announced_ms", "floor: hand-rolled reflex, ms", floor.announced),
            Measure::new("each_us", "for each address, us", each),
        ],
        checks,
    }
}

/// The network that the daemon looks after.
struct Guarded {
    observer: Observer,
    daemon: Daemon,
    lan: Lan,
    count: usize,
}

impl Guarded {
    fn build(site: &Site, count: usize) -> Result<Guarded, Error> {
        let lan = Lan::new(LanOptions::default())?;
        let data = addresses(count).into_iter().map(|a| (a, 0)).collect();
        let failure_detection_time = Duration::from_millis(200);
        let config = GroupConfig { data, failure_detection_time, ..GroupConfig::default() }.text();
        let binary = Some(site.daemon.clone());
        let daemon =
            Daemon::launch(&lan.server, DaemonOptions { config, binary, ..DaemonOptions::default() })?;
        site.interrupt.remove_at_end(daemon.directory());
        daemon.wait_ready()?;
        let observer = Observer::start(&lan.server, HOME, "eth1")?;
        let guarded = Guarded { observer, daemon, lan, count };
        guarded.wait_home()?;
        Ok(guarded)
    }

    fn wait_home(&self) -> Result<(), Error> {
        let home = |s: &mpath_model::Status| {
            let group = s.groups.first();
            group.is_some_and(|g| {
                let here = g.addresses.iter().all(|a| a.interface.as_deref() == Some(HOME));
                g.state == GroupState::Ok && here
            })
        };
        self.daemon.wait_status(PATIENCE, "all NICs work and the addresses are at home", home)?;
        wait_count(&self.lan, HOME, 2 * self.count)?;
        wait_count(&self.lan, "eth1", 0)
    }

    fn failure(&self) -> Result<Seen, Error> {
        let armed = self.observer.arm(2 * self.count);
        self.lan.cut(NIC)?;
        let took = armed.wait("mpathd", PATIENCE)?;
        wait_count(&self.lan, HOME, 0)?;
        self.lan.plug(NIC)?;
        self.wait_home()?;
        Ok(took)
    }
}

/// Waits until so many of our addresses are on a NIC of the server.
fn wait_count(lan: &Lan, nic: &str, count: usize) -> Result<(), Error> {
    let on = || {
        let all = lan.server.addresses().unwrap_or_default();
        let ours = |a: &str| a.starts_with("10.77.") || a.starts_with("2001:db8:77:");
        all.iter().filter(|a| a.nic == nic && ours(&a.addr.address.to_string())).count()
    };
    poll_until(PATIENCE, || (on() == count).then_some(())).ok_or_else(|| {
        Error::new(format!("wait for {count} addresses on {nic}"), format!("{} are there", on()))
    })
}

/// The network with the reflex.
struct Reflexive {
    observer: Observer,
    reflex: Process,
    lan: Lan,
    other: IfIndex,
    count: usize,
}

impl Reflexive {
    fn build(count: usize) -> Result<Reflexive, Error> {
        let lan = Lan::new(LanOptions::default())?;
        let index = |name: &str| lan.server.index_of(name);
        let (home, other) = (index(HOME)?, index("eth1")?);
        apply(&lan, &puts(count, home))?;
        let observer = Observer::start(&lan.server, HOME, "eth1")?;
        let mut command = Command::new(beside("mpath-floor")?);
        command.args([home.to_string(), other.to_string(), lan.nic_mac(NIC + 1).to_string()]);
        command.args(addresses(count));
        let reflex = lan.server.spawn(command)?;
        let reflexive = Reflexive { observer, reflex, lan, other, count };
        let ready = || reflexive.reflex.log().iter().any(|line| line.text == "ready").then_some(());
        match poll_until(PATIENCE, ready) {
            Some(()) => Ok(reflexive),
            None => Err(reflexive.failed("it does not get ready")),
        }
    }

    fn failed(&self, why: &str) -> Error {
        let said: Vec<String> = self.reflex.log().into_iter().map(|line| line.text).collect();
        Error::new("run mpath-floor", format!("{why}; it says: {}", said.join("; ")))
    }

    fn failure(&self) -> Result<Seen, Error> {
        let armed = self.observer.arm(2 * self.count);
        self.lan.cut(NIC)?;
        let took = armed.wait("mpath-floor", PATIENCE).map_err(|e| self.failed(&e.to_string()))?;
        self.lan.plug(NIC)?;
        let back: Vec<KernelOp> = puts(self.count, self.other)
            .into_iter()
            .rev()
            .filter_map(|op| match op {
                KernelOp::AddAddress(a) => Some(KernelOp::DelAddress { index: a.index, addr: a.addr }),
                KernelOp::AddRoute(r, _) => Some(KernelOp::DelRoute(r)),
                _ => None,
            })
            .collect();
        apply(&self.lan, &back)?;
        poll_until(PATIENCE, || self.lan.server.is_running(HOME).then_some(()));
        Ok(took)
    }
}

/// A program that is installed beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(|e| Error::new("find the running program", e))?;
    let found = own.with_file_name(name);
    let missing =
        || Error::new(format!("find the program {name}"), format!("{} is no file", found.display()));
    found.is_file().then(|| found.clone()).ok_or_else(missing)
}

/// What a move of all addresses takes at least: the addresses, and a route to each network.
fn puts(count: usize, index: IfIndex) -> Vec<KernelOp> {
    let parsed = addresses(count).into_iter().filter_map(|a| a.parse().ok());
    let add = |addr| {
        let plain = Address::plain(index, addr);
        let flags = plain.flags | ifa::NODAD | ifa::NOPREFIXROUTE;
        KernelOp::AddAddress(Address { flags, protocol: PROTO_MPATHD, ..plain })
    };
    let networks = [("10.77.0.0/16", 0), ("2001:db8:77::/64", 128)];
    let routes = networks.into_iter().filter_map(|(n, metric)| {
        let route = Route::onlink(n.parse().ok()?, index, metric, PROTO_MPATHD);
        Some(KernelOp::AddRoute(route, Placing::Before))
    });
    parsed.map(add).chain(routes).collect()
}

fn apply(lan: &Lan, ops: &[KernelOp]) -> Result<(), Error> {
    let errors = lan.server.run(|| Kernel::open().map(|mut k| k.apply(ops)));
    match errors {
        Ok(errors) => match errors.iter().find(|e| **e != 0) {
            None => Ok(()),
            Some(errno) => Err(Error::new("set up the floor", format!("errno {errno}"))),
        },
        Err(e) => Err(Error::new("set up the floor", e)),
    }
}
