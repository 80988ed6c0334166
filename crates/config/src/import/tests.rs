use super::*;
use proptest::prelude::*;

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn run(files: &[(&str, &str)]) -> Result<Imported, Vec<String>> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| source(path, text)).collect();
    import(&sources, "/etc/mpathd".into()).map_err(|t| t.iter().map(ToString::to_string).collect())
}

fn text(files: &[(&str, &str)]) -> String {
    crate::render(&run(files).unwrap().settings)
}

#[test]
fn rc_conf_with_a_lagg_and_a_vhid() {
    let rc = "\
hostname=\"web1\"
ifconfig_em0=\"up\"
ifconfig_em1=\"up\"
cloned_interfaces=\"lagg0\"
ifconfig_lagg0=\"laggproto failover laggport em0 \\
    laggport em1 192.0.2.5 netmask 255.255.255.0\"
ifconfig_lagg0_alias1='inet 192.0.2.20-22/24'
ifconfig_lagg0_alias0=\"inet vhid 1 advskew 100 pass s3-cret alias 192.0.2.10/32\"
sshd_enable=YES # not ours
";
    let golden = "\
[[lagg]]
name = \"lagg0\"
ports = [\"em0\", \"em1\"]
addresses = [\"192.0.2.5/24\", \"192.0.2.20/24\", \"192.0.2.21/32\", \"192.0.2.22/32\"]

[[carp]]
interface = \"lagg0\"
vhid = 1
passphrase_file = \"/etc/mpathd/carp-lagg0-1.key\"
advskew = 100
addresses = [\"192.0.2.10/32\"]
";
    let imported = run(&[("/etc/rc.conf", rc)]).unwrap();
    assert_eq!(crate::render(&imported.settings), golden);
    assert_eq!(imported.keys[0].passphrase, "s3-cret");
    assert!(!golden.contains("s3-cret"));
}

#[test]
fn what_rc_conf_cannot_give_has_file_and_line() {
    let truncated = "cloned_interfaces=\"lagg0\"\nifconfig_lagg0=\"laggproto failover laggport em0 laggport em1 netmask\"\n";
    assert_eq!(run(&[("rc.conf", truncated)]).unwrap_err(), ["rc.conf:2: 'netmask' requires argument"]);
    let many = "ifconfig_em0=\"$(hostname)\"\ncloned_interfaces=\"lagg0 bridge0\"\nif true; then\nifconfig_lagg0=\"laggproto lacp\"\nx='open";
    let troubles = run(&[("rc.conf", many)]).unwrap_err();
    assert!(troubles[0].starts_with("rc.conf:1: values that sh would compute"), "{troubles:?}");
    assert!(
        troubles
            .iter()
            .any(|t| t == "rc.conf:3: this is no assignment NAME=\"VALUE\", and nothing else is understood")
    );
    assert!(troubles.iter().any(|t| t == "rc.conf:2: bridge0: only laggs are made by mpathd"));
    assert!(troubles.iter().any(|t| t.contains("rc.conf:4: laggproto lacp")), "{troubles:?}");
    assert!(troubles.iter().any(|t| t == "rc.conf:5: a quote is not closed"), "{troubles:?}");
}

#[test]
fn hostname_files_of_solaris_make_a_group() {
    let eth0 = "192.0.2.10 netmask + broadcast + group production up \\\n";
    let eth0 = eth0.trim_end_matches(" \\\n").to_owned()
        + "\naddif 192.0.2.11 deprecated -failover netmask + broadcast + up\n";
    let eth1 = "192.0.2.12 deprecated group production -failover standby up\n";
    let defaults = "FAILURE_DETECTION_TIME=2000\nFAILBACK=no\nTRACK_INTERFACES_ONLY_WITH_GROUPS=yes\n";
    let golden = "\
[detection]
failure_detection_time = \"2s\"
failback = false
track_interfaces_only_with_groups = true

[[group]]
name = \"production\"

[[group.interface]]
name = \"eth0\"
test_addresses = [\"192.0.2.11/24\"]

[[group.interface]]
name = \"eth1\"
test_addresses = [\"192.0.2.12/24\"]
standby = true

[[group.address]]
address = \"192.0.2.10/24\"
home = \"eth0\"
";
    let files = [
        ("/etc/hostname.eth0", eth0.as_str()),
        ("/etc/hostname.eth1", eth1),
        ("/etc/default/mpathd", defaults),
    ];
    assert_eq!(text(&files), golden);
    let named = run(&[("hostname.hme0", "web1 group g up\n")]).unwrap_err();
    assert_eq!(
        named,
        ["hostname.hme0:1: 'web1' is a name: write its address as /etc/hosts of that host has it"]
    );
    let openbsd =
        run(&[("hostname.trunk0", "trunkproto failover trunkport em0 trunkport em1\n")]).unwrap_err();
    assert!(openbsd[0].contains("OpenBSD's hostname.if"), "{openbsd:?}");
}

#[test]
fn bonds_become_laggs() {
    let ifupdown = "\
auto bond0
iface bond0 inet static
    address 192.0.2.5
    netmask 255.255.255.0
    bond-slaves eth1 eth0
    bond-mode active-backup
    bond-primary eth0
    bond-miimon 100
    bond-updelay 200
iface bond0 inet6 static
    address 2001:db8::5/64
";
    let golden = "\
[[lagg]]
name = \"bond0\"
ports = [\"eth0\", \"eth1\"]
addresses = [\"192.0.2.5/24\", \"2001:db8::5/64\"]
failback_delay = \"200ms\"
probe = \"link\"
";
    assert_eq!(text(&[("/etc/network/interfaces", ifupdown)]), golden);
    let netdev =
        "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\nUpDelaySec=0.2s\nMIIMonitorSec=0.1\n";
    let ports = "[Match]\nName=eth0 eth1\n[Network]\nBond=bond0\n";
    let address = "[Match]\nName=bond0\n[Network]\nAddress=192.0.2.5/24\nAddress=2001:db8::5/64\n";
    let files = [("10-bond0.netdev", netdev), ("20-ports.network", ports), ("30-bond0.network", address)];
    assert_eq!(text(&files), golden);
    let lacp = run(&[("b.netdev", "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=802.3ad\n")]).unwrap_err();
    assert_eq!(lacp, ["b.netdev:5: bond bond0 is in mode 802.3ad: mpathd does active-backup, nothing else"]);
}

#[test]
fn unknown_files_are_told() {
    assert!(run(&[("passwd", "root:x:0:0\n")]).unwrap_err()[0].contains("not recognised"));
}

proptest! {
    #[test]
    fn any_text_is_translated_or_refused(
        name in proptest::sample::select(vec!["rc.conf", "hostname.eth0", "hostname6.e", "a.netdev", "a.network", "interfaces", "mpathd"]),
        lines in proptest::collection::vec(prop_oneof![
            "[a-z_0-9]{0,12}=[\"']?[ -~]{0,30}[\"']?",
            "iface bond0 inet static", "auto x", " bond-[a-z-]{0,8} [ -~]{0,10}", "\\[[A-Z][a-z]{0,6}\\]",
            "group [a-z]{0,3} addif [0-9.]{0,12} -failover", ".{0,30}"], 0..8))
    {
        let text = lines.join("\n");
        if let Ok(imported) = import(&[source(name, &text)], "/k".into()) {
            let _ = crate::parse(&crate::render(&imported.settings), "f", &Defaults::default());
        }
    }
}

/// A passphrase may be said at each address; sh keeps a backslash between double quotes.
#[test]
fn a_passphrase_said_twice_is_one_file() {
    let text = "ifconfig_em0_alias0=\"inet vhid 1 pass old alias 192.0.2.10/32\"\n\
                ifconfig_em0_alias1=\"inet vhid 1 pass pa\\ss alias 192.0.2.11/32\"\n";
    let keys = run(&[("rc.conf", text)]).unwrap().keys;
    let keys: Vec<_> = keys.iter().map(|k| (k.name.as_str(), k.passphrase.as_str())).collect();
    assert_eq!(keys, [("carp-em0-1.key", "pa\\ss")]);
}

/// A vhid does not make the other addresses of its NIC mpathd's; what routers and VLANs add is the system's.
#[test]
fn what_rc_conf_says_of_other_interfaces_is_left_to_the_system() {
    let rc = "\
ifconfig_em0=\"inet 192.0.2.5/24 vhid 1 pass x\"
ifconfig_em0_alias0=\"inet 192.0.2.6/24\"
ifconfig_em1=\"up\"
cloned_interfaces=\"lagg0\"
ifconfig_lagg0=\"laggproto failover laggport em1 laggport em2\"
ifconfig_lagg0_ipv6=\"2001:db8::5/64 accept_rtadv\"
vlans_lagg0=\"5\"
ifconfig_lagg0_5=\"inet 10.0.0.1/24\"
ifconfig_lagg0_5_alias0=\"inet vhid 7 pass y 10.0.0.7/32\"
";
    let golden = "\
[[lagg]]
name = \"lagg0\"
ports = [\"em1\", \"em2\"]
addresses = [\"2001:db8::5/64\"]

[[carp]]
interface = \"em0\"
vhid = 1
passphrase_file = \"/etc/mpathd/carp-em0-1.key\"
addresses = [\"192.0.2.5/24\"]

[[carp]]
interface = \"lagg0.5\"
vhid = 7
passphrase_file = \"/etc/mpathd/carp-lagg0.5-7.key\"
addresses = [\"10.0.0.7/32\"]
";
    let imported = run(&[("rc.conf", rc)]).unwrap();
    assert_eq!(crate::render(&imported.settings), golden);
    assert_eq!(
        imported.notes,
        [
            "rc.conf:7: vlans_lagg0 is left to the system's own settings",
            "rc.conf:8: the addresses of lagg0.5 are left to the system's own settings",
            "rc.conf:2: the addresses of em0 are left to the system's own settings",
            "rc.conf:6: $ifconfig_lagg0_ipv6 needs leading \"inet6\" keyword for an IPv6 address.",
            "rc.conf:6: lagg0 listens to router advertisements: left to the system",
        ]
    );
}

/// All lines are one call, with or without a backslash at their end.
#[test]
fn the_lines_of_a_hostname_file_are_one_call() {
    let eth0 = "192.0.2.10 netmask + broadcast + \\\n  addif 192.0.2.11 deprecated -failover\n# the group\ngroup g up\n";
    let golden = "\
[[group]]
name = \"g\"

[[group.interface]]
name = \"eth0\"
test_addresses = [\"192.0.2.11/24\", \"link-local\"]

[[group.address]]
address = \"192.0.2.10/24\"
home = \"eth0\"
";
    assert_eq!(text(&[("hostname.eth0", eth0), ("hostname6.eth0", "-failover\ngroup g\nup\n")]), golden);
    let wrong = run(&[("hostname.eth0", "192.0.2.10\ngroup g\nnetmsk +\n")]).unwrap_err();
    assert_eq!(
        wrong,
        ["hostname.eth0:3: 'netmsk' is neither a word of ifconfig nor an address; did you mean 'netmask'?"]
    );
}

/// Stanzas and files stand in any order; what ifupdown and networkd go on to do is told.
#[test]
fn a_bond_may_stand_behind_its_ports_and_its_addresses() {
    let ports = "iface eth0 inet manual\n bond-master bond0\niface eth1 inet manual\n bond-master bond0\n";
    let bond = "\
iface bond0 inet6 static
    address 2001:db8::5
    netmask 60
    gateway 2001:db8::1
iface bond0 inet dhcp
    bond-mode active-backup
iface eth9 inet dhcp
";
    let golden = "\
[[lagg]]
name = \"bond0\"
ports = [\"eth0\", \"eth1\"]
addresses = [\"2001:db8::5/60\"]
probe = \"link\"
";
    let imported = run(&[("interfaces.d/ports", ports), ("interfaces", bond)]).unwrap();
    assert_eq!(crate::render(&imported.settings), golden);
    assert_eq!(
        imported.notes,
        [
            "interfaces:4: what bond0 gets through a gateway is left to ifupdown",
            "interfaces:5: what bond0 gets by dhcp is left to ifupdown"
        ]
    );
    assert_eq!(
        run(&[("ports", ports)]).unwrap_err(),
        [
            "ports:2: eth0 is a port of bond0, which these files do not have",
            "ports:4: eth1 is a port of bond0, which these files do not have"
        ]
    );
    let files = [
        ("b.netdev", "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\n"),
        ("p.network", "[Match]\nName=eth0 eth1\n[Network]\nBond=bond0\n"),
        ("b.network", "[Match]\nName=bond0\n[Network]\nAddress=192.0.2.5/24\n[Route]\nGateway=192.0.2.1\n"),
    ];
    assert_eq!(
        run(&files).unwrap().notes,
        ["b.network:6: what bond0 gets through a gateway is left to networkd"]
    );
}
