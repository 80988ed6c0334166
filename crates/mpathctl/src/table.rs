//! Aligned columns, and text broken to the width of a terminal.

use crate::output::Style;
use std::sync::OnceLock;

/// Columns a line may have: 80, or fewer on a narrower terminal, but never fewer than 40.
pub(crate) fn width() -> usize {
    static WIDTH: OnceLock<usize> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let terminal = terminal_size::terminal_size_of(std::io::stdout());
        terminal.map_or(WIDEST, |(columns, _)| usize::from(columns.0).clamp(NARROWEST, WIDEST))
    })
}

const WIDEST: usize = 80;
const NARROWEST: usize = 40;

/// A cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// What it says.
    pub(crate) text: String,
    /// How it looks.
    pub(crate) style: Style,
}

/// A cell without style.
pub(crate) fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style: Style::Plain }
}

/// A cell with style.
pub(crate) fn styled(text: impl Into<String>, style: Style) -> Cell {
    Cell { text: text.into(), style }
}

/// Rows under a header, each column as wide as its widest cell, two blanks between columns. A row that
/// would be too long goes on in a second line after its first cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<Cell>], indent: &str, colour: bool) -> String {
    let header: Vec<Cell> = header.iter().map(|h| styled(*h, Style::Bold)).collect();
    let all = || std::iter::once(&header).chain(rows);
    let column = |n: usize| all().filter_map(|r| r.get(n)).map(|c| length(&c.text)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(column).collect();
    let total = indent.len() + widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    let mut out = String::new();
    for row in all() {
        out.push_str(indent);
        if total <= width() {
            line(&mut out, row, &widths, colour);
        } else if let Some((first, rest)) = row.split_first() {
            line(&mut out, std::slice::from_ref(first), &widths, colour);
            out.push_str(indent);
            out.push_str("    ");
            line(&mut out, rest, &widths[1..], colour);
        }
    }
    out
}

fn line(out: &mut String, cells: &[Cell], widths: &[usize], colour: bool) {
    for (n, cell) in cells.iter().enumerate() {
        out.push_str(&cell.style.paint(&cell.text, colour));
        if cells[n + 1..].iter().any(|c| !c.text.is_empty()) {
            let blanks = widths[n].saturating_sub(length(&cell.text)) + 2;
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    }
    out.push('\n');
}

/// As many of `items` as fit into `width`, and how many more there are; none if not even one fits.
pub(crate) fn fit(items: &[String], width: usize) -> Option<String> {
    if items.is_empty() {
        return Some(String::new());
    }
    (1..=items.len()).rev().find_map(|shown| {
        let mut text = items[..shown].join(" ");
        if shown < items.len() {
            text.push_str(&format!(" +{}", items.len() - shown));
        }
        (length(&text) <= width).then_some(text)
    })
}

/// `text` indented by `indent`, broken at blanks so that it fits, later lines indented by `hang` more.
pub(crate) fn wrap(text: &str, indent: &str, hang: &str) -> String {
    paragraph(indent, text, &format!("{indent}{hang}"))
}

/// `text` behind `lead`, broken at blanks so that it fits, later lines behind `hang`.
pub(crate) fn paragraph(lead: &str, text: &str, hang: &str) -> String {
    let mut lines = vec![lead.to_owned()];
    for (n, word) in text.split(' ').enumerate() {
        let line = lines.last_mut().expect("there is a first line");
        if n > 0 && length(line) + 1 + length(word) > width() {
            lines.push(format!("{hang}{word}"));
        } else {
            line.push_str(if n > 0 { " " } else { "" });
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_text_fits_and_loses_nothing() {
        let text = "word ".repeat(60);
        let wrapped = wrap(text.trim_end(), "  ", "    ");
        assert!(wrapped.lines().all(|l| l.len() <= width()));
        assert!(wrapped.lines().skip(1).all(|l| l.starts_with("      word")));
        assert_eq!(wrapped.split_whitespace().count(), 60);
        assert_eq!(wrap("short", " ", "  "), " short\n");
    }

    #[test]
    fn lists_are_cut_to_fit_and_say_so() {
        let items: Vec<String> = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(str::to_owned).to_vec();
        let fit = |width| fit(&items, width);
        assert_eq!(fit(40).as_deref(), Some("192.0.2.1 192.0.2.2 192.0.2.3"));
        assert_eq!(fit(22).as_deref(), Some("192.0.2.1 192.0.2.2 +1"));
        assert_eq!(fit(12).as_deref(), Some("192.0.2.1 +2"));
        assert_eq!(fit(11), None);
    }
}
