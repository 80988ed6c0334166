//! `[[carp]]`.

use super::*;
use mpath_model::carp::Over;
use mpath_model::settings::{PassphraseSource, Replay};
use std::os::unix::fs::PermissionsExt;

const MINIMAL: &str = "[[carp]]\ninterface = \"eth0\"\nvhid = 1\naddresses = [\"192.0.2.100/24\"]\n";

/// A file with a passphrase and its path.
fn key(text: &str, mode: u32) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("carp.key");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn the_example_of_the_contract() {
    let (_dir, path) = key("mekmitasdigoat\n", 0o600);
    let text = include_str!("contract.toml");
    let (_, carp) = text.split_once("[[carp]]").unwrap();
    let loaded = good(&format!("[[carp]]{carp}").replace("/etc/mpathd/carp.key", &path));
    assert_eq!(loaded.notices, []);
    let [carp] = &loaded.settings.carps[..] else { panic!("one vhid") };
    assert_eq!((&carp.over, carp.vhid), (&Over::Interface("eth0".into()), 1));
    assert_eq!(carp.passphrase, PassphraseSource::File(path.into()));
    assert_eq!((carp.advbase, carp.advskew, carp.preempt, carp.vmac), (1, 100, false, true));
    assert_eq!((carp.peer, carp.peer6), (Some("192.0.2.2".parse().unwrap()), None));
    assert_eq!(carp.replay, Replay::Loop);
    assert_eq!(carp.addresses, ["192.0.2.100/24".parse().unwrap()]);
}

#[test]
fn defaults() {
    let loaded = good(MINIMAL);
    let carp = &loaded.settings.carps[0];
    assert_eq!((carp.advbase, carp.advskew, carp.preempt, carp.vmac), (1, 0, false, true));
    assert_eq!((carp.replay, &carp.passphrase), (Replay::Loop, &PassphraseSource::None));
    assert!(loaded.notices[0].text.starts_with("A vhid without passphrase"), "{:?}", loaded.notices);
}

#[test]
fn what_is_wrong_with_a_vhid() {
    let group = format!("{BASE}[[carp]]\ngroup = \"production\"\nvhid = 1\naddresses = [\"192.0.2.9/24\"]\n");
    let table: [(String, &str); 13] = [
        (
            "[[carp]]\nvhid = 1\naddresses = [\"192.0.2.1/24\"]\n".into(),
            "1: [[carp]] has neither `interface` nor `group`; add interface = \"eth0\", or group = \"...\" to follow the group's active member",
        ),
        (
            format!("{MINIMAL}group = \"g\"\n"),
            "5: [[carp]] has both `interface` and `group`; keep one of them",
        ),
        (MINIMAL.replace("vhid = 1\n", ""), "1: [[carp]] has no `vhid`; add vhid = 1, or any number to 255"),
        (MINIMAL.replace("= 1\n", "= 0\n"), "3: `vhid`: 0 is out of range; anything from 1 to 255 will do"),
        (
            MINIMAL.replace("= 1\n", "= 256\n"),
            "3: `vhid`: 256 is out of range; anything from 1 to 255 will do",
        ),
        (MINIMAL.replace("= 1\n", "= \"1\"\n"), "3: `vhid` in [[carp]] must be an integer, this is a string"),
        (
            format!("{MINIMAL}advskew = 255\n"),
            "5: `advskew`: 255 is out of range; anything from 0 to 254 will do",
        ),
        (
            format!("{MINIMAL}advbase = -1\n"),
            "5: `advbase`: -1 is out of range; anything from 1 to 255 will do",
        ),
        (MINIMAL.replace("[\"192.0.2.100/24\"]", "[]"), "4: `addresses` of [[carp]] is empty"),
        (
            format!("{MINIMAL}peer = \"2001:db8::1\"\n"),
            "5: `peer` must be an IPv4 address, this is IPv6; write peer6 = \"2001:db8::1\"",
        ),
        (
            format!("{MINIMAL}replay = \"yes\"\n"),
            "5: `replay` in [[carp]] cannot be \"yes\"; write \"off\" or \"loop\" or \"strict\"",
        ),
        (
            format!("{MINIMAL}pass = \"secret\"\n"),
            "5: unknown key `pass` in [[carp]]; known here: interface, group, vhid, passphrase_file, credential, advbase, advskew, preempt, vmac, peer, peer6, replay, addresses",
        ),
        (group.replace("\"production\"\nvhid", "\"produktion\"\nvhid"), ""),
    ];
    for (text, want) in &table[..12] {
        assert_eq!(errors(text), [*want], "{text}");
    }
    let wrong = errors(&table[12].0);
    assert!(wrong[0].contains("there is no group produktion"), "{wrong:?}");
}

#[test]
fn what_contradicts_what() {
    let twice = format!("{MINIMAL}{}", MINIMAL.replace("100/", "101/"));
    assert_eq!(errors(&twice), ["7: vhid 1 is on interface eth0 twice"]);
    let address = format!("{MINIMAL}{}", MINIMAL.replace("= 1\n", "= 2\n"));
    assert_eq!(errors(&address), ["8: virtual address 192.0.2.100 is there twice"]);
    let data =
        format!("{BASE}[[group.address]]\naddress = \"192.0.2.100/24\"\n{}", MINIMAL.replace("eth0", "eth7"));
    let data = errors(&data);
    assert!(data[0].ends_with("192.0.2.100 cannot be both a data address and a virtual address"), "{data:?}");
    let lagg =
        format!("[[lagg]]\nname = \"lagg0\"\nports = [\"em0\"]\naddresses = [\"192.0.2.100/24\"]\n{MINIMAL}");
    let lagg = errors(&lagg);
    assert!(lagg[0].ends_with("192.0.2.100 cannot be both a lagg address and a virtual address"), "{lagg:?}");
}

#[test]
fn passphrase_files_must_be_private() {
    let with = |path: &str| format!("{MINIMAL}passphrase_file = \"{path}\"\n");
    let (_dir, open) = key("secret", 0o640);
    assert_eq!(
        errors(&with(&open)),
        [format!("5: passphrase file {open} is open to others (mode 0640); chmod 600 {open}")]
    );
    let (_dir, empty) = key("\nsecret", 0o600);
    assert_eq!(errors(&with(&empty)), [format!("5: passphrase file {empty} is empty")]);
    assert_eq!(
        errors(&with("/nonexistent/key")),
        ["5: cannot read passphrase file /nonexistent/key: it does not exist"]
    );
    assert_eq!(errors(&with("/dev/null")), ["5: passphrase file /dev/null is not a file"]);
    let (_dir, long) = key("01234567890123456789\n", 0o400);
    assert_eq!(good(&with(&long)).notices[0].text, "Only the first 19 octets of the passphrase count");
    let (dir, good_one) = key("s3cret\r\nsecond line\n", 0o400);
    let settings = good(&with(&good_one)).settings;
    let (found, bad) = crate::passphrases(&settings);
    assert_eq!(bad, [] as [&str; 0]);
    assert_eq!(found[0].1.octets(), b"s3cret");
    assert!(!format!("{settings:?}{found:?}").contains("s3cret"));
    drop(dir);
    assert!(crate::parse_alone(&with(&good_one), "f", &Default::default()).is_ok(), "not looked into");
    let gone = crate::passphrases(&settings).1;
    assert_eq!(gone, [format!("vhid 1@eth0: cannot read passphrase file {good_one}: it does not exist")]);
}

#[test]
fn a_credential_is_a_name() {
    let bad = format!("{MINIMAL}credential = \"../key\"\n");
    assert_eq!(errors(&bad), ["5: \"../key\" is not the name of a credential"]);
    let both = format!("{MINIMAL}credential = \"carp\"\npassphrase_file = \"/etc/key\"\n");
    assert_eq!(errors(&both), ["5: [[carp]] has both `passphrase_file` and `credential`; keep one of them"]);
}
