//! `mpathctl replay FILE`: runs the engine again on what `mpathd --record` wrote, and says why it decided as it did.

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::output::{self, Style};
use crate::table::paragraph;
use mpath_core::recording::{Line, Replay, Step};
use mpath_core::{Action, Engine};
use mpath_model::event::Level;
use mpath_model::kernel::KernelOp;
use mpath_model::{Event, Time};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// Bytes of a line that are read at most.
const LONGEST: u64 = 256 << 20;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
mpathd --record FILE writes down everything that reaches its engine. Here the same engine runs again on it, without a \
network and without root: each log line at its time, and behind each event the evidence that decided. Passphrases \
are not in a recording; addresses, names and neighbours of the host are. Ends with 1 if this program decides \
otherwise than the one that was recorded.

Examples:
  mpathctl replay /var/lib/mpathd/recording
  mpathctl replay recording --requests | less")]
pub(crate) struct Args {
    /// Recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the requests to the kernel too
    #[arg(long)]
    requests: bool,
}

/// What is told of a moment, as JSON.
#[derive(Debug, Serialize)]
struct Told {
    /// Milliseconds since the recording began.
    at_ms: u64,
    log: Vec<String>,
    events: Vec<Event>,
    because: Vec<String>,
    requests: Vec<KernelOp>,
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let name = args.file.display().to_string();
    let bad = |text: String| Error::Usage(format!("{name}: {text}"));
    let file = File::open(&args.file).map_err(|e| bad(format!("cannot be read: {e}")))?;
    let mut lines = Lines { from: BufReader::new(file), number: 0 };
    let mut player =
        Player { json: cli.json, requests: args.requests, colour: output::colour(), ..Player::default() };
    while let Some(line) = lines.next().map_err(&bad)? {
        player.play(line).map_err(|text| match text {
            Trouble::Recording(text) => bad(format!("line {}: {text}", lines.number)),
            Trouble::Output(error) => error,
        })?;
    }
    player.end(lines.number)
}

struct Lines {
    from: BufReader<File>,
    number: u64,
}

impl Lines {
    /// The next line. The last one is missing a piece where the daemon was killed, which is no fault of the others.
    fn next(&mut self) -> Result<Option<Line>, String> {
        let mut text = Vec::new();
        let read = self.from.by_ref().take(LONGEST).read_until(b'\n', &mut text);
        read.map_err(|e| format!("cannot be read: {e}"))?;
        if text.len() as u64 == LONGEST {
            return Err(format!("line {}: longer than {LONGEST} bytes", self.number + 1));
        }
        if text.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.number += 1;
        let line = serde_json::from_slice(&text);
        line.map(Some)
            .map_err(|e| format!("line {}: this is no line of a recording of mpathd: {e}", self.number))
    }
}

enum Trouble {
    Recording(String),
    Output(Error),
}

impl<E: Into<Error>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Output(error.into())
    }
}

#[derive(Default)]
struct Player {
    json: bool,
    requests: bool,
    colour: bool,
    replay: Replay,
    began: Time,
    /// Version that was recorded.
    version: String,
    inputs: u64,
    /// When this program first decided otherwise.
    differs: Option<Time>,
}

impl Player {
    fn play(&mut self, line: Line) -> Result<(), Trouble> {
        let at = match &line {
            Line::Engine(head) => {
                if self.version.is_empty() {
                    self.began = head.at;
                }
                self.version.clone_from(&head.version);
                if !self.json {
                    let lost = if head.lost > 0 {
                        format!("; {} inputs are missing", head.lost)
                    } else {
                        String::new()
                    };
                    output::text(&format!("mpathd {}, {}{lost}\n", head.version, head.began))?;
                }
                head.at
            }
            Line::Input(entry) => {
                self.inputs += 1;
                entry.at
            }
        };
        let step = step(&mut self.replay, line).map_err(Trouble::Recording)?;
        if step.differs {
            self.differs.get_or_insert(at);
        }
        let told =
            guarded(|| told(at, self.began, &step, self.replay.engine())).map_err(Trouble::Recording)?;
        if self.json {
            if !(told.log.is_empty() && told.events.is_empty() && told.requests.is_empty()) {
                output::json_line(&told)?;
            }
            return Ok(());
        }
        output::text(&self.text(&step, &told))?;
        Ok(())
    }

    fn text(&self, step: &Step, told: &Told) -> String {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of a recording are far below 2^52")]
        let time = format!("{:>12.3} s  ", told.at_ms as f64 / 1000.0);
        let indent = " ".repeat(time.len());
        let mut out = String::new();
        for action in &step.actions {
            match action {
                Action::Log(line) => {
                    let style = match line.level {
                        Level::Err => Style::Bad,
                        Level::Warning => Style::Warn,
                        Level::Notice => Style::Bold,
                        _ => Style::Plain,
                    };
                    let text = paragraph(&time, &line.text, &indent);
                    out.push_str(&text.replacen(&line.text, &style.paint(&line.text, self.colour), 1));
                }
                Action::Kernel { ops, .. } if self.requests => {
                    for op in ops {
                        out.push_str(&paragraph(&time, &format!("request: {op:?}"), &indent));
                    }
                }
                _ => {}
            }
        }
        for why in &told.because {
            out.push_str(&paragraph(&format!("{indent}because "), why, &indent));
        }
        out
    }

    fn end(&self, lines: u64) -> Result<Exit, Error> {
        if lines == 0 {
            return Err(Error::Usage("the recording is empty".to_owned()));
        }
        if self.json {
            return Ok(if self.differs.is_some() { Exit::Failed } else { Exit::Done });
        }
        let version = env!("CARGO_PKG_VERSION");
        let (text, exit) = match self.differs {
            None => (format!("{} inputs played; every decision is as it was", self.inputs), Exit::Done),
            Some(at) => {
                let seconds = at.since(self.began).as_secs_f64();
                let text = format!(
                    "{} inputs played; from {seconds:.3} s on mpathd {version} decides otherwise than mpathd {}, which was recorded",
                    self.inputs, self.version
                );
                (text, Exit::Failed)
            }
        };
        output::text(&paragraph("", &text, ""))?;
        Ok(exit)
    }
}

fn step(replay: &mut Replay, line: Line) -> Result<Step, String> {
    guarded(|| replay.step(line))?.map_err(|e| e.to_string())
}

/// The engine that a file brings along has to be believed; what contradicts itself there may end it.
fn guarded<T>(play: impl FnOnce() -> T) -> Result<T, String> {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
    std::panic::set_hook(loud);
    played.map_err(|_| "this recording contradicts itself: its engine cannot go on".to_owned())
}

fn told(at: Time, began: Time, step: &Step, engine: Option<&Engine>) -> Told {
    let mut told = Told {
        at_ms: u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX),
        log: vec![],
        events: vec![],
        because: vec![],
        requests: vec![],
    };
    for action in &step.actions {
        match action {
            Action::Log(line) => told.log.push(line.text.clone()),
            Action::Emit(event) => told.events.push(event.clone()),
            Action::Kernel { ops, .. } => told.requests.extend(ops.iter().cloned()),
            _ => {}
        }
    }
    let mut nics: Vec<&str> = told.events.iter().filter_map(|e| e.interface.as_deref()).collect();
    nics.dedup();
    for nic in nics {
        for e in engine.iter().flat_map(|engine| engine.explain(at, Some(nic))) {
            let mut why = format!("{nic}: {}", e.reason);
            for i in &e.instances {
                why.push_str(&format!("; {}: {} lost, {} answered in a row", i.family, i.losses, i.answers));
            }
            told.because.push(why);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpath_core::Input;

    /// An engine that cannot be, with an address on a NIC that its group has not, ends nothing.
    #[test]
    fn a_recording_that_contradicts_itself_is_an_error() {
        let text = "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n\
                    [[group.address]]\naddress = \"192.0.2.10/24\"\nhome = \"eth0\"\n";
        let settings = mpath_config::parse(text, "f", &Default::default()).unwrap().settings;
        let mut engine = Engine::new(1, "1.0");
        engine.handle(Time(1), Input::Configure(settings), &mut Vec::new());
        let engine = serde_json::to_string(&engine).unwrap().replace("\"host\":0", "\"host\":77");
        assert!(engine.contains("\"host\":77"), "{engine}");
        let head = format!(
            "{{\"engine\":{{\"format\":1,\"version\":\"1\",\"began\":\"\",\"at\":1,\"lost\":0,\"engine\":{engine}}}}}"
        );
        let mut replay = Replay::default();
        assert!(step(&mut replay, serde_json::from_str(&head).unwrap()).is_ok());
        let input = serde_json::to_string(&Input::Inventory(Default::default())).unwrap();
        let entry = format!("{{\"input\":{{\"at\":2,\"input\":{input},\"actions\":0}}}}");
        let error = step(&mut replay, serde_json::from_str(&entry).unwrap()).unwrap_err();
        assert!(error.contains("contradicts itself"), "{error}");
    }
}
