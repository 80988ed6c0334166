//! Names of addresses, from /etc/hosts alone: a tool for times when the network fails must not ask it for names.

use std::collections::HashMap;
use std::net::IpAddr;

/// The names of addresses; none with `-n`.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<IpAddr, String>);

impl Names {
    /// Reads /etc/hosts, unless addresses are wanted as numbers.
    pub(super) fn read(numeric: bool) -> Names {
        let text =
            if numeric { String::new() } else { std::fs::read_to_string("/etc/hosts").unwrap_or_default() };
        Names::parse(&text)
    }

    fn parse(text: &str) -> Names {
        let mut names = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let address = words.next().and_then(|a| a.parse().ok());
            if let (Some(address), Some(name)) = (address, words.next()) {
                names.entry(address).or_insert_with(|| name.to_owned());
            }
        }
        Names(names)
    }

    /// The name of an address, else its numbers.
    pub(super) fn name(&self, address: &IpAddr) -> String {
        self.0.get(address).cloned().unwrap_or_else(|| address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts() {
        let names = Names::parse("# c\n192.0.2.1 gw gateway\n192.0.2.1 other\nbad line\n::1 localhost # x\n");
        assert_eq!(names.name(&"192.0.2.1".parse().unwrap()), "gw");
        assert_eq!(names.name(&"192.0.2.2".parse().unwrap()), "192.0.2.2");
    }
}
