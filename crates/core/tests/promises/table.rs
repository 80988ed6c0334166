//! `docs/edge-cases.md` names tests that exist, and marks those that are ignored and only those.

use std::path::Path;

#[test]
fn the_table_names_tests_that_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = std::fs::read_to_string(crates.join("../docs/edge-cases.md")).unwrap();
    let mut named = 0;
    for piece in table.split("<br>").flat_map(|p| p.split(" | ")) {
        let Some((path, name)) = piece.trim_start_matches('`').split_once(".rs::") else { continue };
        let (name, rest) = name.split_once('`').unwrap();
        let text = std::fs::read_to_string(crates.join(format!("{path}.rs"))).unwrap();
        let at = text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("no test {path}.rs::{name}"));
        let before =
            text[..at].lines().rev().take_while(|l| l.trim().starts_with('#') || l.trim().is_empty());
        let ignored = before.into_iter().any(|l| l.trim().starts_with("#[ignore"));
        assert_eq!(rest.starts_with("\\*"), ignored, "the asterisk of {path}.rs::{name}");
        named += 1;
    }
    assert!(named > 200, "{named} tests named");
    for case in 1..=60 {
        assert!(table.contains(&format!("| {case} | ")), "case {case}");
    }
}
