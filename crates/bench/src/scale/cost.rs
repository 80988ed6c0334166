//! What a daemon has used up, as the kernel counts it.

use crate::stage::processor_time;
use mpath_testkit::{Daemon, Error};
use std::fs;
use std::time::{Duration, Instant};

/// What a daemon used in a window.
pub(super) struct Cost {
    /// Length of the window.
    pub(super) time: Duration,
    /// Processor time, all threads.
    pub(super) processor: Duration,
    /// How often one of its threads was woken: voluntary context switches.
    pub(super) wakeups: f64,
    /// Resident at the end.
    pub(super) memory_mib: f64,
}

/// A window that has begun.
pub(super) struct Begun {
    at: Instant,
    processor: Duration,
    wakeups: f64,
}

impl Cost {
    /// A window begins.
    pub(super) fn begin(daemon: &Daemon) -> Result<Begun, Error> {
        let (processor, wakeups) = (processor_time(daemon)?, wakeups(daemon)?);
        Ok(Begun { at: Instant::now(), processor, wakeups })
    }
}

impl Begun {
    /// And ends.
    pub(super) fn end(self, daemon: &Daemon) -> Result<Cost, Error> {
        let time = self.at.elapsed();
        let memory_mib = field(&status(daemon, "status")?, "VmRSS:") / 1024.0;
        let processor = processor_time(daemon)?.saturating_sub(self.processor);
        Ok(Cost { time, processor, wakeups: wakeups(daemon)? - self.wakeups, memory_mib })
    }
}

fn wakeups(daemon: &Daemon) -> Result<f64, Error> {
    let dir = path(daemon, "task")?;
    let fail = |e| Error::new(format!("read {dir}"), e);
    let tasks = fs::read_dir(&dir).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    // A thread may end meanwhile.
    let texts = tasks.iter().filter_map(|t| fs::read_to_string(t.path().join("status")).ok());
    Ok(texts.map(|text| field(&text, "voluntary_ctxt_switches:")).sum())
}

fn path(daemon: &Daemon, name: &str) -> Result<String, Error> {
    let pid = daemon.pid().ok_or_else(|| Error::new(format!("read {name} of mpathd"), "it has ended"))?;
    Ok(format!("/proc/{pid}/{name}"))
}

fn status(daemon: &Daemon, name: &str) -> Result<String, Error> {
    let path = path(daemon, name)?;
    fs::read_to_string(&path).map_err(|e| Error::new(format!("read {path}"), e))
}

/// The number behind a key at the beginning of a line.
fn field(text: &str, key: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_of_proc() {
        let text = "VmRSS:\t    6420 kB\nvoluntary_ctxt_switches:\t15\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(super::field(text, "VmRSS:"), 6420.0);
        assert_eq!(super::field(text, "voluntary_ctxt_switches:"), 15.0);
        assert_eq!(super::field(text, "absent:"), 0.0);
    }
}
