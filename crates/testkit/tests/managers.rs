//! Beside programs that manage the same NICs: real systemd-networkd and ifupdown of this host, in namespaces of their own. On
//! demand: `cargo test -p mpath-testkit --test managers -- --ignored`. NetworkManager and DHCP clients need a system that has
//! booted: `packaging/test/managers`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "managers/stage.rs"]
mod stage;

use mpath_testkit::lan::{DATA4, DATA6};
use mpath_testkit::{Process, isolated_for};
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
