use super::*;
use crate::words::parse;

/// The lines in order; an interface with an optional unit in front.
fn run(settings: &mut Settings, lines: &[&str]) -> Result<Outcome, String> {
    let around = Surroundings { adopted: vec![], keys: "/keys".into() };
    let mut last = Outcome::default();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, unit) = words[0].split_once(':').unwrap_or((words[0], "0"));
        let changes = parse(unit.parse().unwrap(), &words[1..]).map_err(|e| e.message)?;
        last = apply(settings, name, &changes, &around)?;
    }
    Ok(last)
}

fn text(lines: &[&str]) -> String {
    let mut settings = Settings::default();
    run(&mut settings, lines).unwrap();
    crate::render(&settings)
}

#[test]
fn the_quickstart_of_freebsd() {
    let lines = [
        "em0 up",
        "em1 up",
        "lagg0 create",
        "lagg0 laggproto failover laggport em0 laggport em1 192.0.2.5 netmask 255.255.255.0",
        "lagg0 inet vhid 1 advskew 100 pass s3cret alias 192.0.2.10/32",
    ];
    let golden = r#"[[lagg]]
name = "lagg0"
ports = ["em0", "em1"]
addresses = ["192.0.2.5/24"]

[[carp]]
interface = "lagg0"
vhid = 1
passphrase_file = "/keys/carp-lagg0-1.key"
advskew = 100
addresses = ["192.0.2.10/32"]
"#;
    assert_eq!(text(&lines), golden);
    let mut settings = Settings::default();
    let outcome = run(&mut settings, &lines).unwrap();
    assert_eq!(outcome.keys, [Key { name: "carp-lagg0-1.key".into(), passphrase: "s3cret".into() }]);
    let once = settings.clone();
    run(&mut settings, &["lagg0 inet vhid 1 alias 192.0.2.10/32"]).unwrap();
    assert_eq!(settings, once, "said twice is said once");
    run(&mut settings, &["lagg0 192.0.2.10 -alias"]).unwrap();
    assert_eq!(settings.carps, [], "the last address gone, the vhid is destroyed");
    run(&mut settings, &["lagg0 192.0.2.6/24", "lagg0 alias 192.0.2.7/24", "lagg0 -laggport em0"]).unwrap();
    assert_eq!(settings.laggs[0].ports, ["em1"]);
    assert_eq!(settings.laggs[0].addresses.len(), 2, "the first one was replaced");
    run(&mut settings, &["lagg0 destroy"]).unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_words_of_in_mpathd() {
    let lines = [
        "eth0 group production",
        "eth0 addif 192.0.2.11/24 deprecated -failover up",
        "eth1 192.0.2.12/24 group production deprecated -failover standby up",
        "eth0 addif 192.0.2.10/24 up",
    ];
    let golden = r#"[[group]]
name = "production"

[[group.interface]]
name = "eth0"
test_addresses = ["192.0.2.11/24"]

[[group.interface]]
name = "eth1"
test_addresses = ["192.0.2.12/24"]
standby = true

[[group.address]]
address = "192.0.2.10/24"
home = "eth0"
"#;
    assert_eq!(text(&lines), golden);
    let mut settings = Settings::default();
    run(&mut settings, &lines).unwrap();
    let data = |s: &Settings| -> Vec<String> {
        s.groups[0].addresses.iter().map(|a| a.address.to_string()).collect()
    };

    // The unit says which address is meant; the NIC alone means the one that it can mean.
    run(&mut settings, &["eth0:1 failover"]).unwrap();
    assert_eq!(data(&settings), ["192.0.2.10/24", "192.0.2.11/24"]);
    run(&mut settings, &["eth0:1 -failover", "eth0 failover"]).unwrap();
    assert_eq!(data(&settings), ["192.0.2.10/24", "192.0.2.11/24"]);
    assert!(run(&mut settings, &["eth0:7 failover"]).unwrap_err().contains("no such address"));

    run(&mut settings, &["eth0 removeif 192.0.2.11", "eth1 -standby"]).unwrap();
    assert_eq!(data(&settings), ["192.0.2.10/24"]);
    assert!(!settings.groups[0].interfaces[1].standby);
    let outcome = {
        let around = Surroundings::default();
        apply(&mut settings, "eth0", &[Change::Group(String::new())], &around).unwrap()
    };
    assert_eq!(outcome.notes, ["192.0.2.10/24 stays in group production and has eth1 as its home"]);
    assert_eq!(settings.groups[0].interfaces.len(), 1);
}

#[test]
fn what_is_refused_and_what_is_only_warned_of() {
    let refuse = |lines: &[&str]| run(&mut Settings::default(), lines).unwrap_err();
    assert!(refuse(&["eth0 standby"]).contains("is in no group"));
    assert!(refuse(&["eth0 192.0.2.1/24"]).contains("ip address add 192.0.2.1/24 dev eth0"));
    assert_eq!(refuse(&["lagg0 create", "lagg0 create"]), "SIOCIFCREATE2 (lagg0): File exists");
    assert!(refuse(&["lagg0 laggport em0"]).contains("interface lagg0 does not exist"));
    assert!(refuse(&["lagg0 create", "lagg0 -laggport em0"]).starts_with("SIOCSLAGGDELPORT"));
    assert!(refuse(&["lagg0 create", "lagg0 laggport lagg1"]).contains("a lagg cannot be a port"));
    assert!(refuse(&["em0 create"]).contains("only laggN"));
    assert!(refuse(&["eth0 group g", "eth0 removeif 192.0.2.9"]).contains("no address 192.0.2.9"));
    let mut settings = Settings::default();
    let lines = ["lagg0 create laggport em0", "lagg1 create laggport em0 laggport em1 10.0.0.1/24"];
    let outcome = run(&mut settings, &lines).unwrap();
    assert_eq!(outcome.warnings, ["lagg1 em0: SIOCSLAGGPORT: Device busy (another lagg has it)"]);
    assert_eq!(settings.laggs[1].ports, ["em1"], "the other words count all the same");
}

#[test]
fn what_is_said_again_changes_nothing() {
    let mut settings = Settings::default();
    let lines = [
        "eth0 group production 192.0.2.10/24 alias",
        "eth0 192.0.2.20/24 alias",
        "eth0 192.0.2.11/24 alias -failover",
        "lagg0 create",
        "lagg0 192.0.2.5/24",
        "lagg0 alias 192.0.2.6/24",
    ];
    run(&mut settings, &lines).unwrap();
    let once = settings.clone();
    for line in [
        "eth0 192.0.2.10/24",
        "eth0 192.0.2.10/24 alias up",
        "eth0 192.0.2.11/24 up",
        "eth0 192.0.2.11/24 alias",
        "lagg0 192.0.2.5/24",
        "lagg0 192.0.2.6/24 alias",
    ] {
        run(&mut settings, &[line]).unwrap();
        assert_eq!(settings, once, "{line}");
    }
    run(&mut settings, &["eth0 192.0.2.11/25 alias"]).unwrap();
    let tests = &settings.groups[0].interfaces[0].test_addresses;
    assert_eq!(tests, &[TestAddress::Address("192.0.2.11/25".parse().unwrap())]);
    run(&mut settings, &["eth0 192.0.2.11/24 alias failover"]).unwrap();
    assert_eq!(settings.groups[0].interfaces[0].test_addresses, []);
}

/// hostname6.IF says it: unit 0 of IPv6 is the link-local address, whatever else the NIC has.
#[test]
fn inet6_failover_is_about_the_link_local_address() {
    let lines = ["eth0 inet6 group production -failover up", "eth0 192.0.2.10/24", "eth0 inet6 -failover"];
    let golden = r#"[[group]]
name = "production"

[[group.interface]]
name = "eth0"
test_addresses = ["link-local"]

[[group.address]]
address = "192.0.2.10/24"
home = "eth0"
"#;
    assert_eq!(text(&lines), golden);
    let mut settings = Settings::default();
    run(&mut settings, &lines).unwrap();
    run(&mut settings, &["eth0 -failover"]).unwrap();
    assert_eq!(settings.groups[0].interfaces[0].test_addresses.len(), 2, "IPv4's only data address");
    run(&mut settings, &["eth0 failover", "eth0 inet6 failover", "eth0 inet6 failover"]).unwrap();
    assert_eq!(settings.groups[0].interfaces[0].test_addresses, []);
    assert_eq!(settings.groups[0].addresses.len(), 1);

    let refused = run(&mut settings, &["eth1 group production", "eth1 -failover"]).unwrap_err();
    assert_eq!(
        refused,
        "'-failover': eth1 has no IPv4 address; of its link-local one, write inet6 -failover"
    );
}
