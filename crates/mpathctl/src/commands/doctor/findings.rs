//! What is wrong with NICs and their sysctls (linux-failover.md, pitfalls 1 to 8, 27 and 31), and what the daemon has
//! found out by probing.

use super::host::Host;
use super::{Finding, Weight, passphrase_files};
use crate::netlink::link::{Link, RUNNING, UP};
use mpath_model::Settings;
use mpath_model::explain::{Explanation, Rule};
use std::os::unix::fs::PermissionsExt;

/// Everything that the host itself shows.
pub(super) fn all(host: &Host, settings: &Settings, nics: &[String]) -> Vec<Finding> {
    let mut list = Vec::new();
    for nic in nics {
        list.extend(interface(host, settings, nic));
        list.extend(sysctls(host, settings, nic));
    }
    list.extend(equal_macs(host, nics));
    for group in &settings.groups {
        let names: Vec<&str> = group.interfaces.iter().map(|i| i.name.as_str()).collect();
        list.extend(mtus(host, &group.name, &names));
    }
    list.extend(passphrases(settings));
    if !settings.carps.is_empty() {
        list.push(Finding::hint(
            "switch",
            "a vhid's virtual link-layer address appears on another port when its master changes",
            "let its ports accept that: no port security, no MAC filter of a hypervisor, multicast 224.0.0.18 flooded",
        ));
    }
    list
}

/// What the daemon's evidence says beyond what is visible here.
pub(super) fn evidence(list: &[Explanation]) -> Vec<Finding> {
    let mut found = Vec::new();
    for e in list {
        let why = format!("mpathctl why {}", e.interface);
        let remedy = || e.remedy.first().cloned().unwrap_or_else(|| why.clone());
        if matches!(
            e.rule,
            Rule::ProbesLost
                | Rule::GroupFailure
                | Rule::NoTarget
                | Rule::PortDead
                | Rule::PortWorks
                | Rule::Flapping
        ) {
            found.push(Finding::obstacle(&e.interface, e.reason.clone(), remedy()));
        }
        found.extend(e.problems.iter().map(|p| Finding::obstacle(&e.interface, p.clone(), why.clone())));
    }
    found
}

fn interface(host: &Host, settings: &Settings, nic: &str) -> Vec<Finding> {
    let Some(link) = host.link(nic) else {
        return vec![Finding::obstacle(
            nic,
            "this host has no such interface",
            "check its name with `ip link`",
        )];
    };
    let mut list = Vec::new();
    if let Some(master) = link.master {
        let master = host.links.iter().find(|l| l.index == master);
        // A lagg is a bond or a bridge of mpathd's own making.
        let lagg = |m: &Link| settings.laggs.iter().any(|l| l.name == m.name);
        let takes_all = |m: &&Link| matches!(m.kind.as_str(), "bridge" | "bond" | "team" | "openvswitch");
        if let Some(master) = master.filter(takes_all).filter(|m| !lagg(m)) {
            let name = &master.name;
            list.push(Finding::obstacle(
                nic,
                format!("it is a port of {name}"),
                format!("a port holds no addresses of its own: ip link set {nic} nomaster, or put {name} in its place"),
            ));
        }
    }
    if link.flags & UP == 0 {
        list.push(Finding::obstacle(nic, "it is administratively down", format!("ip link set {nic} up")));
    } else if link.flags & RUNNING == 0 {
        list.push(Finding::obstacle(nic, "it has no carrier", "check the cable and the switch port"));
    }
    let children = host.links.iter().filter(|l| l.parent == Some(link.index));
    for child in children.filter(|l| matches!(l.kind.as_str(), "macvlan" | "ipvlan" | "macvtap" | "ipvtap")) {
        list.push(Finding::hint(
            nic,
            format!("{} ({}) is bound to it and does not move with its addresses", child.name, child.kind),
            "containers that must survive a failure of the NIC need addresses of the host",
        ));
    }
    list
}

/// What is set otherwise than probes and moves need it. mpathd sets it on its NICs, and puts it back when they leave: where it
/// has done so and it is otherwise all the same, somebody fights over it.
fn sysctls(host: &Host, settings: &Settings, nic: &str) -> Vec<Finding> {
    if settings.laggs.iter().any(|l| l.ports.iter().any(|p| p == nic)) {
        return Vec::new();
    }
    let member = settings.group_of(nic).is_some();
    let below = settings.carps.iter().any(|c| c.over.interface() == Some(nic));
    // Of a NIC that only a vhid lies on, nothing is probed and nothing moved.
    let moves = member || !below;
    let set = |key: &str, value: i32| format!("sysctl -w net.ipv4.conf.{nic}.{key}={value}");
    let mut list = Vec::new();
    if host.effective(nic, "rp_filter") == Some(1) && moves {
        list.push(Finding::obstacle(
            nic,
            "rp_filter is strict: answers to probes that come in on another NIC than the route's are dropped",
            set("rp_filter", 2),
        ));
    }
    if host.effective(nic, "arp_ignore") == Some(0) {
        list.push(Finding::obstacle(
            nic,
            "arp_ignore is 0: every NIC answers ARP for the addresses of every other",
            set("arp_ignore", 1),
        ));
    }
    let own = |key: &str| host.sysctl(&format!("net/ipv4/conf/{nic}/{key}"));
    let all = |key: &str| host.sysctl(&format!("net/ipv4/conf/all/{key}"));
    if own("promote_secondaries") == Some(0) && all("promote_secondaries") == Some(0) && moves {
        list.push(Finding::obstacle(
            nic,
            "promote_secondaries is 0: deleting an address takes others of its subnet along",
            set("promote_secondaries", 1),
        ));
    }
    if !(host.daemon && (member || below)) {
        for f in &mut list {
            (f.weight, f.remedy) = (Weight::Hint, "none needed: mpathd sets it".to_owned());
        }
    }
    if host.sysctl("net/ipv4/icmp_echo_ignore_all") == Some(1) {
        list.push(Finding::hint(
            nic,
            "this host answers no echo requests: others cannot probe it",
            "sysctl -w net.ipv4.icmp_echo_ignore_all=0",
        ));
    }
    list
}

fn equal_macs(host: &Host, nics: &[String]) -> Vec<Finding> {
    let mut list = Vec::new();
    for (n, nic) in nics.iter().enumerate() {
        let Some(mac) = host.link(nic).and_then(|l| l.mac) else { continue };
        let twin = nics[..n].iter().find(|o| host.link(o).and_then(|l| l.mac) == Some(mac));
        // The ports of a lagg share its address.
        let in_lagg = host.link(nic).is_some_and(|l| l.permanent.is_some_and(|p| p != mac));
        if let Some(other) = twin.filter(|_| !in_lagg) {
            list.push(Finding::obstacle(
                nic,
                format!("its link-layer address is that of {other}: the switch mixes them up"),
                format!("give {nic} an address of its own: ip link set {nic} address ..."),
            ));
        }
    }
    list
}

fn mtus(host: &Host, group: &str, nics: &[&str]) -> Option<Finding> {
    let mut found: Vec<(u32, &str)> = nics.iter().filter_map(|n| Some((host.link(n)?.mtu, *n))).collect();
    found.sort_unstable();
    let (least, most) = (found.first()?, found.last()?);
    (least.0 != most.0).then(|| {
        Finding::obstacle(
            &format!("group {group}"),
            format!(
                "{} has MTU {}, {} has {}: large packets are lost after a move",
                least.1, least.0, most.1, most.0
            ),
            format!("ip link set {} mtu {}, or the other way round", least.1, most.0),
        )
    })
}

fn passphrases(settings: &Settings) -> Vec<Finding> {
    let mut list = Vec::new();
    for path in passphrase_files(settings) {
        let about = path.display().to_string();
        match std::fs::metadata(path) {
            Err(e) => {
                let what = format!("this passphrase file cannot be read: {e}");
                list.push(Finding::obstacle(&about, what, "write it, with mode 0600"));
            }
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => list.push(Finding::obstacle(
                &about,
                "others than its owner may read this passphrase, so mpathd refuses it",
                format!("chmod 600 {about}"),
            )),
            Ok(_) if mpath_config::hidden_from_service(path) => list.push(Finding::obstacle(
                &about,
                "the service runs as user mpathd, who cannot read this passphrase",
                format!("chown mpathd {about}"),
            )),
            Ok(_) => {}
        }
    }
    list
}
