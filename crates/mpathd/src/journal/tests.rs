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
    let mut at = Time(0);
    assert_eq!(journal.next(), None, "nothing to look after");
    assert_eq!(journal.keep(at, &state("eth0")), None);
    // Something that is no directory stands in its place.
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "").unwrap();
    let line = journal.keep(at, &state("eth1")).unwrap();
    assert_eq!(line.level, Level::Err);
    assert!(line.fields[0].1.contains("cannot create"), "{line:?}");
    assert_eq!(journal.keep(at, &state("eth2")), None);
    at = at + RETRY;
    assert_eq!(journal.next(), Some(at));
    assert_eq!(journal.tend(at), None, "still failing, told already");
    fs::remove_file(&path).unwrap();
    at = at + RETRY;
    assert_eq!(journal.tend(at).unwrap().level, Level::Notice, "tried again by itself");
    assert_eq!(journal.tend(at), None);
    assert_eq!(Journal::open(&path).unwrap().load(now()).0, Some(state("eth2")));
    assert_eq!(journal.keep(at, &state("eth3")), None);
    assert_eq!(Journal::open(&path).unwrap().load(now()).0, Some(state("eth3")));
}

#[test]
fn a_state_directory_that_vanishes_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut journal = Journal::open(&path).unwrap();
    journal.keep(Time(0), &state("eth0"));
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(journal.tend(Time(0)), None, "not looked at yet");
    assert_eq!(journal.tend(Time(0) + LOOK).unwrap().level, Level::Err);
    assert_eq!(journal.tend(Time(0) + LOOK * 2), None);
    assert_eq!(Journal::open(&path).unwrap().load(now()).0, Some(state("eth0")));
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(journal.keep(Time(0), &state("eth1")), None, "at once, when there is something to write");
    assert_eq!(Journal::open(&path).unwrap().load(now()).0, Some(state("eth1")));
}

#[test]
fn a_file_that_cannot_be_written_keeps_the_old_one_and_is_tried_again() {
    // Stands in the way, and neither privileges nor removing it as a file help.
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    journal.keep(Time(0), &state("eth0"));
    let temporary = dir.path().join(format!("{FILE}.new"));
    fs::create_dir(&temporary).unwrap();
    let line = journal.keep(Time(0), &state("eth1")).unwrap();
    assert!(line.fields[0].1.contains("cannot create"), "{line:?}");
    assert_eq!(Journal::open(dir.path()).unwrap().load(now()).0, Some(state("eth0")));
    fs::remove_dir(&temporary).unwrap();
    assert_eq!(journal.tend(Time(0) + RETRY).unwrap().level, Level::Notice);
    assert_eq!(Journal::open(dir.path()).unwrap().load(now()).0, Some(state("eth1")));
}

/// What a run as root has left half-written, or somebody has put there to have it written through.
#[test]
fn what_lies_where_the_file_is_made_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, dir.path().join(format!("{FILE}.new"))).unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.keep(Time(0), &state("eth0")), None);
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
}

#[test]
fn a_file_cut_anywhere_is_never_taken_for_a_state() {
    let bytes = serde_json::to_vec(&state("eth0")).unwrap();
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(parse(&bytes), Ok(state("eth0")));
}

#[test]
fn a_state_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Journal::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains("create state directory") && error.contains("file/state"), "{error}");
}
