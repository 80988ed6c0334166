//! What the operator sees, character for character.

use crate::{Defaults, Errors, parse};

fn rendered(text: &str) -> String {
    parse(text, "/etc/mpathd/mpathd.toml", &Defaults::default()).unwrap_err().to_string()
}

#[test]
fn an_unknown_key() {
    let want = "\
error: unknown key `failbak` in [[group]]
 --> /etc/mpathd/mpathd.toml:3:1
  |
3 | failbak = true
  | ^^^^^^^
  |
  = help: did you mean `failback`?
";
    assert_eq!(
        rendered("[[group]]\nname = \"g\"\nfailbak = true\ninterface = [{ name = \"eth0\" }]\n"),
        want
    );
}

#[test]
fn a_contradiction_shows_both_places() {
    let text = "\
[[group]]
name = \"g\"
[[group.interface]]
name = \"eth0\"
test_addresses = [\"192.0.2.10/24\"]
[[group.address]]
address = \"192.0.2.10/24\"
";
    let want = "\
error: 192.0.2.10 cannot be both a test address and a data address
 --> /etc/mpathd/mpathd.toml:7:11
  |
5 | test_addresses = [\"192.0.2.10/24\"]
  |                   --------------- its other use
6 | [[group.address]]
7 | address = \"192.0.2.10/24\"
  |           ^^^^^^^^^^^^^^^
";
    assert_eq!(rendered(text), want);
}

#[test]
fn several_errors() {
    let want = "\
error: `failure_detection_time`: the duration 10 has no unit
 --> /etc/mpathd/mpathd.toml:2:26
  |
2 | failure_detection_time = 10  # seconds?
  |                          ^^
  |
  = help: write \"10ms\" or \"10s\"

error: `failback` in [detection] must be true or false, this is a string
 --> /etc/mpathd/mpathd.toml:3:12
  |
3 | failback = \"yes\"
  |            ^^^^^
  |
  = help: write true, without quotes
";
    let text = "[detection]\nfailure_detection_time = 10  # seconds?\nfailback = \"yes\"\n";
    assert_eq!(rendered(text), want);
}

#[test]
fn columns_count_characters() {
    let errors = parse("\"é\" = 1\n", "f", &Defaults::default()).unwrap_err();
    assert_eq!((errors.problems()[0].line, errors.problems()[0].column), (Some(1), Some(1)));
    let text = "group = [{ name = \"é\", interface = [{ name = \"e\" }], nope = 1 }]\n";
    let errors = parse(text, "f", &Defaults::default()).unwrap_err();
    assert_eq!(errors.problems()[0].column, Some(54));
    let column = text.chars().take(53).collect::<String>();
    assert!(text[column.len()..].starts_with("nope"));
}

#[test]
fn colour_only_on_request() {
    let errors: Errors = parse("x = 1\n", "f", &Defaults::default()).unwrap_err();
    assert!(!errors.render(false).contains('\u{1b}'));
    assert!(errors.render(true).contains('\u{1b}'));
}

#[test]
fn a_hostile_file_cannot_reach_the_terminal() {
    let text = rendered("\"\\u001b[31m\" = 1\nname = \"x\u{1b}[31m\"\n");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let errors = parse("\"\\u001b[31m\" = 1\n", "f", &Defaults::default()).unwrap_err();
    assert!(!errors.problems()[0].message.contains('\u{1b}'));
    let long = format!("{} = 1\n", "x".repeat(100_000));
    let errors = parse(&long, "f", &Defaults::default()).unwrap_err();
    assert!(errors.problems()[0].message.len() < 500);
}
