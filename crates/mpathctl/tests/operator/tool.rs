//! The program under its various names, against a real daemon.

use mpath_testkit::{Daemon, Host};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The program, called by links of other names.
pub struct Tool {
    dir: tempfile::TempDir,
    socket: PathBuf,
    host: Arc<Host>,
}

impl Tool {
    pub fn new(daemon: &Daemon, host: &Arc<Host>) -> Tool {
        let dir = tempfile::tempdir().unwrap();
        for name in ["mpathctl", "ipmpstat", "if_mpadm", "ifconfig"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mpathctl"), dir.path().join(name)).unwrap();
        }
        Tool { dir, socket: daemon.socket(), host: Arc::clone(host) }
    }

    /// A directory of its own, for files.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.dir.path().join(name));
        command.arg("--socket").arg(&self.socket).args(args).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("SSH_CONNECTION");
        command
    }

    /// Runs it on the host and waits for its end.
    #[track_caller]
    pub fn run(&self, name: &str, args: &[&str]) -> Run {
        let mut command = self.command(name, args);
        let output = self.host.run(|| command.output()).unwrap();
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    /// Runs `mpathctl`, which must succeed; gives its output.
    #[track_caller]
    pub fn ctl(&self, args: &[&str]) -> String {
        let run = self.run("mpathctl", args);
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        run.out
    }

    /// Runs `ifconfig` with words separated by blanks, which must succeed; gives its output.
    #[track_caller]
    pub fn ifconfig(&self, words: &str) -> String {
        let words: Vec<&str> = words.split_whitespace().collect();
        let run = self.run("ifconfig", &words);
        assert_eq!(run.code, 0, "{words:?}: {run:?}");
        run.out
    }
}
