//! The machine a measurement was made on, and how busy it was: figures mean nothing without.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;
use std::sync::OnceLock;

/// Processors that this program was given.
static PROCESSORS: OnceLock<usize> = OnceLock::new();

/// What a reader must know to compare figures.
pub(crate) struct Machine {
    /// Kernel release.
    pub(crate) kernel: String,
    /// Processor model.
    pub(crate) processor: String,
    /// Processors this program may use.
    pub(crate) processors: usize,
    /// Load averages of 1, 5 and 15 minutes before the measurement.
    pub(crate) load_before: String,
}

impl Machine {
    /// As it is now.
    pub(crate) fn look() -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
        Machine {
            kernel: read("/proc/sys/kernel/osrelease"),
            processor: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            load_before: load(),
        }
    }
}

/// Load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The observer spins: nobody who is measured shall have to wait for its processor. Where there is one alone, all share it.
pub(crate) fn stay_off_the_last_processor() {
    bind(|processor, last| processor != last);
}

/// See [`stay_off_the_last_processor`].
pub(crate) fn move_to_the_last_processor() {
    bind(|processor, last| processor == last);
}

fn bind(to: impl Fn(usize, usize) -> bool) {
    let given = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = *PROCESSORS.get_or_init(given);
    let Some(last) = count.checked_sub(1).filter(|last| *last > 0) else { return };
    let mut set = CpuSet::new();
    for processor in (0..count).filter(|p| to(*p, last)) {
        let _ = set.set(processor); // more of them than the set holds
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &set); // then the figures are worse, and still true
}
