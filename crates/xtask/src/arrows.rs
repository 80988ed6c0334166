//! Who may use whom. ARCHITECTURE.md draws these arrows; here they are held to. Dependencies of tests are
//! free.

use crate::metadata;
use std::collections::BTreeMap;

/// Each crate and the crates of the workspace it may use.
const ARROWS: [(&str, &[&str]); 13] = [
    ("mpath-model", &[]),
    ("mpath-wire", &["mpath-model"]),
    ("mpath-core", &["mpath-model", "mpath-wire"]),
    ("mpath-sim", &["mpath-model", "mpath-wire", "mpath-core"]),
    ("mpath-config", &["mpath-model"]),
    ("mpath-ipc", &["mpath-model"]),
    ("mpath-linux", &["mpath-model", "mpath-wire"]),
    ("mpath-testkit", &["mpath-model", "mpath-wire", "mpath-linux", "mpath-ipc"]),
    ("mpath-bench", &["mpath-model", "mpath-wire", "mpath-linux", "mpath-ipc", "mpath-testkit"]),
    ("mpathctl", &["mpath-model", "mpath-ipc", "mpath-config", "mpath-testkit", "mpath-core"]),
    ("mpathd", &["mpath-model", "mpath-core", "mpath-config", "mpath-ipc", "mpath-linux"]),
    ("mpath-fuzz", &[]),
    ("xtask", &[]),
];

#[test]
fn crates_use_only_whom_they_may() {
    let metadata = metadata::read(&["--no-deps", "--offline"]).unwrap();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(may) = arrows.get(package.name.as_str()) else {
            wrong.push(format!("{} has no place in the picture", package.name));
            continue;
        };
        let used =
            package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"));
        wrong.extend(
            used.filter(|d| !may.contains(&d.name.as_str()))
                .map(|d| format!("{} must not use {}", package.name, d.name)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(metadata.packages.len(), ARROWS.len());
}

#[test]
fn engine_and_kernel_do_not_know_each_other() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into();
    for (from, to) in [("mpath-core", "mpath-linux"), ("mpath-linux", "mpath-core")] {
        let mut open = vec![from];
        while let Some(name) = open.pop() {
            assert_ne!(name, to);
            open.extend(arrows[name]);
        }
    }
}
