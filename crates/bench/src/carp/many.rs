//! What 255 vhids on one NIC cost, on the master and on its stand-in.

use super::world::{launch, wait_state};
use crate::cost::processor_time;
use crate::progress::Progress;
use crate::report::{Case, Check, Measure};
use crate::stage::Site;
use mpath_testkit::{Error, Pair, Side};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// As many as there are.
const VHIDS: u8 = 255;
/// How long is measured, and how long is left alone before.
const MEASURED: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(10);
/// Percent of one processor.
const LIMIT: f64 = 2.0;
/// Both daemons under all vhids.
pub(super) fn case(site: &Site) -> Result<Case, Error> {
    let progress = Progress::new(format!("carp, {VHIDS} vhids on one NIC"), 1);
    let pair = Pair::new(1)?;
    let config = |key: &str| {
        (1..=VHIDS).fold(String::new(), |mut text, vhid| {
            let _ = writeln!(
                text,
                "[[carp]]\ninterface = \"eth0\"\nvhid = {vhid}\npassphrase_file = \"{key}\"\naddresses = [\"10.77.1.{vhid}/32\"]"
            );
            text
        })
    };
    let a = launch(site, &pair, Side::A, &config)?;
    wait_state(&a, "MASTER")?;
    let b = launch(site, &pair, Side::B, &config)?;
    wait_state(&b, "BACKUP")?;
    std::thread::sleep(SETTLE);
    let daemons = [&a, &b];
    let (before, begun) = (daemons.map(processor_time), Instant::now());
    std::thread::sleep(MEASURED);
    let passed = begun.elapsed().as_secs_f64();
    let mut shares = Vec::new();
    for (daemon, before) in daemons.into_iter().zip(before) {
        let used = processor_time(daemon)?.saturating_sub(before?);
        shares.push(used.as_secs_f64() / passed * 100.0);
    }
    wait_state(&a, "MASTER")?;
    wait_state(&b, "BACKUP")?;
    progress.done(1, &format!("master {:.2}%, stand-in {:.2}% of a processor", shares[0], shares[1]));
    let check = |key, who: &str, share: f64| Check {
        key,
        label: format!("{who} under {LIMIT}% of a processor"),
        found: format!("{share:.2}%"),
        ok: share < LIMIT,
    };
    Ok(Case {
        title: format!("{VHIDS} vhids on one NIC, {} s", MEASURED.as_secs()),
        settings: vec![("vhids", f64::from(VHIDS))],
        checks: vec![check("master", "master", shares[0]), check("backup", "stand-in", shares[1])],
        measures: vec![
            Measure::new("master_percent", "master, percent of a processor", vec![shares[0]]),
            Measure::new("backup_percent", "stand-in, percent of a processor", vec![shares[1]]),
        ],
    })
}
