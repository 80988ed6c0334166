//! Scenario `crash`: the daemon is killed at random instants, and whatever else dies meanwhile, no address may be lost.

use crate::progress::Progress;
use crate::report::{Case, Check};
use crate::stage::Site;
use mpath_testkit::Error;
use mpath_testkit::crash::{Crashes, Tally};

/// Kills it `runs` times.
pub(crate) fn run(site: &Site, runs: u32, seed: u64) -> Result<Vec<Case>, Error> {
    let progress = Progress::new("crash".to_owned(), runs);
    let mut crashes = Crashes::build(Some(site.daemon.clone()), seed)?;
    site.interrupt.remove_at_end(crashes.directory());
    let mut tally = Tally::default();
    for number in 1..=runs {
        let (now, complaint) = crashes.round()?;
        tally = now;
        progress.done(number, &format!("{} lost, {} astray", tally.lost, tally.astray));
        complaint.into_iter().for_each(|text| progress.note(&text));
    }
    let check = |key, label: &str, found: u32| Check {
        key,
        label: label.to_owned(),
        found: found.to_string(),
        ok: found == 0,
    };
    Ok(vec![Case {
        title: format!("{} kills at random instants of moves, repairs and reloads", tally.rounds),
        settings: Vec::new(),
        measures: Vec::new(),
        checks: vec![
            check("lost", "addresses lost while nobody ran", tally.lost),
            check("astray", "addresses not on their home alone in the end", tally.astray),
        ],
    }])
}
