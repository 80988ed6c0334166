//! Configuration: mpathd's own, the defaults file, the files of other systems, and words of ifconfig.

use crate::CASES;
use mpath_config::import::{Source, import};
use mpath_config::words::{self, apply};
use mpath_config::{Defaults, defaults, parse, render};
use mpath_model::Settings;
use std::path::PathBuf;

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Errors can be shown; what is right can be written as a file, and means the same then.
fn load(text: &str, defaults: &Defaults) -> Option<Settings> {
    match parse(text, "mpathd.toml", defaults) {
        Ok(loaded) => Some(loaded.settings),
        Err(errors) => {
            assert!(errors.count() > 0);
            assert!(!errors.render(false).is_empty() && !errors.render(true).is_empty());
            None
        }
    }
}

#[test]
fn toml() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let Some(settings) = text(bytes).and_then(|text| load(text, &Defaults::default())) else { return };
        let written = render(&settings);
        assert_eq!(load(&written, &Defaults::default()), Some(settings), "{written}");
    });
}

#[test]
fn defaults_file() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        load("", &defaults::parse(bytes, "mpathd"));
    });
}

/// The first byte says what the file is called.
#[test]
fn foreign_files() {
    const NAMES: [&str; 7] =
        ["rc.conf", "hostname.eth0", "10-bond.netdev", "10-eth.network", "interfaces", "mpathd", "other"];
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let Some((which, bytes)) = bytes.split_first() else { return };
        let Some(text) = text(bytes) else { return };
        let path = NAMES[usize::from(*which) % NAMES.len()].to_owned();
        if let Ok(found) = import(&[Source { path, text: text.to_owned() }], PathBuf::from("/keys")) {
            load(&render(&found.settings), &Defaults::default());
        }
    });
}

#[test]
fn ifconfig_words() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let Some(text) = text(bytes) else { return };
        let words: Vec<&str> = text.split_whitespace().collect();
        let Ok(changes) = words::parse(0, &words) else { return };
        let mut settings = Settings::default();
        for interface in ["lagg0", "eth0"] {
            let _ = apply::apply(&mut settings, interface, &changes, &apply::Surroundings::default());
        }
        load(&render(&settings), &Defaults::default());
    });
}
