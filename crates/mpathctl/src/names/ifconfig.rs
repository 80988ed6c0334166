//! ifconfig: in.mpathd's, lagg's and carp's words. With words, the configuration in force is fetched, changed and put in force
//! again; without, interfaces are printed ([`show`]).

mod show;

use super::{Trouble, connect};
use crate::exit::{Error, Exit};
use crate::netlink::link::{self, Link};
use mpath_config::words::apply::{Key, Outcome, Surroundings, apply};
use mpath_config::words::{self, Change};
use mpath_config::{Defaults, render};
use mpath_ipc::{Client, ClientError, Failure, Request};
use mpath_model::{Family, IfAddr, Settings, Status};
use std::io::{BufRead, Write};
use std::path::Path;

/// Attempts, where somebody else changes the configuration at the same time.
const ATTEMPTS: usize = 5;

fn say(text: impl AsRef<str>) -> Trouble {
    Trouble::Say(format!("ifconfig: {}", text.as_ref()))
}

fn usage(text: impl AsRef<str>) -> Trouble {
    Trouble::Ended(Exit::Usage, format!("ifconfig: {}", text.as_ref()))
}

fn told(error: ClientError) -> Trouble {
    let text = match &error {
        ClientError::Failed(Failure::ConfigError { errors }) => {
            let lines: Vec<String> = errors.iter().map(|p| format!("ifconfig: {}", p.message)).collect();
            lines.join("\n")
        }
        other => format!("ifconfig: {other}"),
    };
    Trouble::Ended(Error::Client(error).exit(), text)
}

pub(crate) fn run(socket: &Path, args: &[String]) -> Result<(), Trouble> {
    let flags: Vec<&str> = args.iter().map(String::as_str).take_while(|a| a.starts_with('-')).collect();
    let rest: Vec<&str> = args[flags.len()..].iter().map(String::as_str).collect();
    if let Some(odd) = flags.iter().find(|f| !matches!(**f, "-a" | "-l" | "-v" | "-k" | "-u" | "-d")) {
        return Err(usage(format!("illegal option {odd}")));
    }
    match rest.as_slice() {
        [] => show::print(socket, None, None, &flags),
        [interface] => show::print(socket, Some(interface), None, &flags),
        [interface, "inet"] => show::print(socket, Some(interface), Some(Family::Inet), &flags),
        [interface, "inet6"] => show::print(socket, Some(interface), Some(Family::Inet6), &flags),
        ["lagg", words @ ..] if words.first() == Some(&"create") => {
            let name = free_name(socket)?;
            change(socket, &name, words)?;
            Ok(crate::output::text(&format!("{name}\n"))?)
        }
        [interface, words @ ..] => change(socket, interface, words),
    }
}

/// The first laggN that is not there.
fn free_name(socket: &Path) -> Result<String, Trouble> {
    let settings = fetch(&mut connect(socket).map_err(told)?)?.0;
    let taken = |name: &String| settings.laggs.iter().any(|l| l.name == *name);
    let name = (0..).map(|n: u32| format!("lagg{n}")).find(|name| !taken(name));
    Ok(name.expect("there are more numbers than laggs"))
}

/// The settings in force, their serial number, and where passphrases go.
fn fetch(client: &mut Client) -> Result<(Settings, u64, String), Trouble> {
    let running = client.configuration().map_err(told)?;
    let parsed = mpath_config::parse(&running.text, "the running configuration", &Defaults::default());
    let loaded = parsed.map_err(|errors| say(errors.to_string()))?;
    Ok((loaded.settings, running.serial, running.keys))
}

fn change(socket: &Path, interface: &str, words: &[&str]) -> Result<(), Trouble> {
    let (name, unit) = match interface.split_once(':') {
        Some((name, unit)) => {
            let unit = unit.parse().map_err(|_| say(format!("interface {interface} does not exist")))?;
            (name, unit)
        }
        None => (interface, 0),
    };
    let mut changes = words::parse(unit, words).map_err(|e| usage(e.message))?;
    if changes.is_empty() {
        // Nothing to do, as after plumb; but to what is not there nothing is done either.
        return find(name).map(drop);
    }
    passphrase(&mut changes)?;
    let own = |c: &Change| matches!(c, Change::Admin(_) | Change::Mtu(_));
    let outcome = if changes.iter().all(own) {
        // The kernel's own affair: needs no daemon.
        let mut nothing = Settings::default();
        apply(&mut nothing, name, &changes, &Surroundings::default()).map_err(say)?
    } else {
        negotiate(socket, name, &changes)?
    };
    if outcome.admin.is_some() || outcome.mtu.is_some() {
        set(name, &outcome)?;
    }
    for line in outcome.notes.iter().chain(&outcome.warnings) {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(std::io::stderr(), "ifconfig: {line}");
    }
    if outcome.warnings.is_empty() { Ok(()) } else { Err(Trouble::Said) }
}

/// `pass -` reads stdin; a passphrase among the words is visible to everybody.
fn passphrase(changes: &mut [Change]) -> Result<(), Trouble> {
    for change in changes {
        let Change::Vhid(vhid) = change else { continue };
        match vhid.passphrase.as_deref() {
            Some("-") => {
                let mut line = String::new();
                let read = std::io::stdin().lock().read_line(&mut line);
                read.map_err(|e| say(format!("cannot read the passphrase from stdin: {e}")))?;
                vhid.passphrase = Some(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            Some(_) => {
                let text = "ifconfig: warning: ps shows the passphrase to everybody; write pass - and give it on stdin";
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            None => {}
        }
    }
    Ok(())
}

/// Changes the configuration in force: again, if somebody else does so at the same time.
fn negotiate(socket: &Path, name: &str, changes: &[Change]) -> Result<Outcome, Trouble> {
    let mut client = connect(socket).map_err(told)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (before, serial, keys) = fetch(&mut client)?;
        let status = client.status().map_err(told)?;
        let around = Surroundings { adopted: adopted(&status, name), keys: keys.into() };
        let mut settings = before.clone();
        let outcome = apply(&mut settings, name, changes, &around).map_err(say)?;
        if settings == before && outcome.keys.is_empty() {
            return Ok(outcome);
        }
        let request = mpath_ipc::Change {
            text: render::complete(&settings),
            name: "the changed configuration".to_owned(),
            base: Some(serial),
            keys: outcome.keys.iter().map(wire).collect(),
            trial_ms: None,
        };
        match client.call(Request::Configure(Box::new(request))) {
            Ok(_) => return Ok(outcome),
            Err(ClientError::Failed(Failure::Refused { reason, .. }))
                if reason == "changed_meanwhile" && attempts < ATTEMPTS => {}
            Err(error) => return Err(told(error)),
        }
    }
}

fn wire(key: &Key) -> mpath_ipc::Key {
    mpath_ipc::Key { name: key.name.clone(), passphrase: key.passphrase.clone() }
}

/// Data addresses found on the NIC.
fn adopted(status: &Status, name: &str) -> Vec<IfAddr> {
    let all = status.groups.iter().flat_map(|g| &g.addresses);
    all.filter(|a| a.adopted && a.home == name).map(|a| a.address).collect()
}

fn set(name: &str, outcome: &Outcome) -> Result<(), Trouble> {
    let found = find(name)?;
    // What it is already, it need not be made: that takes root, other words do not.
    let admin = outcome.admin.filter(|up| *up != (found.flags & link::UP != 0));
    let mtu = outcome.mtu.filter(|mtu| *mtu != found.mtu);
    if admin.is_none() && mtu.is_none() {
        return Ok(());
    }
    link::set(found.index, admin, mtu).map_err(|e| say(format!("{name}: {e}")))
}

fn find(name: &str) -> Result<Link, Trouble> {
    let links = link::links().map_err(|e| say(format!("cannot list the interfaces: {e}")))?;
    let found = links.into_iter().find(|l| l.name == name);
    found.ok_or_else(|| say(format!("interface {name} does not exist")))
}
