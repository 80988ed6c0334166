//! `[[lagg]]`: every key, and what contradicts what.

use super::*;
use mpath_model::kernel::LaggBackend;

#[test]
fn every_key_of_a_lagg() {
    let text = r#"
[[lagg]]
name = "lagg7"
ports = ["em1", "em0", "wlan0"]
addresses = ["192.0.2.5/24", "2001:db8::5/64"]
backend = "redirect"
failback = false
failback_delay = "1500ms"
rx_grace = "0s"
probe = "link"
failure_detection_time = "100ms"
targets = ["192.0.2.1"]
"#;
    let settings = good(text).settings;
    let [lagg] = &settings.laggs[..] else { panic!("one lagg") };
    assert_eq!(lagg.ports, ["em1", "em0", "wlan0"]);
    assert_eq!(lagg.addresses.len(), 2);
    assert_eq!(lagg.backend, Some(LaggBackend::Redirect));
    assert_eq!((lagg.failback, lagg.probe), (false, ProbeMode::Link));
    assert_eq!((lagg.failback_delay, lagg.rx_grace), (Duration::from_millis(1500), Duration::ZERO));
    assert_eq!(lagg.failure_detection_time, Duration::from_millis(100));
    assert_eq!(lagg.targets.len(), 1);
}

#[test]
fn a_lagg_without_ports_is_one() {
    let settings = good("[[lagg]]\nname = \"lagg0\"\nports = []\n").settings;
    assert!(settings.laggs[0].ports.is_empty());
}

#[test]
fn contradictions_of_laggs() {
    let cases = [
        ("[[lagg]]\nname = \"a\"\nports = [\"x\", \"x\"]\n", "3: port x is twice in lagg a"),
        (
            "[[lagg]]\nname = \"a\"\nports = [\"x\"]\n[[lagg]]\nname = \"b\"\nports = [\"y\", \"x\"]\n",
            "6: interface x is in lagg a and in lagg b",
        ),
        (
            "[[lagg]]\nname = \"a\"\nports = [\"x\"]\n[[lagg]]\nname = \"a\"\nports = [\"y\"]\n",
            "5: there are two laggs called a",
        ),
        ("[[lagg]]\nname = \"a\"\nports = [\"a\"]\n", "3: a is a lagg and cannot be a port of one"),
        (
            "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"x\"\n[[lagg]]\nname = \"a\"\nports = [\"x\"]\n",
            "7: interface x is in group g and in lagg a",
        ),
        (
            "[[lagg]]\nname = \"a\"\nports = []\naddresses = [\"192.0.2.1/24\", \"192.0.2.1/25\"]\n",
            "4: address 192.0.2.1 is there twice",
        ),
        (
            "[[lagg]]\nname = \"a\"\nports = []\naddresses = [\"192.0.2.1/24\"]\ntargets = [\"192.0.2.1\"]\n",
            "5: target 192.0.2.1 is an address of this host; name routers or other hosts on the link",
        ),
        (
            "[[lagg]]\nname = \"a\"\nports = []\nprobe = \"testaddress\"\n",
            "4: `probe` in [[lagg]] cannot be \"testaddress\"; write \"auto\" or \"link\"",
        ),
        (
            "[[lagg]]\nname = \"a\"\nports = []\nrx_grace = \"2h\"\n",
            "4: `rx_grace`: 2h is out of range; anything from 0s to 1m will do",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text), [expected], "{text}");
    }
}
