//! The network stays up for the curious: how to enter it, what to break.

use super::interrupt::Interrupt;
use super::stage::Stage;
use crate::lan::Lan;

/// Prints the way in and waits for Ctrl-C.
pub(super) fn wait(stage: &Stage, interrupt: &Interrupt) {
    // stderr: stdout may hold JSON for a program.
    eprintln!("\nThe network stays up until Ctrl-C. Enter a host:");
    let Lan { server, switch, router, near, far, .. } = &stage.lan;
    for host in [server, switch, router, near, far] {
        eprintln!("  {:<7} nsenter -t {} -U -n --preserve-credentials", host.name(), host.tid());
    }
    eprintln!("\nBreak something, inside 'switch':");
    eprintln!("  ip link set p0 down                       cuts the cable of eth0; 'up' plugs it back");
    eprintln!("  bridge link set dev c0 state 0            makes its path silent; 'state 3' heals it");
    eprintln!("and look at it from anywhere:");
    eprintln!("  mpathctl --socket {} watch", stage.daemon.socket().display());
    interrupt.wait();
}
