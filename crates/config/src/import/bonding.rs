//! A bond in active-backup mode, however it was written, as a lagg.

use super::{Job, Source};
use crate::duration;
use mpath_model::IfAddr;
use mpath_model::settings::{Lagg, ProbeMode};
use std::net::IpAddr;
use std::time::Duration;

/// What was written of a bond, with the line of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bond {
    pub(super) name: String,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) mode: Option<(usize, String)>,
    pub(super) ports: Vec<String>,
    pub(super) primary: Option<String>,
    /// Before a port that came up is used again.
    pub(super) updelay: Option<Duration>,
    /// `always`, `better` or `failure`.
    pub(super) reselect: Option<(usize, String)>,
    /// Whom ARP monitoring asked.
    pub(super) targets: Vec<IpAddr>,
    pub(super) addresses: Vec<IfAddr>,
}

impl Bond {
    /// Adds it to the settings.
    pub(super) fn finish(mut self, job: &mut Job, source: &Source) {
        let (line, mode) = self.mode.clone().unwrap_or((self.line, "balance-rr".to_owned()));
        if !matches!(mode.as_str(), "active-backup" | "1") {
            let text =
                format!("bond {} is in mode {mode}: mpathd does active-backup, nothing else", self.name);
            job.trouble(source, line, text);
            return;
        }
        if let Some(primary) = self.primary.take() {
            // The first port is the primary.
            self.ports.retain(|p| *p != primary);
            self.ports.insert(0, primary);
        }
        if self.ports.is_empty() {
            job.trouble(source, self.line, format!("bond {} has no ports in these files", self.name));
            return;
        }
        let mut lagg = Lagg::new(&self.name, &job.out.settings.detection);
        lagg.ports = self.ports;
        lagg.addresses = self.addresses;
        lagg.failback_delay = self.updelay.unwrap_or_default();
        lagg.probe = if self.targets.is_empty() { ProbeMode::Link } else { ProbeMode::Auto };
        lagg.targets = self.targets;
        match self.reselect.as_ref().map(|(line, word)| (*line, word.as_str())) {
            None | Some((_, "always" | "0")) => {}
            Some((_, "failure" | "2")) => lagg.failback = false,
            Some((line, other)) => {
                job.trouble(source, line, format!("primary_reselect {other}: mpathd has always and failure"));
            }
        }
        job.out.settings.laggs.push(lagg);
    }
}

/// Milliseconds, as the bonding driver takes them, or with a unit.
pub(super) fn milliseconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    text.parse().ok().map(Duration::from_millis).or_else(|| duration::parse(text).ok())
}
