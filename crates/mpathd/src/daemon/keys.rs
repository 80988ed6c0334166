//! CARP's passphrases on their way from their files to the sockets. The engine never sees them.

use mpath_linux::probes::{Keys, keys_of};
use mpath_model::Settings;

/// The keys of all vhids, or why there are none: one line each.
pub(crate) fn keys(settings: &Settings) -> Result<Keys, Vec<String>> {
    Ok(keys_of(&settings.carps, &mpath_config::passphrases(settings)?))
}
