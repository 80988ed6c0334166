//! Locking the process in: Landlock says where it may write, seccomp which system calls it may make. Both hold
//! for all that it becomes later (execve), so they are entered once. Reading is not narrowed: files that are named in the
//! configuration may be anywhere, and the user and the unit decide what can be read.

mod calls;

use landlock::{
    ABI, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The sysctls of interfaces: all that may be written below /proc and /sys.
const SYSCTLS: [&str; 2] = ["/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"];

/// What becomes of a system call that mpathd has no business with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It fails (ENOSYS), which costs less than the daemon's life.
    Fails,
    /// It ends the process: how tests find calls that are missing from the list.
    Kills,
}

/// What the kernel has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Everything that was asked for.
    Fully,
    /// What this kernel knows of it.
    Partly,
    /// Nothing: the kernel does not have it.
    Not,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Held::Fully => "full",
            Held::Partly => "partial",
            Held::Not => "none",
        })
    }
}

/// A part of the sandbox could not be entered.
#[derive(Debug)]
pub struct SandboxError {
    part: &'static str,
    cause: String,
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot enter the sandbox: {}: {}", self.part, self.cause)
    }
}

impl std::error::Error for SandboxError {}

fn fail<E: fmt::Display>(part: &'static str) -> impl Fn(E) -> SandboxError {
    move |cause| SandboxError { part, cause: cause.to_string() }
}

/// The sandbox this process is in. Landlock knows directories by their inodes, and those of sysctls last only as long as
/// somebody holds them: to be kept, and left to the next program image.
#[derive(Debug, Default)]
pub struct Sandbox {
    pins: Vec<OwnedFd>,
}

impl Sandbox {
    /// Enters it, before there is a second thread. Files may be written, made and removed beneath the directories
    /// `writable` as far as those exist.
    pub fn enter(writable: &[PathBuf], offence: Offence) -> Result<(Sandbox, Held, Held), SandboxError> {
        let pins = SYSCTLS.iter().filter_map(|path| pin(path)).collect();
        let landlock = restrict(writable).map_err(fail("Landlock"))?;
        let seccomp = match calls::filters(offence).map_err(fail("seccomp"))? {
            Some(filters) => {
                for filter in &filters {
                    seccompiler::apply_filter(filter).map_err(fail("seccomp"))?;
                }
                Held::Fully
            }
            None => Held::Not,
        };
        Ok((Sandbox { pins }, landlock, seccomp))
    }

    /// The sandbox that the program image before this one has entered, with what it has left.
    pub fn entered(pins: Vec<OwnedFd>) -> Sandbox {
        Sandbox { pins }
    }

    /// What the next program image needs.
    pub fn leave(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pins.iter().map(AsFd::as_fd)
    }
}

fn pin(path: &str) -> Option<OwnedFd> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
    file.ok().map(|file: File| file.into())
}

fn restrict(writable: &[PathBuf]) -> Result<Held, landlock::RulesetError> {
    use AccessFs::{MakeDir, MakeReg, MakeSock, Refer, RemoveDir, RemoveFile, Truncate, WriteFile};
    let all = AccessFs::from_write(ABI::V3);
    let files = WriteFile | Truncate | MakeReg | MakeDir | MakeSock | RemoveFile | RemoveDir | Refer;
    let mut rules: Vec<(PathBuf, BitFlags<AccessFs>)> = writable.iter().map(|p| (p.clone(), files)).collect();
    rules.extend(SYSCTLS.map(|path| (path.into(), WriteFile.into())));
    rules.push(("/dev/null".into(), WriteFile.into()));
    let mut ruleset = Ruleset::default().handle_access(all)?.create()?;
    for (path, access) in rules {
        // What does not exist needs no permission.
        if let Ok(fd) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Held::Fully,
        RulesetStatus::PartiallyEnforced => Held::Partly,
        RulesetStatus::NotEnforced => Held::Not,
    })
}

#[cfg(test)]
mod tests;
