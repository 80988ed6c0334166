//! Licences of all dependencies against the list in deny.toml, and versions that are there twice. What
//! cargo-deny does too, without the minutes it takes to build.

use crate::metadata::{self, Package};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The one registry dependencies come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Fails if a dependency has a licence that deny.toml does not allow, or comes from elsewhere.
pub(crate) fn run() -> Result<(), String> {
    // Only what is built here: the rest need not even be downloaded.
    let metadata = metadata::read(&["--filter-platform", env!("XTASK_TARGET")])?;
    let path = metadata.workspace_root.join("deny.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let allowed = allowed(&text).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let wrong: Vec<String> = metadata.packages.iter().filter_map(|p| objection(p, &allowed)).collect();
    for line in duplicates(&metadata.packages) {
        println!("warning: {line}");
    }
    for line in &wrong {
        println!("error: {line}");
    }
    println!("{} packages, {} not as deny.toml wants them", metadata.packages.len(), wrong.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err("licences or sources are not as deny.toml wants them".to_owned())
    }
}

/// The `allow` list of deny.toml.
fn allowed(text: &str) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    struct Deny {
        licenses: Licenses,
    }
    #[derive(Deserialize)]
    struct Licenses {
        allow: BTreeSet<String>,
    }
    let deny: Deny = toml::from_str(text).map_err(|e| e.to_string())?;
    Ok(deny.licenses.allow)
}

fn objection(package: &Package, allowed: &BTreeSet<String>) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    match (&package.license, &package.source) {
        (None, _) => Some(format!("{name} names no licence")),
        (Some(_), Some(source)) if source != CRATES_IO => Some(format!("{name} comes from {source}")),
        (Some(licence), _) if !permits(licence, allowed) => Some(format!("{name} is under {licence}")),
        _ => None,
    }
}

/// Packages in more than one version.
fn duplicates(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, v| v.len() > 1);
    let line = |(name, v): (&str, BTreeSet<&str>)| {
        format!("{name} is there in {} versions: {}", v.len(), v.into_iter().collect::<Vec<_>>().join(", "))
    };
    versions.into_iter().map(line).collect()
}

/// Whether an SPDX expression can be met with allowed licences alone. OR binds less than AND; the old
/// form `MIT/Apache-2.0` means OR. What cannot be read is not permitted.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed).is_some_and(|met| met && rest.is_empty())
}

fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = all(words, allowed)?;
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        met |= all(words, allowed)?;
    }
    Some(met)
}

fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        met &= one(words, allowed)?;
    }
    Some(met)
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let met = any(words, allowed)?;
        let (close, rest) = words.split_first()?;
        *words = rest;
        return (*close == ")").then_some(met);
    }
    let mut licence = (*first).to_owned();
    if let ["WITH", exception, rest @ ..] = *words {
        licence = format!("{licence} WITH {exception}");
        *words = rest;
    }
    Some(allowed.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx() {
        let allowed: BTreeSet<String> =
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT/Apache-2.0", true),
            ("Unlicense/MIT", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("MIT OR GPL-2.0 AND GPL-3.0", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("Apache-2.0 WITH other-exception", false),
            ("", false),
            ("(MIT", false),
            ("MIT Apache-2.0", false),
        ] {
            assert_eq!(permits(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn our_own_list_is_readable() {
        let text = include_str!("../../../deny.toml");
        assert!(allowed(text).unwrap().contains("MIT"));
    }
}
