//! Solaris' `/etc/hostname.IF` and `/etc/hostname6.IF`: words of ifconfig for the interface in the file's name.

use super::{Job, Source};

pub(super) fn read(job: &mut Job, source: &Source) {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let (file, interface) = name.split_once('.').unwrap_or((name, ""));
    if interface.is_empty() {
        job.trouble(source, 1, "the name of the interface is missing in the file's name");
        return;
    }
    // All lines are one call, whatever line a word is in.
    let mut words: Vec<(usize, &str)> = Vec::new();
    for (n, line) in source.text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let line = line.trim_end().trim_end_matches('\\');
        words.extend(line.split_whitespace().map(|word| (n + 1, word)));
    }
    if words.is_empty() {
        return;
    }
    // A name stands where the address would: /etc/hosts of that host knew it.
    let names = words.iter().enumerate().filter(|(at, (_, word))| {
        (*at == 0 || words[*at - 1].1 == "addif")
            && word.starts_with(|c: char| c.is_ascii_alphabetic())
            && crate::words::parse(0, &[word]).is_err()
            && !is_word(word)
    });
    let mut named = false;
    for (_, (line, name)) in names {
        let text = format!("'{name}' is a name: write its address as /etc/hosts of that host has it");
        job.trouble(source, *line, text);
        named = true;
    }
    if named {
        return;
    }
    if !words.iter().any(|(_, word)| *word == "group") {
        job.note(source, 1, &format!("{interface} is in no group"));
    }
    if file == "hostname6" {
        words.insert(0, (words[0].0, "inet6"));
    }
    let (lines, words): (Vec<usize>, Vec<&str>) = words.into_iter().unzip();
    match crate::words::parse(0, &words) {
        Ok(changes) => job.apply(source, lines[0], interface, &changes),
        Err(e) => job.trouble(source, lines[e.at], e.message),
    }
}

/// Words that need an argument, which alone are no valid line.
fn is_word(word: &str) -> bool {
    ["group", "netmask", "addif", "removeif", "broadcast", "mtu", "inet6", "inet", "prefixlen"]
        .contains(&word)
}
