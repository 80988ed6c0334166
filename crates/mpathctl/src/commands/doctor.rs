//! `mpathctl doctor`: what on this host will get in the way, and the exact remedy. It looks for itself, so that it works
//! before a daemon runs; where one does, the daemon's evidence is added.

mod findings;
mod firewall;
mod host;
mod managers;

use crate::cli::Cli;
use crate::exit::{Error, Exit};
use crate::netlink::link::{LOOPBACK, Link};
use crate::output::{self, Style};
use crate::table::{paragraph, wrap};
use host::Host;
use mpath_config::Paths;
use mpath_ipc::ClientError;
use mpath_model::Settings;
use mpath_model::settings::PassphraseSource;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at the NICs of the running daemon, else of the configuration file, else at all NICs: sysctls, link-layer addresses, MTUs, \
ports of bridges, packet filter rules, programs that manage the same NICs, and what probes say. Changes \
nothing. Ends with 1 if there is an obstacle.

Examples:
  mpathctl doctor
  mpathctl doctor --config new.toml  before it is loaded")]
pub(crate) struct Args {
    /// Look at the NICs of this configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Weight {
    /// It will get in the way.
    Obstacle,
    /// It may.
    Hint,
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    weight: Weight,
    /// NIC, or what else it is about.
    about: String,
    what: String,
    remedy: String,
}

impl Finding {
    fn obstacle(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            weight: Weight::Obstacle,
            about: about.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn hint(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { weight: Weight::Hint, ..Finding::obstacle(about, what, remedy) }
    }
}

pub(crate) fn run(cli: &Cli, args: &Args) -> Result<Exit, Error> {
    let mut list = Vec::new();
    let (settings, daemon) = settings(cli, args, &mut list)?;
    let links = crate::netlink::link::links()
        .map_err(|e| Error::Failed(format!("mpathctl: cannot list the interfaces: {e}")))?;
    let host = Host { root: PathBuf::from("/"), links, daemon };
    let mut nics = nics(&settings);
    let configured = !nics.is_empty();
    if !configured {
        nics = candidates(&host.links);
    }
    list.extend(findings::all(&host, &settings, &nics));
    list.extend(managers::all(&host, &nics));
    match firewall::read() {
        Ok(filter) => list.extend(firewall::judge(&filter, &settings)),
        Err(e) => list.push(Finding::hint(
            "packet filter",
            format!("its rules cannot be read: {e}"),
            "run mpathctl doctor as root",
        )),
    }
    let list = once(list);
    let obstacles = list.iter().filter(|f| f.weight == Weight::Obstacle).count();
    if cli.json {
        output::json(&list)?;
    } else {
        output::text(&render(&list, nics.len(), configured, output::colour()))?;
    }
    Ok(if obstacles > 0 { Exit::Failed } else { Exit::Done })
}

/// What is to be looked at: the file that is named, else what the daemon has in force, else the file of the host. A
/// daemon's own evidence is added to the list. True: a daemon runs with it.
fn settings(cli: &Cli, args: &Args, list: &mut Vec<Finding>) -> Result<(Settings, bool), Error> {
    let load = |config: Option<PathBuf>| {
        let paths = Paths { config, defaults: None };
        mpath_config::load(&paths).map(|l| (l.settings, false)).map_err(|e| Error::Usage(e.to_string()))
    };
    if args.config.is_some() {
        return load(args.config.clone());
    }
    let asked = super::connect(cli).and_then(|mut client| {
        let running = client.configuration()?;
        Ok((running.text, client.explain(None)?))
    });
    match asked {
        Ok((text, evidence)) => {
            list.extend(findings::evidence(&evidence));
            let parsed = mpath_config::parse(&text, "the running configuration", &Default::default());
            parsed.map(|l| (l.settings, true)).map_err(|e| Error::Usage(e.to_string()))
        }
        Err(error) => {
            list.push(Finding::hint("mpathd", error.to_string(), remedy(&error)));
            load(None)
        }
    }
}

/// What to do when the daemon has not told what it knows.
fn remedy(error: &Error) -> &'static str {
    match error {
        Error::Client(ClientError::Missing(_) | ClientError::Dead(_)) => {
            "start it, and run mpathctl doctor again"
        }
        Error::Client(ClientError::Forbidden(_) | ClientError::Failed(_)) => "run mpathctl doctor as root",
        Error::Client(ClientError::Foreign(..)) => "give its socket with --socket",
        _ => "see its log; the configuration file alone was looked at",
    }
}

/// What the daemon and the tool both found is told once, with the remedy that the tool knows.
fn once(list: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for f in list {
        match kept.iter_mut().find(|k| k.about == f.about && k.what == f.what) {
            Some(same) => *same = f,
            None => kept.push(f),
        }
    }
    kept
}

/// Members of groups, ports of laggs and interfaces of vhids, each once, and the files that vhids need.
fn nics(settings: &Settings) -> Vec<String> {
    let members = settings.groups.iter().flat_map(|g| g.interfaces.iter().map(|i| i.name.clone()));
    let ports = settings.laggs.iter().flat_map(|l| l.ports.iter().cloned());
    let carps = settings.carps.iter().filter_map(|c| c.over.interface()).map(str::to_owned);
    let laggs: Vec<&str> = settings.laggs.iter().map(|l| l.name.as_str()).collect();
    let mut all: Vec<String> = Vec::new();
    for name in members.chain(ports).chain(carps.filter(|c| !laggs.contains(&c.as_str()))) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Before anything is configured: what could become a member, a port or the interface of a vhid.
fn candidates(links: &[Link]) -> Vec<String> {
    let real = |l: &&Link| matches!(l.kind.as_str(), "" | "veth") && l.flags & LOOPBACK == 0;
    links
        .iter()
        .filter(real)
        .filter(|l| l.mac.is_some() && l.master.is_none())
        .map(|l| l.name.clone())
        .collect()
}

/// Files with passphrases.
fn passphrase_files(settings: &Settings) -> impl Iterator<Item = &Path> {
    settings.carps.iter().filter_map(|c| match &c.passphrase {
        PassphraseSource::File(path) => Some(path.as_path()),
        _ => None,
    })
}

fn render(list: &[Finding], nics: usize, configured: bool, colour: bool) -> String {
    let mut out = String::new();
    for f in list {
        let (word, style) = match f.weight {
            Weight::Obstacle => ("obstacle", Style::Bad),
            Weight::Hint => ("hint", Style::Warn),
        };
        let text = paragraph(&format!("{word}: "), &format!("{}: {}", f.about, f.what), "  ");
        out.push_str(&text.replacen(word, &style.paint(word, colour), 1));
        out.push_str(&paragraph("  remedy: ", &f.remedy, "    "));
    }
    let obstacles = list.iter().filter(|f| f.weight == Weight::Obstacle).count();
    let s = if nics == 1 { "" } else { "s" };
    let which = if configured { "looked at" } else { "looked at, none of them configured yet" };
    let end = match obstacles {
        0 => format!("{nics} NIC{s} {which}: no obstacle found"),
        1 => format!("{nics} NIC{s} {which}: 1 obstacle"),
        n => format!("{nics} NIC{s} {which}: {n} obstacles"),
    };
    out + &wrap(&end, "", "")
}

#[cfg(test)]
mod tests;
