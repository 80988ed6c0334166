use super::*;
use mpath_core::persist::NicMemory;
use std::time::Duration;

fn state(nic: &str) -> Persistent {
    let nic = NicMemory {
        name: nic.to_owned(),
        index: Some(3),
        failed: true,
        offline: false,
        installed: vec!["192.0.2.11/24".parse().unwrap()],
    };
    Persistent { version: VERSION, nics: vec![nic], ..Persistent::default() }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1234)
}

#[test]
fn what_is_stored_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/mpathd");
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.load(now()), (None, None));
    assert!(journal.store(&state("eth0")).unwrap());
    assert!(!journal.store(&state("eth0")).unwrap());
    assert!(journal.store(&state("eth1")).unwrap());
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.load(now()), (Some(state("eth1")), None));
    assert!(!journal.store(&state("eth1")).unwrap());
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [FILE]);
}

#[test]
fn useless_files_are_set_aside_and_named() {
    let newer = format!("{{\"version\":{},\"shape\":\"unheard of\"}}", VERSION + 1);
    let half = &serde_json::to_string(&state("eth0")).unwrap()[..40];
    let cases: [(&[u8], &str); 6] = [
        (newer.as_bytes(), "newer"),
        (half.as_bytes(), "broken"),
        (b"", "broken"),
        (b"\xff\xfe\0", "broken"),
        (b"{\"version\":0}", "broken"),
        (b"{\"version\":1,\"nics\":7}", "broken"),
    ];
    for (bytes, reason) in cases {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), bytes).unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let (state, line) = journal.load(now());
        assert_eq!(state, None);
        let line = line.unwrap();
        assert_eq!(line.level, Level::Err);
        let aside = dir.path().join(format!("{FILE}.{reason}-1234"));
        assert_eq!(fs::read(&aside).unwrap(), bytes);
        assert!(line.fields.contains(&("kept_as".to_owned(), aside.display().to_string())), "{line:?}");
        assert!(!dir.path().join(FILE).exists());
    }
}

#[test]
fn failing_writes_are_told_once_per_episode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.keep(&state("eth0")), None);
    fs::remove_dir_all(&path).unwrap();
    let line = journal.keep(&state("eth1")).unwrap();
    assert_eq!(line.level, Level::Err);
    assert!(line.fields[0].1.contains("cannot create"), "{line:?}");
    assert_eq!(journal.keep(&state("eth2")), None);
    fs::create_dir(&path).unwrap();
    assert_eq!(journal.keep(&state("eth2")).unwrap().level, Level::Notice);
    assert_eq!(journal.keep(&state("eth3")), None);
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.load(now()).0, Some(state("eth3")));
}

#[test]
fn a_state_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains("create state directory") && error.contains("file/state"), "{error}");
}
