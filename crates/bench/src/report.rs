//! The result of a scenario as data: measures and limits, and how traffic becomes measures. No text here.

use crate::machine::Machine;
use crate::stage::FAMILIES;
use crate::stats::ms;
use mpath_testkit::traffic;

/// A set of samples.
#[derive(Debug)]
pub(crate) struct Measure {
    /// Name in the JSON output, with the unit.
    pub(crate) key: String,
    /// Name in the table, with the unit.
    pub(crate) label: String,
    pub(crate) samples: Vec<f64>,
}

impl Measure {
    /// A set of samples, named.
    pub(crate) fn new(key: impl Into<String>, label: impl Into<String>, samples: Vec<f64>) -> Measure {
        Measure { key: key.into(), label: label.into(), samples }
    }
}

/// A limit and whether it held.
#[derive(Debug)]
pub(crate) struct Check {
    /// Name in the JSON output.
    pub(crate) key: &'static str,
    /// Name in the table.
    pub(crate) label: String,
    /// What came out: `30 of 30`.
    pub(crate) found: String,
    pub(crate) ok: bool,
}

/// What was measured under one setting.
#[derive(Debug)]
pub(crate) struct Case {
    /// Heading in the table.
    pub(crate) title: String,
    /// Settings by name and with unit, for the JSON output.
    pub(crate) settings: Vec<(&'static str, f64)>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) checks: Vec<Check>,
}

/// Everything that a scenario found.
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) runs: u32,
    pub(crate) seed: u64,
    /// The daemon's program.
    pub(crate) daemon: String,
    pub(crate) machine: Machine,
    /// Load averages after the measurement.
    pub(crate) load_after: String,
    pub(crate) cases: Vec<Case>,
}

impl Report {
    /// Whether every limit held.
    pub(crate) fn ok(&self) -> bool {
        self.cases.iter().flat_map(|case| &case.checks).all(|check| check.ok)
    }
}

/// What the client saw of one failure, IPv4 and IPv6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Longest gap around the fault, ms.
    pub(crate) gap: [f64; 2],
    /// Longest gap with nothing failing, ms.
    pub(crate) floor: [f64; 2],
    /// Packets lost around the fault.
    pub(crate) lost: [f64; 2],
}

impl Seen {
    /// From the windows with and without the fault.
    pub(crate) fn of(floor: &[traffic::Report; 2], fault: &[traffic::Report; 2]) -> Seen {
        Seen {
            gap: fault.each_ref().map(|r| ms(r.outage)),
            floor: floor.each_ref().map(|r| ms(r.outage)),
            lost: fault.each_ref().map(|r| r.lost as f64),
        }
    }

    /// The outage of a family: gap minus floor, ms. Where the machine's own gaps are longer there is nothing left.
    pub(crate) fn outage(&self, family: usize) -> f64 {
        (self.gap[family] - self.floor[family]).max(0.0)
    }

    /// The outage of the worse family.
    pub(crate) fn worse(&self) -> f64 {
        self.outage(0).max(self.outage(1))
    }

    /// Gap over floor, worse family.
    fn ratio(&self) -> f64 {
        let ratios = [0, 1].map(|f| self.gap[f] / self.floor[f].max(f64::MIN_POSITIVE));
        ratios[0].max(ratios[1])
    }
}

/// The measures of what the client saw of all failures.
pub(crate) fn client_measures(seen: &[Seen]) -> Vec<Measure> {
    let mut all = Vec::new();
    let mut add = |key: &str, label: &str, value: &dyn Fn(&Seen, usize) -> f64| {
        for (f, family) in FAMILIES.into_iter().enumerate() {
            let samples = seen.iter().map(|s| value(s, f)).collect();
            let (key, unit) = key.split_once('/').unwrap_or((key, ""));
            let key = format!("{key}_{}{unit}", family.to_lowercase());
            all.push(Measure::new(key, label.replace("{}", family), samples));
        }
    };
    add("gap/_ms", "longest gap {}, ms", &|s, f| s.gap[f]);
    add("floor/_ms", "floor {}, ms", &|s, f| s.floor[f]);
    add("outage/_ms", "outage {}, ms", &|s, f| s.outage(f));
    add("lost", "packets lost {}", &|s, f| s.lost[f]);
    let worse = seen.iter().map(Seen::worse).collect();
    all.push(Measure::new("outage_ms", "outage, worse family, ms", worse));
    let ratio = seen.iter().map(Seen::ratio).collect();
    all.push(Measure::new("gap_to_floor", "gap : floor, worse family", ratio));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen { gap: [4.0, 1.0], floor: [1.0, 2.0], lost: [3.0, 0.0] };

    #[test]
    fn the_floor_is_taken_off_but_nothing_below_it() {
        assert_eq!(SEEN.outage(0), 3.0);
        assert_eq!(SEEN.outage(1), 0.0);
        assert_eq!(SEEN.worse(), 3.0);
        assert_eq!(SEEN.ratio(), 4.0);
    }

    #[test]
    fn every_measure_has_a_sample_of_every_failure() {
        let all = client_measures(&[SEEN, SEEN]);
        let keys: Vec<&str> = all.iter().map(|m| m.key.as_str()).collect();
        let expected = [
            "gap_ipv4_ms",
            "gap_ipv6_ms",
            "floor_ipv4_ms",
            "floor_ipv6_ms",
            "outage_ipv4_ms",
            "outage_ipv6_ms",
            "lost_ipv4",
            "lost_ipv6",
            "outage_ms",
            "gap_to_floor",
        ];
        assert_eq!(keys, expected);
        assert!(all.iter().all(|m| m.samples.len() == 2));
    }
}
