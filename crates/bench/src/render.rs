//! The report as an aligned table for people and as JSON for programs.

use crate::report::{Case, Check, Measure, Report};
use crate::stats::Summary;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The table.
pub(crate) fn text(report: &Report) -> String {
    let machine = &report.machine;
    let mut out = format!(
        "mpath-bench {}: {} runs, seed {}, {}\nLinux {}, {} x {}, load {} before, {} after\n",
        report.scenario,
        report.runs,
        report.seed,
        report.daemon,
        machine.kernel,
        machine.processors,
        machine.processor,
        machine.load_before,
        report.load_after,
    );
    for case in &report.cases {
        table(&mut out, case);
    }
    out
}

fn table(out: &mut String, case: &Case) {
    let measures = case.measures.iter().map(|m| m.label.len());
    let width = measures.chain(case.checks.iter().map(|c| c.label.len())).max().unwrap_or(0);
    let _ = writeln!(out, "\n{}", case.title);
    let _ = writeln!(
        out,
        "  {:width$} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "min", "p50", "p95", "p99", "max"
    );
    for Measure { label, samples, .. } in &case.measures {
        let _ = write!(out, "  {label:width$}");
        if let Some(s) = Summary::of(samples) {
            let whole = samples.iter().all(|v| v.fract() == 0.0);
            let digits = if whole { 0 } else { 2 };
            for value in [s.min, s.p50, s.p95, s.p99, s.max] {
                let _ = write!(out, " {value:>10.digits$}");
            }
        }
        out.push('\n');
    }
    for Check { label, found, ok, .. } in &case.checks {
        let _ = writeln!(out, "  {label:width$} {found:>10}  {}", if *ok { "ok" } else { "NOT OK" });
    }
}

/// The data, with every sample.
pub(crate) fn json(report: &Report) -> String {
    let machine = &report.machine;
    let value = json!({
        "scenario": report.scenario,
        "ok": report.ok(),
        "runs": report.runs,
        "seed": report.seed,
        "version": env!("CARGO_PKG_VERSION"),
        "daemon": report.daemon,
        "machine": {
            "kernel": machine.kernel,
            "processor": machine.processor,
            "processors": machine.processors,
            "load_before": machine.load_before,
            "load_after": report.load_after,
        },
        "cases": report.cases.iter().map(case_json).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn case_json(case: &Case) -> Value {
    let mut settings = Map::new();
    settings.extend(case.settings.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    let mut measures = Map::new();
    measures.extend(case.measures.iter().map(|m| (m.key.clone(), measure_json(m))));
    let mut checks = Map::new();
    let one = |c: &Check| (c.key.to_owned(), json!({ "ok": c.ok, "limit": c.label, "found": c.found }));
    checks.extend(case.checks.iter().map(one));
    json!({ "title": case.title, "settings": settings, "measures": measures, "checks": checks })
}

fn measure_json(measure: &Measure) -> Value {
    let s = Summary::of(&measure.samples);
    let of = |value: fn(&Summary) -> f64| s.as_ref().map(value);
    json!({
        "min": of(|s| s.min),
        "p50": of(|s| s.p50),
        "p95": of(|s| s.p95),
        "p99": of(|s| s.p99),
        "max": of(|s| s.max),
        "samples": measure.samples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn report(ok: bool) -> Report {
        let case = Case {
            title: "cable cut".to_owned(),
            settings: vec![("rate_hz", 1000.0)],
            measures: vec![
                Measure::new("outage_ms", "outage, ms", vec![1.25, 3.5]),
                Measure::new("lost_ipv4", "packets lost IPv4", vec![1.0, 12345.0]),
                Measure::new("none_ms", "none", vec![]),
            ],
            checks: vec![Check {
                key: "outage_p50",
                label: "outage p50 under 5 ms".to_owned(),
                found: "1.25 ms".to_owned(),
                ok,
            }],
        };
        Report {
            scenario: "link",
            runs: 2,
            seed: 1,
            daemon: "mpathd".to_owned(),
            machine: Machine::look(),
            load_after: "0.1 0.2 0.3".to_owned(),
            cases: vec![case],
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = text(&report(true));
        let lines: Vec<&str> = text.lines().collect();
        let head = lines.iter().position(|line| line.trim_start().starts_with("min")).unwrap();
        assert_eq!(lines[head].len(), lines[head + 1].len(), "{text}");
        assert_eq!(lines[head].len(), lines[head + 2].len(), "{text}");
        assert!(text.contains("1.25 ms  ok"), "{text}");
    }

    #[test]
    fn a_missed_limit_shows_everywhere() {
        assert!(report(true).ok());
        let bad = report(false);
        assert!(!bad.ok());
        assert!(text(&bad).contains("NOT OK"));
        let value: Value = serde_json::from_str(&json(&bad)).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["cases"][0]["checks"]["outage_p50"]["ok"], false);
    }

    #[test]
    fn json_has_every_sample() {
        let value: Value = serde_json::from_str(&json(&report(true))).unwrap();
        let measures = &value["cases"][0]["measures"];
        assert_eq!(measures["outage_ms"]["samples"], json!([1.25, 3.5]));
        assert_eq!(measures["outage_ms"]["p50"], 1.25);
        assert_eq!(measures["none_ms"]["max"], Value::Null);
        assert_eq!(value["cases"][0]["settings"]["rate_hz"], 1000.0);
    }
}
