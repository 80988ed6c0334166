//! `ipmpstat -p`: a line for each probe that was answered or lost, for ever. The daemon remembers the last 52 probes of
//! each family; they are asked for often enough that none is missed.

use super::columns::Format;
use super::hosts::Names;
use super::{Trouble, connect, contact};
use crate::output;
use mpath_model::explain::{Evidence, Explanation, ProbeRecord};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bounds of the pause between two questions.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// On a terminal, the header comes again after so many lines.
const SCREEN: usize = 23;

pub(super) fn run(socket: &Path, format: &Format, names: &Names) -> Result<(), Trouble> {
    let mut client = connect(socket).map_err(contact)?;
    let start = Instant::now();
    let mut told = Told::default();
    let mut lines = 0;
    loop {
        let list = client.explain(None).map_err(contact)?;
        let instances = list.iter().flat_map(|e| &e.instances);
        let Some(interval) = instances.map(|i| i.interval_us).min() else {
            return Err(Trouble::Say("ipmpstat: probe-based failure detection is disabled".to_owned()));
        };
        let now = start.elapsed().as_secs_f64();
        for row in told.news(&list, now, names) {
            if lines == 0 || (lines % SCREEN == 0 && std::io::stdout().is_terminal() && format.for_people()) {
                output::text(&format.header())?;
            }
            lines += 1;
            output::text(&format.row(&row))?;
        }
        std::thread::sleep(Duration::from_micros(interval).clamp(PAUSE.0, PAUSE.1));
    }
}

/// Which probes have been told of: of each family of each NIC, the number of the last one.
#[derive(Debug, Default)]
struct Told(HashMap<(String, String), u64>);

impl Told {
    /// The rows of probes decided since the last time, in the order in which they were sent.
    fn news(&mut self, list: &[Explanation], now: f64, names: &Names) -> Vec<Vec<String>> {
        let first = self.0.is_empty();
        let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
        for e in list {
            for i in &e.instances {
                let told = self.0.entry((e.interface.clone(), i.family.to_string())).or_default();
                // What was decided before anybody asked is not told.
                if first {
                    *told = i.probes.iter().filter(|p| decided(p)).map(|p| p.number).max().unwrap_or(0);
                    continue;
                }
                // The numbers begin anew when the family is probed anew.
                if i.sent < *told {
                    *told = 0;
                }
                let last = *told;
                for p in i.probes.iter().filter(|p| p.number > last).take_while(|p| decided(p)) {
                    *told = p.number;
                    let at = now - p.ago_us as f64 / 1e6;
                    rows.push((at, row(&e.interface, i, p, at, names)));
                }
            }
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn decided(p: &ProbeRecord) -> bool {
    p.lost || p.rtt_us.is_some()
}

fn row(interface: &str, i: &Evidence, p: &ProbeRecord, at: f64, names: &Names) -> Vec<String> {
    let ms = |us: Option<u64>| us.map_or(String::new(), |us| format!("{:.2}ms", us as f64 / 1e3));
    let target = i.targets.iter().find(|t| Some(t.address) == p.target);
    vec![
        format!("{at:.2}s"),
        interface.to_owned(),
        format!("{}{}", if i.family == mpath_model::Family::Inet { "i" } else { "i6" }, p.number),
        ms(p.rtt_us),
        ms(p.rtt_us),
        ms(target.and_then(|t| t.rtt_us)),
        p.target.map_or(String::new(), |t| names.name(&t)),
        ms(target.and_then(|t| t.deviation_us)),
    ]
}
