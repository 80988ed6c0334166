use super::*;
use std::os::unix::fs::PermissionsExt;

const ONE: &str = "# mine\n[[group]]\nname = \"a\"\n[[group.interface]]\nname = \"eth0\"\n";
const TWO: &str = "[[group]]\nname = \"b\"\n[[group.interface]]\nname = \"eth0\"\n";

fn load(path: &Path) -> Loaded {
    let none = Some(PathBuf::from("/dev/null"));
    mpath_config::load(&mpath_config::Paths { config: Some(path.to_owned()), defaults: none }).unwrap()
}

fn settings(text: &str) -> Settings {
    mpath_config::parse(text, "f", &Defaults::default()).unwrap().settings
}

fn world() -> (tempfile::TempDir, PathBuf, Running) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("mpathd.toml");
    fs::write(&config, ONE).unwrap();
    let running = Running::start(&load(&config), &Defaults::default(), config.clone(), dir.path()).0;
    (dir, config, running)
}

#[test]
fn changes_survive_a_restart_and_go_with_saving() {
    let (dir, config, mut running) = world();
    assert!(!running.now.unsaved);
    running.change((TWO.to_owned(), settings(TWO), vec![]), None);
    running.keep().unwrap();
    let (mut again, complaint) =
        Running::start(&load(&config), &Defaults::default(), config.clone(), dir.path());
    assert_eq!(complaint, None);
    assert!(again.now.unsaved && again.now.settings == settings(TWO));
    let save = again.save();
    save.write().unwrap();
    assert!(!again.saved(save).unwrap());
    assert_eq!(fs::read_to_string(&config).unwrap(), TWO);
    assert_eq!(fs::read_to_string(dir.path().join("mpathd.toml~")).unwrap(), ONE);
    assert!(!Running::start(&load(&config), &Defaults::default(), config.clone(), dir.path()).0.now.unsaved);
    // Changed back by hand: nothing to keep.
    again.change((ONE.to_owned(), settings(ONE), vec![]), None);
    again.keep().unwrap();
    again.change((TWO.to_owned(), settings(TWO), vec![]), None);
    again.keep().unwrap();
    assert!(!again.now.unsaved && !dir.path().join(UNSAVED).exists());
}

#[test]
fn a_file_that_changed_meanwhile_is_noticed_and_broken_changes_are_told() {
    let (dir, config, running) = world();
    assert!(running.file_is_as_read());
    fs::write(&config, TWO).unwrap();
    assert!(!running.file_is_as_read());
    fs::remove_file(&config).unwrap();
    assert!(!running.file_is_as_read());
    fs::write(&config, ONE).unwrap();
    fs::write(dir.path().join(UNSAVED), "nonsense").unwrap();
    let (running, complaint) =
        Running::start(&load(&config), &Defaults::default(), config.clone(), dir.path());
    assert!(complaint.is_some() && running.now.settings == settings(ONE));
}

#[test]
fn passphrases_are_kept_for_root_alone() {
    let (dir, _config, running) = world();
    running.keep_key("carp-eth0-1.key", "s3cret").unwrap();
    let path = dir.path().join(KEYS).join("carp-eth0-1.key");
    assert_eq!(fs::read_to_string(&path).unwrap(), "s3cret\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for name in ["", "../x", "a/b", ".hidden", "a b"] {
        assert!(running.keep_key(name, "x").is_err(), "{name}");
    }
}

#[test]
fn passphrases_that_were_replaced_come_back() {
    let (dir, _config, running) = world();
    let path = dir.path().join(KEYS).join("a");
    let first = running.keep_key("a", "one").unwrap();
    assert_eq!(first, ("a".to_owned(), None));
    let replaced = [running.keep_key("a", "two").unwrap(), running.keep_key("a", "three").unwrap()];
    running.restore_keys(&replaced).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    running.restore_keys(&[first]).unwrap();
    assert!(!path.exists());
}

#[test]
fn what_was_released_stays_so_until_a_reload_and_a_trial_gives_it_back() {
    let (_dir, _config, mut running) = world();
    let both = "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n";
    let members = |v: &Version| -> Vec<String> {
        v.effective().groups.iter().flat_map(|g| &g.interfaces).map(|i| i.name.clone()).collect()
    };
    running.change((both.to_owned(), settings(both), vec![]), None);
    running.now.release(Some("eth9".to_owned()));
    running.now.release(Some("eth1".to_owned()));
    assert_eq!(
        (members(&running.now), running.now.settings.groups[0].interfaces.len()),
        (vec!["eth0".to_owned()], 2)
    );
    let kept = running.now.released.clone();
    running.change((both.to_owned(), settings(both), kept), Some((Time(1), vec![])));
    assert_eq!(members(&running.now), ["eth0"]);
    running.now.release(None);
    assert_eq!(members(&running.now), [] as [&str; 0]);
    let trial = running.trial.take().unwrap();
    running.back(trial.before);
    assert_eq!(members(&running.now), ["eth0"]);
    let save = running.save();
    running.saved(save).unwrap();
    assert_eq!(members(&running.now), ["eth0"], "saving changes nothing");
}
