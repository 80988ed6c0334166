//! Files of our own that somebody may have damaged: the state file, and a recording. What can be read is also played: an
//! engine takes whatever it says.

use crate::CASES;
use mpath_core::recording::Line;
use mpath_core::{Engine, Input};
use mpath_model::kernel::Inventory;
use mpath_model::{Link, Mac, Settings, Time};
use std::time::Duration;

const CONFIG: &str = r#"
    [[group]]
    name = "g"
    [[group.interface]]
    name = "eth0"
    test_addresses = ["192.0.2.11/24", "link-local"]
    [[group.interface]]
    name = "eth1"
    [[group.address]]
    address = "192.0.2.10/24"
    [[group.address]]
    address = "2001:db8::10/64"
    [[lagg]]
    name = "lagg0"
    ports = ["em0", "em1"]
    addresses = ["198.51.100.5/24"]
"#;

fn settings() -> Settings {
    let loaded = mpath_config::parse(CONFIG, "mpathd.toml", &mpath_config::Defaults::default());
    loaded.expect("the text above has no error").settings
}

fn inventory() -> Inventory {
    let names = ["eth0", "eth1", "em0", "em1"];
    let link = |(n, name)| Link::ethernet(u32::from(n), name, Mac([2, 0, 0, 0, 0, n]));
    Inventory { links: (2..).zip(names).map(link).collect(), ..Inventory::default() }
}

/// An engine that has lived for a moment with these memories.
fn live(memory: Option<mpath_core::persist::Persistent>) -> (Engine, Time) {
    let mut engine = Engine::new(1, "fuzz");
    let mut out = Vec::new();
    let mut now = Time(1_000_000_000);
    engine.handle(now, Input::Configure(settings()), &mut out);
    if let Some(memory) = memory {
        engine.handle(now, Input::Restore(memory), &mut out);
    }
    engine.handle(now, Input::Inventory(inventory()), &mut out);
    for _ in 0..20 {
        now = engine.next_deadline().map_or(now, |t| t.max(now)).min(now + Duration::from_secs(60));
        engine.handle(now, Input::Tick, &mut out);
    }
    (engine, now)
}

#[test]
fn state_file() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        if let Ok(memory) = serde_json::from_slice(bytes) {
            let (engine, _) = live(Some(memory));
            engine.snapshot();
        }
    });
}

/// Lines are read; what happened is played to an engine that is whole, in an order of time.
#[test]
fn recording() {
    bolero::check!().with_iterations(CASES).for_each(|bytes: &[u8]| {
        let lines = bytes.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice::<Line>(l).ok());
        let inputs = lines.filter_map(|line| match line {
            Line::Input(entry) => Some(entry),
            Line::Engine(_) => None,
        });
        let mut played = None;
        for entry in inputs.take(20) {
            let (engine, now) = played.get_or_insert_with(|| live(None));
            *now = entry.at.clamp(*now, *now + Duration::from_secs(3600));
            engine.handle(*now, entry.input, &mut Vec::new());
            engine.snapshot();
        }
    });
}
