//! Text of an `mpathd.toml` with one group over the NICs of the standard network.

use crate::lan::{DATA4, DATA6, test_address4};
use std::fmt::Write;
use std::time::Duration;

/// What the group is to look like.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Members `eth0` and up.
    pub nics: usize,
    /// Which of them are standby.
    pub standby: Vec<usize>,
    /// Members have an IPv4 test address and take their link-local address for IPv6; else they have none.
    pub test_addresses: bool,
    /// Failure detection time.
    pub failure_detection_time: Duration,
    /// Whether addresses go home after a repair.
    pub failback: bool,
    /// Data addresses with prefix length, and their homes.
    pub data: Vec<(String, usize)>,
    /// Further lines for the `[[group]]` table.
    pub extra: String,
}

impl Default for GroupConfig {
    /// Two NICs, a detection time of 1 s, one data address of each family with the first NIC as its home.
    fn default() -> GroupConfig {
        GroupConfig {
            nics: 2,
            standby: Vec::new(),
            test_addresses: true,
            failure_detection_time: Duration::from_secs(1),
            failback: true,
            data: vec![(format!("{DATA4}/24"), 0), (format!("{DATA6}/64"), 0)],
            extra: String::new(),
        }
    }
}

impl GroupConfig {
    /// The text of the file. The group is called `production`.
    pub fn text(&self) -> String {
        let mut text = format!(
            "[[group]]\nname = \"production\"\nfailure_detection_time = \"{}ms\"\nfailback = {}\n{}",
            self.failure_detection_time.as_millis(),
            self.failback,
            self.extra
        );
        for n in 0..self.nics {
            let _ = write!(text, "\n[[group.interface]]\nname = \"eth{n}\"\n");
            if self.test_addresses {
                let test = test_address4(n);
                let _ = writeln!(text, "test_addresses = [\"{test}\", \"link-local\"]");
            }
            if self.standby.contains(&n) {
                text.push_str("standby = true\n");
            }
        }
        for (address, home) in &self.data {
            let _ = write!(text, "\n[[group.address]]\naddress = \"{address}\"\nhome = \"eth{home}\"\n");
        }
        text
    }
}
