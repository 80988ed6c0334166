//! Errors of single values.

use super::*;

#[test]
fn unknown_keys() {
    check_table(&[
        ("[[grop]]\n", "1: unknown key `grop` in the file; did you mean `group`?"),
        (
            "[daemon]\nControlGroup = \"x\"\n",
            "2: unknown key `ControlGroup` in [daemon]; did you mean `control_group`?",
        ),
        (
            "[daemon]\nfailback = true\n",
            "2: unknown key `failback` in [daemon]; `failback` belongs in [detection] or [[group]] or [[lagg]]",
        ),
        (
            &format!("{BASE}test_address = []\n"),
            "7: unknown key `test_address` in [[group.interface]]; did you mean `test_addresses`?",
        ),
        (
            &format!("{BASE}[[group.address]]\naddress = \"192.0.2.1/24\"\nstandby = true\n"),
            "9: unknown key `standby` in [[group.address]]; `standby` belongs in [[group.interface]]",
        ),
        (
            "xyzzy = 1\n",
            "1: unknown key `xyzzy` in the file; known here: daemon, detection, group, lagg, carp",
        ),
    ]);
}

#[test]
fn tables_of_the_wrong_form() {
    check_table(&[
        ("[[daemon]]\n", "1: `daemon` must be one table, this is an array; write [daemon], once"),
        ("detection = 1\n", "1: `detection` must be one table, this is an integer; write [detection], once"),
        ("[group]\n", "1: `group` must be an array of tables, this is a table; write [[group]]"),
        ("group = [1]\n", "1: `group` must hold tables, this is an integer; write [[group]]"),
        (
            "[[group]]\nname = \"g\"\n[group.interface]\nname = \"e\"\n",
            "3: `interface` must be an array of tables, this is a table; write [[group.interface]]",
        ),
        (
            "[[group]]\nname = \"g\"\ninterface = [{ name = \"e\" }, \"f\"]\n",
            "3: `interface` must hold tables, this is a string; write [[group.interface]]",
        ),
        (
            "[[lagg]]\nname = \"x\"\n",
            "1: [[lagg]] has no `ports`; add ports = [\"eth0\", \"eth1\"] to it; the first is the primary",
        ),
        ("\n[carp]\n", "2: `carp` must be an array of tables, this is a table; write [[carp]]"),
    ]);
}

#[test]
fn wrong_types() {
    check_table(&[
        (
            "[daemon]\ncontrol_group = 7\n",
            "2: `control_group` in [daemon] must be a string, this is an integer",
        ),
        (
            "[daemon]\non_event = \"event\"\n",
            "2: `on_event`: \"event\" is not an absolute path; write the whole path, like \"/etc/mpathd/event\"",
        ),
        ("[daemon]\nread_group = \"a b\"\n", "2: `read_group`: \"a b\" is not the name of a Unix group"),
        (
            "[detection]\nfailback = \"no\"\n",
            "2: `failback` in [detection] must be true or false, this is a string; write false, without quotes",
        ),
        (
            "[detection]\nfailback = 1\n",
            "2: `failback` in [detection] must be true or false, this is an integer",
        ),
        (
            &format!("{BASE}test_addresses = \"192.0.2.1/24\"\n"),
            "7: `test_addresses` in [[group.interface]] must be an array of strings, this is a string; write [\"192.0.2.1/24\"]",
        ),
        (
            &format!("{BASE}test_addresses = [1]\n"),
            "7: `test_addresses` must hold strings, this is an integer",
        ),
        (
            &format!("{BASE}standby = \"true\"\n"),
            "7: `standby` in [[group.interface]] must be true or false, this is a string; write true, without quotes",
        ),
    ]);
}

#[test]
fn durations() {
    let hint = "write a number and a unit: us, ms, s, m or h, like \"20ms\", \"10s\" or \"1m30s\"";
    let fdt = |v: &str| format!("[detection]\nfailure_detection_time = {v}\n");
    let at = "2: `failure_detection_time`: ";
    let range = "; anything from 20ms to 1h will do";
    check_table(&[
        (&fdt("\"10\""), &format!("{at}the duration 10 has no unit; write \"10ms\" or \"10s\"")),
        (&fdt("10"), &format!("{at}the duration 10 has no unit; write \"10ms\" or \"10s\"")),
        (&fdt("0x10"), &format!("{at}the duration 0x10 has no unit; write \"10ms\" or \"10s\"")),
        (&fdt("1.5"), &format!("{at}the duration 1.5 has no unit; write \"1.5ms\" or \"1.5s\"")),
        (&fdt("true"), &format!("{at}it is true or false; write a string like \"10s\"")),
        (&fdt("\"soon\""), &format!("{at}\"soon\" is not a duration; {hint}")),
        (&fdt("\"10 sec\""), &format!("{at}\"sec\" is not a unit of time; {hint}")),
        (&fdt("\"-1s\""), &format!("{at}the duration \"-1s\" is negative; {hint}")),
        (&fdt("\"19ms\""), &format!("{at}19ms is out of range{range}")),
        (&fdt("\"19999us\""), &format!("{at}19ms999us is out of range{range}")),
        (&fdt("\"1h1s\""), &format!("{at}1h1s is out of range{range}")),
        (
            "[[group]]\nname = \"g\"\nfailure_detection_time = \"0s\"\ninterface = [{ name = \"e\" }]\n",
            &format!("3: `failure_detection_time`: 0s is out of range{range}"),
        ),
        (
            "[daemon]\nlink_poll = \"10\"\n",
            "2: `link_poll`: the duration 10 has no unit; write \"10ms\" or \"10s\"",
        ),
        (
            "[daemon]\nlink_poll = 10\n",
            "2: `link_poll`: the duration 10 has no unit; write \"10ms\" or \"10s\"",
        ),
        (
            "[daemon]\nlink_poll = \"-1s\"\n",
            &format!("2: `link_poll`: the duration \"-1s\" is negative; {hint}"),
        ),
        (
            "[daemon]\nlink_poll = \"1us\"\n",
            "2: `link_poll`: 1us is out of range; anything from 1ms to 1m will do",
        ),
        (
            "[daemon]\nlink_poll = \"fast\"\n",
            "2: `link_poll` in [daemon] cannot be \"fast\"; write \"auto\", \"off\" or a duration like \"10ms\"",
        ),
        (
            "[daemon]\nannounce = [\"-1s\"]\n",
            &format!("2: `announce`: the duration \"-1s\" is negative; {hint}"),
        ),
        (
            "[daemon]\nannounce = [\"0s\", \"2s\",\n  \"1s\"]\n",
            "3: `announce`: 1s does not come after 2s; write the times after the move in rising order",
        ),
        (
            "[daemon]\nannounce = [\"1s\", \"1s\"]\n",
            "2: `announce`: 1s does not come after 1s; write the times after the move in rising order",
        ),
        (
            "[daemon]\nannounce = \"1s\"\n",
            "2: `announce` in [daemon] must be an array of durations, this is a string",
        ),
    ]);
    for (text, ms) in [("20ms", 20), ("1h", 3_600_000), ("1m30s", 90_000), ("0.5s", 500)] {
        let loaded = good(&fdt(&format!("\"{text}\"")));
        assert_eq!(loaded.settings.detection.failure_detection_time, Duration::from_millis(ms));
    }
    let poll = |v: &str| good(&format!("[daemon]\nlink_poll = \"{v}\"\n")).settings.daemon.link_poll;
    assert_eq!(poll("5ms"), LinkPoll::Every(Duration::from_millis(5)));
    assert_eq!(poll("off"), LinkPoll::Off);
    assert_eq!(good("[daemon]\nannounce = [\"0s\"]\n").settings.daemon.announce, [Duration::ZERO]);
    let many: Vec<String> = (0..33).map(|i| format!("\"{i}s\"")).collect();
    check_table(&[(
        &format!("[daemon]\nannounce = [{}]\n", many.join(", ")),
        "2: `announce` has 33 times, at most 32 are possible",
    )]);
}

#[test]
fn words() {
    let group = |line: &str| format!("[[group]]\nname = \"g\"\n{line}\n[[group.interface]]\nname = \"e\"\n");
    check_table(&[
        (
            &group("probe = \"testadress\""),
            "3: `probe` in [[group]] cannot be \"testadress\"; did you mean \"testaddress\"?",
        ),
        (
            &group("adopt = \"dynamic\""),
            "3: `adopt` in [[group]] cannot be \"dynamic\"; write \"static\" or \"all\" or \"none\"",
        ),
        (&group("confirm = false"), "3: `confirm` in [[group]] must be a string, this is true or false"),
    ]);
    let one = |line: &str| good(&group(line)).settings.groups.remove(0);
    assert_eq!(one("probe = \"testaddress\"").probe, ProbeMode::TestAddress);
    assert_eq!(one("probe = \"link\"").probe, ProbeMode::Link);
    assert_eq!(one("adopt = \"all\"").adopt, Adopt::All);
    assert_eq!(one("adopt = \"none\"").adopt, Adopt::None);
    assert_eq!(one("confirm = \"icmp\"").confirm, Confirm::Icmp);
    assert_eq!(one("confirm = \"off\"").confirm, Confirm::Off);
    assert!(!one("failback = false").failback);
}

#[test]
fn names() {
    let group = |name: &str| format!("[[group]]\nname = {name}\n[[group.interface]]\nname = \"e\"\n");
    let nic = |name: &str| format!("[[group]]\nname = \"g\"\n[[group.interface]]\nname = {name}\n");
    check_table(&[
        (&group("\"\""), "2: the group name is empty"),
        (
            &group(&format!("\"{}\"", "g".repeat(32))),
            &format!("2: the group name \"{}\" is longer than 31 characters", "g".repeat(32)),
        ),
        (&group("\"a b\""), "2: the group name \"a b\" contains ' '"),
        (&group("\"a/b\""), "2: the group name \"a/b\" contains '/'"),
        (&group("\"a\\u0007\""), "2: the group name \"a\\u{7}\" contains '\\u{7}'"),
        (&nic("\"\""), "4: the interface name is empty"),
        (
            &nic("\"abcdefghijklmnop\""),
            "4: the interface name \"abcdefghijklmnop\" is longer than 15 characters",
        ),
        (&nic("\"eth 0\""), "4: the interface name \"eth 0\" contains ' '"),
        (&nic("\"eth0:1\""), "4: the interface name \"eth0:1\" contains ':'"),
        (&nic("\"a/b\""), "4: the interface name \"a/b\" contains '/'"),
        (&nic("\"..\""), "4: the interface name cannot be \"..\""),
        (&nic("\"lo\""), "4: lo is the loopback interface and cannot be in a group or lagg"),
        (
            "[[group]]\n[[group.interface]]\nname = \"e\"\n",
            "1: [[group]] has no `name`; add name = \"...\" to it",
        ),
        (
            "[[group]]\nname = \"g\"\n[[group.interface]]\nstandby = true\n[[group.address]]\naddress = \"192.0.2.1/24\"\nhome = \"e\"\n",
            "3: [[group.interface]] has no `name`; add name = \"...\" to it",
        ),
        (
            &format!("{BASE}[[group.address]]\nhome = \"eth0\"\n"),
            "7: [[group.address]] has no `address`; add address = \"...\" to it",
        ),
    ]);
    good(&group(&format!("\"{}\"", "g".repeat(31))));
    good(&nic("\"abcdefghijklmno\""));
}

#[test]
fn data_addresses() {
    let text = |a: &str| format!("{BASE}[[group.address]]\naddress = \"{a}\"\n");
    let table = [
        ("192.0.2.1", "'192.0.2.1' has no prefix length (write it like 192.0.2.10/24)"),
        ("192.0.2.1/33", "'33' is not a prefix length from 0 to 32"),
        ("192.0.2.256/24", "'192.0.2.256' is not an IPv4 or IPv6 address"),
        ("host/24", "'host' is not an IPv4 or IPv6 address"),
    ];
    for (a, message) in table {
        assert_eq!(errors(&text(a)), [format!("8: data address: {message}")]);
    }
    let table = [
        ("0.0.0.0/8", "is the unspecified address"),
        ("::/64", "is the unspecified address"),
        ("127.0.0.1/8", "is a loopback address"),
        ("::1/128", "is a loopback address"),
        ("224.0.0.5/24", "is a multicast address"),
        ("ff02::5/64", "is a multicast address"),
        ("255.255.255.255/32", "is the broadcast address"),
        ("::ffff:192.0.2.1/128", "is an IPv4 address in IPv6 clothes"),
        ("192.0.2.1/0", "has prefix length 0; write the prefix length of its subnet"),
        ("2001:db8::1/0", "has prefix length 0; write the prefix length of its subnet"),
        ("192.0.2.0/24", "is the network address of 192.0.2.0/24"),
        ("192.0.2.255/24", "is the broadcast address of 192.0.2.0/24"),
        ("191.255.255.255/1", "is a fine address"),
        ("2001:db8::/64", "is the network address of 2001:db8::/64"),
    ];
    for (a, message) in table {
        if message == "is a fine address" {
            good(&text(a));
            continue;
        }
        assert_eq!(errors(&text(a)), [format!("8: data address {a} {message}")]);
    }
    for a in [
        "192.0.2.0/31",
        "192.0.2.0/32",
        "192.0.2.255/32",
        "2001:db8::/127",
        "2001:db8::10/128",
        "2001:db8::ffff:ffff:ffff:ffff/64",
    ] {
        good(&text(a));
    }
}

#[test]
fn test_addresses() {
    let text = |a: &str| format!("{BASE}test_addresses = [\"{a}\"]\n");
    let link_local = "; write \"link-local\", or an address that begins with fe80:";
    let table = [
        ("2001:db8::1/64", format!("IPv6 test address 2001:db8::1/64 is not a link-local address{link_local}")),
        ("fd00::1/64", format!("IPv6 test address fd00::1/64 is not a link-local address{link_local}")),
        ("192.0.2.0/24", "test address 192.0.2.0/24 is the network address of 192.0.2.0/24".to_owned()),
        ("192.0.2.127/25", "test address 192.0.2.127/25 is the broadcast address of 192.0.2.0/25".to_owned()),
        ("fe80::/64", "test address fe80::/64 is the network address of fe80::/64".to_owned()),
        ("127.0.0.2/8", "test address 127.0.0.2/8 is a loopback address".to_owned()),
        ("224.0.0.9/24", "test address 224.0.0.9/24 is a multicast address".to_owned()),
        ("192.0.2.9/0", "test address 192.0.2.9/0 has prefix length 0; write the prefix length of its subnet".to_owned()),
        ("fe80::11", "test address: 'fe80::11' has no prefix length (write it like 192.0.2.10/24)".to_owned()),
        ("linklocal", "test address: 'linklocal' has no prefix length (write it like 192.0.2.10/24); write \"link-local\" for whatever link-local address the NIC has".to_owned()),
    ];
    for (a, message) in table {
        assert_eq!(errors(&text(a)), [format!("7: {message}")]);
    }
    for a in ["192.0.2.9/24", "192.0.2.9/32", "fe80::11/64", "link-local"] {
        good(&text(a));
    }
}

#[test]
fn targets() {
    let text =
        |t: &str| format!("[[group]]\nname = \"g\"\ntargets = [{t}]\n[[group.interface]]\nname = \"e\"\n");
    check_table(&[
        (&text("\"router\""), "3: target \"router\" is not an IPv4 or IPv6 address"),
        (
            &text("\"192.0.2.1/24\""),
            "3: target \"192.0.2.1/24\" is not an IPv4 or IPv6 address; write \"192.0.2.1\"",
        ),
        (
            &text("\"fe80::1%eth0\""),
            "3: target \"fe80::1%eth0\" is not an IPv4 or IPv6 address; write \"fe80::1\"",
        ),
        (&text("\"224.0.0.1\""), "3: target 224.0.0.1 is a multicast address"),
        (&text("\"::\""), "3: target :: is the unspecified address"),
        (&text("7"), "3: `targets` must hold strings, this is an integer"),
        (&text("\"192.0.2.1\", \"192.0.2.1\""), "3: target 192.0.2.1 is there twice"),
        (&text(&"\"192.0.2.1\", ".repeat(65)), "3: `targets` has 65 entries, at most 64 are possible"),
    ]);
    let loaded = good(&text("\"192.0.2.1\", \"fe80::1\""));
    assert_eq!(loaded.settings.groups[0].targets.len(), 2);
}
