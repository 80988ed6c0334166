use super::*;
use crate::Defaults;

const FILE: &str = r#"[daemon]
control_group = "wheel"
link_poll = "5ms"
announce = ["0s", "1s"]
announce_pace = "2ms"

[detection]
failure_detection_time = "2s"
failback = false
track_interfaces_only_with_groups = true

[[group]]
name = "production"
failure_detection_time = "500ms"
failback = true
probe = "testaddress"
targets = ["192.0.2.1"]
adopt = "all"
confirm = "off"
max_loss = "30%"
max_rtt = "5ms"
large_probes = true

[[group.interface]]
name = "eth0"
test_addresses = ["192.0.2.11/24", "link-local"]

[[group.interface]]
name = "eth1"
standby = true

[[group.address]]
address = "192.0.2.10/24"
home = "eth0"

[[carp]]
interface = "eth7"
vhid = 1
passphrase_file = "/etc/mpathd/carp.key"
advbase = 2
advskew = 100
preempt = true
vmac = false
peer = "192.0.2.2"
replay = "strict"
addresses = ["192.0.2.100/24"]

[[carp]]
group = "production"
vhid = 2
passphrase_file = "/etc/mpathd/carp.key"
addresses = ["192.0.2.101/24"]
"#;

#[test]
fn what_is_read_is_written_again() {
    use std::os::unix::fs::PermissionsExt;
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "s3cret\n").unwrap();
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = FILE.replace("/etc/mpathd/carp.key", key.path().to_str().unwrap());
    let settings = crate::parse(&file, "f", &Defaults::default()).unwrap().settings;
    assert_eq!(render(&settings), file);
    assert_eq!(render(&Settings::default()), "");
}

#[test]
fn a_lagg_without_ports_is_read_back() {
    let mut settings = Settings::default();
    settings.laggs = vec![Lagg::new("lagg0", &settings.detection)];
    let text = render(&settings);
    assert_eq!(text, "[[lagg]]\nname = \"lagg0\"\nports = []\n");
    assert_eq!(crate::parse(&text, "f", &Default::default()).unwrap().settings, settings);
}

#[test]
fn laggs_and_carps_are_written() {
    let detection = Detection::default();
    let mut lagg = Lagg::new("lagg0", &detection);
    lagg.ports = vec!["em0".to_owned(), "em1".to_owned()];
    lagg.addresses = vec!["192.0.2.5/24".parse().unwrap()];
    let settings = Settings { laggs: vec![lagg], ..Settings::default() };
    assert_eq!(
        render(&settings),
        "[[lagg]]\nname = \"lagg0\"\nports = [\"em0\", \"em1\"]\naddresses = [\"192.0.2.5/24\"]\n"
    );
}

#[test]
fn names_are_quoted() {
    assert_eq!(quote("a\"b\\c\u{7}"), "\"a\\\"b\\\\c\\u0007\"");
}
