//! Policy routing rules (RTM_NEWRULE), as far as mpathd uses them.

use crate::addr::{Family, IfAddr};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Tables and rule priorities that belong to mpathd.
pub const TABLES: RangeInclusive<u32> = 7700..=7799;

/// A rule with mpathd's mark: packets from `from` to `to` are routed by `table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Family of the packets.
    pub family: Family,
    /// FRA_PRIORITY: rules are asked in ascending order.
    pub priority: u32,
    /// FRA_SRC; none for all.
    pub from: Option<IfAddr>,
    /// FRA_DST; none for all.
    pub to: Option<IfAddr>,
    /// FRA_TABLE.
    pub table: u32,
    /// FRA_SUPPRESS_PREFIXLEN: routes with a prefix of this length or shorter do not count.
    pub suppress: Option<u32>,
}
