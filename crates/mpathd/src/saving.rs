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
        fs::create_dir_all(self.config.parent().unwrap_or(Path::new("/")))?;
        for (from, to) in &self.keys {
            replace(to, &fs::read(from)?, 0o600, Until::OnDisk)?;
        }
        let mut mode = 0o644;
        if let Ok(meta) = fs::metadata(&self.config) {
            mode = meta.permissions().mode() & 0o777;
            let mut old = self.config.clone().into_os_string();
            old.push("~");
            fs::copy(&self.config, old)?;
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

/// Replaces a file as a whole.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, until: Until) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    // The file may have been left there with another mode.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    if until == Until::InKernel {
        return fs::rename(&temporary, path);
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
