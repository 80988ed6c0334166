//! mpathd-behaviour.md 10, edge cases 1 to 3.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Defaults {
    parse(text.as_bytes(), "mpathd")
}

fn texts(defaults: &Defaults) -> Vec<&str> {
    defaults.notices.iter().map(|n| n.text.as_str()).collect()
}

#[test]
fn failure_detection_times() {
    let invalid = "Invalid failure detection time assuming default 10000";
    let small = |v: &str| format!("Too small failure detection time of {v} assuming minimum 100");
    let seconds =
        |n: u32| format!("FAILURE_DETECTION_TIME is in milliseconds: for {n} seconds write {}", n * 1000);
    let large = |v: &str| format!("Too large failure detection time of {v} assuming maximum 3600000");
    let table: Vec<(&str, Option<u64>, Vec<String>)> = vec![
        ("", None, vec![invalid.into()]),
        ("abc", None, vec![invalid.into()]),
        ("0", None, vec![invalid.into()]),
        ("-5", None, vec![invalid.into()]),
        ("0x", None, vec![invalid.into()]),
        ("99999999999999999999", None, vec![invalid.into()]),
        ("4294967297", None, vec![invalid.into()]),
        ("1", Some(100), vec![small("1"), seconds(1)]),
        ("99", Some(100), vec![small("99"), seconds(99)]),
        ("10s", Some(100), vec![small("10s"), seconds(10)]),
        ("010", Some(100), vec![small("010"), seconds(8)]),
        ("100", Some(100), vec![]),
        ("0x3e8", Some(1000), vec![]),
        ("0X3E8", Some(1000), vec![]),
        ("01750", Some(1000), vec![]),
        ("  +2000 ms", Some(2000), vec![]),
        ("10000\t ", Some(10_000), vec![]),
        ("3600000", Some(3_600_000), vec![]),
        ("3600001", Some(3_600_000), vec![large("3600001")]),
    ];
    for (value, ms, notices) in table {
        let defaults = read(&format!("FAILURE_DETECTION_TIME={value}\n"));
        let got = defaults.failure_detection_time.as_ref().map(|s| s.value);
        assert_eq!(got, ms.map(Duration::from_millis), "{value:?}");
        assert_eq!(texts(&defaults), notices, "{value:?}");
    }
    assert_eq!(read("# nothing\n").failure_detection_time, None);
}

#[test]
fn the_value_stands_in_the_fields() {
    let defaults = read("\nFAILURE_DETECTION_TIME=abc\n");
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(defaults.notices[0].fields, [pair("file", "mpathd"), pair("line", "2"), pair("value", "abc")]);
    assert_eq!(defaults.notices[0].level, Level::Warning);
}

#[test]
fn yes_and_no() {
    let table = [
        ("yes", Some(true)),
        ("YES", Some(true)),
        ("Yes", Some(true)),
        ("no", Some(false)),
        ("NO", Some(false)),
        ("yes \t", Some(true)),
        ("no\r", Some(false)),
        ("yesterday", None),
        ("none", None),
        ("n", None),
        ("", None),
        (" yes", None),
        ("\"yes\"", None),
    ];
    for name in ["FAILBACK", "TRACK_INTERFACES_ONLY_WITH_GROUPS"] {
        for (value, want) in table {
            let defaults = read(&format!("{name}={value}\n"));
            let (this, other) = if name == "FAILBACK" {
                (&defaults.failback, &defaults.track_interfaces_only_with_groups)
            } else {
                (&defaults.track_interfaces_only_with_groups, &defaults.failback)
            };
            assert_eq!(this.as_ref().map(|s| s.value), want, "{name}={value:?}");
            assert_eq!(*other, None);
            match want {
                Some(_) => assert!(defaults.notices.is_empty()),
                None => assert_eq!(texts(&defaults), [format!("Invalid value for {name} {value}")]),
            }
        }
    }
}

#[test]
fn lines() {
    let long = "x".repeat(2048);
    let fits = format!("#{}\n", "x".repeat(LONGEST_LINE - 2));
    let table = [
        ("failBack=no\n".to_owned(), Some(false)),
        ("FAILBACK=no\nFAILBACK=yes\n".to_owned(), Some(false)),
        ("FAILBACK=bad\nFAILBACK=no\n".to_owned(), None),
        ("   FAILBACK=no\n".to_owned(), Some(false)),
        ("\tFAILBACK=no\n".to_owned(), None),
        ("FAILBACK = no\n".to_owned(), None),
        ("XFAILBACK=no\n".to_owned(), None),
        ("FAILBACKX=no\n".to_owned(), None),
        ("#FAILBACK=no\n".to_owned(), None),
        ("FAILBACK=no".to_owned(), Some(false)),
        (format!("FAILBACK=no\n{long}\n"), Some(false)),
        (format!("{long}\nFAILBACK=no\n"), None),
        (format!("{fits}FAILBACK=no\n"), Some(false)),
        (format!("#{fits}FAILBACK=no\n"), None),
    ];
    for (text, want) in table {
        let short: String = text.chars().take(40).collect();
        assert_eq!(read(&text).failback.map(|s| s.value), want, "{short:?}");
    }
    let defaults = read(&format!("\n{long}\nFAILBACK=no\n"));
    assert_eq!(defaults.notices.len(), 1);
    assert!(defaults.notices[0].fields.contains(&("line".to_owned(), "2".to_owned())));
}

#[test]
fn control_characters_do_not_reach_the_log() {
    let defaults = parse(b"FAILBACK=\x1b[31m\xff\n", "mpathd");
    assert_eq!(texts(&defaults), ["Invalid value for FAILBACK ?[31m\u{fffd}"]);
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        parse(&bytes, "mpathd");
    }

    #[test]
    fn any_value(value in ".*", which in 0..3usize) {
        let name = ["FAILURE_DETECTION_TIME", "FAILBACK", "TRACK_INTERFACES_ONLY_WITH_GROUPS"][which];
        let defaults = read(&format!("{name}={value}"));
        if let Some(time) = defaults.failure_detection_time {
            prop_assert!(time.value >= Duration::from_millis(100));
            prop_assert!(time.value <= Duration::from_secs(3600));
        }
    }
}
