//! The report as plots, one file for each case: every sample of every measure as a dot on a logarithmic axis, in the unit that its
//! label ends in, with lines at p50 and p99.

use crate::report::{Case, Measure, Report};
use crate::stats::Summary;
use std::fmt::Write;
use std::path::Path;

/// Length of the axis, and what is left free beside everything.
const AXIS: f64 = 600.0;
const MARGIN: f64 = 20.0;
/// Room for a letter of a label: sans-serif at 12 has narrower ones on average.
const LETTER: f64 = 6.5;
const TOP: f64 = 76.0;
const ROW: f64 = 30.0;
/// Samples that are drawn of one measure at most.
const DOTS: usize = 2000;

/// Writes `SCENARIO-N.svg` for each case, 1 and up.
pub(crate) fn write(report: &Report, dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (n, case) in report.cases.iter().enumerate() {
        let path = dir.join(format!("{}-{}.svg", report.scenario, n + 1));
        std::fs::write(path, plot(report, case))?;
    }
    Ok(())
}

fn plot(report: &Report, case: &Case) -> String {
    let drawn: Vec<&Measure> = case.measures.iter().filter(|m| !m.samples.is_empty()).collect();
    let positive = || drawn.iter().flat_map(|m| &m.samples).copied().filter(|v| *v > 0.0);
    let least = positive().fold(f64::INFINITY, f64::min).log10().floor();
    let most = positive().fold(0.0, f64::max).log10().ceil();
    let (least, most) = if least.is_finite() { (least, most.max(least + 1.0)) } else { (0.0, 1.0) };
    // The labels stand to the left of the axis.
    let longest = drawn.iter().map(|m| m.label.chars().count()).max().unwrap_or(0);
    let begin = longest as f64 * LETTER + 2.0 * MARGIN;
    let x = |v: f64| {
        let part = (v.max(f64::MIN_POSITIVE).log10() - least) / (most - least);
        begin + part.clamp(0.0, 1.0) * AXIS
    };
    let bottom = TOP + ROW * drawn.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"12\" y=\"22\" font-size=\"15\">{}</text>\n\
         <text x=\"12\" y=\"40\" fill=\"gray\">mpath-bench {}, Linux {}, {}, load {}</text>\n\
         <text x=\"12\" y=\"58\" fill=\"gray\">a dot for each sample, 0 at the left end; <tspan fill=\"black\">p50</tspan>, \
         <tspan fill=\"firebrick\">p99</tspan></text>\n",
        begin + AXIS + 2.0 * MARGIN,
        bottom + 36.0,
        escape(&case.title),
        report.scenario,
        escape(&report.machine.kernel),
        escape(&report.machine.processor),
        escape(&report.machine.load_before),
    );
    for decade in least as i32..=most as i32 {
        let (at, value) = (x(10f64.powi(decade)), 10f64.powi(decade));
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"lightgray\"/><text x=\"{at:.1}\" y=\"{}\" \
             text-anchor=\"middle\">{value}</text>",
            bottom + 18.0
        );
    }
    for (n, measure) in drawn.iter().enumerate() {
        row(&mut out, measure, TOP + ROW * (n as f64 + 0.5), &x);
    }
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, measure: &Measure, y: f64, x: &dyn Fn(f64) -> f64) {
    let _ = writeln!(out, "<text x=\"12\" y=\"{:.1}\">{}</text>", y + 4.0, escape(&measure.label));
    let step = measure.samples.len().div_ceil(DOTS).max(1);
    for (n, sample) in measure.samples.iter().enumerate().step_by(step) {
        // Beside each other, so that equal ones are seen.
        let up = (n * 7 % 15) as f64 - 7.0;
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"steelblue\" fill-opacity=\"0.5\"/>",
            x(*sample),
            y + up
        );
    }
    let Some(summary) = Summary::of(&measure.samples) else { return };
    for (value, colour) in [(summary.p50, "black"), (summary.p99, "firebrick")] {
        let at = x(value);
        let _ =
            writeln!(out, "<path d=\"M{at:.1} {}v20\" stroke=\"{colour}\" stroke-width=\"2\"/>", y - 10.0);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_samples_and_zero() {
        let measure = |label: &str, samples: &[f64]| Measure::new("m", label, samples.to_vec());
        let case = Case {
            title: "a < b".to_owned(),
            settings: Vec::new(),
            measures: vec![measure("first, ms", &[0.0, 0.4, 30.0]), measure("none", &[])],
            checks: Vec::new(),
        };
        let report = Report {
            scenario: "link",
            runs: 3,
            seed: 1,
            daemon: "mpathd".to_owned(),
            machine: crate::machine::Machine::look(),
            load_after: String::new(),
            cases: Vec::new(),
        };
        let text = plot(&report, &case);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("a &lt; b") && text.contains(">0.1<") && text.contains(">100<"), "{text}");
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
