//! `--last-good FILE`: each configuration that loads is kept there; a broken one at the start is replaced by it, loudly.

use crate::saving::afresh;
use mpath_config::{Errors, Loaded, Paths};
use mpath_core::diag::Line;
use mpath_model::event::Level;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Loads the configuration; if it is broken, or a passphrase of it cannot be read, the kept one in its place. The lines tell
/// of it.
pub(crate) fn load(paths: &Paths, kept: Option<&Path>) -> Result<(Loaded, Vec<Line>), Errors> {
    let first = mpath_config::load(paths);
    let Some(kept) = kept else { return first.map(|loaded| (loaded, Vec::new())) };
    let mut lines: Vec<Line> = match &first {
        Ok(loaded) => match crate::daemon::keys(&loaded.settings) {
            Ok(_) => Vec::new(),
            Err(bad) => {
                let line = |text| Line { level: Level::Err, text, fields: Vec::new() };
                bad.into_iter().map(|text| line(format!("configuration refused: {text}"))).collect()
            }
        },
        Err(errors) => errors.problems().iter().map(crate::daemon::refused).collect(),
    };
    if lines.is_empty() {
        return first.map(|loaded| (loaded, lines));
    }
    let instead = Paths { config: Some(kept.to_owned()), defaults: paths.defaults.clone() };
    let usable = |l: &Loaded| crate::daemon::keys(&l.settings).is_ok();
    let second = mpath_config::load(&instead).ok().filter(usable);
    let Some(loaded) = second else { return first.map(|loaded| (loaded, Vec::new())) };
    lines.push(Line {
        level: Level::Err,
        text: "the configuration is broken: the last good one is in force until it is mended".to_owned(),
        fields: vec![("file".to_owned(), kept.display().to_string())],
    });
    Ok((loaded, lines))
}

/// Keeps a configuration that has loaded. A missing file is not worth keeping.
pub(crate) fn keep(loaded: &Loaded, kept: Option<&Path>) -> Option<Line> {
    let source = loaded.sources.first()?;
    keep_text(source.text.as_ref()?, &source.path, kept)
}

/// The same with the text of the file `from`.
pub(crate) fn keep_text(text: &[u8], from: &Path, kept: Option<&Path>) -> Option<Line> {
    let kept = kept.filter(|kept| *kept != from)?;
    let error = replace(kept, text).err()?;
    let fields =
        vec![("file".to_owned(), kept.display().to_string()), ("cause".to_owned(), error.to_string())];
    let text = "the configuration in force cannot be kept as the last good one".to_owned();
    Some(Line { level: Level::Err, text, fields })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    // As many may read it as the umask lets.
    afresh(Path::new(&temporary), 0o666)?.write_all(bytes)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[detection]\nfailback = false\n";

    #[test]
    fn a_broken_file_is_replaced_by_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let (config, kept) = (dir.path().join("mpathd.toml"), dir.path().join("good.toml"));
        let defaults = Some(dir.path().join("defaults"));
        let paths = Paths { config: Some(config.clone()), defaults };
        fs::write(&config, GOOD).unwrap();
        let (good, lines) = load(&paths, Some(&kept)).unwrap();
        assert_eq!((lines.len(), keep(&good, Some(&kept))), (0, None));
        assert_eq!(fs::read_to_string(&kept).unwrap(), GOOD);

        fs::write(&config, "[detection]\nfialback = 3\n").unwrap();
        assert!(load(&paths, None).is_err());
        let (again, lines) = load(&paths, Some(&kept)).unwrap();
        assert_eq!(again.settings, good.settings);
        assert!(lines.iter().all(|l| l.level == Level::Err) && lines.len() > 1, "{lines:?}");
        assert_eq!(keep(&again, Some(&kept)), None, "it stays what it is");
        assert_eq!(fs::read_to_string(&kept).unwrap(), GOOD);

        fs::remove_file(&config).unwrap();
        assert!(load(&paths, Some(&kept)).is_ok(), "a named file that is missing is broken too");
        fs::write(&kept, "broken").unwrap();
        assert!(load(&paths, Some(&kept)).is_err(), "the errors of the file itself");
        let nowhere = dir.path().join("nowhere/good.toml");
        assert_eq!(keep(&good, Some(&nowhere)).unwrap().level, Level::Err);
    }

    /// As with every file that is replaced as a whole.
    #[test]
    fn what_lies_where_the_file_is_made_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("other"), "precious").unwrap();
        std::os::unix::fs::symlink(path("other"), path("good.toml.new")).unwrap();
        assert_eq!(keep_text(GOOD.as_bytes(), &path("mpathd.toml"), Some(&path("good.toml"))), None);
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        assert_eq!([read("good.toml"), read("other")], [GOOD, "precious"]);
    }
}
