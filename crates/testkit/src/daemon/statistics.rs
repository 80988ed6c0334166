//! What the daemon's probe statistics tell, which it logs on SIGUSR1.

use super::Daemon;
use crate::error::Error;
use crate::wait::poll_until;
use mpath_model::status::ProbeState;
use nix::sys::signal::Signal;
use std::time::Duration;

/// Line of the statistics of an instance.
const ACKS: &str = "Number of probe acks received ";

/// How long the daemon may take to write them.
const PATIENCE: Duration = Duration::from_secs(20);

impl Daemon {
    /// Whether every probed family of every NIC has had an answer: what never answered is no evidence of a failure.
    pub fn all_answered(&self) -> Result<bool, Error> {
        let status = self.status()?;
        let members = status.groups.iter().flat_map(|group| &group.interfaces);
        // A port of a lagg is probed in one family, if at all.
        let ports = status.laggs.iter().flat_map(|lagg| &lagg.ports);
        let ports = ports.filter(|port| port.probe != ProbeState::Disabled).count();
        let families = members.map(|member| member.instances.len()).sum::<usize>() + ports;
        let before = self.log().len();
        self.signal(Signal::SIGUSR1)?;
        let acks = || {
            let lines = self.log().into_iter().skip(before);
            let acks: Vec<u64> = lines.filter_map(|line| acks_in(&line.text)).collect();
            (acks.len() >= families).then_some(acks)
        };
        let acks = poll_until(PATIENCE, acks).ok_or_else(|| {
            let why = format!("not within {PATIENCE:?}; its log:\n{}", self.log_text());
            Error::new("wait for the probe statistics of mpathd", why)
        })?;
        Ok(families > 0 && acks.iter().all(|n| *n > 0))
    }
}

fn acks_in(line: &str) -> Option<u64> {
    line.split_once(ACKS)?.1.trim().parse().ok()
}
