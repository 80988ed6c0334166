//! Values that are right by themselves and wrong together.

use super::*;

/// Two groups with two interfaces each; `$` lines are put in by the tests.
fn two_groups(first: &str, second: &str) -> String {
    format!(
        "[[group]]\nname = \"a\"\n\
         [[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n{first}\n\
         [[group]]\nname = \"b\"\n\
         [[group.interface]]\nname = \"eth2\"\n[[group.interface]]\nname = \"eth3\"\n{second}\n"
    )
}

fn data(address: &str) -> String {
    format!("[[group.address]]\naddress = \"{address}\"")
}

fn test(address: &str) -> String {
    format!("test_addresses = [\"{address}\"]")
}

#[test]
fn groups_and_interfaces() {
    check_table(&[
        (
            "[[group]]\nname = \"g\"\n",
            "1: group g has no interface; add a [[group.interface]] with its name below it",
        ),
        (
            &format!("{BASE}[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"x\"\n"),
            "8: there are two groups called g",
        ),
        (&format!("{BASE}[[group.interface]]\nname = \"eth0\"\n"), "8: interface eth0 is twice in group g"),
        (
            &two_groups("", "[[group.interface]]\nname = \"eth1\""),
            "15: interface eth1 is in two groups, a and b",
        ),
    ]);
}

#[test]
fn addresses_twice() {
    let one = "192.0.2.10/24";
    let twice = format!("{}\n{}", data(one), data("192.0.2.10/32"));
    check_table(&[
        (&two_groups(&twice, ""), "10: data address 192.0.2.10 is there twice"),
        (&two_groups(&data(one), &data(one)), "16: data address 192.0.2.10 is there twice"),
        (&two_groups(&test(one), &test(one)), "14: test address 192.0.2.10 is there twice"),
        (
            &two_groups(&test(one), &data(one)),
            "15: 192.0.2.10 cannot be both a test address and a data address",
        ),
        (
            &two_groups(&format!("{}\n{}", test(one), data(one)), ""),
            "9: 192.0.2.10 cannot be both a test address and a data address",
        ),
        (
            &two_groups(&data(one), &test(one)),
            "15: 192.0.2.10 cannot be both a test address and a data address",
        ),
        (
            "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"a\"\ntest_addresses = [\"fe80::1/64\"]\n[[group.interface]]\nname = \"b\"\ntest_addresses = [\"fe80::1/64\"]\n",
            "8: test address fe80::1 is there twice",
        ),
    ]);
    // Two groups are two links.
    good(&two_groups(&test("fe80::1/64"), &test("fe80::1/64")));
    good(&format!(
        "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"a\"\n{0}\n[[group.interface]]\nname = \"b\"\n{0}\n",
        test("link-local")
    ));
}

#[test]
fn test_addresses_of_one_nic() {
    let tests = |t: &str| format!("{BASE}test_addresses = [{t}]\n");
    check_table(&[
        (
            &tests("\"192.0.2.1/24\", \"192.0.2.2/24\""),
            "7: interface eth1 has more than one IPv4 test address",
        ),
        (&tests("\"fe80::1/64\", \"fe80::2/64\""), "7: interface eth1 has more than one IPv6 test address"),
        (&tests("\"fe80::1/64\", \"link-local\""), "7: interface eth1 has more than one IPv6 test address"),
    ]);
    good(&tests("\"192.0.2.1/24\", \"link-local\""));
}

#[test]
fn homes() {
    let home = |h: &str| format!("{}\nhome = \"{h}\"", data("192.0.2.10/24"));
    check_table(&[
        (
            &two_groups(&home("eth2"), ""),
            "9: home eth2 is not in group a but in b; its interfaces are eth0, eth1",
        ),
        (
            &two_groups(&home("wlan0"), ""),
            "9: home wlan0 is not an interface of group a; its interfaces are eth0, eth1",
        ),
        (
            &two_groups(&home("eht1"), ""),
            "9: home eht1 is not an interface of group a; did you mean \"eth1\"?",
        ),
    ]);
    let loaded = good(&two_groups(&home("eth1"), ""));
    assert_eq!(loaded.settings.groups[0].addresses[0].home, "eth1");
}

#[test]
fn targets_that_are_our_own() {
    let text = |address: &str| {
        format!(
            "[[group]]\nname = \"g\"\ntargets = [\"192.0.2.10\"]\n[[group.interface]]\nname = \"e\"\n{address}\n"
        )
    };
    let help = "; name routers or other hosts on the link";
    check_table(&[
        (
            &text(&data("192.0.2.10/24")),
            &format!("3: target 192.0.2.10 is a data address of this host{help}"),
        ),
        (
            &text(&test("192.0.2.10/24")),
            &format!("3: target 192.0.2.10 is a test address of this host{help}"),
        ),
    ]);
}
