//! The configuration in force beside the one in the file: changes that no file holds, and trials. The
//! changes are kept as `<state-dir>/unsaved.toml`, so that they survive a restart and a crash, and not a reboot.

use crate::saving::{Save, Until, replace};
use mpath_config::{Defaults, Loaded};
use mpath_core::Engine;
use mpath_model::settings::PassphraseSource;
use mpath_model::{Settings, Time};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Name of the file that holds unsaved changes.
const UNSAVED: &str = "unsaved.toml";
/// Name of the directory that holds passphrases that came with changes.
const KEYS: &str = "keys";

/// A configuration in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    /// Its text, as somebody wrote it.
    pub(crate) text: String,
    /// What it means.
    pub(crate) settings: Settings,
    /// The file means something else.
    pub(crate) unsaved: bool,
    /// What has been taken out of it (`mpathctl release`), until the next reload or restart; all of it where there is no name.
    pub(crate) released: Vec<Option<String>>,
}

impl Version {
    /// Takes something out of it; a name that means nothing is for the engine to refuse.
    pub(crate) fn release(&mut self, name: Option<String>) {
        if Engine::settings_without(&self.effective(), name.as_deref()).is_ok() {
            self.released.push(name);
        }
    }

    /// What of it is to be in force.
    pub(crate) fn effective(&self) -> Settings {
        let without = |settings: Settings, name: &Option<String>| {
            // What is no more need not be taken out.
            Engine::settings_without(&settings, name.as_deref()).unwrap_or(settings)
        };
        self.released.iter().fold(self.settings.clone(), without)
    }
}

/// A configuration that returns to the one before by itself.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Unless confirmed by then.
    pub(crate) until: Time,
    /// What to return to.
    pub(crate) before: Version,
    /// The passphrases that were kept before it.
    pub(crate) keys: Vec<KeptKey>,
}

/// A file of passphrases, and what was in it; none if there was no such file.
pub(crate) type KeptKey = (String, Option<Vec<u8>>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// In force.
    pub(crate) now: Version,
    /// Rises with each change, so that nobody changes what somebody else has changed meanwhile.
    pub(crate) serial: u64,
    /// The trial under way.
    pub(crate) trial: Option<Trial>,
    /// The file as it was read last; none if it was missing.
    file: Option<Vec<u8>>,
    /// What the file means.
    of_file: Settings,
    config: PathBuf,
    state_dir: PathBuf,
}

impl Running {
    /// What the file says, or what was changed since: with the reason if that is of no use any more.
    pub(crate) fn start(
        loaded: &Loaded,
        defaults: &Defaults,
        config: PathBuf,
        state_dir: &Path,
    ) -> (Running, Option<String>) {
        let mut running = Running { config, state_dir: state_dir.to_owned(), ..Running::default() };
        running.read(loaded);
        let path = running.unsaved_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return (running, None),
            Err(e) => return (running, Some(format!("cannot read {}: {e}", path.display()))),
        };
        match mpath_config::parse(&text, &path.display().to_string(), defaults) {
            Ok(kept) => {
                running.now = Version { text, settings: kept.settings, unsaved: true, released: Vec::new() };
                (running, None)
            }
            Err(errors) => (running, Some(errors.to_string())),
        }
    }

    /// In force is what an earlier program image has left, because the file is of no use.
    pub(crate) fn beside(settings: &Settings, config: PathBuf, state_dir: &Path) -> Running {
        let (settings, text) = (settings.clone(), mpath_config::render::complete(settings));
        let file = fs::read(&config).ok();
        // What no file held before goes on being told of.
        let unsaved = state_dir.join(UNSAVED).exists();
        let now = Version { text, settings, unsaved, released: Vec::new() };
        Running { now, serial: 1, file, config, state_dir: state_dir.to_owned(), ..Running::default() }
    }

    /// The file has been read, and is in force.
    pub(crate) fn read(&mut self, loaded: &Loaded) {
        let source = loaded.sources.first();
        let bytes = source.and_then(|s| s.text.clone());
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        // A broken file may have been replaced by the last good one.
        self.file = match source {
            Some(s) if s.path == self.config => bytes,
            _ => fs::read(&self.config).ok(),
        };
        self.of_file = loaded.settings.clone();
        self.now = Version { text, settings: loaded.settings.clone(), ..Version::default() };
        self.trial = None;
        self.serial += 1;
    }

    /// Another configuration is in force: its text, what it means and what has been taken out of it; for a trial, until when,
    /// and which passphrases it has replaced.
    pub(crate) fn change(
        &mut self,
        (text, settings, released): (String, Settings, Vec<Option<String>>),
        trial: Option<(Time, Vec<KeptKey>)>,
    ) {
        let unsaved = settings != self.of_file;
        let before = std::mem::replace(&mut self.now, Version { text, settings, unsaved, released });
        self.trial = trial.map(|(until, keys)| Trial { until, before, keys });
        self.serial += 1;
    }

    /// The one before a trial is in force again.
    pub(crate) fn back(&mut self, before: Version) {
        self.now = before;
        self.serial += 1;
    }

    /// Keeps the changes for the next start, or forgets them where the file says the same.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let path = self.unsaved_path();
        if self.now.unsaved {
            return replace(&path, self.now.text.as_bytes(), 0o600, Until::InKernel);
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Directory for passphrases that come with changes.
    pub(crate) fn keys(&self) -> PathBuf {
        self.state_dir.join(KEYS)
    }

    /// Keeps a passphrase; what was kept under that name before.
    pub(crate) fn keep_key(&self, name: &str, passphrase: &str) -> io::Result<KeptKey> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(io::Error::other("not a plain file name"));
        }
        let dir = self.keys();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let before = fs::read(dir.join(name)).ok();
        replace(&dir.join(name), format!("{passphrase}\n").as_bytes(), 0o600, Until::InKernel)?;
        Ok((name.to_owned(), before))
    }

    /// Puts passphrases back that a change had replaced, the last one first.
    pub(crate) fn restore_keys(&self, keys: &[KeptKey]) -> io::Result<()> {
        for (name, before) in keys.iter().rev() {
            let path = self.keys().join(name);
            match before {
                Some(bytes) => replace(&path, bytes, 0o600, Until::InKernel)?,
                None => fs::remove_file(&path)?,
            }
        }
        Ok(())
    }

    /// Whether the file is still as it was read.
    pub(crate) fn file_is_as_read(&self) -> bool {
        match fs::read(&self.config) {
            Ok(bytes) => Some(bytes) == self.file,
            Err(_) => self.file.is_none(),
        }
    }

    /// Where the configuration is saved.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// What has to be written for the configuration in force to be in the file. Passphrases that came with changes go
    /// beside it.
    pub(crate) fn save(&self) -> Save {
        let dir = self.config.parent().unwrap_or(Path::new("/"));
        let (mut settings, mut moved) = (self.now.settings.clone(), Vec::new());
        let keys = self.keys();
        for carp in &mut settings.carps {
            let PassphraseSource::File(path) = &mut carp.passphrase else { continue };
            if let Ok(name) = path.strip_prefix(&keys) {
                let kept = dir.join(name);
                moved.push((std::mem::replace(path, kept.clone()), kept));
            }
        }
        let text =
            if moved.is_empty() { self.now.text.clone() } else { mpath_config::render::complete(&settings) };
        Save { config: self.config.clone(), text, settings, keys: moved }
    }

    /// That has been written. Whether paths have changed by it.
    pub(crate) fn saved(&mut self, save: Save) -> io::Result<bool> {
        let moved = save.settings != self.now.settings;
        self.file = Some(save.text.clone().into_bytes());
        self.of_file = save.settings.clone();
        self.now = Version {
            text: save.text,
            settings: save.settings,
            unsaved: false,
            ..std::mem::take(&mut self.now)
        };
        self.serial += 1;
        self.keep()?;
        Ok(moved)
    }

    fn unsaved_path(&self) -> PathBuf {
        self.state_dir.join(UNSAVED)
    }
}

#[cfg(test)]
mod tests;
