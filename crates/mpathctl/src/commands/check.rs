//! `mpathctl check FILE...`: says what is wrong with configuration files, without a daemon.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output;
use mpath_config::{Paths, load};
use mpath_ipc::Problem;
use mpath_model::event::Level;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each FILE is judged by itself, as if it were the mpathd.toml of a host without /etc/default/mpathd. Every error \
is shown with its line and a caret under the place, and the exit status is 2. Whether the NICs exist is not \
looked at: a NIC may come later.

Example:
  mpathctl check /etc/mpathd/mpathd.toml && mpathctl reload")]
pub(crate) struct Args {
    /// Configuration files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let stderr = io::stderr();
    let colour = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let mut list = Vec::new();
    let mut bad = false;
    for file in &args.files {
        let outcome = judge(file);
        bad |= outcome.is_err();
        match (outcome, cli.json) {
            (Err(errors), true) => list.extend(problems(&errors)),
            (Ok(_), true) => {}
            (Err(errors), false) => {
                let s = if errors.count() == 1 { "" } else { "s" };
                let text = format!(
                    "{}\nmpathctl: {} error{s} in {}\n",
                    errors.render(colour),
                    errors.count(),
                    file.display()
                );
                // Nobody is left to tell when stderr is gone; the exit status says it too.
                let _ = stderr.lock().write_all(text.as_bytes());
            }
            (Ok(text), false) => output::text(&text)?,
        }
    }
    if cli.json {
        output::json(&list)?;
    }
    Ok(if bad { Exit::Usage } else { Exit::Done })
}

/// What to print about a good file, or all that is wrong.
fn judge(file: &Path) -> Result<String, mpath_config::Errors> {
    // An empty defaults file: the verdict must not depend on the host it is given on.
    let paths = Paths { config: Some(file.to_owned()), defaults: Some(PathBuf::from("/dev/null")) };
    let loaded = load(&paths)?;
    let mut text = format!("{}: ok\n", file.display());
    for notice in loaded.notices.iter().filter(|n| n.level <= Level::Warning) {
        text.push_str(&format!("{}: warning: {}\n", file.display(), notice.text));
    }
    Ok(text)
}

fn problems(errors: &mpath_config::Errors) -> impl Iterator<Item = Problem> {
    errors.problems().iter().map(|p| Problem {
        file: Some(p.file.clone()),
        line: p.line,
        column: p.column,
        message: p.message.clone(),
        text: p.render(false),
    })
}
