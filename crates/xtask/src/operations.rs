//! docs/operations.md explains every message of the engine: its words are looked for there.

use std::path::Path;

/// The texts in string literals that are sentences, without what is filled in.
fn messages(source: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|l| !l.trim_start().starts_with("//")).flat_map(|l| [l, "\n"]).collect();
    let literals = code.split('"').skip(1).step_by(2);
    literals.filter(|l| l.split_whitespace().count() > 2).map(str::to_owned).collect()
}

/// The longest part between two values.
fn words(message: &str) -> String {
    let parts = message.split('{').map(|p| p.split_once('}').map_or(p, |(_, rest)| rest));
    parts.map(str::trim).max_by_key(|p| p.len()).unwrap_or_default().to_owned()
}

#[test]
fn every_message_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let guide = read("docs/operations.md");
    let messages = messages(&read("crates/core/src/diag.rs"));
    assert!(messages.len() > 40, "{messages:#?}");
    let missing: Vec<&String> = messages.iter().filter(|m| !guide.contains(&words(m))).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:#?}");
}

#[test]
fn message_ids_are_those_of_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let guide = read("docs/operations.md");
    let source = read("crates/mpathd/src/log/native.rs");
    let ids: Vec<&str> = source.split('"').skip(1).step_by(2).filter(|l| l.len() == 32).collect();
    assert_eq!(ids.len(), 15);
    assert!(ids.iter().all(|id| guide.contains(id)), "{ids:?}");
}
