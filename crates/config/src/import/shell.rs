//! The assignments of a file that sh(1) reads: quotes, continued lines, comments; nothing is executed, and what would be
//! is an error.

/// `NAME=VALUE` and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// All assignments, and what is none with its line.
pub(super) fn assignments(text: &str) -> (Vec<Assignment>, Vec<(usize, String)>) {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1 };
    let (mut found, mut troubles) = (Vec::new(), Vec::new());
    while reader.skip_blank() {
        let line = reader.line;
        match reader.assignment() {
            Ok((name, value)) => found.push(Assignment { line, name, value }),
            Err(message) => {
                troubles.push((line, message));
                reader.skip_line();
            }
        }
    }
    (found, troubles)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Blanks, comments and separators; false at the end.
    fn skip_blank(&mut self) -> bool {
        while let Some(c) = self.peek() {
            match c {
                '#' => self.skip_line(),
                c if c.is_whitespace() || c == ';' => {
                    self.next();
                }
                _ => return true,
            }
        }
        false
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    fn assignment(&mut self) -> Result<(String, String), String> {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.next();
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || self.peek() != Some('=') {
            return Err("this is no assignment NAME=\"VALUE\", and nothing else is understood".to_owned());
        }
        self.next();
        Ok((name, self.value()?))
    }

    fn value(&mut self) -> Result<String, String> {
        let mut value = String::new();
        let mut quote = None;
        loop {
            let Some(c) = self.peek() else {
                return if quote.is_none() { Ok(value) } else { Err("a quote is not closed".to_owned()) };
            };
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                ('$' | '`', None | Some('"')) => {
                    return Err(
                        "values that sh would compute ($, `) are not understood: write them out".to_owned()
                    );
                }
                ('\\', None | Some('"')) => {
                    self.next();
                    match self.next() {
                        None | Some('\n') => {}
                        // Between double quotes it stays in front of all but these.
                        Some(c) if quote.is_some() && !"$`\"\\".contains(c) => value.extend(['\\', c]),
                        Some(c) => value.push(c),
                    }
                    continue;
                }
                (c, None) if c.is_whitespace() || c == ';' => return Ok(value),
                (c, _) => value.push(c),
            }
            self.next();
        }
    }
}
