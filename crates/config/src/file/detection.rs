//! `[detection]`, and how it and the groups overrule /etc/default/mpathd.

use super::group::{Draft, FDT};
use super::reader::{Cx, Span, Table};
use crate::defaults::{Defaults, Setting};
use mpath_model::event::Level;
use mpath_model::settings::Detection;
use std::time::Duration;

const TIME: &str = "failure_detection_time";
const FAILBACK: &str = "failback";
const TRACK: &str = "track_interfaces_only_with_groups";

pub(super) const KEYS: &[&str] = &[TIME, FAILBACK, TRACK];

/// What holds where `[detection]` says nothing.
pub(super) fn from_defaults(defaults: &Defaults) -> Detection {
    let constants = Detection::default();
    let or = |setting: &Option<Setting<bool>>, default| setting.as_ref().map_or(default, |s| s.value);
    Detection {
        failure_detection_time: defaults
            .failure_detection_time
            .as_ref()
            .map_or(constants.failure_detection_time, |s| s.value),
        failback: or(&defaults.failback, constants.failback),
        track_interfaces_only_with_groups: or(
            &defaults.track_interfaces_only_with_groups,
            constants.track_interfaces_only_with_groups,
        ),
    }
}

pub(super) fn read(cx: &mut Cx<'_>, table: &Table<'_>, defaults: &Defaults) -> Detection {
    let mut detection = from_defaults(defaults);
    if let Some(time) = table.duration(cx, TIME, &FDT) {
        overruled(cx, defaults, &defaults.failure_detection_time, TIME, time.value, time.span);
        detection.failure_detection_time = time.value;
    }
    let flags = [
        (FAILBACK, &defaults.failback, &mut detection.failback),
        (
            TRACK,
            &defaults.track_interfaces_only_with_groups,
            &mut detection.track_interfaces_only_with_groups,
        ),
    ];
    for (key, setting, flag) in flags {
        if let (Some(value), Some(span)) = (table.boolean(cx, key), table.span_of(key)) {
            overruled(cx, defaults, setting, key, value, span);
            *flag = value;
        }
    }
    detection
}

/// Values of /etc/default/mpathd that `[detection]` leaves alone and a group overrules: one line each.
pub(super) fn note_overruled_by_groups(
    cx: &mut Cx<'_>,
    table: Option<&Table<'_>>,
    drafts: &[Draft],
    defaults: &Defaults,
) {
    let silent = |key: &str| !table.is_some_and(|t| t.has(key));
    if silent(TIME) {
        let setting = &defaults.failure_detection_time;
        let mut times = drafts.iter().filter_map(|d| d.failure_detection_time.as_ref());
        let other = times.find(|at| setting.as_ref().is_some_and(|s| s.value != at.value));
        if let Some(at) = other {
            overruled(cx, defaults, setting, TIME, at.value, at.span.clone());
        }
    }
    if silent(FAILBACK) {
        let setting = &defaults.failback;
        let mut flags = drafts.iter().filter_map(|d| d.failback.as_ref());
        let other = flags.find(|at| setting.as_ref().is_some_and(|s| s.value != at.value));
        if let Some(at) = other {
            overruled(cx, defaults, setting, FAILBACK, at.value, at.span.clone());
        }
    }
}

/// Logs that `mpathd.toml` wins, where the two files differ.
fn overruled<T: PartialEq>(
    cx: &mut Cx<'_>,
    defaults: &Defaults,
    setting: &Option<Setting<T>>,
    key: &str,
    value: T,
    span: Span,
) {
    let Some(setting) = setting.as_ref().filter(|s| s.value != value) else {
        return;
    };
    let (variable, raw, file) = (key.to_uppercase(), &setting.raw, &defaults.file);
    let text = format!("{variable}={raw} of {file} is overruled by {key} in {}", cx.file());
    cx.note(Level::Info, span, text);
}

/// The smallest and largest failure detection time of `mpathd.toml`.
pub(super) const fn range() -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(20)..=Duration::from_secs(3600)
}
