//! The schedule of what goes wrong, and when it is repaired.

use crate::cut::{Cut, Event};
use crate::lan::Path;
use crate::rng::Rng;
use crate::scenario::Scenario;
use mpath_model::Time;
use std::time::Duration;

/// Something that happens to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names and types are the documentation")]
pub enum Fault {
    /// Carrier of a NIC.
    Carrier {
        nic: usize,
        present: bool,
    },
    /// Carrier of every NIC of a group, in one moment.
    AllCarrier {
        group: usize,
        present: bool,
    },
    /// Black holes and random loss of a NIC.
    Path {
        nic: usize,
        path: Path,
    },
    /// One node.
    Node {
        segment: usize,
        node: usize,
        alive: bool,
    },
    /// All nodes of a segment.
    AllNodes {
        segment: usize,
        alive: bool,
    },
    /// `ip link set up|down`.
    Admin {
        nic: usize,
        up: bool,
    },
    /// The device goes away.
    Remove {
        nic: usize,
    },
    /// It comes back, with another index.
    Create {
        nic: usize,
    },
    /// Somebody deletes a declared address, wherever it is.
    DeleteDeclared {
        group: usize,
        address: usize,
    },
    /// Share of kernel requests that are refused.
    Refuse {
        permille: u32,
    },
    /// Share of batches of requests that the kernel carries out and the daemon never hears of.
    Mute {
        permille: u32,
    },
    /// Share of events that are lost; an overflow notice follows.
    Lose {
        permille: u32,
    },
    /// Share of readings of the event socket that are up to 200 ms late.
    Late {
        permille: u32,
    },
    /// Share of events that are delivered twice.
    Twice {
        permille: u32,
    },
    /// An operator takes a NIC out of service or back.
    Offline {
        nic: usize,
    },
    Online {
        nic: usize,
    },
    /// The daemon dies, perhaps in the middle of its work, and is started again.
    Restart {
        down: Duration,
        midway: bool,
        /// Only so much of the journal is left, in millionths.
        torn: Option<u32>,
    },
    /// The daemon gets no processor.
    Starve {
        time: Duration,
    },
    /// The settings of the world.
    Reload,
    /// Other settings for a while.
    Reconfigure {
        change: u32,
    },
    /// The program runs itself again in place.
    Reexec,
}

impl Fault {
    /// In words; a number alone does not tell which NIC of a piece of a world it is.
    fn describe(&self, s: &Scenario) -> String {
        let name = match self {
            Fault::Carrier { nic, .. }
            | Fault::Path { nic, .. }
            | Fault::Admin { nic, .. }
            | Fault::Remove { nic }
            | Fault::Create { nic }
            | Fault::Offline { nic }
            | Fault::Online { nic } => s.nics[*nic].name.clone(),
            Fault::AllCarrier { group, .. } => s.settings.groups[*group].name.clone(),
            Fault::Node { segment, .. } | Fault::AllNodes { segment, .. } => {
                s.settings.groups[*segment].name.clone()
            }
            Fault::DeleteDeclared { group, address } => {
                s.settings.groups[*group].addresses[*address].address.to_string()
            }
            _ => return format!("{self:?}"),
        };
        format!("{name}: {self:?}")
    }

    /// What undoes it.
    fn heal(self) -> Option<Fault> {
        Some(match self {
            Fault::Carrier { nic, .. } => Fault::Carrier { nic, present: true },
            Fault::AllCarrier { group, .. } => Fault::AllCarrier { group, present: true },
            Fault::Path { nic, .. } => Fault::Path { nic, path: Path::CLEAN },
            Fault::Node { segment, node, .. } => Fault::Node { segment, node, alive: true },
            Fault::AllNodes { segment, .. } => Fault::AllNodes { segment, alive: true },
            Fault::Admin { nic, .. } => Fault::Admin { nic, up: true },
            Fault::Remove { nic } => Fault::Create { nic },
            Fault::Refuse { .. } => Fault::Refuse { permille: 0 },
            Fault::Mute { .. } => Fault::Mute { permille: 0 },
            Fault::Lose { .. } => Fault::Lose { permille: 0 },
            Fault::Late { .. } => Fault::Late { permille: 0 },
            Fault::Twice { .. } => Fault::Twice { permille: 0 },
            Fault::Offline { nic } => Fault::Online { nic },
            Fault::Reconfigure { .. } => Fault::Reload,
            _ => return None,
        })
    }
}

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Virtual time.
    pub at: Time,
    /// A fault and what mends it have one number; what mends everything at the end has none.
    pub number: Option<u32>,
    /// What happens.
    pub fault: Fault,
}

/// The faults of a world in order of time, and when the last has been healed.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What happens when.
    pub faults: Vec<Timed>,
    /// From here on nothing happens any more.
    pub end: Time,
    /// NIC that is left broken.
    pub left: Option<(usize, Fault)>,
}

/// The host has booted; virtual time begins.
pub const BOOTED: Time = Time(1_000_000_000);
/// All has been mended; one NIC may be broken for good.
const MENDED: Duration = Duration::from_millis(1);
/// And nothing happens any more.
const OVER: Duration = Duration::from_millis(2);

/// Probes a world may take: bounds the time a seed costs.
const PROBES: u64 = 2500;

impl Schedule {
    /// The schedule of a scenario.
    pub fn generate(s: &Scenario) -> Schedule {
        let mut rng = Rng::new(s.seed, 2);
        let fdt = s.slowest();
        let rate: f64 = s
            .nics
            .iter()
            .map(|n| 2.0 * 7.0 / s.settings.groups[n.group].failure_detection_time.as_secs_f64())
            .sum();
        let budget = Duration::from_secs_f64(PROBES as f64 / rate);
        let length = budget.max(fdt * 12).min(Duration::from_secs(600));
        let start = BOOTED + fdt * 3 + Duration::from_secs(2);
        let end = start + length;
        let mut faults = Vec::new();
        let (mut at, mut numbers) = (start, 0..);
        let mut happens = |at, number, fault| faults.push(Timed { at, number, fault });
        while at < end {
            let number = numbers.next();
            let fault = if s.churn { crate::churn::pick(s, &mut rng) } else { None };
            let fault = fault.unwrap_or_else(|| pick(s, &mut rng));
            let hold = hold(fdt, s.orderly, &mut rng);
            happens(at, number, fault);
            if let Some(heal) = fault.heal() {
                happens(at + hold, number, heal);
            }
            at = if s.orderly {
                at + hold + rng.duration(fdt * 3, fdt * 5) + Duration::from_secs(1)
            } else {
                at + rng.duration(Duration::ZERO, fdt * 3)
            };
        }
        let last = faults.iter().map(|f| f.at).max().unwrap_or(end);
        let end = last.max(end) + fdt;
        let left = leave(s, &mut rng);
        faults.extend(heal_all(s).into_iter().map(|fault| Timed { at: end, number: None, fault }));
        if let Some((_, fault)) = left {
            faults.push(Timed { at: end + MENDED, number: numbers.next(), fault });
        }
        faults.sort_by_key(|f| f.at);
        Schedule { faults, end: end + OVER, left }
    }

    /// Leaves out what is to be left out.
    pub(crate) fn cut(&mut self, cut: &Cut) {
        let mended = self.end.before(OVER);
        let until = cut.until.map_or(mended, |until| until.min(mended));
        self.faults.retain(|f| f.number.is_none_or(|n| cut.keeps(n)) && (f.at < until || f.at >= mended));
        for f in self.faults.iter_mut().filter(|f| f.at >= mended) {
            f.at = until + (f.at - mended);
        }
        let broken = self.faults.iter().any(|f| f.at >= until && f.number.is_some());
        self.left = self.left.filter(|_| broken);
        self.end = until + OVER;
    }

    /// Changes numbers of NICs, groups and addresses; a fault for which `change` says no does not happen.
    pub(crate) fn renumber(&mut self, mut change: impl FnMut(&mut Fault) -> bool) {
        self.faults.retain_mut(|f| change(&mut f.fault));
    }

    /// What happens, but for the mending at the end.
    pub(crate) fn events(&self, s: &Scenario) -> Vec<Event> {
        let numbered = self.faults.iter().filter_map(|f| Some((f.number?, f)));
        numbered.map(|(number, f)| Event { number, at: f.at, what: f.fault.describe(s) }).collect()
    }
}

fn hold(fdt: Duration, orderly: bool, rng: &mut Rng) -> Duration {
    match (orderly, rng.below(10)) {
        (false, 0..=2) => rng.duration(Duration::from_micros(10), Duration::from_millis(5)),
        (false, 3..=5) => rng.duration(Duration::from_millis(1), fdt),
        (_, 6) => rng.duration(fdt * 4, fdt * 8),
        _ => rng.duration(fdt * 2, fdt * 3),
    }
}

fn pick(s: &Scenario, rng: &mut Rng) -> Fault {
    let nic = rng.index(s.nics.len());
    let group = rng.index(s.settings.groups.len());
    let blocked = |tx_blocked, rx_blocked| Path { tx_blocked, rx_blocked, ..Path::CLEAN };
    match rng.below(100) {
        0..=19 => Fault::Carrier { nic, present: false },
        20..=34 => {
            let path = *rng.pick(&[blocked(true, true), blocked(true, false), blocked(false, true)]);
            Fault::Path { nic, path }
        }
        35..=39 => Fault::Path {
            nic,
            path: Path {
                tx_loss: rng.range(0, 300) as u32,
                rx_loss: rng.range(0, 300) as u32,
                ..Path::CLEAN
            },
        },
        40..=44 => Fault::Node { segment: group, node: rng.index(s.lan.segments[group].len()), alive: false },
        45..=48 => Fault::AllNodes { segment: group, alive: false },
        49..=53 => Fault::AllCarrier { group, present: false },
        54..=60 => Fault::Admin { nic, up: false },
        61..=65 => Fault::Remove { nic },
        66..=70 => {
            Fault::DeleteDeclared { group, address: rng.index(s.settings.groups[group].addresses.len()) }
        }
        71..=73 => Fault::Refuse { permille: *rng.pick(&[20, 100, 500]) },
        74..=76 => Fault::Lose { permille: *rng.pick(&[50, 300, 1000]) },
        77..=78 => Fault::Late { permille: *rng.pick(&[100, 500]) },
        79 => Fault::Mute { permille: *rng.pick(&[20, 200, 1000]) },
        80..=81 => Fault::Twice { permille: *rng.pick(&[100, 1000]) },
        82..=88 => Fault::Offline { nic },
        89..=94 => Fault::Restart {
            down: rng.duration(Duration::from_millis(1), Duration::from_secs(3)),
            midway: rng.chance(500),
            torn: None,
        },
        95..=97 => Fault::Starve { time: rng.duration(Duration::from_millis(1), s.slowest() * 2) },
        98 => Fault::Reexec,
        _ => Fault::Reload,
    }
}

/// Some worlds end with one NIC broken for good.
fn leave(s: &Scenario, rng: &mut Rng) -> Option<(usize, Fault)> {
    if !rng.chance(300) {
        return None;
    }
    let nic = rng.index(s.nics.len());
    let dead = Path { tx_blocked: true, rx_blocked: true, ..Path::CLEAN };
    let fault = *rng.pick(&[Fault::Carrier { nic, present: false }, Fault::Path { nic, path: dead }]);
    Some((nic, fault))
}

fn heal_all(s: &Scenario) -> Vec<Fault> {
    let mut faults = Vec::new();
    for nic in 0..s.nics.len() {
        faults.extend([
            Fault::Create { nic },
            Fault::Admin { nic, up: true },
            Fault::Carrier { nic, present: true },
            Fault::Path { nic, path: Path::CLEAN },
            Fault::Online { nic },
        ]);
    }
    faults.extend((0..s.settings.groups.len()).map(|segment| Fault::AllNodes { segment, alive: true }));
    faults.extend(s.churn.then_some(Fault::Reload));
    faults.extend([
        Fault::Refuse { permille: 0 },
        Fault::Mute { permille: 0 },
        Fault::Lose { permille: 0 },
        Fault::Late { permille: 0 },
        Fault::Twice { permille: 0 },
    ]);
    faults
}
