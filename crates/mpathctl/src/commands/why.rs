//! `mpathctl why IF`: the evidence behind the verdict on a NIC. The daemon knows it; here it is laid out.

use super::status::text::{link, state};
use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output::{self, Style};
use crate::table::{Cell, paragraph, plain, styled, table, wrap};
use mpath_model::explain::{Evidence, Explanation, TargetEvidence};
use mpath_model::status::{InterfaceState, TargetMode};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows which rule decided, the losses and round-trip times of every target, what happened to the NIC, and what \
would change the verdict. The marks of a target are its last probes, the newest at the right: . answered, \
x lost, ? still open.

Example:
  mpathctl why eth1")]
pub(crate) struct Args {
    /// Name of the NIC
    #[arg(value_name = "IF")]
    interface: String,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let list = super::connect(cli)?.explain(Some(&args.interface))?;
    if cli.json {
        output::json(&list.first())?;
    } else {
        let colour = output::colour();
        let text: Vec<String> = list.iter().map(|e| render(e, colour)).collect();
        output::text(&text.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn render(e: &Explanation, colour: bool) -> String {
    let paint = |cell: Cell| cell.style.paint(&cell.text, colour);
    let group = e.group.as_ref().map_or(String::new(), |g| format!(" of group {g}"));
    let verdict = paint(match e.state {
        InterfaceState::Unknown => styled("absent", Style::Warn),
        other => state(other),
    });
    let mut out = format!("{}{group}: {verdict}, link {}\n", e.interface, paint(link(e.link)));
    out.push_str(&paragraph("  because ", &e.reason, "    "));
    for remedy in &e.remedy {
        out.push_str(&paragraph("  to repair: ", remedy, "    "));
    }
    for problem in &e.problems {
        let text = paragraph("  problem: ", problem, "    ");
        out.push_str(&text.replacen("problem:", &Style::Bad.paint("problem:", colour), 1));
    }
    for instance in &e.instances {
        out.push('\n');
        out.push_str(&family(instance, colour));
    }
    if !e.history.is_empty() {
        out.push_str("\n  what happened:\n");
        for change in &e.history {
            out.push_str(&paragraph(
                &format!("    {:>10} ago  ", ago(change.ago_ms)),
                &change.what,
                &" ".repeat(20),
            ));
        }
    }
    out
}

fn family(i: &Evidence, colour: bool) -> String {
    let source = i.source.map_or("no address of its own".to_owned(), |a| a.to_string());
    let method = format!("{:?}", i.method).to_lowercase();
    let mut text = format!(
        "{} by {method} from {source}, every {}: {} sent, {} answered",
        i.family,
        duration(i.interval_us),
        i.sent,
        i.answered
    );
    if i.refused > 0 {
        text.push_str(&format!(", {} answers refused", i.refused));
    }
    let mut out = wrap(&text, "  ", "  ");
    let mut state = format!("{} lost in a row, {} make it suspect", i.losses, i.losses_to_fail);
    state.push_str(&format!("; {} answered in a row, {} repair it", i.answers, i.answers_to_repair));
    if let Some(ms) = i.quiet_ms {
        state.push_str(&format!("; losses are not believed for another {}", duration(ms * 1000)));
    }
    out.push_str(&wrap(&state, "    ", ""));
    if let Some(errno) = i.send_error {
        let error = nix::errno::Errno::from_raw(errno);
        out.push_str(&wrap(&format!("the last probe could not be sent: {}", error.desc()), "    ", ""));
    }
    if i.targets.is_empty() {
        out.push_str("    nobody to ask\n");
        return out;
    }
    let found = match i.mode {
        TargetMode::Routes => "routers or named targets",
        _ => "neighbouring hosts",
    };
    out.push_str(&format!("    targets are {found}\n"));
    let rows: Vec<Vec<Cell>> = i.targets.iter().map(|t| row(i, t)).collect();
    out.push_str(&table(&["TARGET", "USE", "SENT", "LOST", "RTT", "+-", "PROBES"], &rows, "    ", colour));
    out
}

fn row(i: &Evidence, t: &TargetEvidence) -> Vec<Cell> {
    let time = |us: Option<u64>| us.map_or("-".to_owned(), duration);
    let lost = if t.lost > 0 { Style::Bad } else { Style::Plain };
    vec![
        plain(t.address.to_string()),
        plain(&t.standing),
        plain(t.sent.to_string()),
        styled(t.lost.to_string(), lost),
        plain(time(t.rtt_us)),
        plain(time(t.deviation_us)),
        plain(marks(i, t, 12)),
    ]
}

/// The last probes to a target, newest at the right.
pub(crate) fn marks(i: &Evidence, t: &TargetEvidence, most: usize) -> String {
    let mine: Vec<char> = i
        .probes
        .iter()
        .filter(|p| p.target == Some(t.address))
        .map(|p| match (p.rtt_us, p.lost) {
            (Some(_), _) => '.',
            (None, true) => 'x',
            (None, false) => '?',
        })
        .collect();
    mine[mine.len().saturating_sub(most)..].iter().collect()
}

/// Microseconds in a unit that suits them.
pub(crate) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// How long ago, in a unit that suits it.
fn ago(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
