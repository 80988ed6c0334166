use super::*;
use crate::netlink::link::{Link, RUNNING, UP};
use mpath_model::Mac;

fn link(index: u32, name: &str, mac: u8) -> Link {
    let mac = Some(Mac([2, 0, 0, 0, 0, mac]));
    Link { index, name: name.to_owned(), flags: UP | RUNNING, mtu: 1500, mac, ..Link::default() }
}

fn settings() -> Settings {
    let text = "[[group]]\nname = \"g\"\n[[group.interface]]\nname = \"eth0\"\n[[group.interface]]\nname = \"eth1\"\n";
    mpath_config::parse(text, "f", &Default::default()).unwrap().settings
}

/// A host with files below a directory of its own.
fn host(files: &[(&str, &str)], links: Vec<Link>) -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let root = dir.path().to_owned();
    (dir, Host { root, links, daemon: true })
}

fn found(files: &[(&str, &str)], links: Vec<Link>) -> Vec<String> {
    let (_dir, host) = host(files, links);
    let nics = nics(&settings());
    let mut list = findings::all(&host, &settings(), &nics);
    list.extend(managers::all(&host, &nics));
    list.into_iter().map(|f| format!("{}: {} | {}", f.about, f.what, f.remedy)).collect()
}

#[test]
fn a_healthy_host_has_nothing() {
    assert_eq!(found(&[], vec![link(1, "eth0", 1), link(2, "eth1", 2)]), [] as [String; 0]);
    assert_eq!(render(&[], 2, true, false), "2 NICs looked at: no obstacle found\n");
    let fresh = "1 NIC looked at, none of them configured yet: no obstacle found\n";
    assert_eq!(render(&[], 1, false, false), fresh);
}

/// A lagg's ports have a master, and no IPv4 of their own.
#[test]
fn mpathds_own_laggs_are_no_obstacle() {
    let text = "[[lagg]]\nname = \"lagg0\"\nports = [\"eth0\", \"eth1\"]\n";
    let settings = mpath_config::parse(text, "f", &Default::default()).unwrap().settings;
    let lagg = Link { kind: "bond".to_owned(), ..link(9, "lagg0", 1) };
    let port = |index, name| Link { master: Some(9), ..link(index, name, index as u8) };
    let files =
        [("proc/sys/net/ipv4/conf/all/arp_ignore", "0"), ("proc/sys/net/ipv4/conf/eth0/arp_ignore", "0")];
    let (_dir, host) = host(&files, vec![lagg, port(1, "eth0"), port(2, "eth1")]);
    assert_eq!(findings::all(&host, &settings, &nics(&settings)), []);
}

/// Where it has nothing to do yet, mpathd has set nothing; below a vhid it sets less than on members.
#[test]
fn what_mpathd_sets_is_an_obstacle_only_where_it_has_set_it() {
    let files = [
        ("proc/sys/net/ipv4/conf/all/arp_ignore", "0"),
        ("proc/sys/net/ipv4/conf/eth0/arp_ignore", "0"),
        ("proc/sys/net/ipv4/conf/all/rp_filter", "1"),
        ("proc/sys/net/ipv4/conf/eth0/rp_filter", "1"),
    ];
    let (_dir, host) = host(&files, vec![link(1, "eth0", 1)]);
    let weigh = |settings: &Settings| -> Vec<(Weight, String)> {
        let found = findings::all(&host, settings, &["eth0".to_owned()]);
        found.into_iter().filter(|f| f.about == "eth0").map(|f| (f.weight, f.remedy)).collect()
    };
    let none_needed = (Weight::Hint, "none needed: mpathd sets it".to_owned());
    assert_eq!(weigh(&Settings::default()), [none_needed.clone(), none_needed]);
    let text = "[[carp]]\ninterface = \"eth0\"\nvhid = 1\naddresses = [\"192.0.2.9/24\"]\n";
    let carp = mpath_config::parse(text, "f", &Default::default()).unwrap().settings;
    let fought = (Weight::Obstacle, "sysctl -w net.ipv4.conf.eth0.arp_ignore=1".to_owned());
    assert_eq!(weigh(&carp), [fought]);
}

#[test]
fn sysctls_have_exact_remedies() {
    let files = [
        ("proc/sys/net/ipv4/conf/all/rp_filter", "1\n"),
        ("proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n"),
        ("proc/sys/net/ipv4/conf/eth1/rp_filter", "0\n"),
        ("proc/sys/net/ipv4/conf/all/arp_ignore", "0\n"),
        ("proc/sys/net/ipv4/conf/eth0/arp_ignore", "1\n"),
        ("proc/sys/net/ipv4/conf/eth1/arp_ignore", "0\n"),
        ("proc/sys/net/ipv4/conf/all/promote_secondaries", "0\n"),
        ("proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0\n"),
    ];
    let list = found(&files, vec![link(1, "eth0", 1), link(2, "eth1", 2)]);
    assert_eq!(list.len(), 3, "{list:#?}");
    assert!(
        list[0].starts_with("eth0: promote_secondaries is 0")
            && list[0].ends_with("conf.eth0.promote_secondaries=1")
    );
    assert!(
        list[1].starts_with("eth1: rp_filter is strict")
            && list[1].ends_with("| sysctl -w net.ipv4.conf.eth1.rp_filter=2")
    );
    assert!(list[2].starts_with("eth1: arp_ignore is 0") && list[2].ends_with("conf.eth1.arp_ignore=1"));
}

#[test]
fn nics_that_are_not_as_they_should_be() {
    let bridge = Link { kind: "bridge".to_owned(), ..link(9, "br0", 9) };
    let port = Link { master: Some(9), mtu: 9000, ..link(1, "eth0", 1) };
    let dead = Link { flags: UP, ..link(2, "eth1", 1) };
    let container = Link { kind: "macvlan".to_owned(), parent: Some(2), ..link(3, "mv0", 3) };
    let list = found(&[], vec![bridge, port, dead, container]);
    let all = list.join("\n");
    for text in [
        "eth0: it is a port of br0",
        "ip link set eth0 nomaster",
        "eth1: it has no carrier",
        "eth1: its link-layer address is that of eth0: the switch mixes them up",
        "group g: eth1 has MTU 1500, eth0 has 9000",
        "eth1: mv0 (macvlan) is bound to it",
    ] {
        assert!(all.contains(text), "{text} is not in\n{all}");
    }
    let gone = found(&[], vec![link(1, "eth0", 1)]);
    assert_eq!(gone, ["eth1: this host has no such interface | check its name with `ip link`"]);
}

#[test]
fn managers_are_told_to_keep_off() {
    let files = [
        (
            "run/systemd/netif/links/1",
            "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-lan.network\n",
        ),
        ("run/NetworkManager/devices/2", "[device]\nmanaged=yes\n"),
        ("run/dhclient.eth1.pid", "17\n"),
    ];
    let list = found(&files, vec![link(1, "eth0", 1), link(2, "eth1", 2)]);
    assert!(list[0].contains("/etc/systemd/network/10-lan.network.d/mpathd.conf"), "{list:?}");
    assert!(list[1].contains("a DHCP client runs on it"), "{list:?}");
    assert!(list[2].contains("unmanaged-devices=interface-name:eth1"), "{list:?}");
    // The last such key counts: it names all.
    let both = [files[1], ("run/NetworkManager/devices/1", "[device]\nmanaged=yes\n")];
    let list = found(&both, vec![link(1, "eth0", 1), link(2, "eth1", 2)]);
    let all = "unmanaged-devices=interface-name:eth0;interface-name:eth1";
    assert!(list.len() == 2 && list.iter().all(|f| f.contains(all)), "{list:?}");
    let kept = [
        files[0],
        ("etc/systemd/network/10-lan.network.d/mpathd.conf", "[Network]\nKeepConfiguration=static\n"),
    ];
    assert_eq!(found(&kept, vec![link(1, "eth0", 1), link(2, "eth1", 2)]), [] as [String; 0]);
}

#[test]
fn whoever_writes_the_configuration_of_others_is_known() {
    let nics = || vec![link(1, "eth0", 1), link(2, "eth1", 2)];
    let netplan = "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n";
    let files = [
        ("run/systemd/netif/links/1", netplan),
        ("run/network/ifstate", "lo=lo\neth1=eth1"),
        ("etc/cloud/cloud.cfg", "users: []\n"),
    ];
    let list = found(&files, nics());
    assert_eq!(list.len(), 3, "{list:?}");
    assert!(list[0].contains("(written by netplan)"), "{list:?}");
    assert!(list[0].contains("to /etc/systemd/network/10-netplan-eth0.network.d/mpathd.conf"), "{list:?}");
    let remedy = ("etc/systemd/network/10-netplan-eth0.network.d/mpathd.conf", "KeepConfiguration=static\n");
    assert_eq!(found(&[files[0], remedy], nics()), [] as [String; 0], "it is heard");
    assert!(list[1].starts_with("eth1: ifupdown has set it up"), "{list:?}");
    assert!(list[2].contains("network: {config: disabled}"), "{list:?}");
    let told = [files[2], ("etc/cloud/cloud.cfg.d/99-mpathd.cfg", "network: {config: disabled}\n")];
    assert_eq!(found(&told, nics()), [] as [String; 0]);
}

#[test]
fn obstacles_come_with_their_remedies() {
    let list = [
        Finding::obstacle("eth1", "rp_filter is strict", "sysctl -w net.ipv4.conf.eth1.rp_filter=2"),
        Finding::hint("switch", "something may be", "look"),
    ];
    let golden = "\
obstacle: eth1: rp_filter is strict
  remedy: sysctl -w net.ipv4.conf.eth1.rp_filter=2
hint: switch: something may be
  remedy: look
2 NICs looked at: 1 obstacle
";
    assert_eq!(render(&list, 2, true, false), golden);
}

#[test]
fn what_two_have_found_is_told_once_with_the_better_remedy() {
    let of = |remedy: &str| Finding::obstacle("eth1", "it is a port of br0", remedy);
    let other = Finding::obstacle("eth0", "it is a port of br0", "x");
    let list = once(vec![of("mpathctl why eth1"), other.clone(), of("ip link set eth1 nomaster")]);
    assert_eq!(list, [of("ip link set eth1 nomaster"), other]);
}
