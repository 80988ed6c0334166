//! `mpathctl demo`: a private network in namespaces, the real daemon, real faults, and what clients noticed of them.
//!
//! The figures come from packets that the clients received; whether an act is over is read from the kernel's addresses.
//! The daemon is only asked, before a fault, whether it is watching yet.

mod acts;
mod figures;
mod interrupt;
mod keep;
mod stage;
mod table;

use crate::error::Error;
use acts::Scene;
use figures::Figures;
use stage::Stage;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How the demo is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Prints the table as JSON on stdout; the story goes to stderr.
    pub json: bool,
    /// Leaves the network up at the end, says how to enter it, and waits for Ctrl-C.
    pub keep: bool,
    /// Stops the daemon before the first fault: the demo must fail then.
    pub sabotage: bool,
    /// Failure detection time of the daemon, 100 ms to 10 s.
    pub failure_detection_time: Duration,
    /// The daemon's program; looked for beside the running program and in `$PATH` if absent.
    pub daemon: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            json: false,
            keep: false,
            sabotage: false,
            failure_detection_time: Duration::from_secs(1),
            daemon: None,
        }
    }
}

/// Runs the demo and gives the exit status: 0 if all is as it should be, 1 if not or if it could not run.
///
/// Must be called while the process has one thread: it enters a user namespace.
pub fn run(options: &Options) -> u8 {
    let teller = Teller::new(options.json);
    match play(options, &teller) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(e) => {
            eprintln!("demo: {e}");
            1
        }
    }
}

/// True if every act went as it should.
fn play(options: &Options, teller: &Teller) -> Result<bool, Error> {
    // Found first: the outside world is still the same.
    let daemon = match &options.daemon {
        Some(path) => path.clone(),
        None => crate::daemon::find_daemon()?,
    };
    crate::private::enter_private_namespace()?;
    let interrupt = interrupt::Interrupt::catch()?;
    let mut stage = Stage::build(options, daemon, teller, &interrupt)?;
    let floor = stage.calm(teller);
    let mut figures: Vec<Figures> = Vec::new();
    for (number, act) in acts::programme(options.failure_detection_time, floor.outage).iter().enumerate() {
        if options.sabotage && number == 0 {
            teller.say("Sabotage: mpathd is stopped here. From now on nobody looks after the addresses.");
            stage.stop_daemon()?;
        }
        figures.push(Scene::new(&mut stage, teller).perform(act));
        if options.sabotage && number == LAST_SABOTAGED {
            teller.say("The rest is not worth playing without mpathd.");
            break;
        }
    }
    let ok = figures.iter().all(Figures::ok);
    let result = if options.json {
        table::json(options, &floor, &figures, ok).to_string() + "\n"
    } else {
        format!("\n{}", table::text(&floor, &figures))
    };
    let _ = io::stdout().write_all(result.as_bytes());
    if !ok {
        teller.excerpt(&stage.daemon_log());
    }
    teller.end(ok);
    if options.keep {
        keep::wait(&stage, &interrupt);
    }
    Ok(ok)
}

/// Number of the last act that is played without a daemon: a failure and its end.
const LAST_SABOTAGED: usize = 1;

/// Tells the story, with seconds since the start in front.
struct Teller {
    start: Instant,
    to_stderr: bool,
}

/// Log lines shown when the demo fails.
const EXCERPT: usize = 30;

impl Teller {
    fn new(to_stderr: bool) -> Teller {
        Teller { start: Instant::now(), to_stderr }
    }

    fn say(&self, text: &str) {
        self.line(&format!("{:5.1} s  {text}", self.start.elapsed().as_secs_f64()));
    }

    /// A reader that has gone away is no reason to fail.
    fn line(&self, text: &str) {
        let _ =
            if self.to_stderr { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") };
    }

    /// The end of the daemon's log, for whoever has to find out why.
    fn excerpt(&self, log: &[String]) {
        self.line("\nThe last lines of mpathd's log:");
        for line in &log[log.len().saturating_sub(EXCERPT)..] {
            self.line(&format!("  {line}"));
        }
    }

    fn end(&self, ok: bool) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.line(&if ok {
            format!("\nAll as it should be, in {seconds:.0} s.")
        } else {
            format!("\nNOT as it should be; see the table. {seconds:.0} s.")
        });
    }
}
