//! An error in a configuration file, and how it is shown: file, line, the source line and carets.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File as the operator named it.
    pub file: String,
    /// Line, 1 and up, where the error has one.
    pub line: Option<u32>,
    /// Column in characters, 1 and up.
    pub column: Option<u32>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub help: Option<String>,
    place: Option<Box<Place>>,
}

/// Where in which text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    text: Arc<str>,
    span: Range<usize>,
    related: Option<(Range<usize>, String)>,
}

impl Problem {
    /// An error of a file as a whole: it cannot be read.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            message: printable(&message.into()),
            help: None,
            place: None,
        }
    }

    /// An error at a place of `text`. Spans are bytes; whatever does not fit the text is cut to it.
    pub(crate) fn at(file: &str, text: &Arc<str>, span: Range<usize>, message: String) -> Problem {
        let span = within_line(text, span);
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        Problem {
            file: file.to_owned(),
            line: Some(count(before.matches('\n').count())),
            column: Some(count(before[line_start..].chars().count())),
            message: printable(&message),
            help: None,
            place: Some(Box::new(Place { text: text.clone(), span, related: None })),
        }
    }

    /// Adds advice.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Problem {
        self.help = Some(printable(&help.into()));
        self
    }

    /// Points at a second place of the same text.
    pub(crate) fn related(&mut self, span: Range<usize>, label: impl Into<String>) -> &mut Problem {
        if let Some(place) = &mut self.place {
            place.related = Some((within_line(&place.text, span), label.into()));
        }
        self
    }

    /// First byte of the place: errors are shown in the order of the file.
    pub(crate) fn position(&self) -> usize {
        self.place.as_ref().map_or(0, |p| p.span.start)
    }

    /// The error as people read it, without a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        group = match &self.place {
            None => match self.line {
                Some(line) => group.element(
                    Origin::path(self.file.as_str())
                        .line(usize::try_from(line).unwrap_or(1))
                        .char_column(usize::try_from(self.column.unwrap_or(1)).unwrap_or(1)),
                ),
                // The message names the file.
                None => group,
            },
            Some(place) => group.element(place.snippet(&self.file)),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl Place {
    fn snippet<'a>(&'a self, file: &'a str) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let mut snippet = Snippet::source(&*self.text)
            .path(file)
            .annotation(AnnotationKind::Primary.span(self.span.clone()));
        if let Some((span, label)) = &self.related {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()));
        }
        snippet
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Characters of a message: values of the file stand in it, and they may be long.
const LONGEST: usize = 400;

/// One line that does no harm to a terminal.
fn printable(text: &str) -> String {
    let mut line: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push_str("...");
    }
    line
}

fn count(before: usize) -> u32 {
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

/// `span` cut to the text, to character boundaries and to its first line.
fn within_line(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let line_end = text[start..].find(['\r', '\n']).map_or(text.len(), |n| start + n);
    start..end.min(line_end)
}

/// Every error of every file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    problems: Vec<Problem>,
    more: usize,
}

/// So many errors are kept and shown; the others are counted.
const MOST: usize = 100;

impl Errors {
    /// Errors in the order in which they are to be shown, and the number of those that were not kept.
    pub(crate) fn new(mut problems: Vec<Problem>, dropped: usize) -> Errors {
        let more = problems.len().saturating_sub(MOST) + dropped;
        problems.truncate(MOST);
        Errors { problems, more }
    }

    /// The errors, at most 100.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many there are, those beyond the first 100 included.
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }

    /// All errors as people read them, a blank line between any two, and a newline at the end.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                text.push('\n');
            }
            text.push_str(&problem.render(colour));
            text.push('\n');
        }
        if self.more > 0 {
            text.push_str(&format!("\nand {} more errors\n", self.more));
        }
        text
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests;
