//! Files that are there, missing, unreadable or no text.

use super::*;
use std::fs;

fn paths(dir: &Path) -> Paths {
    Paths { config: Some(dir.join("mpathd.toml")), defaults: Some(dir.join("defaults")) }
}

fn refused(paths: &Paths) -> Vec<Problem> {
    load(paths).expect_err("this should be refused").problems().to_vec()
}

#[test]
fn both_files() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    let text = "[detection]\nfailback = true\n";
    fs::write(dir.path().join("mpathd.toml"), text).unwrap();
    fs::write(dir.path().join("defaults"), "FAILBACK=no\nFAILURE_DETECTION_TIME=50\n").unwrap();
    let loaded = load(&paths).unwrap();
    assert!(loaded.settings.detection.failback);
    assert_eq!(loaded.settings.detection.failure_detection_time.as_millis(), 100);
    let texts: Vec<&str> = loaded.notices.iter().map(|n| n.text.as_str()).collect();
    assert_eq!(texts[0], "Too small failure detection time of 50 assuming minimum 100");
    assert_eq!(texts[1], "FAILURE_DETECTION_TIME is in milliseconds: for 50 seconds write 50000");
    assert!(texts[2].starts_with("FAILBACK=no of "), "{texts:?}");
    assert_eq!(texts.len(), 3);
    assert_eq!(loaded.sources[0].text.as_deref(), Some(text.as_bytes()));
    assert_eq!(Some(&loaded.sources[0].path), paths.config.as_ref());
    assert_eq!(Some(&loaded.sources[1].path), paths.defaults.as_ref());
}

#[test]
fn missing_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut paths = paths(dir.path());
    let problems = refused(&paths);
    let name = dir.path().join("mpathd.toml").display().to_string();
    assert_eq!(problems[0].message, format!("cannot read the configuration file {name}: it does not exist"));
    assert_eq!((problems.len(), problems[0].line), (1, None));
    let shown = format!("error: cannot read the configuration file {name}: it does not exist");
    assert_eq!(problems[0].to_string(), shown);
    // A missing defaults file is silent.
    fs::write(dir.path().join("mpathd.toml"), "").unwrap();
    let loaded = load(&paths).unwrap();
    assert_eq!((loaded.settings, loaded.notices), (Settings::default(), vec![]));
    assert_eq!(loaded.sources[1].text, None);
    // The default configuration file may be missing; on a machine that has one this test has nothing to say.
    if !Path::new(DEFAULT_CONFIG).exists() {
        paths.config = None;
        fs::write(dir.path().join("defaults"), "FAILBACK=no\n").unwrap();
        let loaded = load(&paths).unwrap();
        assert!(!loaded.settings.detection.failback);
        assert_eq!(loaded.notices.len(), 1);
        assert_eq!(
            loaded.notices[0].text,
            format!("No configuration file {DEFAULT_CONFIG}: there are no groups")
        );
    }
}

#[test]
fn unreadable_files() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    fs::create_dir(dir.path().join("mpathd.toml")).unwrap();
    fs::create_dir(dir.path().join("defaults")).unwrap();
    let problems = refused(&paths);
    assert_eq!(problems.len(), 2, "errors of both files at once");
    for (problem, name) in problems.iter().zip(["mpathd.toml", "defaults"]) {
        let path = dir.path().join(name).display().to_string();
        assert_eq!(problem.message, format!("cannot read {path}: it is a directory"));
        assert_eq!(problem.file, path);
    }
}

#[test]
fn errors_of_the_text_come_with_those_of_the_other_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mpathd.toml"), "x = 1\n").unwrap();
    fs::create_dir(dir.path().join("defaults")).unwrap();
    assert_eq!(refused(&paths(dir.path())).len(), 2);
}

#[test]
fn a_path_that_cannot_be_opened_says_why() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let config = dir.path().join("file").join("mpathd.toml");
    let paths = Paths { config: Some(config.clone()), ..paths(dir.path()) };
    let want = format!("cannot read {}: Not a directory", config.display());
    assert_eq!(refused(&paths)[0].message, want);
}

#[test]
fn no_text() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths(dir.path());
    fs::write(dir.path().join("mpathd.toml"), b"[daemon]\n# \xc3\xa9 \xff\n").unwrap();
    let problem = &refused(&paths)[0];
    assert_eq!(problem.message, "the file is not UTF-8 text");
    assert_eq!((problem.line, problem.column), (Some(2), Some(5)));
    assert!(problem.to_string().contains("mpathd.toml:2:5"), "{problem}");

    fs::write(dir.path().join("mpathd.toml"), vec![b'#'; LARGEST + 1]).unwrap();
    assert!(refused(&paths)[0].message.ends_with("it is larger than 1048576 bytes"));
    fs::write(dir.path().join("mpathd.toml"), vec![b'#'; LARGEST]).unwrap();
    assert!(load(&paths).is_ok());
}
