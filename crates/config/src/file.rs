//! The text of a `mpathd.toml` walked from top to bottom. Each table has
//! its module: it reads values and collects errors; what contradicts what is found in `check`.

mod address;
mod carp;
mod check;
mod daemon;
mod detection;
mod group;
mod lagg;
mod reader;

use crate::defaults::Defaults;
use crate::problem::Problem;
use crate::{Notice, suggest};
use mpath_model::Settings;
use mpath_model::settings::Daemon;
use reader::{Cx, Span, Table};
use toml::de::DeTable;

const KEYS: &[&str] = &["daemon", "detection", "group", "lagg", "carp"];

/// Every table with its keys, to tell where a misplaced key belongs.
const TABLES: [(&str, &[&str]); 7] = [
    ("[daemon]", daemon::KEYS),
    ("[detection]", detection::KEYS),
    ("[[group]]", group::KEYS),
    ("[[group.interface]]", group::INTERFACE_KEYS),
    ("[[group.address]]", group::ADDRESS_KEYS),
    ("[[lagg]]", lagg::KEYS),
    ("[[carp]]", carp::KEYS),
];

/// The settings where there is no `mpathd.toml`.
pub(crate) fn defaults_only(defaults: &Defaults) -> Settings {
    Settings { detection: detection::from_defaults(defaults), ..Settings::default() }
}

/// The meaning of `text` and what is to be logged about it, or every error in the order of the file, and how
/// many there are beyond those.
pub(crate) fn read(
    text: &str,
    file: &str,
    defaults: &Defaults,
    alone: bool,
) -> Result<(Settings, Vec<Notice>), (Vec<Problem>, usize)> {
    let mut cx = Cx::new(file, text);
    cx.alone = alone;
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut misread = false;
    for error in &errors {
        misread |= syntax_error(&mut cx, text, error);
    }
    let mut settings = Settings::default();
    // What the parser made of a text that it could not read would only give errors about errors.
    if !misread {
        let syntax = cx.problems.len();
        settings = document(&mut cx, root.get_ref(), root.span(), defaults);
        // The same goes for a line that it could not read.
        let found = cx.problems.split_off(syntax);
        let lines: Vec<_> = cx.problems.iter().map(|p| p.line).collect();
        cx.problems.extend(found.into_iter().filter(|p| !lines.contains(&p.line)));
    }
    if cx.problems.is_empty() {
        Ok((settings, cx.notices))
    } else {
        cx.problems.sort_by_key(Problem::position);
        Err((cx.problems, cx.dropped))
    }
}

/// Reports an error of the TOML parser. False if the rest of the document is still to be trusted.
fn syntax_error(cx: &mut Cx<'_>, text: &str, error: &toml::de::Error) -> bool {
    let span = error.span().unwrap_or(text.len()..text.len());
    let message = error.message();
    if message == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        cx.error(span, format!("duplicate key `{key}`"));
        return false;
    }
    let of_value = ["string values must be quoted", "invalid float", "invalid integer", "invalid datetime"];
    let of_value = of_value.iter().any(|start| message.starts_with(start));
    let help = bare_value(text, span.start).filter(|_| of_value).map(|value| match value {
        "yes" | "on" => "write true".to_owned(),
        "no" | "off" => "write false".to_owned(),
        other => format!("write \"{other}\", in quotes"),
    });
    let problem = cx.error(span, format!("not TOML: {message}"));
    if let Some(help) = help {
        problem.help(help);
    }
    !of_value
}

/// The value on the line of a byte, if it stands there without quotes and brackets.
fn bare_value(text: &str, at: usize) -> Option<&str> {
    let (before, behind) = text.split_at_checked(at)?;
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let end = behind.find('\n').map_or(text.len(), |n| at + n);
    let (_, value) = text[start..end].split_once('=')?;
    let value = value.split('#').next().unwrap_or_default().trim();
    (!value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', ',', '='])).then_some(value)
}

fn document(cx: &mut Cx<'_>, root: &DeTable<'_>, span: Span, defaults: &Defaults) -> Settings {
    let root = Table::new(cx, root, span, "the file", KEYS);
    let daemon = match root.table(cx, "daemon", "[daemon]", daemon::KEYS) {
        Some(table) => daemon::read(cx, &table),
        None => Daemon::default(),
    };
    let detection_table = root.table(cx, "detection", "[detection]", detection::KEYS);
    let detection = match &detection_table {
        Some(table) => detection::read(cx, table, defaults),
        None => detection::from_defaults(defaults),
    };
    let tables = root.tables(cx, "group", "[[group]]", group::KEYS);
    let drafts: Vec<_> = tables.iter().map(|table| group::read(cx, table)).collect();
    check::all(cx, &drafts);
    let tables = root.tables(cx, "lagg", "[[lagg]]", lagg::KEYS);
    let laggs: Vec<_> = tables.iter().map(|table| lagg::read(cx, table)).collect();
    lagg::check(cx, &laggs, &drafts);
    let tables = root.tables(cx, "carp", "[[carp]]", carp::KEYS);
    let carps: Vec<_> = tables.iter().map(|table| carp::read(cx, table)).collect();
    carp::check(cx, &carps, &drafts, &laggs);
    let carps = carps.into_iter().filter_map(carp::Draft::finish).collect();
    detection::note_overruled_by_groups(cx, detection_table.as_ref(), &drafts, defaults);
    let groups = drafts.into_iter().map(|draft| draft.finish(&detection)).collect();
    let laggs = laggs.into_iter().map(|draft| draft.finish(&detection)).collect();
    Settings { daemon, detection, groups, laggs, carps }
}

/// Reports a key that its table does not have.
fn unknown_key(cx: &mut Cx<'_>, key: &str, span: Span, table: &str, known: &[&str]) {
    let elsewhere: Vec<&str> =
        TABLES.iter().filter(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name).collect();
    let help = if let Some(near) = suggest::nearest(key, known.iter().copied()) {
        format!("did you mean `{near}`?")
    } else if !elsewhere.is_empty() {
        format!("`{key}` belongs in {}", elsewhere.join(" or "))
    } else {
        format!("known here: {}", known.join(", "))
    };
    cx.error(span, format!("unknown key `{key}` in {table}")).help(help);
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod man;
