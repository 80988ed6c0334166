//! Beside the programs that manage the same NICs: real systemd-networkd, NetworkManager, dhcpcd and ifupdown of this host, in
//! namespaces of their own. On demand: `cargo test -p mpath-testkit --test managers -- --ignored`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "managers/stage.rs"]
mod stage;

use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::{Process, isolated_for, wait_until};
use stage::{SOON, Stage, program, write};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(240);

fn run(name: &str, body: impl FnOnce()) {
    if std::env::var_os("MPATH_TESTKIT_ISOLATED").is_none() {
        mpath_testkit::daemon::build_daemon();
    }
    isolated_for(name, LONG, body);
}

fn networkd(stage: &Stage) -> Process {
    stage.lan.server.spawn(Command::new("/lib/systemd/systemd-networkd")).unwrap()
}

/// The drop-ins are those that `mpathctl doctor` prints.
fn networkd_files(nics: &[(&str, &str)]) {
    for (nic, addresses) in nics {
        let text = format!(
            "[Match]\nName={nic}\n[Network]\nLinkLocalAddressing=ipv6\nIPv6AcceptRA=no\nLLDP=no\n{addresses}"
        );
        write(&format!("/etc/systemd/network/10-{nic}.network"), &text);
        let drop_in = format!("/etc/systemd/network/10-{nic}.network.d/mpathd.conf");
        write(&drop_in, "[Network]\nKeepConfiguration=static\n");
    }
    let own = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n";
    write("/etc/systemd/networkd.conf.d/mpathd.conf", own);
}

#[test]
#[ignore = "needs systemd-networkd"]
fn networkd_restarted_ten_times_under_traffic() {
    run("networkd_restarted_ten_times_under_traffic", || {
        program("/lib/systemd/systemd-networkd");
        let stage = Stage::new();
        networkd_files(&[
            (
                "eth0",
                "Address=192.0.2.10/24\nAddress=2001:db8:1::10/64\nGateway=192.0.2.1\n[Route]\nGateway=fe80::1\n",
            ),
            ("eth1", "Address=192.0.2.50/24\n"),
        ]);
        let mut manager = networkd(&stage);
        stage.expect(&[(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")]);
        stage.start("");
        let streams = stage.streams();
        for _ in 0..10 {
            manager.kill9();
            manager = networkd(&stage);
            std::thread::sleep(Duration::from_millis(1500));
        }
        stage.expect(&[(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")]);
        stage.calm(streams, Duration::from_secs(1));

        // The same while its addresses are on another NIC.
        stage.lan.cut(0).unwrap();
        let away = [(DATA4, "eth1"), (DATA6, "eth1"), ("192.0.2.50", "eth1")];
        stage.expect(&away);
        let streams = stage.streams();
        for _ in 0..3 {
            manager.kill9();
            manager = networkd(&stage);
            std::thread::sleep(Duration::from_millis(1500));
        }
        stage.expect(&away);
        stage.calm(streams, Duration::from_secs(1));
        stage.lan.plug(0).unwrap();
        stage.expect(&[(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")]);
        stage.no_fight();
    });
}

#[test]
#[ignore = "needs ifupdown"]
fn ifdown_and_ifup_under_traffic() {
    run("ifdown_and_ifup_under_traffic", || {
        program("/sbin/ifup");
        let stage = Stage::new();
        let text = "iface eth0 inet static\n address 192.0.2.10/24\n gateway 192.0.2.1\n\
                    iface eth0 inet6 static\n address 2001:db8:1::10/64\n gateway fe80::1\n dad-attempts 0\n accept_ra 0\n\
                    iface eth1 inet static\n address 192.0.2.50/24\n";
        write("/etc/network/interfaces", text);
        let tool = |name: &str, nic: &str| {
            let mut command = Command::new(format!("/sbin/{name}"));
            command.args(["-v", nic]);
            let mut process = stage.lan.server.spawn(command).unwrap();
            let status = process.wait(SOON).unwrap();
            let said: Vec<String> = process.log().into_iter().map(|l| l.text).collect();
            (status.success(), said.join("\n"))
        };
        for nic in ["eth0", "eth1"] {
            let (done, said) = tool("ifup", nic);
            assert!(done, "{said}");
        }
        stage.start("");
        stage.expect(&[(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")]);
        let streams = stage.streams();
        for round in 0..3 {
            let (done, said) = tool("ifdown", "eth0");
            assert!(done, "round {round}: {said}\n{}", stage.log());
            stage.expect(&[(DATA4, "eth1"), (DATA6, "eth1"), ("192.0.2.50", "eth1")]);
            let (done, said) = tool("ifup", "eth0");
            assert!(done && !said.contains("File exists"), "round {round}: {said}\n{}", stage.log());
            stage.expect(&[(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")]);
        }
        stage.calm(streams, Duration::from_secs(1));
        stage.no_fight();
    });
}

#[test]
#[ignore = "open: dhcpcd gets no lease from networkd here"]
fn a_dhcp_lease_is_renewed_and_moves() {
    run("a_dhcp_lease_is_renewed_and_moves", || {
        program("/sbin/dhcpcd");
        program("/lib/systemd/systemd-networkd");
        let stage = Stage::new();
        let server = "[Match]\nName=eth0\n[Network]\nKeepConfiguration=yes\nDHCPServer=yes\nLinkLocalAddressing=no\n\
                      Address=192.0.2.1/24\n[DHCPServer]\nPoolOffset=9\nPoolSize=1\nDefaultLeaseTimeSec=20\nEmitDNS=no\n";
        write("/etc/systemd/network/10-router.network", server);
        let _server = stage.lan.router.spawn(Command::new("/lib/systemd/systemd-networkd")).unwrap();
        write("/etc/dhcpcd.conf", "allowinterfaces eth0\nipv4only\nnoarp\nnohook resolv.conf\n");
        let mut client = Command::new("/sbin/dhcpcd");
        client.args(["-B", "-d", "eth0"]);
        let client = stage.lan.server.spawn(client).unwrap();
        wait_until(SOON, "a lease", || stage.lan.server.holders(DATA4) == ["eth0"]);
        stage.lan.server.add_address("eth1", "192.0.2.50/24").unwrap();
        stage.start("adopt = \"all\"\n");
        let stream = stage.streams().remove(0);
        // Renewed every ten seconds.
        std::thread::sleep(Duration::from_secs(25));
        stage.expect(&[(DATA4, "eth0"), ("192.0.2.50", "eth1")]);
        stage.lan.blackhole(0).unwrap();
        stage.expect(&[(DATA4, "eth1"), ("192.0.2.50", "eth1")]);
        stage.lan.heal(0).unwrap();
        stage.expect(&[(DATA4, "eth0"), ("192.0.2.50", "eth1")]);
        std::thread::sleep(Duration::from_secs(12));
        stage.expect(&[(DATA4, "eth0"), ("192.0.2.50", "eth1")]);
        assert!(!client.has_ended(), "{:?}", client.log());
        stage.calm(vec![stream], Duration::from_secs(2));
        stage.no_fight();
    });
}

#[test]
#[ignore = "open: not seen pass with `connection up` under traffic; needs NetworkManager and dbus-daemon"]
fn network_manager_reloaded_and_reconnected() {
    run("network_manager_reloaded_and_reconnected", || {
        program("/usr/sbin/NetworkManager");
        let stage = Stage::new();
        let bus = stage.bus();
        let keyfile = "/etc/NetworkManager/system-connections/eth0.nmconnection";
        let text = "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\n\
                    address1=192.0.2.10/24,192.0.2.1\n[ipv6]\nmethod=manual\naddress1=2001:db8:1::10/64,fe80::1\n";
        write(keyfile, text);
        std::fs::set_permissions(keyfile, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let conf = "[main]\nplugins=keyfile\nauth-polkit=false\ndns=none\n[keyfile]\nunmanaged-devices=interface-name:eth1\n";
        write("/etc/NetworkManager/NetworkManager.conf", conf);
        let start = || {
            let mut command = Command::new("/usr/sbin/NetworkManager");
            command.arg("--no-daemon");
            stage.lan.server.spawn(command).unwrap()
        };
        stage.lan.server.add_address("eth1", "192.0.2.50/24").unwrap();
        let mut manager = start();
        let up =
            || stage.lan.server.holders(DATA4) == ["eth0"] && stage.lan.server.holders(DATA6) == ["eth0"];
        wait_until(SOON, "NetworkManager has set it up", up);
        stage.start("");
        let home = [(DATA4, "eth0"), (DATA6, "eth0"), ("192.0.2.50", "eth1")];
        stage.expect(&home);
        let streams = stage.streams();
        for _ in 0..3 {
            manager.kill9();
            manager = start();
            std::thread::sleep(Duration::from_secs(2));
        }
        stage.expect(&home);
        // `connection down` is a wish: what it takes off is forgotten.
        let again = ["general reload", "connection reload", "device reapply eth0", "connection up eth0"];
        for words in again {
            let mut command = Command::new("/usr/bin/nmcli");
            let status = stage
                .lan
                .server
                .spawn({
                    command.args(words.split(' '));
                    command
                })
                .unwrap()
                .wait(SOON);
            assert!(status.unwrap().success(), "{words}");
            std::thread::sleep(Duration::from_secs(1));
        }
        stage.expect(&home);
        stage.calm(streams, Duration::from_secs(1));
        stage.no_fight();
        drop((manager, bus));
    });
}
