//! Settings written as a `mpathd.toml`: what `save` and `import` put into files, and how a changed configuration
//! travels. Reading it gives the same settings again. What has its default is left out.

use crate::duration;
use mpath_model::settings::{
    Adopt, Carp, Confirm, Daemon, Detection, Group, LAGG_RX_GRACE, Lagg, LinkPoll, PassphraseSource,
    ProbeMode, Replay, TestAddress, Thresholds,
};
use mpath_model::{IfAddr, Settings};
use std::fmt::Display;
use std::time::Duration;

/// The text for a host where it is read together with what the defaults file says there.
pub fn render(settings: &Settings) -> String {
    write(settings, settings.detection != Detection::default())
}

/// The text that means the same wherever it is read: nothing is left to the defaults file.
pub fn complete(settings: &Settings) -> String {
    write(settings, true)
}

fn write(settings: &Settings, with_detection: bool) -> String {
    let mut out = Text(String::new());
    daemon(&mut out, &settings.daemon);
    if with_detection {
        detection(&mut out, &settings.detection);
    }
    settings.groups.iter().for_each(|g| group(&mut out, g, &settings.detection));
    settings.laggs.iter().for_each(|l| lagg(&mut out, l, &settings.detection));
    settings.carps.iter().for_each(|c| carp(&mut out, c));
    out.0
}

struct Text(String);

impl Text {
    fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn bare(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn string(&mut self, key: &str, value: impl Display) {
        self.bare(key, quote(&value.to_string()));
    }

    fn list<T: Display>(&mut self, key: &str, values: &[T]) {
        if !values.is_empty() {
            self.whole_list(key, values);
        }
    }

    /// Written also where there is nothing in it.
    fn whole_list<T: Display>(&mut self, key: &str, values: &[T]) {
        let quoted: Vec<String> = values.iter().map(|v| quote(&v.to_string())).collect();
        self.bare(key, format!("[{}]", quoted.join(", ")));
    }

    fn time(&mut self, key: &str, value: Duration) {
        self.string(key, duration::format(value));
    }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn daemon(out: &mut Text, d: &Daemon) {
    let default = Daemon::default();
    if *d == default {
        return;
    }
    out.header("[daemon]");
    // Whoever adds a setting is told here that it has to be written.
    let Daemon { control_group, read_group, on_event, realtime, link_poll, announce, announce_pace } = d;
    control_group.iter().for_each(|g| out.string("control_group", g));
    read_group.iter().for_each(|g| out.string("read_group", g));
    on_event.iter().for_each(|p| out.string("on_event", p.display()));
    if *realtime {
        out.bare("realtime", realtime);
    }
    match *link_poll {
        LinkPoll::Auto => {}
        LinkPoll::Every(period) => out.time("link_poll", period),
        LinkPoll::Off => out.string("link_poll", "off"),
    }
    if *announce != default.announce {
        let times: Vec<String> = announce.iter().map(|t| quote(&duration::format(*t))).collect();
        out.bare("announce", format!("[{}]", times.join(", ")));
    }
    if *announce_pace != default.announce_pace {
        out.time("announce_pace", *announce_pace);
    }
}

fn detection(out: &mut Text, d: &Detection) {
    out.header("[detection]");
    let Detection { failure_detection_time, failback, track_interfaces_only_with_groups } = d;
    out.time("failure_detection_time", *failure_detection_time);
    out.bare("failback", failback);
    out.bare("track_interfaces_only_with_groups", track_interfaces_only_with_groups);
}

fn probe(out: &mut Text, mode: ProbeMode) {
    match mode {
        ProbeMode::Auto => {}
        ProbeMode::TestAddress => out.string("probe", "testaddress"),
        ProbeMode::Link => out.string("probe", "link"),
    }
}

fn group(out: &mut Text, g: &Group, d: &Detection) {
    let Group {
        name,
        failure_detection_time,
        failback,
        probe: mode,
        targets,
        adopt,
        confirm,
        thresholds,
        interfaces,
        addresses,
    } = g;
    let Thresholds { max_loss, max_rtt, large_probes } = thresholds;
    out.header("[[group]]");
    out.string("name", name);
    if *failure_detection_time != d.failure_detection_time {
        out.time("failure_detection_time", *failure_detection_time);
    }
    if *failback != d.failback {
        out.bare("failback", failback);
    }
    probe(out, *mode);
    out.list("targets", targets);
    match adopt {
        Adopt::Static => {}
        Adopt::All => out.string("adopt", "all"),
        Adopt::None => out.string("adopt", "none"),
    }
    match confirm {
        Confirm::All => {}
        Confirm::Icmp => out.string("confirm", "icmp"),
        Confirm::Off => out.string("confirm", "off"),
    }
    if *max_loss != Thresholds::default().max_loss {
        out.string("max_loss", format!("{max_loss}%"));
    }
    max_rtt.iter().for_each(|t| out.time("max_rtt", *t));
    if *large_probes {
        out.bare("large_probes", large_probes);
    }
    for i in interfaces {
        out.header("[[group.interface]]");
        out.string("name", &i.name);
        let tests: Vec<String> = i.test_addresses.iter().map(test_address).collect();
        out.list("test_addresses", &tests);
        if i.standby {
            out.bare("standby", true);
        }
    }
    for a in addresses {
        out.header("[[group.address]]");
        out.string("address", a.address);
        out.string("home", &a.home);
    }
}

fn test_address(address: &TestAddress) -> String {
    match address {
        TestAddress::Address(a) => a.to_string(),
        TestAddress::LinkLocal => "link-local".to_owned(),
    }
}

fn lagg(out: &mut Text, l: &Lagg, d: &Detection) {
    out.header("[[lagg]]");
    out.string("name", &l.name);
    // A lagg that has just been made has none yet.
    out.whole_list("ports", &l.ports);
    out.list::<IfAddr>("addresses", &l.addresses);
    if let Some(backend) = l.backend {
        out.string("backend", backend.name());
    }
    if !l.failback {
        out.bare("failback", false);
    }
    if l.failback_delay != Duration::ZERO {
        out.time("failback_delay", l.failback_delay);
    }
    if l.rx_grace != LAGG_RX_GRACE {
        out.time("rx_grace", l.rx_grace);
    }
    probe(out, l.probe);
    if l.failure_detection_time != d.failure_detection_time {
        out.time("failure_detection_time", l.failure_detection_time);
    }
    out.list("targets", &l.targets);
}

fn carp(out: &mut Text, c: &Carp) {
    out.header("[[carp]]");
    match c.over.interface() {
        Some(interface) => out.string("interface", interface),
        None => out.string("group", c.over.name()),
    }
    out.bare("vhid", c.vhid);
    match &c.passphrase {
        PassphraseSource::None => {}
        PassphraseSource::File(path) => out.string("passphrase_file", path.display()),
        PassphraseSource::Credential(name) => out.string("credential", name),
    }
    if c.advbase != 1 {
        out.bare("advbase", c.advbase);
    }
    if c.advskew != 0 {
        out.bare("advskew", c.advskew);
    }
    if c.preempt {
        out.bare("preempt", true);
    }
    if !c.vmac {
        out.bare("vmac", false);
    }
    c.peer.iter().for_each(|p| out.string("peer", p));
    c.peer6.iter().for_each(|p| out.string("peer6", p));
    match c.replay {
        Replay::Loop => {}
        Replay::Off => out.string("replay", "off"),
        Replay::Strict => out.string("replay", "strict"),
    }
    out.list::<IfAddr>("addresses", &c.addresses);
}

#[cfg(test)]
mod tests;
