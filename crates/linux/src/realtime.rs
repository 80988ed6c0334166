//! Real-time scheduling and locked memory, for detection times of a few tens of milliseconds on a busy host.

use crate::{Error, sys};

/// Above ordinary programs, below the kernel's own threads (50).
const PRIORITY: i32 = 10;

/// Puts the calling thread under SCHED_FIFO and keeps its memory from being swapped out, or undoes that. Needs
/// CAP_SYS_NICE and CAP_IPC_LOCK, or limits (RLIMIT_RTPRIO, RLIMIT_MEMLOCK) that permit it.
pub fn set(on: bool) -> Result<(), Error> {
    let (policy, priority) = if on { (libc::SCHED_FIFO, PRIORITY) } else { (libc::SCHED_OTHER, 0) };
    sys::set_scheduler(policy, priority).map_err(|e| Error::system("set scheduling policy of mpathd", e))?;
    sys::lock_memory(on).map_err(|e| Error::system("lock memory of mpathd", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_and_off() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("needs root");
            return;
        }
        // A thread of its own, so that no other test runs under SCHED_FIFO.
        let policy = std::thread::spawn(|| {
            set(true).unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            set(false).unwrap();
            // Field 41 of proc(5); the name may hold blanks, so count from behind it.
            stat.rsplit(')').next().unwrap().split_whitespace().nth(38).unwrap().to_string()
        });
        assert_eq!(policy.join().unwrap(), "1", "SCHED_FIFO");
    }
}
