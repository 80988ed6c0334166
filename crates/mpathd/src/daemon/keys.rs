//! CARP's passphrases on their way from their files to the sockets. The engine never sees them.

use mpath_linux::probes::{Keys, keys_of};
use mpath_model::Settings;

/// The keys of all vhids, or why some are missing: one line each.
pub(crate) fn keys(settings: &Settings) -> Result<Keys, Vec<String>> {
    let (keys, bad) = readable_keys(settings);
    if bad.is_empty() { Ok(keys) } else { Err(bad) }
}

/// The keys of those vhids whose passphrase can be read, the others being silent, and a line for each of these.
pub(crate) fn readable_keys(settings: &Settings) -> (Keys, Vec<String>) {
    let (found, bad) = mpath_config::passphrases(settings);
    (keys_of(&settings.carps, &found), bad)
}
