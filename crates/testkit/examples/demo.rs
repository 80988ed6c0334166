//! The demo without `mpathctl`: `cargo run -p mpath-testkit --example demo -- [--json] [--keep] [--sabotage]`.

use mpath_testkit::demo::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    let options = Options {
        json: has("--json"),
        keep: has("--keep"),
        sabotage: has("--sabotage"),
        ..Options::default()
    };
    ExitCode::from(run(&options))
}
