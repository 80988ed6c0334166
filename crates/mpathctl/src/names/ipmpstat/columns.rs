//! The columns of ipmpstat: for people, padded and cut to what fits 80 columns; for programs, with colons.

use super::Column;

/// Columns of a line for people.
const WIDTH: usize = 80;

/// Which columns are printed, and how.
#[derive(Debug)]
pub(super) struct Format {
    columns: Vec<(usize, Column)>,
    parsable: bool,
}

impl Format {
    /// All columns that fit, or those named: `all` or names separated by commas, in any case. The error is what to say.
    pub(super) fn new(known: &[Column], fields: Option<&str>, parsable: bool) -> Result<Format, String> {
        if parsable && fields.is_none() {
            return Err("ipmpstat: -P requires -o <field>".to_owned());
        }
        let all = || known.iter().copied().enumerate();
        let columns = match fields {
            None => {
                let mut used = 0;
                all()
                    .filter(|(_, (_, width))| {
                        used += width;
                        used <= WIDTH
                    })
                    .collect()
            }
            Some(list) if list.eq_ignore_ascii_case("all") => all().collect(),
            Some(list) => {
                let mut columns = Vec::new();
                for name in list.split(',') {
                    let found = all().find(|(_, (known, _))| known.eq_ignore_ascii_case(name));
                    let possible: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                    columns.push(found.ok_or_else(|| {
                        format!(
                            "ipmpstat: unknown output field `{}'\nuse one of: {}",
                            name.escape_debug(),
                            possible.join(",")
                        )
                    })?);
                }
                columns
            }
        };
        Ok(Format { columns, parsable })
    }

    /// The header, for people.
    pub(super) fn header(&self) -> String {
        if self.parsable {
            return String::new();
        }
        let names = self.columns.iter().map(|(_, (name, width))| ((*name).to_owned(), *width));
        line(names)
    }

    /// A row, given the values of all columns.
    pub(super) fn row(&self, values: &[String]) -> String {
        let value = |n: usize| values.get(n).map_or("", String::as_str);
        if self.parsable {
            let fields: Vec<String> = self
                .columns
                .iter()
                .map(|(n, _)| value(*n).replace('\\', "\\\\").replace(':', "\\:"))
                .collect();
            return fields.join(":") + "\n";
        }
        line(self.columns.iter().map(|(n, (_, width))| {
            let text = value(*n);
            (if text.is_empty() { "--" } else { text }.to_owned(), *width)
        }))
    }

    /// Whether a header is wanted now and then.
    pub(super) fn for_people(&self) -> bool {
        !self.parsable
    }
}

/// Values padded to their widths. One that is too long takes room from the blanks of those behind it.
fn line(values: impl Iterator<Item = (String, usize)>) -> String {
    let mut out = String::new();
    let mut end = 0;
    for (value, width) in values {
        out.push_str(&value);
        end += width;
        let blanks = end.saturating_sub(out.chars().count()).max(1);
        out.extend(std::iter::repeat_n(' ', blanks));
    }
    out.trim_end().to_owned() + "\n"
}
