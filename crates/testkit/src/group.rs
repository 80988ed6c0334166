//! Text of an `mpathd.toml` with one group over the NICs of the standard network.

use crate::lan::test_address4;
use crate::stack::{Stack, with_prefix};
use mpath_model::Family;
use std::fmt::Write;
use std::time::Duration;

/// What the group is to look like.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Members `eth0` and up.
    pub nics: usize,
    /// Which of them are standby.
    pub standby: Vec<usize>,
    /// Families of the server: test and data addresses of others are left out.
    pub stack: Stack,
    /// Families in which members have a test address: one of their own for IPv4, their link-local one for IPv6.
    pub test_addresses: Vec<Family>,
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
            stack: Stack::Dual,
            test_addresses: Family::BOTH.into(),
            failure_detection_time: Duration::from_secs(1),
            failback: true,
            data: Stack::Dual.data().into_iter().map(|data| (with_prefix(data), 0)).collect(),
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
            let tested = self.test_addresses.iter().filter(|family| self.stack.has(**family));
            let tests: Vec<String> = tested.map(|family| test_address(*family, n)).collect();
            if !tests.is_empty() {
                let _ = writeln!(text, "test_addresses = [{}]", tests.join(", "));
            }
            if self.standby.contains(&n) {
                text.push_str("standby = true\n");
            }
        }
        for (address, home) in self.data.iter().filter(|(address, _)| self.stack.has(family(address))) {
            let _ = write!(text, "\n[[group.address]]\naddress = \"{address}\"\nhome = \"eth{home}\"\n");
        }
        text
    }
}

/// How the file names the test address of NIC `n`.
fn test_address(family: Family, n: usize) -> String {
    match family {
        Family::Inet => format!("\"{}\"", test_address4(n)),
        Family::Inet6 => "\"link-local\"".to_owned(),
    }
}

fn family(address: &str) -> Family {
    if address.contains(':') { Family::Inet6 } else { Family::Inet }
}
