//! The rows of a table and the rule by which they are compared. No measuring here.

use crate::report::{Case, Check, Measure};
use crate::stats::Summary;

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Of mpathd.
    Ours,
    /// To be compared with mpathd's.
    Peer,
    /// Shown only: mpathd has no such setting.
    Beside,
}

/// What came of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// A figure of each run.
    Samples(Vec<f64>),
    /// The kernel has no such thing.
    NotInKernel(&'static str),
    /// A program is missing, and this Debian package has it.
    NotInstalled(&'static str),
    /// It could not be measured; why, has been told.
    Broken,
}

/// One program with one setting.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Name in the JSON output, its own within the table.
    pub(super) key: &'static str,
    /// Name in the table, with the setting.
    pub(super) label: String,
    pub(super) part: Part,
    pub(super) outcome: Outcome,
}

/// What is compared.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) settings: Vec<(&'static str, f64)>,
    /// Unit of the figures, as in keys: `ms`, or `moves`.
    pub(super) unit: &'static str,
    /// Longest gaps of the same traffic with nothing failing: below them nobody can be told from another. Empty where
    /// things are counted.
    pub(super) floor: Vec<f64>,
    pub(super) rows: Vec<Row>,
    /// Every peer has to be there.
    pub(super) strict: bool,
}

impl Table {
    /// The figures, and a check for each peer.
    pub(super) fn case(self) -> Case {
        let slack = Summary::of(&self.floor).map_or(0.0, |s| s.p50);
        let ours = self.rows.iter().filter(|r| r.part == Part::Ours).map(Row::median);
        let ours = ours.flatten().fold(None, |worst: Option<f64>, m| Some(worst.map_or(m, |w| w.max(m))));
        let checks = self.rows.iter().filter_map(|row| self.check(row, ours, slack)).collect();
        let mut measures: Vec<Measure> = self.rows.iter().map(|row| row.measure(self.unit)).collect();
        if !self.floor.is_empty() {
            measures.push(Measure::new(format!("floor_{}", self.unit), "nothing fails", self.floor));
        }
        Case { title: self.title, settings: self.settings, measures, checks }
    }

    fn check(&self, row: &Row, ours: Option<f64>, slack: f64) -> Option<Check> {
        let (key, label) = (row.key, &row.label);
        if let Outcome::NotInstalled(package) = row.outcome {
            let label = format!("the package {package} is installed");
            return self.strict.then(|| Check { key, label, found: "no".to_owned(), ok: false });
        }
        if row.outcome == Outcome::Broken && row.part != Part::Beside {
            let label = format!("{label} can be measured");
            return Some(Check { key, label, found: "no".to_owned(), ok: false });
        }
        let theirs = row.median().filter(|_| row.part == Part::Peer)?;
        let ours = ours.unwrap_or(f64::INFINITY);
        let what = if self.floor.is_empty() { "as few as" } else { "as fast as" };
        Some(Check {
            key,
            label: format!("{what} {label}"),
            found: format!("{ours:.1} to {theirs:.1}"),
            ok: ours <= theirs + slack,
        })
    }
}

impl Row {
    fn median(&self) -> Option<f64> {
        match &self.outcome {
            Outcome::Samples(samples) => Summary::of(samples).map(|s| s.p50),
            _ => None,
        }
    }

    fn measure(&self, unit: &str) -> Measure {
        let (label, samples) = match &self.outcome {
            Outcome::Samples(samples) => (self.label.clone(), samples.clone()),
            Outcome::NotInKernel(what) => (format!("{}: this kernel has no {what}", self.label), Vec::new()),
            Outcome::NotInstalled(package) => {
                (format!("{}: not installed: apt-get install {package}", self.label), Vec::new())
            }
            Outcome::Broken => (format!("{}: it does not work here", self.label), Vec::new()),
        };
        Measure::new(format!("{}_{unit}", self.key), label, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &'static str, part: Part, outcome: Outcome) -> Row {
        Row { key, label: key.to_owned(), part, outcome }
    }

    fn table(strict: bool, rows: Vec<Row>) -> Case {
        let floor = vec![2.0, 5.0, 90.0];
        Table { title: String::new(), settings: Vec::new(), unit: "ms", floor, rows, strict }.case()
    }

    fn samples(value: f64) -> Outcome {
        Outcome::Samples(vec![value, value - 1.0, value + 100.0])
    }

    #[test]
    fn the_slowest_of_ours_against_each_of_theirs_with_the_floor_in_hand() {
        let rows = || {
            vec![
                row("fast", Part::Ours, samples(1.0)),
                row("slow", Part::Ours, samples(20.0)),
                row("equal", Part::Peer, samples(15.0)),
                row("faster", Part::Peer, samples(14.9)),
                row("shown", Part::Beside, samples(3.0)),
            ]
        };
        let case = table(false, rows());
        let verdicts: Vec<_> = case.checks.iter().map(|c| (c.key, c.ok)).collect();
        assert_eq!(verdicts, [("equal", true), ("faster", false)]);
        assert_eq!(case.measures.len(), 6);
        assert_eq!(case.measures[5].key, "floor_ms");
    }

    #[test]
    fn who_is_missing_is_told_and_fails_where_everybody_has_to_be_there() {
        let rows = || {
            vec![
                row("ours", Part::Ours, samples(1.0)),
                row("a", Part::Peer, Outcome::NotInstalled("keepalived")),
                row("b", Part::Peer, Outcome::NotInKernel("team driver")),
            ]
        };
        let case = table(false, rows());
        assert!(case.checks.is_empty());
        assert_eq!(case.measures[1].label, "a: not installed: apt-get install keepalived");
        assert_eq!(case.measures[2].label, "b: this kernel has no team driver");
        let verdicts: Vec<_> = table(true, rows()).checks.iter().map(|c| (c.key, c.ok)).collect();
        assert_eq!(verdicts, [("a", false)]);
    }

    #[test]
    fn who_does_not_work_fails_unless_he_is_only_shown() {
        let rows = [Part::Peer, Part::Beside].map(|part| row("a", part, Outcome::Broken));
        let checks = table(false, rows.into()).checks;
        assert_eq!(checks.len(), 1);
        assert!(!checks[0].ok);
    }

    #[test]
    fn without_a_figure_of_ours_nothing_is_as_fast() {
        let rows = vec![row("a", Part::Peer, samples(1.0))];
        assert!(!table(false, rows).checks[0].ok);
    }

    #[test]
    fn counts_have_no_floor() {
        let rows = |ours: f64| {
            vec![
                row("ours", Part::Ours, Outcome::Samples(vec![ours])),
                row("a", Part::Peer, Outcome::Samples(vec![3.0])),
            ]
        };
        let table = |ours| Table {
            title: String::new(),
            settings: Vec::new(),
            unit: "moves",
            floor: Vec::new(),
            rows: rows(ours),
            strict: false,
        };
        assert!(table(3.0).case().checks[0].ok);
        assert!(!table(4.0).case().checks[0].ok);
    }
}
