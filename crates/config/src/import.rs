//! Foreign configurations as settings: FreeBSD's rc.conf, Solaris' hostname.IF, the defaults file of in.mpathd, and
//! bonding as systemd-networkd and ifupdown write it. What cannot be carried over is an error with file and line: half
//! a translation would be worse than none. OpenBSD's hostname.if is recognised and refused by name.

mod bonding;
mod hostname;
mod ifupdown;
mod networkd;
mod rc_conf;
mod shell;

use crate::words::apply::{Key, Outcome, Surroundings, apply};
use crate::words::{self, Change};
use crate::{Defaults, defaults};
use mpath_model::Settings;
use std::fmt;
use std::path::PathBuf;

/// A file to translate.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path as the operator gave it.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Something that cannot be carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// File.
    pub file: String,
    /// Line, 1 and up.
    pub line: usize,
    /// What it is about.
    pub message: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What the files mean.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Settings.
    pub settings: Settings,
    /// Passphrases; the settings refer to them by file.
    pub keys: Vec<Key>,
    /// What the operator should know, one sentence each with its place.
    pub notes: Vec<String>,
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    RcConf,
    Solaris,
    OpenBsd,
    Defaults,
    Networkd,
    Ifupdown,
}

/// Translates the files together. All troubles are reported. `keys` is the directory that passphrases will be in.
pub fn import(sources: &[Source], keys: PathBuf) -> Result<Imported, Vec<Trouble>> {
    let mut job = Job { out: Imported::default(), troubles: Vec::new(), keys };
    let kinds: Vec<(Kind, &Source)> = sources.iter().filter_map(|s| Some((job.kind(s)?, s))).collect();
    // The detection time of groups comes from the defaults file, wherever it stands among the files.
    for (_, source) in kinds.iter().filter(|(kind, _)| *kind == Kind::Defaults) {
        job.defaults(source);
    }
    for (_, source) in kinds.iter().filter(|(kind, _)| *kind == Kind::RcConf) {
        rc_conf::read(&mut job, source);
    }
    for (_, source) in kinds.iter().filter(|(kind, _)| *kind == Kind::Solaris) {
        hostname::read(&mut job, source);
    }
    let of = |wanted: Kind| kinds.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, s)| *s);
    networkd::read(&mut job, &of(Kind::Networkd).collect::<Vec<_>>());
    ifupdown::read(&mut job, &of(Kind::Ifupdown).collect::<Vec<_>>());
    if job.troubles.is_empty() { Ok(job.out) } else { Err(job.troubles) }
}

struct Job {
    out: Imported,
    troubles: Vec<Trouble>,
    keys: PathBuf,
}

impl Job {
    fn trouble(&mut self, source: &Source, line: usize, message: impl Into<String>) {
        let (file, message) = (source.path.clone(), message.into());
        self.troubles.push(Trouble { file, line, message });
    }

    fn note(&mut self, source: &Source, line: usize, message: &str) {
        self.out.notes.push(format!("{}:{line}: {message}", source.path));
    }

    fn kind(&mut self, source: &Source) -> Option<Kind> {
        let kind = guess(source);
        match kind {
            Some(Kind::OpenBsd) => {
                let text = "this is OpenBSD's hostname.if, whose trunk and carp devices are not translated; write the \
                            [[lagg]] and [[carp]] tables by hand";
                self.trouble(source, 1, text);
                None
            }
            None => {
                let text = "not recognised: rc.conf, hostname.IF, default/mpathd, *.netdev, *.network and ifupdown's \
                            interfaces are";
                self.trouble(source, 1, text);
                None
            }
            kind => kind,
        }
    }

    fn defaults(&mut self, source: &Source) {
        let found = defaults::parse(source.text.as_bytes(), &source.path);
        let Defaults { failure_detection_time, failback, track_interfaces_only_with_groups, notices, .. } =
            found;
        let detection = &mut self.out.settings.detection;
        failure_detection_time.iter().for_each(|s| detection.failure_detection_time = s.value);
        failback.iter().for_each(|s| detection.failback = s.value);
        track_interfaces_only_with_groups
            .iter()
            .for_each(|s| detection.track_interfaces_only_with_groups = s.value);
        self.out.notes.extend(notices.into_iter().map(|n| format!("{}: {}", source.path, n.text)));
    }

    /// Words of ifconfig for an interface.
    fn words(&mut self, source: &Source, line: usize, interface: &str, words: &[&str]) {
        match words::parse(0, words) {
            Ok(changes) => self.apply(source, line, interface, &changes),
            Err(e) => self.trouble(source, line, e.message),
        }
    }

    fn apply(&mut self, source: &Source, line: usize, interface: &str, changes: &[Change]) {
        let around = Surroundings { adopted: Vec::new(), keys: self.keys.clone() };
        match apply(&mut self.out.settings, interface, changes, &around) {
            Ok(Outcome { keys, warnings, notes, mtu, .. }) => {
                // The last one counts.
                self.out.keys.retain(|known| !keys.iter().any(|key| key.name == known.name));
                self.out.keys.extend(keys);
                warnings.into_iter().for_each(|w| self.trouble(source, line, w));
                notes.into_iter().for_each(|n| self.note(source, line, &n));
                if let Some(mtu) = mtu {
                    self.note(
                        source,
                        line,
                        &format!("mtu {mtu} of {interface} is left to the system's own settings"),
                    );
                }
            }
            Err(message) => self.trouble(source, line, message),
        }
    }
}

/// By its name, else by what is in it.
fn guess(source: &Source) -> Option<Kind> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let lines = || source.text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let starts =
        |words: &[&str]| lines().any(|l| words.iter().any(|w| l.split_whitespace().next() == Some(*w)));
    if name.starts_with("hostname.") || name.starts_with("hostname6.") {
        let openbsd = ["trunkproto", "trunkport", "carpdev", "dhcp", "rtsol", "inet", "!route"];
        let solaris = lines().any(|l| l.contains("group ") || l.contains("-failover") || l.contains("plumb"));
        return Some(if starts(&openbsd) && !solaris { Kind::OpenBsd } else { Kind::Solaris });
    }
    if name.ends_with(".netdev") || name.ends_with(".network") {
        return Some(Kind::Networkd);
    }
    let assigns = |prefixes: &[&str]| lines().any(|l| prefixes.iter().any(|p| l.starts_with(p)));
    if assigns(&["FAILURE_DETECTION_TIME=", "FAILBACK=", "TRACK_INTERFACES_ONLY_WITH_GROUPS="]) {
        return Some(Kind::Defaults);
    }
    if starts(&["iface", "auto", "allow-hotplug", "source"]) {
        return Some(Kind::Ifupdown);
    }
    if name.contains("rc.conf") || assigns(&["ifconfig_", "cloned_interfaces=", "create_args_"]) {
        return Some(Kind::RcConf);
    }
    None
}

#[cfg(test)]
mod tests;
