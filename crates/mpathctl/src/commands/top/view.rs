//! How the full-screen view looks: NICs, the selected one in detail, addresses, events, keys. Whatever does not fit is cut.

use super::model::{Model, Question, sparkline};
use crate::commands::why::duration;
use mpath_model::explain::Explanation;
use mpath_model::status::{AddressState, GroupState, Interface, InterfaceState, LinkState, ProbeState};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

const GOOD: Style = Style::new().fg(Color::Green);
const WARN: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const PLAIN: Style = Style::new();

pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let rows = u16::try_from(model.nics().len()).unwrap_or(u16::MAX).saturating_add(2);
    let area = frame.area();
    let list = rows.min(area.height / 2).max(3);
    let events = (area.height / 5).clamp(3, 10);
    let [head, nics, detail, log, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(list),
        Constraint::Min(3),
        Constraint::Length(events),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header(model)), head);
    interfaces(frame, model, nics);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(detail);
    let lines = model.of_selected().map(|e| evidence(e, usize::from(left.width))).unwrap_or_default();
    boxed(frame, left, &format!(" {} ", model.selected.as_deref().unwrap_or("no NIC")), lines);
    boxed(frame, right, " addresses ", addresses(model));
    let room = usize::from(log.height.saturating_sub(2));
    let skip = model.events.len().saturating_sub(room);
    let lines = model.events.iter().skip(skip).map(|e| {
        let time = e.time.get(11..19).unwrap_or(&e.time);
        Line::raw(format!("{time}  {}", e.event.message))
    });
    boxed(frame, log, " events ", lines.collect());
    frame.render_widget(Paragraph::new(footer(model)), keys);
}

fn boxed(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>) {
    let block = Block::new().borders(Borders::ALL).title(title.to_owned());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn header(model: &Model) -> Line<'_> {
    let mut spans = vec![Span::raw(format!("mpathd {}", model.status.version))];
    for g in &model.status.groups {
        let (word, style) = match g.state {
            GroupState::Ok => ("ok", GOOD),
            GroupState::Degraded => ("degraded", WARN),
            GroupState::Failed => ("FAILED", BAD),
        };
        spans.push(Span::raw(format!("  {} ", g.name)));
        spans.push(Span::styled(word, style));
    }
    if model.status.frozen {
        spans.push(Span::styled("  FROZEN", BAD));
    }
    if model.status.unsaved {
        spans.push(Span::styled("  unsaved", WARN));
    }
    Line::from(spans)
}

fn footer(model: &Model) -> Line<'_> {
    match &model.question {
        Some((Question::Offline, nic)) => Line::styled(format!("take {nic} offline? y/n"), BAD),
        Some((Question::Online, nic)) => Line::styled(format!("put {nic} back online? y/n"), WARN),
        None if !model.message.is_empty() => Line::styled(model.message.as_str(), WARN),
        None => Line::raw("q quit  up/down select  o offline  n online"),
    }
}

/// The list, scrolled so that the selected NIC is on the screen.
fn interfaces(frame: &mut Frame<'_>, model: &mut Model, area: Rect) {
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let at = model.position();
    model.top = model.top.min(at).max((at + 1).saturating_sub(room));
    let count = model.nics().len();
    let names = model.nics().iter().map(|(_, i)| i.name.len()).max().unwrap_or(0);
    let lines: Vec<Line<'_>> = model
        .nics()
        .iter()
        .enumerate()
        .skip(model.top)
        .take(room)
        .map(|(n, (group, i))| {
            let line = row(group, i, names);
            if n == at { line.patch_style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
        })
        .collect();
    let title = if count > room {
        format!(" NICs {}-{} of {count} ", model.top + 1, (model.top + room).min(count))
    } else {
        " NICs ".to_owned()
    };
    boxed(frame, area, &title, lines);
}

fn row<'a>(group: &'a str, i: &'a Interface, names: usize) -> Line<'a> {
    let (state, style) = match i.state {
        InterfaceState::Ok => ("ok", GOOD),
        InterfaceState::Failed => ("FAILED", BAD),
        InterfaceState::Offline => ("offline", WARN),
        InterfaceState::Unknown => ("absent", WARN),
    };
    let (link, link_style) = match i.link {
        LinkState::Up => ("up", PLAIN),
        LinkState::Down => ("DOWN", BAD),
        LinkState::Unknown => ("-", PLAIN),
    };
    let (probe, probe_style) = match i.probe {
        ProbeState::Ok => ("ok", PLAIN),
        ProbeState::Failed => ("FAILED", BAD),
        ProbeState::Unknown => ("no target", WARN),
        ProbeState::Disabled => ("off", PLAIN),
    };
    let role = if i.active {
        "active"
    } else if i.standby {
        "standby"
    } else {
        ""
    };
    Line::from(vec![
        Span::raw(format!("{:<names$}  ", i.name)),
        Span::styled(format!("{state:<8}"), style),
        Span::styled(format!("{link:<5}"), link_style),
        Span::styled(format!("{probe:<10}"), probe_style),
        Span::raw(format!("{role:<8} {group}  {} addresses", i.addresses.len())),
    ])
}

fn evidence(e: &Explanation, width: usize) -> Vec<Line<'_>> {
    let mut lines = vec![Line::raw(e.reason.as_str())];
    lines.extend(e.problems.iter().map(|p| Line::styled(p.as_str(), BAD)));
    for i in &e.instances {
        lines.push(Line::raw(format!("{}: {} lost in a row of {}", i.family, i.losses, i.losses_to_fail)));
        for t in &i.targets {
            let rtt = t.rtt_us.map_or("-".to_owned(), duration);
            let text = format!("  {} {rtt} {}/{} lost ", t.address, t.lost, t.sent);
            let room = width.saturating_sub(text.chars().count() + 2);
            let style = if t.lost > 0 { WARN } else { GOOD };
            lines.push(Line::from(vec![Span::raw(text), Span::styled(sparkline(i, t, room), style)]));
        }
    }
    lines
}

fn addresses(model: &Model) -> Vec<Line<'_>> {
    let all = model.status.groups.iter().flat_map(|g| &g.addresses);
    let line = |a: &mpath_model::status::DataAddress| {
        let on = a.interface.clone().unwrap_or_else(|| "-".to_owned());
        let style = match a.state {
            AddressState::Down => BAD,
            AddressState::Up if a.interface.as_ref() != Some(&a.home) => WARN,
            AddressState::Up => PLAIN,
        };
        Line::styled(format!("{} on {on} (home {})", a.address, a.home), style)
    };
    all.map(line).collect()
}

#[cfg(test)]
mod tests;
