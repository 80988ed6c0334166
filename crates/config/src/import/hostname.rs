//! Solaris' `/etc/hostname.IF` and `/etc/hostname6.IF`: words of ifconfig for the interface in the file's name.

use super::{Job, Source};

pub(super) fn read(job: &mut Job, source: &Source) {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let (file, interface) = name.split_once('.').unwrap_or((name, ""));
    if interface.is_empty() {
        job.trouble(source, 1, "the name of the interface is missing in the file's name");
        return;
    }
    // All lines are one call there, except that a line may begin with addif.
    let mut first = true;
    let mut group = None;
    for (n, line) in source.text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        if file == "hostname6" {
            words.insert(0, "inet6");
        }
        if let Some(at) = words.iter().position(|w| *w == "group") {
            group = words.get(at + 1).copied();
        }
        // A name stands where the address would: /etc/hosts of that host knew it.
        let names = words.iter().enumerate().filter(|(at, w)| {
            (*at == 0 && first || *at > 0 && words[*at - 1] == "addif")
                && w.starts_with(|c: char| c.is_ascii_alphabetic())
                && crate::words::parse(0, &[w]).is_err()
                && !is_word(w)
        });
        let names: Vec<String> = names.map(|(_, w)| (*w).to_owned()).collect();
        for name in &names {
            job.trouble(
                source,
                n + 1,
                format!("'{name}' is a name: write its address as /etc/hosts of that host has it"),
            );
        }
        if names.is_empty() {
            job.words(source, n + 1, interface, &words);
        }
        first = false;
    }
    if group.is_none() && !first {
        job.note(source, 1, &format!("{interface} is in no group"));
    }
}

/// Words that need an argument, which alone are no valid line.
fn is_word(word: &str) -> bool {
    ["group", "netmask", "addif", "removeif", "broadcast", "mtu", "inet6", "inet", "prefixlen"]
        .contains(&word)
}
