//! What the kernel of a host has counted, of all its interfaces: /proc/net/snmp for IPv4, /proc/net/snmp6 for IPv6.

use crate::error::{Context, Error};
use crate::host::Host;

/// A counter of IPv4, as `Icmp` and `OutEchos`; 0 if the kernel does not know it.
pub fn snmp(host: &Host, protocol: &str, name: &str) -> Result<u64, Error> {
    Ok(column(&read(host, "snmp")?, protocol, name))
}

/// A counter of IPv6, as `Icmp6OutEchos`; 0 if the kernel does not know it.
pub fn snmp6(host: &Host, name: &str) -> Result<u64, Error> {
    Ok(row(&read(host, "snmp6")?, name))
}

fn read(host: &Host, file: &str) -> Result<String, Error> {
    let path = format!("/proc/thread-self/net/{file}");
    host.run(|| std::fs::read_to_string(&path)).context(|| format!("read {path} of {}", host.name()))
}

/// Of each protocol a line of names, and one of values.
fn column(text: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let found = names.split_whitespace().zip(values.split_whitespace()).find(|(n, _)| *n == name);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
}

/// A line for each.
fn row(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().map(str::split_whitespace);
    let found = lines.find_map(|mut words| (words.next()? == name).then(|| words.next()).flatten());
    found.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_proc() {
        let text = "Ip: A OutEchos\nIp: 1 2\nIcmp: InMsgs OutEchos\nIcmp: 5 77\nIcmpMsg: OutEchos\n";
        assert_eq!(column(text, "Icmp", "OutEchos"), 77);
        assert_eq!(row("Icmp6InEchos  3\nIcmp6OutEchos   9\n", "Icmp6OutEchos"), 9);
    }
}
