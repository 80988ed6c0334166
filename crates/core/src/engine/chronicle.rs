//! What happened to each NIC, for whoever asks later. Filled from the messages themselves, so that nothing is told
//! twice in two ways.

use crate::action::Action;
use mpath_model::Time;
use mpath_model::explain::Change;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Happenings kept for each NIC.
const PER_NIC: usize = 16;
/// NICs remembered.
const NICS: usize = 256;

/// The last happenings of every NIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Chronicle(BTreeMap<String, VecDeque<(Time, String)>>);

impl Chronicle {
    /// Notes the events among these actions. The cause of a failure stands in the log line before its event.
    pub(super) fn note(&mut self, now: Time, actions: &[Action]) {
        let mut cause = None;
        for action in actions {
            match action {
                Action::Log(line) => {
                    let found = line.fields.iter().find(|(key, _)| key == "cause");
                    cause = found.map(|(_, value)| (line.text.clone(), value.clone()));
                }
                Action::Emit(event) => {
                    let Some(nic) = &event.interface else { continue };
                    let what = match &cause {
                        Some((text, why)) if *text == event.message => format!("{text}: {why}"),
                        _ => event.message.clone(),
                    };
                    self.add(now, nic, what);
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, now: Time, nic: &str, what: String) {
        if self.0.len() >= NICS && !self.0.contains_key(nic) {
            let oldest = self.0.iter().min_by_key(|(_, list)| list.back().map(|(at, _)| *at));
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.0.remove(&name);
            }
        }
        let list = self.0.entry(nic.to_string()).or_default();
        if list.len() == PER_NIC {
            list.pop_front();
        }
        list.push_back((now, what));
    }

    /// The happenings of a NIC, oldest first.
    pub(super) fn of(&self, nic: &str, now: Time) -> Vec<Change> {
        let ago = |at: Time| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        let list = self.0.get(nic).into_iter().flatten();
        list.map(|(at, what)| Change { ago_ms: ago(*at), what: what.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{self, About};

    #[test]
    fn keeps_the_last_ones_and_the_cause() {
        let mut chronicle = Chronicle::default();
        for second in 0..100u64 {
            let message = diag::nic_failure(About { nic: Some("eth0"), group: None }, "link down");
            let actions = [Action::Log(message.line), Action::Emit(message.event.expect("it has one"))];
            chronicle.note(Time(second * 1_000_000_000), &actions);
        }
        let told = chronicle.of("eth0", Time(100_000_000_000));
        assert_eq!(told.len(), PER_NIC);
        assert_eq!(told[PER_NIC - 1].what, "NIC failure detected on eth0: link down");
        assert_eq!(told[PER_NIC - 1].ago_ms, 1000);
        assert!(chronicle.of("eth1", Time(0)).is_empty());
        for n in 0..1000 {
            chronicle.add(Time(n), &format!("x{n}"), String::new());
        }
        assert_eq!(chronicle.0.len(), NICS);
    }
}
