//! Saving the configuration. The file has to survive the host, not only the process, so somebody has to wait for the disk: a
//! thread of its own, never the loop, which is woken when it is done.

use mpath_model::Settings;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

/// What is to be written, and where.
#[derive(Debug)]
pub(crate) struct Save {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// Its new text.
    pub(crate) text: String,
    /// What that means.
    pub(crate) settings: Settings,
    /// Passphrases that came with changes: where they are now, and where they go.
    pub(crate) keys: Vec<(PathBuf, PathBuf)>,
}

impl Save {
    /// Replaces the file atomically; the old one stays as `FILE~`. Once this returns, the disk has it.
    pub(crate) fn write(&self) -> io::Result<()> {
        // The file before would be lost by writing the same again.
        if self.keys.is_empty() && fs::read(&self.config).is_ok_and(|old| old == self.text.as_bytes()) {
            return Ok(());
        }
        fs::create_dir_all(self.config.parent().unwrap_or(Path::new("/")))?;
        for (from, to) in &self.keys {
            replace(to, &fs::read(from)?, 0o600, Until::OnDisk)?;
        }
        let mut mode = 0o644;
        if let Ok(meta) = fs::metadata(&self.config) {
            mode = meta.permissions().mode() & 0o777;
            let mut old = self.config.clone().into_os_string();
            old.push("~");
            // Renamed into its place: one of an earlier save may be somebody else's.
            replace(Path::new(&old), &fs::read(&self.config)?, mode, Until::InKernel)?;
        }
        replace(&self.config, self.text.as_bytes(), mode, Until::OnDisk)
    }

    /// Writes in a thread of its own; `done` is called from there once there is an outcome.
    pub(crate) fn start(self, done: impl FnOnce() + Send + 'static) -> io::Result<Saving> {
        let (tell, saving) = sync_channel(1);
        std::thread::Builder::new().name("save".to_owned()).spawn(move || {
            let outcome = self.write();
            // Nobody listens any more only at the end of the process.
            let _ = tell.send((self, outcome));
            done();
        })?;
        Ok(saving)
    }
}

/// The outcome of a [`Save`], once there is one.
pub(crate) type Saving = Receiver<(Save, io::Result<()>)>;

/// How long a replacement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until the kernel has it: outlives the process. Waits for no disk.
    InKernel,
    /// Until the disk has it: outlives the host.
    OnDisk,
}

/// A new file, to be renamed when it is whole. One that was left there may be somebody else's: that of a run as root.
pub(crate) fn afresh(path: &Path, mode: u32) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Replaces a file as a whole.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, until: Until) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = afresh(&temporary, mode)?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    if until == Until::InKernel {
        return fs::rename(&temporary, path);
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of an earlier save, by root perhaps, are no hindrance, and nothing is written through them.
    #[test]
    fn the_old_file_and_the_new_one_are_made_afresh() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("mpathd.toml"), "old").unwrap();
        fs::set_permissions(path("mpathd.toml"), Permissions::from_mode(0o640)).unwrap();
        fs::write(path("other"), "precious").unwrap();
        for left in ["mpathd.toml~", "mpathd.toml.new", "mpathd.toml~.new"] {
            std::os::unix::fs::symlink(path("other"), path(left)).unwrap();
        }
        let (config, settings) = (path("mpathd.toml"), Settings::default());
        Save { config, text: "new".to_owned(), settings, keys: Vec::new() }.write().unwrap();
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        assert_eq!([read("mpathd.toml"), read("mpathd.toml~"), read("other")], ["new", "old", "precious"]);
        for name in ["mpathd.toml", "mpathd.toml~"] {
            assert_eq!(fs::symlink_metadata(path(name)).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }
}
