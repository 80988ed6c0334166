//! A program that somebody else wrote: finding it, running it on a host with all its files in a temporary directory, and
//! ending it with whatever it has started.

use crate::stage::{PATIENCE, Site};
use mpath_testkit::daemon::Scratch;
use mpath_testkit::{Error, Host, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where administrators' programs are, whether or not they are in the caller's `$PATH`.
const MORE_PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// What is shown of its output, lines.
const SHOWN: usize = 20;

/// The program of this name, if it is installed.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(MORE_PLACES.map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

/// The files of a program that is about to start.
pub(super) struct Files(Scratch);

impl Files {
    /// Where a file of this name is or is to be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|e| Error::new(format!("write {}", path.display()), e))?;
        Ok(path)
    }

    /// Writes a script of one command.
    pub(super) fn script(&self, name: &str, command: &str) -> Result<PathBuf, Error> {
        let path = self.write(name, &format!("#!/bin/sh\nexec {command}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .map_err(|e| Error::new(format!("make {} a program", path.display()), e))?;
        Ok(path)
    }
}

/// A running one. Fields are dropped in this order.
pub(super) struct Program {
    name: &'static str,
    process: Process,
    files: Files,
}

impl Program {
    /// Starts it on a host; `arrange` writes its files and gives its arguments.
    pub(super) fn start(
        site: &Site,
        host: &Host,
        name: &'static str,
        arrange: impl FnOnce(&Files) -> Result<Vec<String>, Error>,
    ) -> Result<Program, Error> {
        let start = || format!("start {name}");
        let files = Files(Scratch::new()?);
        site.interrupt.remove_at_end(files.path(""));
        let binary = find(name).ok_or_else(|| Error::new(start(), "it is not installed"))?;
        let output = File::create(files.path("output")).map_err(|e| Error::new(start(), e))?;
        let mut command = Command::new(binary);
        command.args(arrange(&files)?).stdout(output).env_remove("NOTIFY_SOCKET");
        Ok(Program { name, process: host.spawn(command)?, files })
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// The last that it said.
    pub(super) fn said(&self) -> String {
        let output = fs::read_to_string(self.files.path("output")).unwrap_or_default();
        let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
        lines.extend(self.process.log().into_iter().map(|line| line.text));
        let first = lines.len().saturating_sub(SHOWN);
        format!("{} says:\n{}", self.name, lines[first..].join("\n"))
    }

    /// SIGTERM to the program; what it has started is its own business.
    pub(super) fn term(&self) -> Result<(), Error> {
        self.process.signal(Signal::SIGTERM)
    }

    /// Waits for its end after [`Program::term`].
    pub(super) fn wait_end(&mut self) -> Result<(), Error> {
        self.process.wait(PATIENCE).map(drop).map_err(|e| Error::new(e.to_string(), self.said()))
    }

    /// SIGKILL to the program and all that it has started.
    pub(super) fn kill9(&mut self) {
        let family = descendants(self.process.pid());
        self.process.kill9();
        for pid in family {
            let _ = kill(pid, Signal::SIGKILL); // it may have ended with its parent
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Children of a process, and theirs.
fn descendants(pid: u32) -> Vec<Pid> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(Path::new(&path)).unwrap_or_default();
    let mut all = Vec::new();
    for child in text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()) {
        all.extend(i32::try_from(child).map(Pid::from_raw));
        all.extend(descendants(child));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_a_program_started_is_found() {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let child: i32 = line.trim().parse().unwrap();
        let found = descendants(shell.id());
        for pid in &found {
            kill(*pid, Signal::SIGKILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(found, [Pid::from_raw(child)]);
    }

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("mpath-no-such-program"), None);
    }
}
