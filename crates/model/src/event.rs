//! Events, as `mpathctl watch` shows them and `on_event` receives them.

use serde::{Deserialize, Serialize};

/// Severity, as syslog(3) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Failures, refused configuration, alarms.
    Err,
    /// Bad values, heterogeneous groups, raised detection time.
    Warning,
    /// Repair, failover, failback, link, offline, online, improved time.
    Notice,
    /// The rest.
    Info,
    /// Only for developers.
    Debug,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum EventKind {
    LinkDown,
    LinkUp,
    NicFailed,
    NicRepaired,
    Failover,
    Failback,
    GroupFailed,
    GroupRepaired,
    DetectionTime,
    Config,
    Offline,
    Online,
    LaggSwitch,
    CarpState,
    Alarm,
}

/// One event, without its wall-clock time, which the daemon adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// NIC concerned.
    pub interface: Option<String>,
    /// Group concerned.
    pub group: Option<String>,
    /// The message as logged.
    pub message: String,
}
