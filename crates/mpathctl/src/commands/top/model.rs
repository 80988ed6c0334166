//! What the full-screen view knows: the last status and evidence, events, and which NIC is selected.

use mpath_ipc::TimedEvent;
use mpath_model::Status;
use mpath_model::explain::{Evidence, Explanation, TargetEvidence};
use mpath_model::status::Interface;
use std::collections::VecDeque;

/// Events kept.
const EVENTS: usize = 200;

/// Something to do that is asked about first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Offline,
    Online,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) status: Status,
    pub(super) evidence: Vec<Explanation>,
    pub(super) events: VecDeque<TimedEvent>,
    /// Name of the NIC that is selected.
    pub(super) selected: Option<String>,
    /// First line of the list on the screen.
    pub(super) top: usize,
    pub(super) question: Option<(Question, String)>,
    /// What came of the last key, or why there are no news.
    pub(super) message: String,
}

impl Model {
    /// News from the daemon.
    pub(super) fn update(&mut self, status: Status, evidence: Vec<Explanation>) {
        (self.status, self.evidence) = (status, evidence);
        if self.message.starts_with("no daemon") {
            self.message.clear();
        }
        let names: Vec<&String> = self.nics().into_iter().map(|(_, i)| &i.name).collect();
        if !self.selected.as_ref().is_some_and(|s| names.contains(&s)) {
            self.selected = names.first().map(|n| (*n).clone());
        }
    }

    /// The daemon does not answer: what is shown is old.
    pub(super) fn lost(&mut self, why: &str) {
        self.message =
            if why.starts_with("no daemon") { why.to_owned() } else { format!("no daemon: {why}") };
    }

    pub(super) fn event(&mut self, event: TimedEvent) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Events were not heard for a while.
    pub(super) fn missed(&mut self) {
        "the daemon was asked for events anew: some were missed".clone_into(&mut self.message);
    }

    /// All NICs with their groups, in the order of the status.
    pub(super) fn nics(&self) -> Vec<(&str, &Interface)> {
        let grouped =
            self.status.groups.iter().flat_map(|g| g.interfaces.iter().map(|i| (g.name.as_str(), i)));
        grouped.chain(self.status.ungrouped.iter().map(|i| ("-", i))).collect()
    }

    /// Position of the selected NIC.
    pub(super) fn position(&self) -> usize {
        let selected = self.selected.as_deref();
        self.nics().iter().position(|(_, i)| Some(i.name.as_str()) == selected).unwrap_or(0)
    }

    pub(super) fn move_by(&mut self, lines: isize) {
        let last = self.nics().len().saturating_sub(1);
        let to = self.position().saturating_add_signed(lines).min(last);
        self.selected = self.nics().get(to).map(|(_, i)| i.name.clone());
        self.message.clear();
    }

    pub(super) fn ask(&mut self, what: Question) {
        self.question = self.selected.clone().map(|nic| (what, nic));
    }

    /// The evidence about the selected NIC.
    pub(super) fn of_selected(&self) -> Option<&Explanation> {
        self.evidence.iter().find(|e| Some(&e.interface) == self.selected.as_ref())
    }
}

/// Round-trip times of the last probes to a target as bars, the newest at the right; a lost one is a cross.
pub(super) fn sparkline(i: &Evidence, t: &TargetEvidence, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mine: Vec<_> = i.probes.iter().filter(|p| p.target == Some(t.address)).collect();
    let mine = &mine[mine.len().saturating_sub(width)..];
    let most = mine.iter().filter_map(|p| p.rtt_us).max().unwrap_or(1).max(1);
    mine.iter()
        .map(|p| match p.rtt_us {
            Some(rtt) => BARS[usize::try_from(rtt * 7 / most).unwrap_or(7).min(7)],
            None if p.lost => 'x',
            None => '·',
        })
        .collect()
}
