//! Every error of `mpathd.toml` with its line; what loads, and what is logged about it.

use crate::defaults::{self, Defaults};
use crate::{Errors, Loaded};
use mpath_model::settings::{Adopt, Confirm, Lagg, LinkPoll, ProbeMode, TestAddress};
use proptest::prelude::*;
use std::time::Duration;

const BASE: &str = r#"[[group]]
name = "g"
[[group.interface]]
name = "eth0"
[[group.interface]]
name = "eth1"
"#;

fn parse(text: &str) -> Result<Loaded, Errors> {
    crate::parse(text, "mpathd.toml", &Defaults::default())
}

fn good(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// Errors of a text as `LINE: MESSAGE`, with `; HELP` where there is one.
fn errors(text: &str) -> Vec<String> {
    let Err(errors) = parse(text) else { panic!("this should be refused:\n{text}") };
    let line = |p: &crate::Problem| {
        assert_eq!(p.file, "mpathd.toml");
        assert!(!p.render(false).is_empty() && !p.message.contains('\n'));
        let help = p.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
        format!("{}: {}{help}", p.line.unwrap_or(0), p.message)
    };
    errors.problems().iter().map(line).collect()
}

fn check_table(table: &[(&str, &str)]) {
    for (text, want) in table {
        assert_eq!(errors(text), [*want], "{text}");
    }
}

mod carp;
mod contradictions;
mod laggs;
mod values;

#[test]
fn the_example_of_the_contract() {
    let text = include_str!("tests/contract.toml");
    let known = text.split("\n[[carp]]").next().unwrap();
    let settings = good(known).settings;
    assert_eq!(settings.daemon.link_poll, LinkPoll::Auto);
    assert_eq!(settings.daemon.announce, mpath_model::settings::Daemon::default().announce);
    assert_eq!(settings.daemon.on_event.as_deref(), Some(std::path::Path::new("/etc/mpathd/event")));
    assert_eq!(settings.detection.failure_detection_time, Duration::from_secs(10));
    let [group] = &settings.groups[..] else { panic!("one group") };
    assert_eq!(group.name, "production");
    assert_eq!(group.failure_detection_time, Duration::from_secs(2));
    assert!(group.failback);
    assert_eq!((group.probe, group.adopt, group.confirm), (ProbeMode::Auto, Adopt::Static, Confirm::All));
    let names: Vec<_> = group.interfaces.iter().map(|i| (i.name.as_str(), i.standby)).collect();
    assert_eq!(names, [("eth0", false), ("eth1", true)]);
    let test = TestAddress::Address("192.0.2.12/24".parse().unwrap());
    assert_eq!(group.interfaces[1].test_addresses, [test]);
    assert_eq!(group.addresses[0].address, "192.0.2.10/24".parse().unwrap());
    assert_eq!(group.addresses[0].home, "eth0");

    let [lagg] = &settings.laggs[..] else { panic!("one lagg") };
    let mut expected = Lagg::new("lagg0", &settings.detection);
    expected.ports = vec!["em0".into(), "em1".into()];
    expected.addresses = vec!["192.0.2.5/24".parse().unwrap()];
    assert_eq!(*lagg, expected);
}

#[test]
fn the_documented_example_loads() {
    let loaded = good(include_str!("../../../../docs/examples/two-nics.toml"));
    assert_eq!(loaded.notices, []);
    let group = &loaded.settings.groups[0];
    assert_eq!((group.interfaces.len(), group.addresses.len()), (2, 3));
    assert_eq!(group.interfaces[0].test_addresses[1], TestAddress::LinkLocal);
}

#[test]
fn nothing_is_a_configuration() {
    for text in ["", "\n", "# nothing\n", "\u{feff}", "[daemon]\n[detection]\n"] {
        assert_eq!(good(text).settings, mpath_model::Settings::default());
    }
}

#[test]
fn homes_default_to_the_first_interface_that_is_not_standby() {
    let table = [("true", "false", "eth1"), ("false", "true", "eth0"), ("true", "true", "eth0")];
    for (a, b, home) in table {
        let text = format!(
            "[[group]]\nname = \"g\"\n\
             [[group.interface]]\nname = \"eth0\"\nstandby = {a}\n\
             [[group.interface]]\nname = \"eth1\"\nstandby = {b}\n\
             [[group.address]]\naddress = \"192.0.2.1/24\"\n"
        );
        assert_eq!(good(&text).settings.groups[0].addresses[0].home, home);
    }
}

#[test]
fn all_errors_at_once_in_the_order_of_the_file() {
    let text = r#"[daemon]
link_poll = "never"
colour = "red"
[detection]
failure_detection_time = 10
failbak = true
[[group]]
name = "production"
probe = "auto "
targets = ["router"]
[[group.interface]]
name = "eth0"
test_addresses = ["192.0.2.11/24"]
standby = "yes"
[[group.interface]]
name = "eth0"
[[group.address]]
address = "192.0.2.11/24"
home = "eth7"
"#;
    let want = [
        "2: `link_poll` in [daemon] cannot be \"never\"; write \"auto\", \"off\" or a duration like \"10ms\"",
        "3: unknown key `colour` in [daemon]; known here: control_group, read_group, on_event, realtime, link_poll, announce, announce_pace",
        "5: `failure_detection_time`: the duration 10 has no unit; write \"10ms\" or \"10s\"",
        "6: unknown key `failbak` in [detection]; did you mean `failback`?",
        "9: `probe` in [[group]] cannot be \"auto \"; did you mean \"auto\"?",
        "10: target \"router\" is not an IPv4 or IPv6 address",
        "14: `standby` in [[group.interface]] must be true or false, this is a string; write true, without quotes",
        "16: interface eth0 is twice in group production",
        "18: 192.0.2.11 cannot be both a test address and a data address",
        "19: home eth7 is not an interface of group production; did you mean \"eth0\"?",
    ];
    assert_eq!(errors(text), want);
}

#[test]
fn errors_beyond_the_hundredth_are_counted() {
    let text: String = (0..150).map(|i| format!("x{i} = 1\n")).collect();
    let errors = parse(&text).unwrap_err();
    assert_eq!((errors.problems().len(), errors.count()), (100, 150));
    assert!(errors.to_string().ends_with("\nand 50 more errors\n"));
    let text: String = (0..5000).map(|i| format!("x{i} = 1\n")).collect();
    assert_eq!(parse(&text).unwrap_err().count(), 5000);
}

#[test]
fn what_is_not_toml() {
    check_table(&[
        (
            "[daemon]\nread_group = mpathd\n",
            "2: not TOML: string values must be quoted, expected literal string; write \"mpathd\", in quotes",
        ),
        ("just words\n", "1: not TOML: key with no value, expected `=`"),
        ("[detection]\nfailback = true\nfailback = false\n", "3: duplicate key `failback`"),
        ("[daemon]\n[daemon]\n", "2: duplicate key `daemon`"),
    ]);
    assert!(errors("\u{0}\u{1}\n[[[").len() > 1);
    errors(&"[".repeat(100_000));
    errors(&format!("x = {}", "[".repeat(100_000)));
    // Values that are not TOML do not hide other errors, and a line is reported once.
    let text = "[detection]\nfailure_detection_time = 10s\nfailback = yes # please\nx = 1\n[[group.address]]\naddress = 192.0.2.1/24\n";
    let quoted = "not TOML: string values must be quoted, expected literal string";
    let want = [
        format!("2: {quoted}; write \"10s\", in quotes"),
        format!("3: {quoted}; write true"),
        "4: unknown key `x` in [detection]; known here: failure_detection_time, failback, track_interfaces_only_with_groups".to_owned(),
        "5: `group` must be an array of tables, this is a table; write [[group]]".to_owned(),
        "6: not TOML: invalid float, expected nothing; write \"192.0.2.1/24\", in quotes".to_owned(),
    ];
    assert_eq!(errors(text), want);
    // A duplicate key does not hide other errors.
    assert_eq!(errors("[detection]\nfailback = true\nfailback = false\nx = 1\n").len(), 2);
}

#[test]
fn what_the_defaults_file_says_holds_until_overruled() {
    let defaults = defaults::parse(
        b"FAILURE_DETECTION_TIME=5000\nFAILBACK=no\nTRACK_INTERFACES_ONLY_WITH_GROUPS=no\n",
        "d",
    );
    let load = |text: &str| crate::parse(text, "m", &defaults).unwrap();
    let quiet = load(BASE);
    assert_eq!(quiet.notices, []);
    assert_eq!(quiet.settings.detection.failure_detection_time, Duration::from_secs(5));
    assert_eq!(quiet.settings.groups[0].failure_detection_time, Duration::from_secs(5));
    assert!(!quiet.settings.groups[0].failback);
    assert!(!quiet.settings.detection.track_interfaces_only_with_groups);

    let texts = |text: &str| load(text).notices.into_iter().map(|n| n.text).collect::<Vec<_>>();
    let all = "[detection]\nfailure_detection_time = \"2s\"\nfailback = true\ntrack_interfaces_only_with_groups = true\n";
    assert_eq!(
        texts(&format!("{all}{BASE}")),
        [
            "FAILURE_DETECTION_TIME=5000 of d is overruled by failure_detection_time in m",
            "FAILBACK=no of d is overruled by failback in m",
            "TRACK_INTERFACES_ONLY_WITH_GROUPS=no of d is overruled by track_interfaces_only_with_groups in m",
        ]
    );
    let same = "[detection]\nfailure_detection_time = \"5s\"\nfailback = false\n";
    assert_eq!(texts(&format!("{same}{BASE}")), [""; 0]);
    // Groups overrule it too, logged once for all of them; what [detection] says has been dealt with.
    let group = |n: u32, more: &str| {
        format!("[[group]]\nname = \"g{n}\"\n{more}\n[[group.interface]]\nname = \"eth{n}\"\n")
    };
    let groups = [1, 2].map(|n| group(n, "failure_detection_time = \"1s\"")).concat();
    assert_eq!(
        texts(&groups),
        ["FAILURE_DETECTION_TIME=5000 of d is overruled by failure_detection_time in m"]
    );
    assert_eq!(texts(&format!("{same}{groups}")), [""; 0]);
    assert_eq!(load(&groups).settings.groups[1].failure_detection_time, Duration::from_secs(1));
}

#[test]
fn warnings() {
    let texts = |text: &str| good(text).notices.into_iter().map(|n| n.text).collect::<Vec<_>>();
    let table = [
        ("[daemon]\nannounce = []\n", "announce is empty: neighbours are not told when an address moves"),
        (
            "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"e\"\nstandby = true\n",
            "Every interface of group g is standby",
        ),
        (
            "[[group]]\nname = \"g\"\nprobe = \"link\"\n[[group.interface]]\nname = \"e\"\ntest_addresses = [\"link-local\"]\n",
            "Group g has test addresses and probe = \"link\": they are not used",
        ),
        (
            "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"e\"\n[[group.address]]\naddress = \"fe80::5/64\"\n",
            "Data address fe80::5/64 of group g is a link-local address",
        ),
    ];
    for (text, want) in table {
        assert_eq!(texts(text), [want]);
    }
}

#[test]
fn inline_and_dotted_forms_mean_the_same() {
    let text = "daemon.link_poll = \"off\"\ngroup = [{ name = \"g\", interface = [{ name = \"eth0\" }, { name = \"eth1\" }] }]\n";
    let loaded = good(text);
    assert_eq!(loaded.settings.groups, good(BASE).settings.groups);
    assert_eq!(loaded.settings.daemon.link_poll, LinkPoll::Off);
}

/// Pieces that make texts which get past the TOML parser.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "[daemon]",
        "[detection]",
        "[[group]]",
        "[[group.interface]]",
        "[[group.address]]",
        "[[lagg]]",
        "[group]",
        "name",
        "address",
        "home",
        "test_addresses",
        "failure_detection_time",
        "announce",
        "link_poll",
        "targets",
        "probe",
        " = ",
        "\"eth0\"",
        "\"192.0.2.1/24\"",
        "\"fe80::1/64\"",
        "\"10s\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "1",
        "true",
        "\n",
        "\n",
        "\"ü\"",
        "é",
        "\t",
        "\r\n",
        "1979-05-27",
        "#",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60).prop_map(|v| v.concat())
}

/// Lines that are TOML by themselves, in any order.
fn lines() -> impl Strategy<Value = String> {
    let lines = [
        "[daemon]",
        "[detection]",
        "[[group]]",
        "[[group.interface]]",
        "[[group.address]]",
        "name = \"eth0\"",
        "name = \"eth1\"",
        "address = \"192.0.2.1/24\"",
        "address = \"::/0\"",
        "address = \"10.0.0.0/1\"",
        "home = \"eth0\"",
        "home = \"\"",
        "test_addresses = [\"192.0.2.1/24\", \"link-local\"]",
        "test_addresses = [\"fe80::1/127\", 7, []]",
        "failure_detection_time = \"1h\"",
        "failure_detection_time = 1.5",
        "announce = [\"0s\", \"-1s\", []]",
        "link_poll = \"1ms\"",
        "targets = [\"192.0.2.1\", \"::1%x\"]",
        "standby = true",
        "probe = \"lınk\"",
        "é = 1",
        "\"\" = 1",
    ];
    proptest::collection::vec(proptest::sample::select(lines.to_vec()), 0..40).prop_map(|v| v.join("\n"))
}

fn read_and_render(text: &str) {
    if let Err(errors) = parse(text) {
        assert!(!errors.problems().is_empty());
        assert!(!errors.render(true).is_empty());
        assert!(errors.problems().iter().all(|p| p.line.is_some()));
    }
}

proptest! {
    #[test]
    fn any_text(text in "(?s).*") {
        read_and_render(&text);
    }

    #[test]
    fn any_pieces(text in pieces()) {
        read_and_render(&text);
    }

    #[test]
    fn any_lines(text in lines()) {
        read_and_render(&text);
    }
}
