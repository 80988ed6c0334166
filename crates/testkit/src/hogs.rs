//! Load: a thread on each processor that never sleeps.

use crate::error::{Context, Error};
use crate::traffic::Stop;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::thread::JoinHandle;

/// The threads; they end when this goes away.
pub struct Hogs {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    /// Starts one thread on each processor that this program may use, bound to it.
    pub fn start() -> Result<Hogs, Error> {
        Hogs::start_on(usize::MAX)
    }

    /// Starts one thread on each of so many processors.
    pub fn start_on(processors: usize) -> Result<Hogs, Error> {
        let allowed =
            sched_getaffinity(Pid::from_raw(0)).context(|| "find the processors of this program")?;
        let mut hogs = Hogs { stop: Stop::default(), threads: Vec::new() };
        for processor in (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap_or(false)).take(processors)
        {
            let stop = hogs.stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("hog-{processor}"))
                .spawn(move || burn(processor, &stop))
                .context(|| format!("start a thread for processor {processor}"))?;
            hogs.threads.push(thread);
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.now();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn burn(processor: usize, stop: &Stop) {
    let mut only = CpuSet::new();
    // Unbound it burns just as well, only perhaps beside another one.
    let _ = only.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    while !stop.asked() {
        std::hint::spin_loop();
    }
}
