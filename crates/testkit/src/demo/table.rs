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
