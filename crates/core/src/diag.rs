//! Every message the operator can see, in one place: the texts of in.mpathd(1M) word for word with the
//! values filled in (mpathd-behaviour.md 8, column 5.9, where that is empty L05), their level and event.

use crate::carp::machine::State;
use mpath_model::addr::{Family, Mac};
use mpath_model::carp::CarpId;
use mpath_model::event::{Event, EventKind, Level};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// A log line: a text of the manual page with its values filled in, and fields for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Severity.
    pub level: Level,
    /// The text.
    pub text: String,
    /// key=value pairs.
    pub fields: Vec<(String, String)>,
}

/// A message: a line for the log and, for some, an event for watchers and hooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What is logged.
    pub line: Line,
    /// What watchers are told.
    pub event: Option<Event>,
}

/// NIC and group a message is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// NIC.
    pub nic: Option<&'a str>,
    /// Named group.
    pub group: Option<&'a str>,
}

impl About<'_> {
    fn suffix(&self) -> String {
        self.group.map(|g| format!(" of group {g}")).unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.nic.unwrap_or("-")
    }
}

fn message(level: Level, text: String, event: Option<EventKind>, about: About<'_>) -> Message {
    let event = event.map(|event| Event {
        event,
        interface: about.nic.map(str::to_string),
        group: about.group.map(str::to_string),
        message: text.clone(),
    });
    Message { line: Line { level, text, fields: Vec::new() }, event }
}

impl Message {
    /// Adds a field.
    pub fn with(mut self, key: &str, value: impl ToString) -> Message {
        self.line.fields.push((key.to_string(), value.to_string()));
        self
    }
}

/// 12: NIC failure.
pub fn nic_failure(about: About<'_>, cause: &str) -> Message {
    let text = format!("NIC failure detected on {}{}", about.name(), about.suffix());
    message(Level::Err, text, Some(EventKind::NicFailed), about).with("cause", cause)
}

/// Two members do not hear each other's broadcasts; ours.
pub fn not_on_one_link(about: About<'_>, other: &str) -> Message {
    let text = format!("{} and {other}{} are not on one link", about.name(), about.suffix());
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// They do again.
pub fn on_one_link(about: About<'_>, other: &str) -> Message {
    let text = format!("{} and {other}{} are on one link", about.name(), about.suffix());
    message(Level::Info, text, None, about)
}

/// A NIC loses too much to be trusted with data; ours.
pub fn losing(about: About<'_>, percent: u32) -> Message {
    let text = format!(
        "{percent}% of the probes of {}{} are lost: its addresses move",
        about.name(),
        about.suffix()
    );
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// A NIC is too slow to be trusted with data; ours.
pub fn slow(about: About<'_>, fastest: Duration) -> Message {
    let text = format!(
        "The fastest target of {}{} takes {fastest:.1?} to answer: its addresses move",
        about.name(),
        about.suffix()
    );
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// It does not any more.
pub fn trusted_again(about: About<'_>) -> Message {
    let text = format!("The probes of {}{} are answered again", about.name(), about.suffix());
    message(Level::Notice, text, Some(EventKind::Alarm), about)
}

/// 13: failover done.
pub fn failed_over(about: About<'_>, from: &str, to: &str) -> Message {
    let text = format!("Successfully failed over from NIC {from} to NIC {to}");
    message(Level::Notice, text, Some(EventKind::Failover), about)
}

/// A move that could not be proved.
pub fn unproved(about: About<'_>, address: &IpAddr, target: &IpAddr, moves_on: bool) -> Message {
    let text = if moves_on {
        format!("{target} does not answer {address} on NIC {}: the next NIC is tried", about.name())
    } else {
        format!("{target} does not answer {address} on NIC {}, and there is no other NIC", about.name())
    };
    message(Level::Warning, text, None, about)
}

/// 14: repair.
pub fn nic_repair(about: About<'_>) -> Message {
    let text = format!("NIC repair detected on {}{}", about.name(), about.suffix());
    message(Level::Notice, text, Some(EventKind::NicRepaired), about)
}

/// 15: failback done.
pub fn failed_back(about: About<'_>) -> Message {
    let text = format!("Successfully failed back to NIC {}", about.name());
    message(Level::Notice, text, Some(EventKind::Failback), about)
}

/// An operator suspended moves on verdicts of probes.
pub fn frozen(how_long: Option<Duration>) -> Message {
    let text = match how_long {
        Some(d) => format!("Frozen for {} s: verdicts of probes move nothing", d.as_secs_f64()),
        None => "Frozen: verdicts of probes move nothing".to_string(),
    };
    message(Level::Notice, text, Some(EventKind::Config), About { nic: None, group: None })
}

/// Verdicts of probes count again.
pub fn thawed() -> Message {
    let text = "Thawed: verdicts of probes move addresses again".to_string();
    message(Level::Notice, text, Some(EventKind::Config), About { nic: None, group: None })
}

/// 16: link down.
pub fn link_down(about: About<'_>) -> Message {
    let text = format!("The link has gone down on {}", about.name());
    message(Level::Notice, text, Some(EventKind::LinkDown), about)
}

/// 17: link up.
pub fn link_up(about: About<'_>) -> Message {
    let text = format!("The link has come up on {}", about.name());
    message(Level::Notice, text, Some(EventKind::LinkUp), about)
}

/// 18: flapping.
pub fn flapping(about: About<'_>) -> Message {
    let text = format!(
        "The link has come up on {} more than 2 times in the last minute; disabling failback until it stabilizes",
        about.name()
    );
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// 19: group failure.
pub fn group_failure(about: About<'_>, group: &str) -> Message {
    let about = About { nic: None, ..about };
    message(
        Level::Err,
        format!("All Interfaces in group {group} have failed"),
        Some(EventKind::GroupFailed),
        about,
    )
}

/// 20: group back.
pub fn group_repair(about: About<'_>, group: &str) -> Message {
    let text = format!("At least 1 interface ({}) of group {group} has repaired", about.name());
    message(Level::Notice, text, Some(EventKind::GroupRepaired), about)
}

/// 10: detection time raised.
pub fn cannot_meet(about: About<'_>, family: Family, requested: Duration, now: Duration) -> Message {
    let text = format!(
        "Cannot meet requested failure detection time of {} ms on ({family} {}) new failure detection is {} ms{}",
        requested.as_millis(),
        about.name(),
        now.as_millis(),
        about.suffix()
    );
    message(Level::Warning, text, Some(EventKind::DetectionTime), about)
}

/// 11: detection time lowered.
pub fn improved(about: About<'_>, family: Family, now: Duration) -> Message {
    let text = format!(
        "Improved failure detection time {} ms on ({family} {}){}",
        now.as_millis(),
        about.name(),
        about.suffix()
    );
    message(Level::Notice, text, Some(EventKind::DetectionTime), about)
}

/// 1: duplicate test address.
pub fn duplicate_test_address(about: About<'_>, address: IpAddr) -> Message {
    let text =
        format!("IFF_NOFAILOVER address {address} is not unique and failure detection is not possible");
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// 1, mended.
pub fn unique_test_address(about: About<'_>, address: IpAddr) -> Message {
    let text = format!("Test address {address} is unique; enabling probe-based failure detection");
    message(Level::Info, text, Some(EventKind::Config), about)
}

/// A data address that is new to this host is somebody else's.
pub fn address_taken(about: About<'_>, address: IpAddr, mac: Option<mpath_model::Mac>) -> Message {
    let who = mac.map(|m| format!(" ({m})")).unwrap_or_default();
    let text = format!(
        "address {address} is in use by another host{who}; it is not taken over by NIC {}",
        about.name()
    );
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// And its end.
pub fn address_free(about: About<'_>, address: IpAddr) -> Message {
    message(Level::Notice, format!("address {address} is in use by another host no longer"), None, about)
}

/// 2: not homogeneous.
pub fn not_plumbed(about: About<'_>, group: &str, family: Family) -> Message {
    let text = format!(
        "NIC {} of group {group} is not plumbed for {} and may affect failover capability",
        about.name(),
        family.version()
    );
    message(Level::Warning, text, Some(EventKind::Alarm), about)
}

/// 3: homogeneous again.
pub fn consistent(about: About<'_>, group: &str) -> Message {
    let text = format!(
        "NIC {} is now consistent with group {group} and failover capability is restored",
        about.name()
    );
    message(Level::Info, text, Some(EventKind::Config), about)
}

/// Two members with one link-layer address: a switch sees them as one that moves about.
pub fn same_mac(about: About<'_>, other: &str, mac: Mac) -> Message {
    let text = format!("NIC {} has the same hardware address as {other}{}", about.name(), about.suffix());
    message(Level::Err, text, Some(EventKind::Alarm), about).with("address", mac)
}

/// The same, mended.
pub fn own_mac(about: About<'_>) -> Message {
    let text = format!("NIC {} now has a unique hardware address{}", about.name(), about.suffix());
    message(Level::Info, text, Some(EventKind::Config), about)
}

/// 4: missing test address.
pub fn no_test_address(about: About<'_>) -> Message {
    let text =
        format!("Failures cannot be detected on {} as no IFF_NOFAILOVER address is available", about.name());
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// 5: test address there again.
pub fn test_address_back(about: About<'_>) -> Message {
    let text = format!(
        "Test address now configured on interface {}; enabling probe-based failure detection on it",
        about.name()
    );
    message(Level::Info, text, Some(EventKind::Config), about)
}

/// 24: starvation.
pub fn missed_probes(about: About<'_>, family: Family, missed: u64) -> Message {
    message(Level::Info, format!("missed sending {missed} probes"), None, about)
        .with("interface", about.name())
        .with("family", family)
}

/// 25: an answer that is refused (mpathd-behaviour.md 1.7 and 1.8).
pub fn refused_answer(about: About<'_>, text: String, from: IpAddr) -> Message {
    message(Level::Info, text, None, about).with("interface", about.name()).with("from", from)
}

/// 26: NIC gone.
pub fn removed(about: About<'_>, family: Family) -> Message {
    let text = format!("{family} {} has been removed from kernel", about.name());
    message(Level::Info, text, None, about)
}

/// 28: a kernel request failed.
pub fn request_failed(about: About<'_>, what: &str, errno: i32) -> Message {
    let text = format!("{what}: {}", std::io::Error::from_raw_os_error(errno));
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// 28: a probe could not be sent.
pub fn send_failed(about: About<'_>, family: Family, errno: i32) -> Message {
    let error = std::io::Error::from_raw_os_error(errno);
    let text = format!("probe: probe sendto ({family} {}): {error}", about.name());
    message(Level::Err, text, None, about)
}

/// The kernel and the engine do not come to terms.
pub fn overheated() -> Message {
    let text =
        "something undoes every change as fast as it is made: waiting for the rest of the second".to_string();
    message(Level::Err, text, Some(EventKind::Alarm), About { nic: None, group: None })
}

/// A NIC was taken offline.
pub fn offline(about: About<'_>) -> Message {
    let text = format!("NIC {} taken offline", about.name());
    message(Level::Notice, text, Some(EventKind::Offline), about)
}

/// A NIC was put back.
pub fn online(about: About<'_>) -> Message {
    let text = format!("NIC {} put back online", about.name());
    message(Level::Notice, text, Some(EventKind::Online), about)
}

/// An adopted address was deleted by somebody else while its NIC was up.
pub fn forgotten(about: About<'_>, what: &str) -> Message {
    let text = format!("{what} was deleted on {}: no longer kept", about.name());
    message(Level::Info, text, Some(EventKind::Config), about)
}

/// A declared address was deleted by somebody else and is put back.
pub fn put_back(about: About<'_>, what: &str) -> Message {
    let text = format!("{what} was deleted on {}: putting it back", about.name());
    message(Level::Notice, text, Some(EventKind::Alarm), about)
}

/// Something is taken away as fast as it is put back.
pub fn fought_over(about: About<'_>, what: &str, author: Option<&str>) -> Message {
    let text = format!(
        "{what} on {} has been taken away 3 times within a minute and is put back for the last time{}",
        about.name(),
        about.suffix()
    );
    suspected(message(Level::Err, text, Some(EventKind::Alarm), about), author)
}

/// It is not put back any more.
pub fn left_alone(about: About<'_>, what: &str, author: Option<&str>) -> Message {
    let text = format!("{what} on {} is taken away again and again: left alone for a minute", about.name());
    suspected(message(Level::Err, text, Some(EventKind::Alarm), about), author)
}

/// It has stayed.
pub fn fight_over(about: About<'_>, what: &str) -> Message {
    let text = format!("{what} on {} has not been taken away for a minute: kept as before", about.name());
    message(Level::Notice, text, Some(EventKind::Config), about)
}

fn suspected(message: Message, author: Option<&str>) -> Message {
    match author {
        Some(author) => message.with("by", author),
        None => message,
    }
}

/// An address on a member that is a data address from now on.
pub fn adopted(about: About<'_>, what: &str) -> Message {
    message(Level::Info, format!("{what} on {} is a data address now", about.name()), None, about)
}

/// Members with different MTUs.
pub fn other_mtu(about: About<'_>, mtu: u32, other: &str, theirs: u32) -> Message {
    let text = format!(
        "NIC {} has MTU {mtu}, NIC {other} has {theirs}: after a move large packets may not pass",
        about.name()
    );
    message(Level::Warning, text, None, about)
}

/// And its end.
pub fn same_mtu(about: About<'_>, other: &str) -> Message {
    let text = format!("NIC {} and NIC {other} do not differ in their MTU as they did", about.name());
    message(Level::Notice, text, None, about)
}

/// A member that cannot be one: it is a port of something else.
pub fn enslaved(about: About<'_>, master: &str) -> Message {
    let text = format!(
        "NIC {} is a port of {master} and cannot be a member{}: take it out of {master}, or name {master} instead",
        about.name(),
        about.suffix()
    );
    message(Level::Err, text, Some(EventKind::Alarm), about)
}

/// USR1: totals of missed probes.
pub fn missed_total(probes: u64, occasions: u64) -> Message {
    let text = format!("Missed sending total of {probes} probes spread over {occasions} occurrences");
    message(Level::Info, text, None, About { nic: None, group: None })
}

/// USR1: statistics of one instance.
pub fn statistics(about: About<'_>, family: Family, counts: [u64; 5]) -> Vec<Message> {
    let [sent, acked, lost, open, ambiguous] = counts;
    [
        format!("Probe stats on ({family} {})", about.name()),
        format!("Number of probes sent {sent}"),
        format!("Number of probe acks received {acked}"),
        format!("Number of probes/acks lost {lost}"),
        format!("Number of valid unacknowledged probes {open}"),
        format!("Number of ambiguous probe acks received {ambiguous}"),
    ]
    .into_iter()
    .map(|text| message(Level::Info, text, None, about))
    .collect()
}

fn about(id: &CarpId) -> About<'_> {
    About { nic: id.over.interface(), group: id.over.group() }
}

/// CARP: a vhid has changed its state, in FreeBSD's words (lagg-carp.md B.4).
pub fn carp_state(id: &CarpId, before: State, after: State, reason: &str) -> Message {
    let text = format!("carp: {id}: {before} -> {after} ({reason})");
    message(Level::Notice, text, Some(EventKind::CarpState), about(id))
}

/// CARP: the demotion counter has changed.
pub fn carp_demoted(by: i32, to: i32, reason: &str) -> Message {
    let text = format!("carp: demoted by {by} to {to} ({reason})");
    message(Level::Notice, text, None, About { nic: None, group: None })
}

/// CARP: somebody uses the vhid with another passphrase or other addresses. Both hosts will be masters.
pub fn carp_bad_digest(id: &CarpId, from: IpAddr) -> Message {
    let text = format!("carp: {id}: wrong digest from {from}: its passphrase or its addresses differ");
    message(Level::Warning, text, Some(EventKind::Alarm), about(id))
}

/// CARP: adverts cannot be sent.
pub fn carp_send_error(id: &CarpId, errno: i32) -> Message {
    let error = std::io::Error::from_raw_os_error(errno);
    message(
        Level::Err,
        format!("carp: {id}: cannot send adverts: {error}"),
        Some(EventKind::Alarm),
        about(id),
    )
}

/// A lagg has another active port, or none.
pub fn lagg_switched(lagg: &str, from: Option<&str>, to: Option<&str>, first: bool) -> Message {
    let (level, text) = match (from, to) {
        (Some(from), Some(to)) => {
            (Level::Notice, format!("Active port of {lagg} changed from {from} to {to}"))
        }
        (_, Some(to)) => (Level::Notice, format!("Active port of {lagg} is {to}")),
        (_, None) => (Level::Err, format!("{lagg} has no active port")),
    };
    let about = About { nic: Some(lagg), group: None };
    message(level, text, (!first).then_some(EventKind::LaggSwitch), about)
}

/// The name of a lagg is taken.
pub fn lagg_in_the_way(lagg: &str) -> Message {
    let text = format!("{lagg} cannot be made: an interface of that name exists and is not mpathd's");
    message(Level::Err, text, Some(EventKind::Alarm), About { nic: Some(lagg), group: None })
}
