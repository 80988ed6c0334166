//! What a daemon has used up, as the kernel counts it.

use mpath_testkit::{Daemon, Error};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// What a daemon used in a window.
pub(crate) struct Cost {
    /// Length of the window.
    pub(crate) time: Duration,
    /// Processor time, all threads.
    pub(crate) processor: Duration,
    /// How often one of its threads was woken: voluntary context switches.
    pub(crate) wakeups: f64,
    /// Resident at the end.
    pub(crate) memory_mib: f64,
}

/// A window that has begun.
pub(crate) struct Begun {
    at: Instant,
    processor: Duration,
    wakeups: f64,
}

impl Cost {
    /// A window begins.
    pub(crate) fn begin(daemon: &Daemon) -> Result<Begun, Error> {
        let (processor, wakeups) = (processor_time(daemon)?, wakeups(daemon)?);
        Ok(Begun { at: Instant::now(), processor, wakeups })
    }
}

impl Begun {
    /// And ends.
    pub(crate) fn end(self, daemon: &Daemon) -> Result<Cost, Error> {
        let time = self.at.elapsed();
        let memory_mib = field(&proc(daemon, "status")?, "VmRSS:") / 1024.0;
        let processor = processor_time(daemon)?.saturating_sub(self.processor);
        Ok(Cost { time, processor, wakeups: wakeups(daemon)? - self.wakeups, memory_mib })
    }
}

/// Processor time that a daemon has used, all its threads.
pub(crate) fn processor_time(daemon: &Daemon) -> Result<Duration, Error> {
    let what = "read the processor time of mpathd";
    let used =
        clock_getcpuclockid(Pid::from_raw(pid(daemon, what)?.cast_signed())).and_then(|clock| clock.now());
    used.map(Duration::from).map_err(|e| Error::new(what, e))
}

/// Processor time that a daemon has used in user mode, in steps of 10 ms.
pub(crate) fn user_time(daemon: &Daemon) -> Result<Duration, Error> {
    /// USER_HZ, the same on all processors that matter.
    const TICK: Duration = Duration::from_millis(10);
    let stat = proc(daemon, "stat")?;
    // proc_pid_stat(5): utime is field 14, the name in parentheses is field 2.
    let ticks = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11)?.parse().ok());
    ticks
        .map(|n: u32| TICK * n)
        .ok_or_else(|| Error::new("read the user time of mpathd", "it is not where it was"))
}

fn wakeups(daemon: &Daemon) -> Result<f64, Error> {
    let dir = format!("/proc/{}/task", pid(daemon, "read the wake-ups of mpathd")?);
    let fail = |e| Error::new(format!("read {dir}"), e);
    let tasks = fs::read_dir(&dir).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    // A thread may end meanwhile.
    let texts = tasks.iter().filter_map(|t| fs::read_to_string(t.path().join("status")).ok());
    Ok(texts.map(|text| field(&text, "voluntary_ctxt_switches:")).sum())
}

fn pid(daemon: &Daemon, what: &str) -> Result<u32, Error> {
    daemon.pid().ok_or_else(|| Error::new(what, "it has ended"))
}

/// A file of the daemon's in /proc.
fn proc(daemon: &Daemon, name: &str) -> Result<String, Error> {
    let path = format!("/proc/{}/{name}", pid(daemon, "read /proc of mpathd")?);
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
