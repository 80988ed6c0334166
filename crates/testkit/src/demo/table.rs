//! The result: an aligned table for people, JSON for programs.

use super::Options;
use super::figures::{ClientFigures, Figures, Floor, ms};
use serde_json::{Value, json};
use std::fmt::Write;

/// The table for people.
pub(super) fn text(floor: &Floor, figures: &[Figures]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<14} {:^40} {:>9} {:>9} {:>9}",
        "", "longest outage in ms, by client", "packets", "TCP", "limit"
    );
    let _ = writeln!(
        out,
        "{:<14} {:>10}{:>10}{:>10}{:>10} {:>9} {:>9} {:>9}",
        "act", "near v4", "near v6", "far v4", "far v6", "lost", "survived", "ms"
    );
    for act in figures {
        let _ = write!(out, "{:<14} ", act.act);
        for client in &act.clients {
            let _ = write!(out, "{:>10.1}", ms(client.report.outage));
        }
        let _ = writeln!(
            out,
            " {:>9} {:>9} {:>9.0}{}",
            act.lost(),
            if act.tcp_survived { "yes" } else { "NO" },
            ms(act.limit),
            if act.ok() { "" } else { "  NOT OK" },
        );
    }
    let longest = ms(floor.outage);
    let _ = writeln!(out, "{:<14} {longest:>10.1}{:>30} {:>9}", "(no fault)", "", floor.lost);
    for act in figures {
        if let Some(problem) = &act.problem {
            let _ = writeln!(out, "{}: {problem}", act.act);
        }
    }
    out
}

/// The table for programs.
pub(super) fn json(options: &Options, floor: &Floor, figures: &[Figures], ok: bool) -> Value {
    json!({
        "ok": ok,
        "sabotage": options.sabotage,
        "failure_detection_time_ms": u64::try_from(options.failure_detection_time.as_millis()).unwrap_or(u64::MAX),
        "floor": { "outage_ms": round(ms(floor.outage)), "lost": floor.lost },
        "acts": figures.iter().map(act).collect::<Vec<_>>(),
    })
}

fn act(figures: &Figures) -> Value {
    json!({
        "act": figures.act,
        "ok": figures.ok(),
        "outage_ms": round(ms(figures.outage())),
        "limit_ms": round(ms(figures.limit)),
        "lost": figures.lost(),
        "sent": figures.sent(),
        "tcp_survived": figures.tcp_survived,
        "tcp_stall_ms": round(ms(figures.stall())),
        "problem": figures.problem,
        "clients": figures.clients.iter().map(client).collect::<Vec<_>>(),
    })
}

fn client(figures: &ClientFigures) -> Value {
    json!({
        "client": figures.client,
        "family": figures.family,
        "outage_ms": round(ms(figures.report.outage)),
        "sent": figures.report.sent,
        "lost": figures.report.lost,
        "duplicates": figures.report.duplicates,
    })
}

/// Microseconds are noise.
fn round(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Report;
    use std::time::{Duration, Instant};

    fn figures(outage: u64, survived: bool) -> Figures {
        let report = Report {
            sent: 1000,
            received: 990,
            lost: 10,
            duplicates: 0,
            outage: Duration::from_millis(outage),
            at: Instant::now(),
        };
        let client = |client, family| ClientFigures { client, family, report };
        Figures {
            act: "cable cut",
            limit: Duration::from_millis(500),
            clients: vec![
                client("near", "IPv4"),
                client("near", "IPv6"),
                client("far", "IPv4"),
                client("far", "IPv6"),
            ],
            transfers: Vec::new(),
            tcp_survived: survived,
            problem: None,
        }
    }

    fn floor() -> Floor {
        Floor { outage: Duration::from_micros(1300), lost: 0 }
    }

    #[test]
    fn what_is_not_as_it_should_be_shows() {
        assert!(figures(4, true).ok());
        assert!(!figures(501, true).ok());
        assert!(!figures(4, false).ok());
        let mut silent = figures(4, true);
        silent.clients[2].report.received = 0;
        assert!(!silent.ok(), "no packets are no success");
        let text = text(&floor(), &[figures(4, true), figures(501, true)]);
        let marked: Vec<bool> =
            text.lines().filter(|l| l.starts_with("cable cut")).map(|l| l.contains("NOT OK")).collect();
        assert_eq!(marked, [false, true]);
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = text(&floor(), &[figures(4, true), figures(12345, false)]);
        let ends: Vec<usize> = text.lines().skip(1).map(|l| l.trim_end_matches("  NOT OK").len()).collect();
        assert_eq!(ends[0], ends[1], "{text}");
        assert_eq!(ends[1], ends[2], "{text}");
    }

    #[test]
    fn json_has_a_row_for_each_act() {
        let value = json(&Options::default(), &floor(), &[figures(4, true)], true);
        assert_eq!(value["acts"][0]["outage_ms"], 4.0);
        assert_eq!(value["acts"][0]["lost"], 40);
        assert_eq!(value["acts"][0]["tcp_survived"], true);
        assert_eq!(value["floor"]["outage_ms"], 1.3);
    }
}
