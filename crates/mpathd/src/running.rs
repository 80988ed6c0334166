//! The configuration in force beside the one in the file: changes that no file holds, trials, and saving. The
//! changes are kept as `<state-dir>/unsaved.toml`, so that they survive a restart and a crash, and not a reboot.

use mpath_config::{Defaults, Loaded};
use mpath_model::settings::PassphraseSource;
use mpath_model::{Settings, Time};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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
}

/// A configuration that returns to the one before by itself.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Unless confirmed by then.
    pub(crate) until: Time,
    /// What to return to.
    pub(crate) before: Version,
}

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
        let Ok(text) = fs::read_to_string(&path) else { return (running, None) };
        match mpath_config::parse(&text, &path.display().to_string(), defaults) {
            Ok(kept) => {
                running.now = Version { text, settings: kept.settings, unsaved: true };
                (running, None)
            }
            Err(errors) => (running, Some(errors.to_string())),
        }
    }

    /// In force is what an earlier program image has left, because the file is of no use.
    pub(crate) fn beside(settings: &Settings, config: PathBuf, state_dir: &Path) -> Running {
        let (settings, text) = (settings.clone(), mpath_config::render(settings));
        let file = fs::read(&config).ok();
        let now = Version { text, settings, unsaved: false };
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
        self.now = Version { text, settings: loaded.settings.clone(), unsaved: false };
        self.trial = None;
        self.serial += 1;
    }

    /// Another configuration is in force; for a trial, until when.
    pub(crate) fn change(&mut self, text: String, settings: Settings, trial: Option<Time>) {
        let unsaved = settings != self.of_file;
        let before = std::mem::replace(&mut self.now, Version { text, settings, unsaved });
        self.trial = trial.map(|until| Trial { until, before });
        self.serial += 1;
    }

    /// Keeps the changes for the next start, or forgets them where the file says the same.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let path = self.unsaved_path();
        if self.now.unsaved {
            return write(&path, self.now.text.as_bytes(), 0o600);
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

    /// Keeps a passphrase.
    pub(crate) fn keep_key(&self, name: &str, passphrase: &str) -> io::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(io::Error::other("not a plain file name"));
        }
        let dir = self.keys();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        write(&dir.join(name), format!("{passphrase}\n").as_bytes(), 0o600)
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

    /// Writes the configuration in force into the file, atomically; the old file stays as `FILE~`. Passphrases that
    /// came with changes go beside it. Gives the settings if their paths have changed by that.
    pub(crate) fn save(&mut self) -> io::Result<Option<Settings>> {
        let dir = self.config.parent().unwrap_or(Path::new("/")).to_owned();
        fs::create_dir_all(&dir)?;
        let mut settings = self.now.settings.clone();
        let keys = self.keys();
        for carp in &mut settings.carps {
            let PassphraseSource::File(path) = &mut carp.passphrase else { continue };
            if let Ok(name) = path.strip_prefix(&keys) {
                let kept = dir.join(name);
                write(&kept, &fs::read(&*path)?, 0o600)?;
                *path = kept;
            }
        }
        let moved = settings != self.now.settings;
        if moved {
            self.now.text = mpath_config::render(&settings);
            self.now.settings = settings.clone();
        }
        let mut mode = 0o644;
        if let Ok(meta) = fs::metadata(&self.config) {
            mode = meta.permissions().mode() & 0o777;
            let mut old = self.config.clone().into_os_string();
            old.push("~");
            fs::copy(&self.config, old)?;
        }
        write(&self.config, self.now.text.as_bytes(), mode)?;
        self.file = Some(self.now.text.clone().into_bytes());
        self.of_file = self.now.settings.clone();
        self.now.unsaved = false;
        self.serial += 1;
        self.keep()?;
        Ok(moved.then_some(settings))
    }

    fn unsaved_path(&self) -> PathBuf {
        self.state_dir.join(UNSAVED)
    }
}

/// Replaces a file as a whole.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    // The file may have been left there with another mode.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests;
