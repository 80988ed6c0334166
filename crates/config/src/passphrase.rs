//! Passphrases of CARP, out of their files and credentials. A file that others than its owner may touch is refused, as
//! ssh(1) refuses such a key.

use mpath_model::Settings;
use mpath_model::carp::{CarpId, Passphrase};
use mpath_model::settings::PassphraseSource;
use nix::unistd::geteuid;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a passphrase file; only the first line counts.
const LARGEST: u64 = 4096;

/// Why there is no passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPassphrase {
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub help: Option<String>,
    /// It cannot be looked at from here: no permission, or no service manager that would hand it out. The daemon
    /// may see it.
    pub unseen: bool,
}

/// The passphrases of all vhids, and a line for each that cannot be read.
pub fn passphrases(settings: &Settings) -> (Vec<(CarpId, Passphrase)>, Vec<String>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for carp in &settings.carps {
        match read(&carp.passphrase) {
            Ok(passphrase) => found.push((carp.id(), passphrase)),
            Err(BadPassphrase { message, help, .. }) => {
                let help = help.map(|h| format!(" (try: {h})")).unwrap_or_default();
                bad.push(format!("vhid {}: {message}{help}", carp.id()));
            }
        }
    }
    (found, bad)
}

/// The passphrase from its source; none is the empty one.
///
/// # Errors
/// See [`BadPassphrase`].
pub fn read(source: &PassphraseSource) -> Result<Passphrase, BadPassphrase> {
    match source {
        PassphraseSource::None => Ok(Passphrase::default()),
        PassphraseSource::File(path) => from_file(path, true),
        PassphraseSource::Credential(name) => from_file(&credential(name)?, false),
    }
}

/// systemd.exec(5), LoadCredential=.
fn credential(name: &str) -> Result<PathBuf, BadPassphrase> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(bad(format!("\"{}\" is not the name of a credential", name.escape_debug())));
    }
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => Err(BadPassphrase {
            message: format!(
                "credential {name}: the service manager hands out none ($CREDENTIALS_DIRECTORY is not set)"
            ),
            help: None,
            unseen: true,
        }),
    }
}

fn bad(message: String) -> BadPassphrase {
    BadPassphrase { message, help: None, unseen: false }
}

fn from_file(path: &Path, guarded: bool) -> Result<Passphrase, BadPassphrase> {
    let name = path.display();
    let fail = |e: std::io::Error| BadPassphrase {
        message: format!("cannot read passphrase file {name}: {}", cause(&e)),
        help: (e.kind() == ErrorKind::PermissionDenied).then(|| format!("chown {} {name}", geteuid())),
        unseen: e.kind() == ErrorKind::PermissionDenied && !geteuid().is_root(),
    };
    let no_file = || bad(format!("passphrase file {name} is not a file"));
    // Some devices act upon being opened. Opening a pipe must not wait for somebody to write to it.
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(no_file());
    }
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(fail)?;
    let about = file.metadata().map_err(fail)?;
    if !about.is_file() {
        return Err(no_file());
    }
    if guarded && about.mode() & 0o077 != 0 {
        let message =
            format!("passphrase file {name} is open to others (mode {:04o})", about.mode() & 0o7777);
        return Err(BadPassphrase { help: Some(format!("chmod 600 {name}")), ..bad(message) });
    }
    let owner = about.uid();
    if guarded && owner != 0 && owner != geteuid().as_raw() && Some(owner) != daemons_user() {
        let message = format!("passphrase file {name} belongs to another user (uid {owner})");
        return Err(BadPassphrase { help: Some(format!("chown {} {name}", geteuid())), ..bad(message) });
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(fail)?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let found = Passphrase::new(line);
    bytes.fill(0);
    if found.octets().is_empty() {
        return Err(bad(format!("passphrase file {name} is empty")));
    }
    Ok(found)
}

/// Whether this is a file that root can read and the packaged daemon cannot.
pub fn hidden_from_service(path: &Path) -> bool {
    let owner = std::fs::metadata(path).map(|about| about.uid());
    geteuid().is_root() && daemons_user().is_some_and(|user| owner.is_ok_and(|owner| owner != user))
}

/// The user as whom the packaged daemon runs, whose files root's tools have to believe as the daemon does. Looked for
/// where systemd-sysusers(8) puts it, without asking a network.
fn daemons_user() -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let entry = users.lines().find_map(|line| line.strip_prefix("mpathd:"))?;
    entry.split(':').nth(1)?.parse().ok()
}

fn cause(e: &std::io::Error) -> String {
    match e.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "no permission".to_owned(),
        _ => e.to_string(),
    }
}
